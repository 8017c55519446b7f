//go:build unix

package application

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// room returns how many bytes a folder, that need not exist yet, has room for.
func room(dir string) (int64, error) {
	for path := dir; ; path = filepath.Dir(path) {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == nil {
			return int64(st.Bavail) * int64(st.Bsize), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
			return 0, fault.Wrap(err, fault.Invalid, "%s cannot be used", dir)
		}
	}
}

// ownerOf is who owns a folder, or the one in which it will lie.
func ownerOf(dir string) *owner {
	for path := dir; ; path = filepath.Dir(path) {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil {
			return &owner{st.Uid, st.Gid}
		}
		if filepath.Dir(path) == path {
			return nil
		}
	}
}
