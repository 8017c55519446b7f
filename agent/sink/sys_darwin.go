package sink

import "golang.org/x/sys/unix"

func renameNew(fd int, old, new string) error {
	return unix.RenameatxNp(fd, old, fd, new, unix.RENAME_EXCL)
}

// mknodat does not exist here: FIFOs and devices could only be made by path, through links that others control.
func mknodat(int, string, uint32, uint64) error { return unix.ENOTSUP }

func setXattr(fd int, name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) }

func isUserXattr(name string) bool { return true }

func syncfs(int) error { return unix.Sync() }
