//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Whenever the agent is killed, the database is the old one or the new one, and Mend removes what was built.
func TestAgentIsKilled(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"loading": false, "loaded": false, "verified": false, "replaced": true} {
		for _, wal := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, log %v", step, wal), func(t *testing.T) {
				t.Parallel()
				d := fill(t, wal)
				before, _ := dumped(t, d)
				sh(t, d.path, scribble)
				now, _ := dumped(t, d)
				killed(t, d, before, "dump.sql", step, "")
				after, _ := dumped(t, d)
				same(t, after, map[bool]string{true: before, false: now}[done])
				for i := range 2 {
					if did, err := d.Mend(t.Context()); err != nil || (did == "") != (i == 1) {
						t.Errorf("mended %q, %v", did, err)
					}
				}
				clean(t, d)
				if err := restore(d, before, source.Restore{}); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				after, _ = dumped(t, d)
				same(t, after, before)
			})
		}
	}
}

// So it is with a copy, which is there as a whole or not at all, and with a database that was gone.
func TestAgentIsKilledPlacing(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"loading": false, "verified": false, "placed": true} {
		d := fill(t, false)
		before, _ := dumped(t, d)
		copied := opened(t, filepath.Join(t.TempDir(), "copy.db"))
		killed(t, d, before, "dump.sql", step, copied.path)
		if err := os.Remove(d.path); err != nil {
			t.Fatal(err)
		}
		killed(t, d, before, "dump.sql", step, "")
		for _, at := range []*Database{copied, d} {
			if _, err := os.Stat(at.path); (err == nil) != done {
				t.Errorf("%s: it is there: %v", step, err)
			} else if done {
				after, _ := dumped(t, at)
				same(t, after, before)
			}
			if did, err := at.Mend(t.Context()); err != nil || did == "" {
				t.Errorf("mended %q, %v", did, err)
			}
			clean(t, at)
		}
	}
}

// An import is no other way.
func TestAgentIsKilledImporting(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"loading": false, "loaded": false, "replaced": true} {
		d := opened(t, filepath.Join(t.TempDir(), "shop.db"))
		sh(t, d.path, "CREATE TABLE old (a); INSERT INTO old VALUES (1);")
		killed(t, d, foreign, "database_dump.json", step, "")
		tables := sh(t, d.path, "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table';")
		if (tables == "orders,s.more") != done || (tables == "old") == done {
			t.Errorf("%s: %s", step, tables)
		}
		if did, err := d.Mend(t.Context()); err != nil || did == "" {
			t.Errorf("mended %q, %v", did, err)
		}
		clean(t, d)
	}
}

func killed(t *testing.T, d *Database, text, name, step, as string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), restoreDB+"="+d.path, restoreFile+"="+file, dieAt+"="+step, restoreAs+"="+as)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput() // its shell has the pipes, too, so it has ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it did not die at %s: %v\n%s", step, err, out)
	}
}

// The program that writes into the live file is killed while it does so: the file is the old one or the new one, whoever looks.
func TestProgramIsKilledReplacing(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	for _, wal := range []bool{false, true} {
		d := fill(t, wal)
		sh(t, d.path, "CREATE TABLE big (x); WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT 200) INSERT INTO big SELECT randomblob(20000) FROM s;")
		before, _ := dumped(t, d)
		sh(t, d.path, scribble+"UPDATE big SET x = randomblob(20000);")
		now, _ := dumped(t, d)
		olds, news := 0, 0
		for i := range 6 {
			tools := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *-safe*|*--version*) exec '%s' \"$@\";; esac\nexec timeout -s KILL 0.%03d '%s' \"$@\"\n", real, 3+i*i*5, real)
			if err := os.WriteFile(filepath.Join(tools, "sqlite3"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			d.o.Tools = []string{tools}
			restore(d, before, source.Restore{}) // whatever comes of it
			d.o.Tools = nil
			if _, err := d.Mend(t.Context()); err != nil {
				t.Fatal(err)
			}
			clean(t, d)
			if got := sh(t, d.path, "PRAGMA integrity_check;"); got != "ok" {
				t.Fatalf("after %d: %s", i, got)
			}
			if after, _ := dumped(t, d); strings.Contains(after, "CREATE TABLE later") {
				olds++
				same(t, withoutMode(after), withoutMode(now))
			} else {
				news++
				same(t, withoutMode(after), withoutMode(before))
				if err := restore(d, now, source.Restore{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("log %v: %d times the old, %d times the new", wal, olds, news)
		if olds == 0 {
			t.Error("it was never killed in time")
		}
	}
}

// withoutMode is a dump without the write-ahead log's setting, which goes while others' content is changed.
func withoutMode(text string) string {
	return strings.Replace(text, "PRAGMA journal_mode=wal;\n", "", 1)
}

// An application was killed while it wrote: what it left is undone before anything is read.
func TestHotJournalIsMended(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	want, _ := dumped(t, d)
	u := use(t, d.path)
	u.do("PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN IMMEDIATE; UPDATE customers SET photo = randomblob(30000);")
	if did, err := d.Mend(t.Context()); did != "" || err != nil {
		t.Errorf("while it writes: %q, %v", did, err)
	}
	u.kill()
	if info, err := os.Stat(d.path + "-journal"); err != nil || info.Size() == 0 {
		t.Fatalf("there is no journal: %v", err)
	}
	if did, err := d.Mend(t.Context()); err != nil || !strings.Contains(did, "was made what it was") {
		t.Errorf("%q, %v", did, err)
	}
	got, _ := dumped(t, d)
	same(t, got, want)
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	before, _ := dumped(t, d)
	sh(t, d.path, scribble)
	now, _ := dumped(t, d)
	for _, step := range []string{"loading", "loaded", "verified"} {
		ctx, cancel := context.WithCancel(t.Context())
		d.stop = func(at string) {
			if at == step {
				cancel()
			}
		}
		if err := d.Restore(ctx, strings.NewReader(before), source.Restore{Format: "sqlite-sql"}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", step, err)
		}
		clean(t, d)
	}
	d.stop = func(string) {}
	broken := errors.New("the line is dead")
	in := io.MultiReader(strings.NewReader(before[:len(before)/2]), readerFunc(func([]byte) (int, error) { return 0, broken }))
	if err := d.Restore(t.Context(), in, source.Restore{Format: "sqlite-sql"}, nil); !errors.Is(err, broken) {
		t.Errorf("a broken line: %v", err)
	}
	clean(t, d)
	after, _ := dumped(t, d)
	same(t, after, now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"begin": func() error { _, err := d.Begin(ctx); return err }(), "check": func() error { _, err := d.Check(ctx); return err }(),
		"preflight": func() error { _, err := d.Preflight(ctx, source.Restore{Format: "sqlite-sql"}); return err }(),
		"import":    func() error { _, err := d.Import(ctx, strings.NewReader(foreign), source.Restore{}, nil); return err }(),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Programs that fail, in whatever way.
func TestProgramsFail(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	text, _ := dumped(t, d)
	for name, c := range map[string]struct{ body, says string }{
		"fails":         {"head -n 1 >/dev/null; echo of no avail >&2; exit 3", "exit status 3: of no avail"},
		"says nothing":  {"exit 4", "exit status 4"},
		"does not read": {"exec <&-; sleep 0.1; exit 5", "exit status 5"},
		"does nothing":  {"cat >/dev/null", ""},
		"says much":     {"yes | head -c 100000 >&2; echo the end >&2; exit 1", "the end"},
	} {
		bad := opened(t, d.path)
		tools := t.TempDir()
		if err := os.WriteFile(filepath.Join(tools, "sqlite3"), []byte("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 3.40.1; exit; fi\n"+c.body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		bad.o.Tools = []string{tools}
		var err error
		if name == "does nothing" { // one would wait for it
			err = fault.New(fault.Unavailable, "")
		} else if s, e := bad.Begin(t.Context()); e == nil {
			s.Close()
		} else {
			err = e
		}
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 10_000 {
			t.Errorf("a dump that %s: %v", name, err)
		}
		if err := restore(bad, text, source.Restore{}); err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 10_000 {
			t.Errorf("a restore that %s: %v", name, err)
		}
		clean(t, d)
	}
	none := opened(t, d.path)
	none.o.Tools = []string{t.TempDir()}
	after, _ := dumped(t, none) // those of the system
	same(t, after, text)
}
