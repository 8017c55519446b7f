package sink

import (
	"strings"

	"golang.org/x/sys/unix"
)

func renameNew(fd int, old, new string) error {
	return unix.Renameat2(fd, old, fd, new, unix.RENAME_NOREPLACE)
}

func mknodat(fd int, name string, mode uint32, rdev uint64) error {
	return unix.Mknodat(fd, name, mode, int(rdev))
}

func setXattr(fd int, name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) }

func isUserXattr(name string) bool { return strings.HasPrefix(name, "user.") }

func syncfs(fd int) error { return unix.Syncfs(fd) }
