package walk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

const foldNames = true

// folders is of use on systems that have descriptors of directories.
type folders struct{}

func newFolders() *folders   { return &folders{} }
func (s *folders) closeAll() {}

// folder is a directory, by path. The top, which holds the volumes, has none.
type folder struct{ path string }

func top(*folders) *folder { return &folder{} }

func (f *folder) join(name string) string {
	if f.path == "" {
		return name + `\`
	}
	return filepath.Join(f.path, name)
}

func (f *folder) enter(name string) *folder { return &folder{path: f.join(name)} }

func (f *folder) lstat(name string, in *info) error {
	st, err := os.Lstat(f.join(name))
	if err != nil {
		return err
	}
	in.set(st)
	return nil
}

func (in *info) set(st os.FileInfo) {
	*in = info{mode: uint32(st.Mode().Perm()), mtime: st.ModTime().UnixNano(), links: 1}
	if data, ok := st.Sys().(*syscall.Win32FileAttributeData); ok {
		in.ctime = data.CreationTime.Nanoseconds() // a replaced file has another one
	}
	switch mode := st.Mode(); {
	case mode.IsRegular():
		in.typ, in.size = tree.File, st.Size()
	case mode.IsDir():
		in.typ = tree.Dir
	case mode&os.ModeSymlink != 0:
		in.typ = tree.Symlink
	default:
		in.skip = true // junctions and the like lead to what is saved elsewhere
	}
}

func (f *folder) list(n *names) error {
	d, err := os.Open(f.path)
	if err != nil {
		return err
	}
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
			return err
		}
	}
}

func (f *folder) open(name string) (*file, error) {
	o, err := os.Open(f.join(name))
	if err != nil {
		return nil, err
	}
	return &file{o}, nil
}

func (f *folder) load(name string, e *tree.Entry) error {
	if e.Type != tree.Symlink {
		return nil
	}
	link, err := os.Readlink(f.join(name))
	e.Link = filepath.ToSlash(link)
	return err
}

func loadFile(backup.File, *tree.Entry) error { return nil }

func (f *folder) pseudo(string) bool { return false }

type file struct{ *os.File }

// Stat implements [backup.File].
func (f *file) Stat() (backup.Stat, error) {
	st, err := f.File.Stat()
	if err != nil {
		return backup.Stat{}, err
	}
	var in info
	in.set(st)
	var data windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &data); err == nil {
		in.ctime = (&syscall.Filetime{LowDateTime: data.CreationTime.LowDateTime, HighDateTime: data.CreationTime.HighDateTime}).Nanoseconds()
	}
	return backup.Stat{
		Size: in.size, ModTime: in.mtime, Mode: in.mode,
		Fingerprint: backup.Fingerprint{Ctime: in.ctime},
	}, nil
}

func isTooLong(err error) bool { return errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE) }
func isGone(err error) bool    { return errors.Is(err, fs.ErrNotExist) }
