//go:build linux

// Package e2e tests the product from outside: the real programs, as people run them, on real files, with a
// real PostgreSQL and Redis behind them.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

var programs stack.Programs

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "holdfast-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		// The private PostgreSQL is another user's: it must be able to pass through.
		os.Chmod(dir, 0o711)
		if err := stack.Overlap(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if programs, err = stack.Build(filepath.Join(dir, "bin")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		shared.dir = filepath.Join(dir, "shared")
		defer func() {
			if shared.server != nil {
				shared.server.Stop()
			}
		}()
		return m.Run()
	}())
}

// shared is one server for all tests that do not harm it. Each brings people of its own.
var shared struct {
	dir    string
	once   sync.Once
	server *stack.Server
	err    error
}

func server(t *testing.T) *stack.Server {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.err = stack.Up(context.Background(), programs, shared.dir)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// ownServer starts a server that the test may kill, fill up and damage.
func ownServer(t *testing.T, args ...string) *stack.Server {
	t.Helper()
	s, err := stack.Up(t.Context(), programs, passable(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// passable returns a temporary directory through which another user can reach what is below it.
func passable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "data")
}

var people struct {
	sync.Mutex
	n int
}

// person makes an account of their own for a test, with one enrolled device.
func person(t *testing.T, s *stack.Server) *stack.Agent {
	t.Helper()
	people.Lock()
	people.n++
	n := people.n
	people.Unlock()
	a, err := s.Person(t.Context(), t.TempDir(), fmt.Sprintf("person%d@example.org", n), fmt.Sprintf("Person %d", n), "staff")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Enroll(t.Context(), "laptop"); err != nil {
		t.Fatal(err)
	}
	return a
}

// backup is what `holdfast-agent backup --json` prints.
type backup struct {
	Snapshot      string
	Files         int64
	Bytes         int64
	UploadedBytes int64
	Problems      int64
}

func mustBackup(t *testing.T, a *stack.Agent, args ...string) backup {
	t.Helper()
	var b backup
	if err := a.Run(t.Context(), append([]string{"backup", "--json"}, args...)...).JSON(&b); err != nil {
		t.Fatal(err)
	}
	return b
}
