//go:build unix

package mysql

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Whenever the agent is killed, the rows are the old ones or the new ones, and Mend makes everything the old or the new.
func TestAgentIsKilled(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"planned": false, "loading": false, "loaded": false, "prepared": false, "made": false, "bare": false,
		"moved": true, "triggered": true, "created": true, "ended": true, "cleared": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			at, d := fill(t)
			before, _ := dumped(t, d)
			run(t, d, scribble...)
			now, _ := dumped(t, d)
			killed(t, at, d, before, step, "")
			if got, want := tablesOf(t, at), tablesOfText(map[bool]string{true: before, false: now}[done]); got != want {
				t.Errorf("tables are %s, want %s", got, want)
			}
			if err := restore(d, before, source.Restore{}); !errors.Is(err, fault.Conflict) {
				t.Errorf("a restore before mending: %v", err)
			}
			for i := range 2 {
				if did, err := d.Mend(t.Context()); err != nil || (did == "") != (i == 1) {
					t.Errorf("mended %q, %v", did, err)
				}
			}
			clean(t, at, d)
			after, _ := dumped(t, d)
			if done {
				same(t, after, before)
			} else {
				same(t, after, now)
			}
			if err := restore(d, before, source.Restore{}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			after, _ = dumped(t, d)
			same(t, after, before)
		})
	}
}

// So it is with a copy, which is there or not.
func TestAgentIsKilledCopying(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"loaded": false, "made": false, "bare": false, "moved": true, "ended": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			at, d := fill(t)
			before, _ := dumped(t, d)
			copied := at.Name + "__copy"
			allow(t, at, copied)
			killed(t, at, d, before, step, copied)
			if did, err := d.Mend(t.Context()); err != nil || did == "" {
				t.Errorf("mended %q, %v", did, err)
			}
			clean(t, at, d)
			if n := one[int](t, at.Admin, "SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?", copied); (n == 1) != done {
				t.Errorf("the copy is there %d times", n)
			}
			after, _ := dumped(t, d)
			same(t, after, before)
		})
	}
}

func allow(t testing.TB, at *mysqltest.Database, name string) {
	t.Helper()
	for _, p := range []string{pattern(name), pattern(name+mark) + "%"} {
		at.Exec(t, "GRANT ALL PRIVILEGES ON "+quote(p)+".* TO `"+at.User+"`@`127.0.0.1`")
	}
}

func killed(t *testing.T, at *mysqltest.Database, d *Database, text, step, as string, env ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), restoreURL+"="+at.URL, restoreFile+"="+file, restoreJournal+"="+d.o.Journal, dieAt+"="+step, "TEST_RESTORE_AS="+as)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it did not die at %s: %v\n%s", step, err, out)
	}
}

// tablesOf are the names of the live database's tables.
func tablesOf(t testing.TB, at *mysqltest.Database) string {
	t.Helper()
	return one[string](t, at.Admin, "SELECT group_concat(table_name ORDER BY binary table_name) FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = ?", at.Name)
}

func tablesOfText(text string) string {
	scan := dump.NewScanner(dump.MySQLSQL)
	scan.Write([]byte(text))
	var all []string
	for _, t := range scan.Tables() {
		all = append(all, t.Name)
	}
	return strings.Join(all, ",")
}

// Whenever the server is killed, it has the old rows or the new, and Mend the rest.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := mysqltest.Private(t)
	at := server.New(t)
	d := opened(t, at.URL)
	run(t, d, shop...)
	before, _ := dumped(t, d)
	for _, step := range []string{"loading", "loaded", "bare", "moved", "created", "ended"} {
		run(t, d, scribble...)
		now, _ := dumped(t, d)
		var once sync.Once
		d.stop = func(at string) {
			if at == step {
				once.Do(server.Kill)
			}
		}
		err := restore(d, before, source.Restore{})
		if d.stop = func(string) {}; !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", step, err)
		}
		if _, err := d.Mend(t.Context()); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: mended without a server: %v", step, err)
		}
		server.Start(t)
		if did, err2 := d.Mend(t.Context()); err2 != nil || did == "" {
			t.Fatalf("%s: mended %q, %v, after %v", step, did, err2, err)
		}
		clean(t, at, d)
		after, _ := dumped(t, d)
		if done := step == "moved" || step == "created" || step == "ended"; done {
			same(t, after, before)
		} else {
			same(t, after, now)
			if err := restore(d, before, source.Restore{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A kill in the middle of RENAME itself, at random moments.
func TestServerIsKilledMoving(t *testing.T) {
	t.Parallel()
	server := mysqltest.Private(t)
	at := server.New(t)
	d := opened(t, at.URL)
	run(t, d, shop...)
	before, _ := dumped(t, d)
	for i := range 6 {
		run(t, d, scribble...)
		now, _ := dumped(t, d)
		dead := make(chan struct{})
		d.stop = func(step string) {
			if step == "bare" {
				time.AfterFunc(time.Duration(i*i)*700*time.Microsecond, func() { server.Kill(); close(dead) })
			}
		}
		restore(d, before, source.Restore{}) // whatever comes of it
		<-dead
		d.stop = func(string) {}
		server.Start(t)
		if _, err := d.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		clean(t, at, d)
		if after, _ := dumped(t, d); after != now {
			same(t, after, before)
		} else if err := restore(d, before, source.Restore{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerIsKilledWhileDumping(t *testing.T) {
	t.Parallel()
	server := mysqltest.Private(t)
	at := server.New(t)
	d := opened(t, at.URL)
	run(t, d, "CREATE TABLE big (id int PRIMARY KEY, x longblob)", "INSERT INTO big SELECT seq, random_bytes(1024) FROM seq_1_to_30000")
	r := begun(t, d)
	if _, err := io.ReadFull(r, make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "exit status") {
		t.Errorf("%v", err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("and again: %v", err)
	}
	clean0(t, d)
}

// begun begins a dump.
func begun(t *testing.T, d *Database) source.Dump {
	t.Helper()
	s, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); s.Close() })
	return r
}

// clean0 fails if a file is left in the journal's folder.
func clean0(t *testing.T, d *Database) {
	t.Helper()
	if entries, err := os.ReadDir(d.o.Journal); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// The programs are killed half-way.
// loaders are our processes that load into a database beside that one.
func loaders(t *testing.T, name string) (pids []int) {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(os.Getpid()), "-f", "--", "--database="+name+mark).Output()
	if err != nil {
		t.Errorf("no %s: %v", name, err)
	}
	for _, f := range strings.Fields(string(out)) {
		pid, _ := strconv.Atoi(f)
		pids = append(pids, pid)
	}
	return pids
}

func TestProgramIsKilled(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	r := begun(t, d).(*reader)
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	r.cmd.Process.Kill()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the dump: %v", err)
	}
	clean0(t, d)

	run(t, d, scribble...)
	now, _ := dumped(t, d)
	// The client reads from a pipe that we feed, so it is alive when half was read.
	half := io.MultiReader(strings.NewReader(before[:len(before)/2]), readerFunc(func([]byte) (int, error) {
		for _, pid := range loaders(t, at.Name) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return 0, io.EOF
	}))
	if err := d.Restore(t.Context(), half, source.Restore{Format: dump.MySQLSQL}, nil); err == nil {
		t.Error("half a dump was restored")
	}
	clean(t, at, d)
	after, _ := dumped(t, d)
	same(t, after, now)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestContextEnds(t *testing.T) {
	t.Parallel()
	at, d := fill(t)
	before, _ := dumped(t, d)
	run(t, d, scribble...)
	now, _ := dumped(t, d)
	for _, step := range []string{"loading", "loaded"} {
		ctx, cancel := context.WithCancel(t.Context())
		d.stop = func(at string) {
			if at == step {
				cancel()
			}
		}
		if err := d.Restore(ctx, strings.NewReader(before), source.Restore{Format: dump.MySQLSQL}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", step, err)
		}
		clean(t, at, d)
	}
	d.stop = func(string) {}
	after, _ := dumped(t, d)
	same(t, after, now)

	ctx, cancel := context.WithCancel(t.Context())
	s, err := d.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Dump(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("the dump: %v", err)
	}
	clean0(t, d)
}
