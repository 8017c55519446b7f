//go:build unix

package state

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// private refuses what others could read or, worse, replace.
func private(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Forbidden, "%s is open to other users (%s) and holds this device's secrets: run chmod %s %s", path, info.Mode().Perm(), closed(info), path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return fault.New(fault.Forbidden, "%s belongs to another user: run holdfast-agent as the user who enrolled this machine, or name another directory with --state", path)
	}
	return nil
}

func closed(info fs.FileInfo) string {
	if info.IsDir() {
		return "700"
	}
	return "600"
}

func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// release closes the file and lets go of its lock first: a child that is just being started has the file, too, until its program is loaded.
func release(f *os.File) {
	unix.Flock(int(f.Fd()), unix.LOCK_UN)
	f.Close()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return unusable(err, path)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return unusable(err, path)
	}
	return nil
}
