//go:build unix

package state

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A child that is being started shares every open file until its program is loaded: a lock that is let go of is free all the same.
func TestLockIsLetGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	opened := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock(f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := opened()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	release(f)
	release(opened())
}
