package state

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// private accepts everything: Windows has no permission bits, and what ACL a folder under %ProgramData% has
// is what its administrator gave it.
func private(string, fs.FileInfo) error { return nil }

func lock(f *os.File) error {
	// One byte far behind the text, so that whoever is refused can read who holds it.
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{Offset: 1 << 20})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// release closes the file, and with it the lock.
func release(f *os.File) { f.Close() }

// syncDir has nothing to do: a folder cannot be flushed here.
func syncDir(string) error { return nil }
