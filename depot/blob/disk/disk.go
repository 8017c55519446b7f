//go:build unix

// Package disk keeps blobs as files below one folder.
//
// The blob a/b/c is the file a/b/c. A new one is written in the folder .spool beside them, synced, renamed to its name, and
// then the folders on its way are synced too: only then does the name survive a power cut. A rename within a file system is atomic, so a reader sees all of a blob or none of it.
//
// # The mark
//
// [Init] leaves a small file .holdfast-store in the root, and every operation that could mistake an absent disk for an
// empty store looks for it. If the store is on a disk of its own that is not mounted, the folder under the mount
// point is still there, and empty. Without the mark its emptiness would read as "no packs exist", and what is decided on
// that would destroy the catalog. With it, it is an error that names the folder.
//
// # Crashes
//
// A crash leaves at worst files in .spool that nobody will ever name. [Open] removes those older than a day: younger ones may
// be in the hands of another server on the same folder (NFS, say).
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	mark     = blob.Mark
	spool    = ".spool"
	spoolAge = 24 * time.Hour

	dirMode  = 0o700
	fileMode = 0o600
)

// Store is a blob.Store on disk.
type Store struct {
	root string // absolute

	mu      sync.Mutex
	durable map[string]bool // folders whose entries were synced all the way down from the root
}

// Init makes the folder a store: a missing folder is made, an empty one marked, and a store left as it is. A folder with
// other things in it is refused with fault.Conflict.
func Init(root string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return fmt.Errorf("store folder %q: %w", root, err)
	}
	s := &Store{root: root, durable: map[string]bool{}}
	if s.marked() == nil {
		return nil
	}
	if err := makeRoot(root); err != nil {
		return s.fault(err, "make the store's folder")
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return s.fault(err, "read the store's folder")
	}
	for _, e := range entries {
		// lost+found: the root of a fresh disk. The spool: an Init that was interrupted.
		if name := e.Name(); name != "lost+found" && name != spool && name != mark {
			return fault.New(fault.Conflict, "%s is not empty and not a store of holdfast (it has no %s): choose an empty folder; if it was a store, its disk may be damaged or another one may be mounted there", root, mark)
		}
	}
	if err := os.Mkdir(filepath.Join(root, spool), dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return s.fault(err, "make the store's spool")
	}
	f, err := os.OpenFile(filepath.Join(root, mark), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return s.fault(err, "mark the store")
	}
	_, err = f.WriteString(blob.MarkText + "This file tells a store from an unmounted disk: do not remove it.\n")
	if err := errors.Join(err, f.Sync(), f.Close(), syncDir(root)); err != nil {
		return s.fault(err, "mark the store")
	}
	return nil
}

// Open opens a store that [Init] has made, and sweeps its spool. A store that a later program has made is refused with fault.Conflict.
func Open(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("store folder %q: %w", root, err)
	}
	s := &Store{root: root, durable: map[string]bool{}}
	if err := s.marked(); err != nil {
		return nil, err
	}
	if err := s.known(); err != nil {
		return nil, err
	}
	// A copy made by hand may lack the spool, which holds nothing; on a read-only disk reading still works.
	os.Mkdir(filepath.Join(root, spool), dirMode)
	s.sweep(time.Now().Add(-spoolAge))
	return s, nil
}

// sweep removes spool files last written before the given time.
func (s *Store) sweep(before time.Time) {
	entries, err := os.ReadDir(filepath.Join(s.root, spool))
	if err != nil {
		return // nothing to sweep, or nothing that we may: Create will say what is wrong
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().Before(before) {
			os.Remove(filepath.Join(s.root, spool, e.Name()))
		}
	}
}

// known fails unless the store's format is one that we know.
func (s *Store) known() error {
	f, err := os.Open(filepath.Join(s.root, mark))
	if err != nil {
		return s.fault(err, "read the store's folder")
	}
	defer f.Close()
	return blob.CheckMark(f, s.root)
}

// marked fails unless the root is a store: see the package comment.
func (s *Store) marked() error {
	_, err := os.Lstat(filepath.Join(s.root, mark))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Unavailable, "%s holds no store (the file %s is missing): if the store is on a disk of its own, mount it; the folder is not taken for an empty store", s.root, mark)
	} else if err != nil {
		return s.fault(err, "read the store's folder")
	}
	return nil
}

// path returns where the blob is kept.
func (s *Store) path(name string) (string, error) {
	if err := blob.CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(s.root, filepath.FromSlash(name)), nil
}

// Create begins a blob.
func (s *Store) Create(ctx context.Context) (blob.Pending, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Join(s.root, spool), "blob-")
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.marked(); err != nil {
			return nil, err
		}
		os.Mkdir(filepath.Join(s.root, spool), dirMode) // the next line knows whether it worked
		f, err = os.CreateTemp(filepath.Join(s.root, spool), "blob-")
	}
	if err != nil {
		return nil, s.fault(err, "write to the store")
	}
	return &pending{store: s, f: f}, nil
}

// Open reads a range of a blob.
func (s *Store) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fault.New(fault.Invalid, "a blob is read from offset 0 on, not %d", off)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, s.missing(err, name)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		if err == nil {
			err = blob.ErrNotFound(name) // a folder: the name's beginning
		}
		return nil, s.missing(err, name)
	}
	if off > 0 {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			f.Close()
			return nil, s.fault(err, "read "+name)
		}
	}
	if n < 0 {
		return f, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, n), f}, nil
}

// Stat describes a blob.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	path, err := s.path(name)
	if err != nil {
		return blob.Info{}, err
	}
	st, err := os.Lstat(path)
	if err == nil && !st.Mode().IsRegular() {
		err = blob.ErrNotFound(name)
	}
	if err != nil {
		return blob.Info{}, s.missing(err, name)
	}
	return blob.Info{Name: name, Size: st.Size(), ModTime: st.ModTime()}, nil
}

// List calls fn for every blob under prefix, in order of names within a folder.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := s.marked(); err != nil {
		return err
	}
	// Descend only where the prefix points.
	dir := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir = prefix[:i]
		if blob.CheckName(dir) != nil {
			return nil // no blob can have such a name
		}
	}
	err := s.list(ctx, dir, prefix, fn)
	if err != nil {
		return err
	}
	// The disk may have gone while we looked: then the last folders seemed empty.
	return s.marked()
}

func (s *Store) list(ctx context.Context, dir, prefix string, fn func(blob.Info) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.root, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // no blob begins so, or the folder went while we looked
	} else if err != nil {
		return s.fault(err, "list "+dir)
	}
	for _, e := range entries {
		name := e.Name()
		if dir != "" {
			name = dir + "/" + name
		}
		if blob.CheckName(name) != nil {
			continue // the spool, the mark, lost+found, somebody's notes: not blobs
		}
		if e.IsDir() {
			if strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(prefix, name+"/") {
				if err := s.list(ctx, name, prefix, fn); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		} else if err != nil {
			return s.fault(err, "list "+dir)
		}
		if err := fn(blob.Info{Name: name, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes a blob. Folders that become empty stay: another blob may be on its way into them.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if st, err := os.Lstat(path); err == nil && st.IsDir() {
		return nil // no blob: os.Remove would take the folder if it is empty
	}
	if err := os.Remove(path); err == nil {
		return nil
	} else if err := s.missing(err, name); !errors.Is(err, fault.NotFound) {
		return err
	}
	return nil
}

// URL returns false: the server hands out the bytes itself.
func (s *Store) URL(context.Context, string, time.Duration) (string, bool, error) {
	return "", false, nil
}

// missing turns the error of a path that may not be there into an answer that is certain: "not found" only if
// the store is there.
func (s *Store) missing(err error, name string) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, fault.NotFound) {
		if err := s.marked(); err != nil {
			return err
		}
		return blob.ErrNotFound(name)
	}
	return s.fault(err, "read "+name)
}

// fault explains a failure of the file system.
func (s *Store) fault(err error, doing string) error {
	switch {
	case errors.As(err, new(*fault.Error)):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(err, fault.StorageFull, "the disk that holds the backups (%s) is full: nothing was stored; make room there or add a larger disk", s.root)
	case errors.Is(err, syscall.EROFS):
		return fault.Wrap(err, fault.Unavailable, "cannot %s: the disk that holds the backups (%s) is read-only; the system may have made it so after an error, see its log", doing, s.root)
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(err, fault.Unavailable, "cannot %s: holdfast may not write to %s or read it; check who owns that folder", doing, s.root)
	}
	return fault.Wrap(err, fault.Unavailable, "cannot %s in %s", doing, s.root)
}
