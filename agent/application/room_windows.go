package application

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// room returns how many bytes a folder, that need not exist yet, has room for.
func room(dir string) (int64, error) {
	for path := dir; ; path = filepath.Dir(path) {
		name, err := windows.UTF16PtrFromString(path)
		if err != nil {
			return 0, fault.Wrap(err, fault.Invalid, "%s is no folder", dir)
		}
		var free uint64
		err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
		if err == nil {
			return int64(free), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
			return 0, fault.Wrap(err, fault.Invalid, "%s cannot be used", dir)
		}
	}
}

// ownerOf is nobody: files of Windows are whoever makes them.
func ownerOf(string) *owner { return nil }
