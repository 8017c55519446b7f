//go:build unix

package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// TestMain lets the test program play a second process: with a directory in the environment it starts the servers there,
// says so, and waits to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HOLDFAST_TEST_CHILD"); dir != "" {
		l, err := Start(context.Background(), Config{Dir: dir})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("ready", l.DatabaseURL(), l.RedisURL())
		select {}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, cfg Config) *Local {
	t.Helper()
	l, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// private is a temporary directory that other users may not even pass: the usual kind.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// write adds a row to a table in PostgreSQL and counts the rows.
func write(t *testing.T, l *Local) int {
	t.Helper()
	return writeAt(t, l.DatabaseURL())
}

func rewrite(t *testing.T, l *Local) error {
	db, err := sql.Open("postgres", l.DatabaseURL())
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(t.Context())
}

func pids(l *Local) map[string]int {
	m := map[string]int{}
	for _, c := range l.children {
		m[c.name] = c.pid()
	}
	return m
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestLife goes through the ordinary life: cold start, access, stop, warm start.
func TestLife(t *testing.T) {
	t.Parallel()
	dir := private(t)
	began := time.Now()
	l := start(t, Config{Dir: dir})
	t.Logf("cold start: %v", time.Since(began).Round(time.Millisecond))
	if n := write(t, l); n != 1 {
		t.Errorf("%d rows", n)
	}
	if err := askRedis(l.redisSocket(), "PING"); err != nil {
		t.Error(err)
	}
	for key, d := range l.dirs {
		st, err := d.Stat()
		if err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", key, st.Mode(), err)
		}
		if l.user != nil && st.Sys().(*syscall.Stat_t).Uid != l.user.uid {
			t.Errorf("%s belongs to the wrong user", key)
		}
	}
	// The settings reached the server, and it listens on no network.
	for name, want := range map[string]string{"listen_addresses": "", "synchronous_commit": "on", "fsync": "on", "full_page_writes": "on",
		"max_wal_size": "4GB", "checkpoint_timeout": "15min", "data_checksums": "on", "unix_socket_permissions": "0700", "server_encoding": "UTF8"} {
		if got := setting(t, l.DatabaseURL(), name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := Start(t.Context(), Config{Dir: dir}); !errors.Is(err, fault.Conflict) ||
		err.Error() != fmt.Sprintf("another holdfast (pid %d) is using %s: stop it first, or choose another --data", os.Getpid(), dir) {
		t.Errorf("a second start: %v", err)
	}
	e, err := Find(dir)
	if err != nil || e.DatabaseURL != l.DatabaseURL() || e.RedisURL != l.RedisURL() || e.PID != os.Getpid() {
		t.Errorf("find: %+v, %v", e, err)
	}
	gone := pids(l)
	began = time.Now()
	l.Close()
	took := time.Since(began)
	t.Logf("stop: %v", took.Round(time.Millisecond))
	l.Close()
	for name, pid := range gone {
		if syscall.Kill(pid, 0) != syscall.ESRCH {
			t.Errorf("%s is still there", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, postgresDir, "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not a clean stop: %v", err)
	}
	if _, err := Find(dir); !errors.Is(err, fault.NotFound) {
		t.Errorf("find after the end: %v", err)
	}
	began = time.Now()
	l = start(t, Config{Dir: dir})
	t.Logf("warm start: %v", time.Since(began).Round(time.Millisecond))
	if n := write(t, l); n != 2 {
		t.Errorf("%d rows after a restart", n)
	}
}

// TestChildrenDie: each server that is killed comes back by itself, with its data, and the death is told.
func TestChildrenDie(t *testing.T) {
	t.Parallel()
	l := start(t, Config{Dir: private(t), Throwaway: true})
	n := write(t, l)
	for _, c := range l.children {
		for range 2 {
			old := c.pid()
			if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-l.Err():
				if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.name) || !strings.Contains(err.Error(), "killed") {
					t.Errorf("told: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the death was not told")
			}
			until(t, c.name+" is back", func() bool {
				return c.pid() != 0 && c.pid() != old && rewrite(t, l) == nil && askRedis(l.redisSocket(), "PING") == nil
			})
		}
	}
	if got := write(t, l); got != n+1 {
		t.Errorf("%d rows, want %d", got, n+1)
	}
}

// secondProcess starts a second process that runs the servers on dir, and returns it and its addresses.
func secondProcess(t *testing.T, dir string) (cmd *exec.Cmd, databaseURL string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_CHILD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var ready, redisURL string
	if _, err := fmt.Fscan(out, &ready, &databaseURL, &redisURL); err != nil || ready != "ready" {
		t.Fatalf("the second process did not start: %q %q %v", ready, databaseURL, err)
	}
	return cmd, databaseURL
}

// TestParentKilled: kill -9 of the process that runs the servers. On Linux they go with it; the next start finds all
// that was committed.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	dir := private(t)
	cmd, at := secondProcess(t, dir)
	for n := 1; n <= 3; n++ {
		if got := writeAt(t, at); got != n {
			t.Fatalf("%d rows, want %d", got, n)
		}
	}
	if _, err := Start(t.Context(), Config{Dir: dir}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("beside a living one: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	began := time.Now()
	l := start(t, Config{Dir: dir})
	t.Logf("start right after kill -9 of the parent: %v", time.Since(began).Round(time.Millisecond))
	if got := write(t, l); got != 4 {
		t.Errorf("%d rows, want 4", got)
	}
	if n := len(holders(filepath.Join(dir, redisDir))); knowsHolders && n != 1 {
		t.Errorf("%d redis-servers work in the directory", n)
	}
}

// TestAllKilled: kill -9 of everything at once, as a power cut would.
func TestAllKilled(t *testing.T) {
	t.Parallel()
	if !knowsHolders {
		return // which processes to kill is not known here
	}
	dir := private(t)
	cmd, at := secondProcess(t, dir)
	if got := writeAt(t, at); got != 1 {
		t.Fatalf("%d rows, want 1", got)
	}
	// The parent last: it would start them again, but not that fast.
	for _, d := range []string{postgresDir, redisDir} {
		for _, pid := range holders(filepath.Join(dir, d)) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	began := time.Now()
	l := start(t, Config{Dir: dir})
	t.Logf("start right after kill -9 of everything: %v", time.Since(began).Round(time.Millisecond))
	if got := write(t, l); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
}

// TestRecycledPid: the lock files of a dead PostgreSQL name a process that lives, of the same user, but is something else.
func TestRecycledPid(t *testing.T) {
	t.Parallel()
	if !knowsHolders {
		return
	}
	dir := private(t)
	l := start(t, Config{Dir: dir, NoRedis: true, Throwaway: true})
	write(t, l)
	sleep := l.childCommand("/bin/sleep", syscall.SIGKILL)
	sleep.Args = append(sleep.Args, "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	pidFile := filepath.Join(dir, postgresDir, "postmaster.pid")
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	user := l.user
	l.Close()
	_, rest, _ := strings.Cut(string(b), "\n")
	for _, path := range []string{pidFile, filepath.Join(dir, runDir, postgresSocket+".lock")} {
		if err := os.WriteFile(path, []byte(strconv.Itoa(sleep.Process.Pid)+"\n"+rest), 0o600); err != nil {
			t.Fatal(err)
		}
		if user != nil {
			if err := os.Chown(path, int(user.uid), int(user.gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	l = start(t, Config{Dir: dir, NoRedis: true, Throwaway: true})
	if n := write(t, l); n != 2 {
		t.Errorf("%d rows", n)
	}
	if syscall.Kill(sleep.Process.Pid, 0) != nil {
		t.Error("an innocent process was ended")
	}
}

// TestLongPath: sockets go elsewhere when the directory's name is too long for them, and nothing stays there.
func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 20))
	l := start(t, Config{Dir: dir, NoPostgres: true})
	sockets := l.sockets
	if !strings.HasPrefix(sockets, os.TempDir()) || len(sockets)+len(longestSocket) > maxSocketPath {
		t.Errorf("sockets in %s", sockets)
	}
	if st, err := os.Stat(sockets); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	if err := askRedis(l.redisSocket(), "PING"); err != nil {
		t.Error(err)
	}
	l.Close()
	if _, err := os.Stat(sockets); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %s (%v)", sockets, err)
	}
	// A killed predecessor's folder is swept.
	left, err := os.MkdirTemp("", "holdfast-")
	if err != nil {
		t.Fatal(err)
	}
	writeEndpoints(dir, Endpoints{RedisURL: (&url.URL{Scheme: "unix", Path: filepath.Join(left, redisSocketName)}).String()})
	start(t, Config{Dir: dir, NoPostgres: true})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %s (%v)", left, err)
	}
}

// TestBadDirectories: each gets one clear sentence, and the lock is free again after the failure.
func TestBadDirectories(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(other, postgresDir), 0o700), os.WriteFile(filepath.Join(other, postgresDir, "letter"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	old := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(old, postgresDir), 0o700), os.WriteFile(filepath.Join(old, postgresDir, "PG_VERSION"), []byte("9\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, says string }{
		{file, "data directory"},
		{other, "PG_VERSION is missing"},
		{old, "made by PostgreSQL 9, but only"},
	} {
		for range 2 {
			_, err := Start(t.Context(), Config{Dir: c.dir})
			if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.dir, err)
			}
		}
	}
}

// TestDamaged: a server that cannot start fails the start with its own words.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := private(t)
	start(t, Config{Dir: dir, NoRedis: true, Throwaway: true}).Close()
	if err := os.Remove(filepath.Join(dir, postgresDir, "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir, NoRedis: true})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "pg_control") {
		t.Errorf("got %v", err)
	}
}

// TestInterrupted: a start that is cancelled leaves nothing running and nothing half made.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := private(t)
	for _, after := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		l, err := Start(ctx, Config{Dir: dir, Throwaway: true})
		cancel()
		if err == nil {
			l.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", after, err)
		}
		if n := len(holders(filepath.Join(dir, postgresDir))) + len(holders(filepath.Join(dir, redisDir))); n != 0 {
			t.Errorf("after %v: %d servers still run", after, n)
		}
	}
	if n := write(t, start(t, Config{Dir: dir, Throwaway: true})); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestMissingPrograms(t *testing.T) { // not parallel: changes PATH
	t.Setenv("PATH", t.TempDir())
	_, err := findPostgres("", nil)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("postgres: %v", err)
	}
	_, err = findRedis(nil)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("redis: %v", err)
	}
}

// TestChoice: which of several installations is used.
func TestChoice(t *testing.T) { // not parallel: changes PATH
	t.Setenv("PATH", t.TempDir()+":/usr/bin:/bin")
	root := t.TempDir()
	for _, v := range []string{"9", "15", "16"} {
		bin := filepath.Join(root, v, "bin")
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + v + ".3 (Somewhere)'\n"
		if err := errors.Join(os.MkdirAll(bin, 0o700), os.WriteFile(filepath.Join(bin, "postgres"), []byte(script), 0o700),
			os.WriteFile(filepath.Join(bin, "initdb"), []byte(script), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	places := []string{root + "/*/bin"}
	for want, major := range map[string]string{"": "16", "15": "15", "9": "9"} {
		if p, err := findPostgres(want, places); err != nil || p.major != major {
			t.Errorf("for %q: %+v, %v", want, p, err)
		}
	}
	if _, err := findPostgres("14", places); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql-14") {
		t.Errorf("a version that is not there: %v", err)
	}
}
