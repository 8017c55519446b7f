//go:build unix

package local

import (
	"syscall"
	"testing"
)

// A child that is being started shares every open file until its program is loaded: a lock that is let go of is free all the same.
func TestLockIsLetGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	dropLock(f)
	again, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	dropLock(again)
}
