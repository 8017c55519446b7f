//go:build unix

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func open(t *testing.T) *Store {
	t.Helper()
	root := filepath.Join(t.TempDir(), "deep", "store")
	if err := Init(root); err != nil {
		t.Fatal(err)
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLaw(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t) })
}

func TestInit(t *testing.T) {
	t.Parallel()
	s := open(t)
	blobtest.Put(t, s, "a/b", []byte("x"))
	if err := Init(s.root); err != nil {
		t.Errorf("a second Init: %v", err)
	}
	if got := blobtest.Names(t, s, ""); len(got) != 1 {
		t.Errorf("after a second Init: %q", got)
	}
	other := t.TempDir()
	os.WriteFile(filepath.Join(other, "letter.txt"), nil, 0o600)
	if err := Init(other); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), other) {
		t.Errorf("a folder with other things: %v", err)
	}
	fresh := t.TempDir()
	os.Mkdir(filepath.Join(fresh, "lost+found"), 0o700)
	if err := Init(fresh); err != nil {
		t.Errorf("a fresh disk: %v", err)
	}
	file := filepath.Join(fresh, "lost+found", "file")
	os.WriteFile(file, nil, 0o600)
	if err := Init(file); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a file: %v", err)
	}
}

// TestLaterFormat: what a later program has made is neither opened nor made anew.
func TestLaterFormat(t *testing.T) {
	t.Parallel()
	s := open(t)
	at := filepath.Join(s.root, mark)
	if b, err := os.ReadFile(at); err != nil || !strings.HasPrefix(string(b), "holdfast store, format 1\n") {
		t.Fatalf("%q, %v", b, err)
	}
	if err := os.WriteFile(at, []byte("holdfast store, format 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Init(s.root); err != nil {
		t.Errorf("Init: %v", err)
	}
	if _, err := Open(s.root); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), s.root+" holds a store in format 2") {
		t.Errorf("Open: %v", err)
	}
}

// TestUnmounted: where the store's disk is missing, nothing may look like an empty store.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	blobtest.Put(t, s, "a/b", []byte("x"))
	p, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// What stays of a mount point is its empty folder.
	away := s.root + ".away"
	if err := errors.Join(os.Rename(s.root, away), os.Mkdir(s.root, 0o700)); err != nil {
		t.Fatal(err)
	}
	_, openErr := Open(s.root)
	_, createErr := s.Create(ctx)
	_, readErr := s.Open(ctx, "a/b", 0, -1)
	_, statErr := s.Stat(ctx, "a/b")
	for what, err := range map[string]error{
		"Open": openErr, "create": createErr, "read": readErr, "stat": statErr, "commit": p.Commit(ctx, "c/d"), "delete": s.Delete(ctx, "a/b"),
		"list": s.List(ctx, "", func(blob.Info) error { return nil }), "list below": s.List(ctx, "a/", func(blob.Info) error { return nil }),
	} {
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "mount") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if entries, _ := os.ReadDir(s.root); len(entries) != 0 {
		t.Errorf("something was written into the mount point: %v", entries)
	}
	if err := errors.Join(os.Remove(s.root), os.Rename(away, s.root)); err != nil {
		t.Fatal(err)
	}
	if got := blobtest.Get(t, s, "a/b", 0, -1); string(got) != "x" {
		t.Errorf("after mounting: %q", got)
	}
}

func TestSpool(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, end := range []func(blob.Pending){
		func(p blob.Pending) { p.Abort() },
		func(p blob.Pending) { p.Commit(t.Context(), "a/b") },
		func(p blob.Pending) { p.Commit(t.Context(), "/bad") },
	} {
		p, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Write([]byte("x"))
		end(p)
		if left, _ := filepath.Glob(filepath.Join(s.root, spool, "*")); len(left) != 0 {
			t.Errorf("left in the spool: %q", left)
		}
	}
	// A crash leaves files: old ones go, young ones may be somebody's work.
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": 23 * time.Hour} {
		path := filepath.Join(s.root, spool, name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(s.root); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.root, spool, "*")); len(left) != 1 || filepath.Base(left[0]) != "young" {
		t.Errorf("left in the spool: %q", left)
	}
	// A store copied by hand may lack the spool.
	if err := os.RemoveAll(filepath.Join(s.root, spool)); err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, "c", []byte("x"))
}

func TestFolderRemovedByHand(t *testing.T) {
	t.Parallel()
	s := open(t)
	blobtest.Put(t, s, "a/b/c", []byte("x"))
	if err := os.RemoveAll(filepath.Join(s.root, "a")); err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, "a/b/c", []byte("x"))
}

// TestForeign: what is no blob is neither listed nor read nor removed.
func TestForeign(t *testing.T) {
	t.Parallel()
	s := open(t)
	blobtest.Put(t, s, "a/b", []byte("x"))
	for _, name := range []string{"README.TXT", "a/.nfs0001", ".hidden/x"} {
		path := filepath.Join(s.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("y"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.root, "a", "link")); err != nil {
		t.Fatal(err)
	}
	if got := blobtest.Names(t, s, ""); len(got) != 1 || got[0] != "a/b" {
		t.Errorf("names: %q", got)
	}
	if _, err := s.Open(t.Context(), "a/link", 0, -1); !errors.Is(err, fault.NotFound) {
		t.Errorf("a symlink: %v", err)
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Errorf("deleting a folder's name: %v", err)
	}
}

func TestFaultsSpeak(t *testing.T) {
	t.Parallel()
	s := &Store{root: "/srv/store"}
	for _, c := range []struct {
		err  error
		kind fault.Kind
		says string
	}{
		{&os.PathError{Op: "write", Err: syscall.ENOSPC}, fault.StorageFull, "full"},
		{&os.PathError{Op: "write", Err: syscall.EDQUOT}, fault.StorageFull, "full"},
		{&os.PathError{Op: "open", Err: syscall.EROFS}, fault.Unavailable, "read-only"},
		{&os.PathError{Op: "open", Err: syscall.EACCES}, fault.Unavailable, "who owns"},
		{&os.PathError{Op: "read", Err: syscall.EIO}, fault.Unavailable, "cannot read x"},
	} {
		err := s.fault(c.err, "read x")
		if !errors.Is(err, c.kind) || !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), s.root) {
			t.Errorf("%v: got %v", c.err, err)
		}
	}
}

// TestFull writes to the device that is always full.
func TestFull(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		return // this system has none
	}
	s := open(t)
	p, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := p.(*pending)
	defer os.Remove(q.f.Name())
	q.f.Close()
	if q.f, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Write(make([]byte, 5000)); !errors.Is(err, fault.StorageFull) {
		t.Errorf("write: %v", err)
	}
	q.f.Close()
	q.f = nil
}
