package walk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	statFlags  = unix.AT_SYMLINK_NOFOLLOW
	searchOnly = 0
	foldNames  = true
)

// list reads all names of the folder.
func (f *folder) list(n *names) error {
	dir, err := f.use()
	if err != nil {
		return err
	}
	defer f.done()
	fd, err := openat(dir, ".", unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(fd), f.name)
	defer d.Close()
	for {
		list, err := d.Readdirnames(1024)
		for _, name := range list {
			if err := n.add([]byte(name)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
	}
}

func openFile(dir int, name string) (int, error) { return openat(dir, name, 0) }

// pseudo reports whether the folder, a mount point, shows a file system that the kernel makes up.
func (f *folder) pseudo(path string) bool {
	return path == "dev" || path == "net" || path == "home" || path == "System/Volumes/Data/home"
}
