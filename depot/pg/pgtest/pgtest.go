// Package pgtest gives every test a PostgreSQL database of its own, empty and migrated, and a Redis if it wants one.
//
//	db := pgtest.New(t)
//
// The first call in a test program starts a private PostgreSQL (see depot/local) without fsync, with a migrated
// template in it; each test then gets a copy, which takes some 50 ms. Making the cluster and the template takes seconds, so both are
// kept in the user's cache folder (holdfast-tools) for the next test program. There is nothing to set up and no TestMain: when the
// program ends, however it ends, a watcher that waits for exactly that stops the server and removes its files.
//
// With HOLDFAST_TEST_DATABASE_URL set, tests use that server instead. The role must be allowed to make databases. One
// template for each state of the migrations stays there, named holdfast_template_….
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/migrations"
)

const startTimeout = time.Minute

// New returns a fresh, migrated database. It is dropped, connections and all, when the test ends.
func New(t testing.TB) *sqlx.DB {
	t.Helper()
	db, _ := NewURL(t)
	return db
}

// NewURL is [New] for tests that also hand the address to somebody, such as a program that they start.
func NewURL(t testing.TB) (*sqlx.DB, string) {
	t.Helper()
	server, err := postgres()
	if err != nil {
		t.Fatalf("a PostgreSQL for tests: %v", err)
	}
	return server.database(t, server.template, "")
}

// database returns a copy of a template, and its address, with a search path unless that is empty.
func (server *server) database(t testing.TB, template, path string) (*sqlx.DB, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	name := fmt.Sprintf("holdfast_test_%d_%d", os.Getpid(), serial.Add(1))
	if err := createFrom(ctx, server.admin, name, template); err != nil {
		t.Fatalf("a database for the test: %v", err)
	}
	at := withDatabase(server.url, name)
	if path != "" {
		at = withSearchPath(at, path)
	}
	db, err := pg.Open(ctx, at)
	if err != nil {
		t.Fatalf("a database for the test: %v", err)
	}
	t.Cleanup(func() {
		db.Close()
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := drop(ctx, server.admin, name); err != nil {
			t.Errorf("after the test: %v", err)
		}
	})
	return db, at
}

// Empty returns a fresh database without our schema, and its address.
func Empty(t testing.TB) (*sqlx.DB, string) {
	t.Helper()
	db, at := NewURL(t)
	if err := wipe(context.Background(), db); err != nil {
		t.Fatalf("a database for the test: %v", err)
	}
	return db, at
}

var serial atomic.Int64

// server is the PostgreSQL of this test program.
type server struct {
	url      string       // of any database in it
	local    *local.Local // nil if it is somebody else's
	admin    *sqlx.DB
	template string
}

var postgres = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s := &server{url: os.Getenv("HOLDFAST_TEST_DATABASE_URL")}
	if s.url == "" {
		return s, startCached(ctx, s)
	}
	return s, s.open(ctx)
})

// open connects to a server that runs, and makes the template there.
func (s *server) open(ctx context.Context) (err error) {
	if s.admin, err = pg.Open(ctx, s.url); err != nil {
		return err
	}
	s.admin.SetMaxIdleConns(2)
	s.template = "holdfast_template_" + schemaHash()
	return makeTemplate(ctx, s, s.template, false)
}

var redis = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if at := os.Getenv("HOLDFAST_TEST_REDIS_URL"); at != "" {
		return at, nil
	}
	dir, err := tempDir()
	if err != nil {
		return "", err
	}
	l, err := local.Start(ctx, local.Config{Dir: dir, NoPostgres: true, Throwaway: true})
	if err != nil {
		return "", err
	}
	return l.RedisURL(), nil
})

// Redis returns the address of a Redis that all tests of this program share; HOLDFAST_TEST_REDIS_URL names another. Tests that kill or flush one
// start their own with depot/local.
func Redis(t testing.TB) string {
	t.Helper()
	at, err := redis()
	if err != nil {
		t.Fatalf("a Redis for tests: %v", err)
	}
	return at
}

// tempDir makes a directory that a watcher removes when this program has ended.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "holdfast-test-")
	if err != nil {
		return "", err
	}
	if err := watch(dir); err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

// watch starts a shell that waits for the end of its standard input, whose other end this program holds and never
// closes: the kernel does, even after SIGKILL. The servers get the death signal from the kernel where there is one; the
// shell sends it where there is none, waits until they are gone and removes the directory.
func watch(dir string) error {
	const script = `cat
		postgres=$(head -n 1 "$1/postgres/postmaster.pid" 2>/dev/null)
		test -z "$postgres" || kill -QUIT "$postgres" 2>/dev/null
		for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			rm -rf "$1" 2>/dev/null
			test -e "$1" || exit 0
			sleep 0.1
		done`
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", script, "sh", dir)
	cmd.Stdin = r
	cmd.Dir = "/"
	setpgid(cmd) // a Ctrl-C is for the tests, not for who tidies up after them
	if err := cmd.Start(); err != nil {
		w.Close()
		return err
	}
	held = append(held, w)
	go cmd.Wait()
	return nil
}

// held keeps the pipes' ends reachable: a collected file is a closed one.
var held []*os.File

// schemaHash names the state of the migrations.
func schemaHash() string {
	h := sha256.New()
	names, _ := fs.Glob(migrations.FS, "*.sql") // sorted; an embedded folder is always readable
	for _, name := range names {
		b, _ := fs.ReadFile(migrations.FS, name)
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(name), len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// withDatabase returns the address of another database on the same server.
func withDatabase(at, name string) string {
	u, err := url.Parse(at)
	if err != nil {
		return at // pg.Open has accepted it before, so it is not a URL but words; it will fail with a clear error
	}
	u.Path = "/" + name
	return u.String()
}

// withSearchPath returns an address whose connections look for names along a path.
func withSearchPath(at, path string) string {
	u, err := url.Parse(at)
	if err != nil {
		return at // see withDatabase
	}
	q := u.Query()
	q.Set("search_path", path)
	u.RawQuery = q.Encode()
	return u.String()
}
