//go:build unix

package postgres

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A process with these in its environment restores a file and kills itself at a step.
const restoreURL, restoreFile, dieAt = "TEST_RESTORE_URL", "TEST_RESTORE_FILE", "TEST_RESTORE_DIE_AT"

func TestMain(m *testing.M) {
	at := os.Getenv(restoreURL)
	if at == "" {
		os.Exit(m.Run())
	}
	d, err := Open(at, source.Options{Journal: filepath.Dir(os.Getenv(restoreFile))})
	if err != nil {
		panic(err)
	}
	d.stop = func(step string) {
		if step == os.Getenv(dieAt) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	f, err := os.Open(os.Getenv(restoreFile))
	if err != nil {
		panic(err)
	}
	if err := d.Restore(context.Background(), f, source.Restore{Format: dump.PostgresSQL}, nil); err != nil {
		panic(err)
	}
	os.Exit(7) // it was to die
}

// Whenever the agent is killed, the database is the old one or the new one, and Mend removes the rest.
func TestAgentIsKilled(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"created": false, "loading": false, "loaded": false, "renamed 0": false, "renamed 1": false, "swapped": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			db, at := fill(t)
			d := opened(t, at)
			before, _ := dumped(t, d)
			must(t, db, scribble)
			now, _ := dumped(t, d)
			killed(t, at, before, step)
			if n := one[int](t, db, "SELECT count(*) FROM pg_database WHERE datname = $1", d.Name()); n != 1 {
				t.Fatal("the database is gone")
			}
			if l := left(t, db, d.Name()); len(l) != 1 {
				t.Errorf("left: %v", l)
			}
			for i := range 2 {
				if did, err := d.Mend(t.Context()); err != nil || (did == "") != (i == 1) {
					t.Errorf("mended %q, %v", did, err)
				}
			}
			if l := left(t, db, d.Name()); len(l) > 0 {
				t.Errorf("left: %v", l)
			}
			if after, _ := dumped(t, d); done {
				same(t, after, before)
			} else {
				same(t, after, now)
			}
			if err := restore(d, before, source.Restore{}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// So it is in place.
func TestAgentIsKilledInPlace(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"loading": false, "committed": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			db, at, user := clerk(t)
			d := opened(t, as(t, at, user))
			before, _ := dumped(t, d)
			must(t, db, "DELETE FROM log; UPDATE cache SET v = 'other'")
			now, _ := dumped(t, d)
			killed(t, as(t, at, user), before, step)
			if after, _ := dumped(t, d); done {
				same(t, after, before)
			} else {
				same(t, after, now)
			}
		})
	}
}

func killed(t *testing.T, at, text, step string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), restoreURL+"="+at, restoreFile+"="+file, dieAt+"="+step)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it was to be killed at %q: %v: %s", step, err, out)
	}
}

// clerk makes a database with a shop of a user's who may not make databases.
func clerk(t testing.TB) (db *sqlx.DB, at, user string) {
	t.Helper()
	admin, at := pgtest.Empty(t)
	name := opened(t, at).Name()
	user = "clerk_" + name
	must(t, admin, "CREATE ROLE "+quote(user)+" LOGIN; GRANT CREATE ON DATABASE "+quote(name)+" TO "+quote(user)+"; GRANT CREATE, USAGE ON SCHEMA public TO "+quote(user))
	t.Cleanup(func() { admin.Exec("DROP OWNED BY " + quote(user) + " CASCADE; DROP ROLE " + quote(user)) })
	own, err := pgOpen(t, as(t, at, user))
	if err != nil {
		t.Fatal(err)
	}
	must(t, own, strings.Replace(shop, "CREATE PUBLICATION pub FOR TABLE customers;", "", 1))
	return own, at, user
}

// Whenever the server is killed, too.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	for step, done := range map[string]bool{"loading": false, "loaded": false, "renamed 1": false, "swapped": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			cfg := pgtest.Private(t)
			server, err := local.Start(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			admin, err := pgOpen(t, server.DatabaseURL())
			if err != nil {
				t.Fatal(err)
			}
			must(t, admin, "CREATE DATABASE shop TEMPLATE template0")
			at := neighbourOf(t, server.DatabaseURL(), "shop")
			db, err := pgOpen(t, at)
			if err != nil {
				t.Fatal(err)
			}
			must(t, db, shop)
			must(t, db, "DELETE FROM cache") // a crash empties tables that are not logged
			d := opened(t, at)
			before, _ := dumped(t, d)
			must(t, db, scribble)
			must(t, db, "SELECT setval('log_n_seq', 5000), setval('customers_id_seq', 5000)") // a crash skips up to 32 numbers that were drawn
			now, _ := dumped(t, d)
			var once sync.Once
			d.stop = func(s string) {
				if s == step {
					once.Do(func() { killServer(t, cfg.Dir) })
				}
			}
			err = restore(d, before, source.Restore{})
			if (err == nil) != done {
				t.Errorf("the restore returned %v", err)
			}
			d.stop = func(string) {}
			await(t, func() error { return d.db.PingContext(t.Context()) })
			if did, err := d.Mend(t.Context()); err != nil || did == "" {
				t.Errorf("mended %q, %v", did, err)
			}
			if after, _ := dumped(t, d); done {
				same(t, after, before)
			} else {
				same(t, after, now)
			}
			if l := left(t, admin, "shop"); len(l) > 0 {
				t.Errorf("left: %v", l)
			}
		})
	}
}

// killServer kills the postmaster; depot/local starts it again when its children have noticed.
func killServer(t *testing.T, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Error(err)
		return
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Error(err)
		return
	}
	children, err := exec.Command("ps", "-o", "pid=", "--ppid", first).Output()
	if err != nil {
		t.Error(err)
		return
	}
	syscall.Kill(pid, syscall.SIGKILL)
	for _, c := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(c); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// await tries until it works.
func await(t *testing.T, f func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
}

// A script that takes the place of one of PostgreSQL's programs.
func script(t *testing.T, program, text string) (folder string) {
	t.Helper()
	real, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, program, "if [ \"$1\" = --version ]; then exec "+real+" --version; fi\nreal="+real+"\n"+text)
}

// written writes a script into a folder of its own. A shell does it: a file that this process had open for writing could not be run
// while another test forks.
func written(t *testing.T, program, text string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	cmd := exec.Command("/bin/sh", "-c", `cat >"$1" && chmod 755 "$1"`, "sh", filepath.Join(folder, program))
	cmd.Stdin = strings.NewReader("#!/bin/sh\n" + text + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}

// psql, pg_dump, or their session, ends half-way.
func TestProgramsAreKilled(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	before, tables := dumped(t, d)
	must(t, db, "DELETE FROM cache")
	now, _ := dumped(t, d)
	for text, says := range map[string]string{
		`head -c 100000 | "$real" "$@"; kill -9 $$`: "signal: killed",
		`exit 5`: "exit status 5: it said nothing",
		`"$real" "$@" >&2; echo too bad >&2; exit 4`:              "too bad: exit status 4",
		`head -c 1000 >/dev/null; exit 0`:                         "",
		`echo "could not extend file: No space left" >&2; exit 3`: "No space left",
	} {
		d.o.Tools = []string{script(t, "psql", text)}
		err := restore(d, before, source.Restore{Want: tables})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("psql as %q: %v", text, err)
		}
		if strings.Contains(says, "space") && !errors.Is(err, fault.StorageFull) {
			t.Errorf("no room is %v", fault.KindOf(err))
		}
	}
	d.o.Tools = nil
	var once sync.Once
	d.stop = func(step string) {
		if step == "loading" {
			once.Do(func() { // psql may not have come yet
				await(t, func() error {
					var n int
					err := db.QueryRow("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname LIKE $1", d.Name()+mark+"%").Scan(&n)
					if err == nil && n == 0 {
						err = errors.New("psql has no session")
					}
					return err
				})
			})
		}
	}
	if err := restore(d, before, source.Restore{}); err == nil {
		t.Error("psql's session was ended, and it is not noticed")
	}
	d.stop = func(string) {}
	for text, says := range map[string]string{
		`"$real" "$@" | head -c 20000; kill -9 $$`:          "signal: killed",
		`"$real" "$@"; echo too bad >&2; exit 1`:            "exit status 1: too bad",
		`"$real" "$@" | head -c 20000`:                      "not whole",
		`"$real" "$@" | head -c 20000; exec sleep 1000 >&-`: "closed",
	} {
		d.o.Tools = []string{script(t, "pg_dump", text)}
		s, err := d.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Dump(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<10)
		if says == "closed" {
			if _, err = r.Read(buf); err != nil {
				t.Error(err)
			}
			r.Close()
		}
		for err == nil {
			_, err = r.Read(buf)
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("pg_dump as %q: %v", text, err)
		}
		if _, again := r.Read(buf); again != err {
			t.Errorf("pg_dump as %q, read again: %v", text, again)
		}
		r.Close()
		s.Close()
	}
	d.o.Tools = nil
	still, _ := dumped(t, d)
	same(t, still, now)
	if l := left(t, db, d.Name()); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// A context that ends, ends everything, and leaves nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	before, _ := dumped(t, d)
	for _, step := range []string{"created", "loading", "loaded", "renamed 0"} {
		ctx, cancel := context.WithCancel(t.Context())
		d.stop = func(s string) {
			if s == step {
				cancel()
			}
		}
		if err := d.Restore(ctx, strings.NewReader(before), source.Restore{Format: dump.PostgresSQL}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("at %s: %v", step, err)
		}
		cancel()
	}
	d.stop = func(string) {}
	if l := left(t, db, d.Name()); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
	still, _ := dumped(t, d)
	same(t, still, before)

	ctx, cancel := context.WithCancel(t.Context())
	s, err := d.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Dump(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	buf := make([]byte, 1<<10)
	for err = nil; err == nil; {
		_, err = r.Read(buf)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a dump: %v", err)
	}
	for what, f := range map[string]func() error{
		"Begin":     func() error { _, err := d.Begin(ctx); return err },
		"Check":     func() error { _, err := d.Check(ctx); return err },
		"Preflight": func() error { _, err := d.Preflight(ctx, source.Restore{Format: dump.PostgresSQL}); return err },
		"Mend":      func() error { _, err := d.Mend(ctx); return err },
	} {
		if err := f(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
