//go:build !linux && !darwin

package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sink implements [restore.Sink] with an [os.Root], which never leaves its folder.
type sink struct {
	dir   string
	root  *os.Root
	sync  bool
	temps temps

	mu    sync.Mutex
	plain map[string]bool // folders that are known to be no links
	open  map[*file]bool
}

func open(dir string, o Options) (restore.Sink, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the folder %s cannot be made", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the folder %s cannot be opened", dir)
	}
	s := &sink{dir: dir, root: root, sync: o.Sync, temps: newTemps(), plain: map[string]bool{"": true}, open: map[*file]bool{}}
	s.sweep(".")
	return s, nil
}

func (s *sink) problem(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return full(s.dir, err)
	case errors.Is(err, fs.ErrExist):
		return fault.Wrap(err, fault.Conflict, "%s: something has taken its place meanwhile", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// local returns path in the system's form, after checking that every name in it is possible and every folder
// above it is one, and not a link.
func (s *sink) local(path string) (string, error) {
	if err := tree.CheckPath(path); err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(path, "/") {
		if !possible(name) {
			return "", fault.New(fault.Invalid, "the name %q is not possible on this system", name)
		}
	}
	parent, _ := split(path)
	s.mu.Lock()
	known := s.plain[parent]
	s.mu.Unlock()
	if !known {
		for i := range len(parent) + 1 {
			if i < len(parent) && parent[i] != '/' {
				continue
			}
			st, err := s.root.Lstat(filepath.FromSlash(parent[:i]))
			if err != nil {
				return "", err
			}
			if !st.IsDir() {
				return "", fault.New(fault.Conflict, "there is a link or a file where a folder should be")
			}
		}
		s.mu.Lock()
		if len(s.plain) > 1000 {
			s.plain = map[string]bool{"": true}
		}
		s.plain[parent] = true
		s.mu.Unlock()
	}
	return filepath.FromSlash(path), nil
}

// possible reports whether a file can have this name.
func possible(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || strings.IndexByte(`\:*?"<>|`, c) >= 0 {
			return false
		}
	}
	return filepath.IsLocal(name) && !strings.HasSuffix(name, ".") && !strings.HasSuffix(name, " ")
}

// Stat implements [restore.Sink].
func (s *sink) Stat(path string, e *tree.Entry) (restore.State, error) {
	p, err := s.local(path)
	if errors.Is(err, fs.ErrNotExist) {
		return restore.Absent, nil
	}
	if err != nil {
		return restore.Different, err
	}
	st, err := s.root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return restore.Absent, nil
	case err != nil:
		return restore.Different, s.problem("it cannot be looked at", err)
	case st.IsDir():
		return restore.Folder, nil
	case st.Mode().IsRegular():
		// The system keeps times in steps of 100 nanoseconds.
		if e.Type == tree.File && st.Size() == e.Size && st.ModTime().UnixNano()/100 == e.ModTime/100 {
			return restore.Identical, nil
		}
	case st.Mode()&fs.ModeSymlink != 0:
		if to, err := s.root.Readlink(p); err == nil && e.Type == tree.Symlink && filepath.ToSlash(to) == filepath.ToSlash(e.Link) {
			return restore.Identical, nil
		}
	}
	return restore.Different, nil
}

// Mkdir implements [restore.Sink].
func (s *sink) Mkdir(path string, e *tree.Entry, replace bool) error {
	for i := range len(path) + 1 {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if err := s.mkdir(path[:i], replace && i == len(path)); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) mkdir(path string, replace bool) error {
	p, err := s.local(path)
	if err != nil {
		return s.problem("the folder cannot be made", err)
	}
	err = s.root.Mkdir(p, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return s.problem("the folder cannot be made", err)
	}
	st, err := s.root.Lstat(p)
	switch {
	case err != nil:
		return s.problem("the folder cannot be opened", err)
	case st.IsDir():
		s.sweep(p)
		return nil
	case !replace:
		return fault.New(fault.Conflict, "there is a link or a file where a folder should be")
	}
	if err = s.root.Remove(p); err == nil {
		err = s.root.Mkdir(p, 0o700)
	}
	return s.problem("what is in the folder's place cannot be replaced", err)
}

// sweep removes what a killed restore left in a folder. A file that another restore has open stays.
func (s *sink) sweep(p string) {
	f, err := s.root.Open(p)
	if err != nil {
		return
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1000)
		for _, name := range names {
			if isTemp(name) {
				s.root.Remove(filepath.Join(p, name))
			}
		}
		if err != nil {
			return
		}
	}
}

// FinishDir implements [restore.Sink].
func (s *sink) FinishDir(path string, e *tree.Entry) error {
	p, err := s.local(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.plain, path)
	s.mu.Unlock()
	t := time.Unix(0, e.ModTime)
	return s.problem("it was restored, but not with its time", s.root.Chtimes(p, t, t))
}

// Make implements [restore.Sink].
func (s *sink) Make(path string, e *tree.Entry, replace bool) error {
	p, err := s.local(path)
	if err != nil {
		return err
	}
	if e.Type != tree.Symlink {
		return fault.New(fault.Invalid, "this system has no %s", e.Type)
	}
	if replace {
		if err := s.root.Remove(p); err != nil {
			return s.problem("what is in its place cannot be replaced", err)
		}
	}
	return s.problem("the symbolic link cannot be made", s.root.Symlink(e.Link, p))
}

// Link implements [restore.Sink].
func (s *sink) Link(path, old string, _ *tree.Entry, replace bool) error {
	p, err := s.local(path)
	if err != nil {
		return err
	}
	from, err := s.local(old)
	if err != nil {
		return err
	}
	if replace {
		if err := s.root.Remove(p); err != nil {
			return s.problem("what is in its place cannot be replaced", err)
		}
	}
	return s.problem(fmt.Sprintf("it cannot be linked with %q", old), s.root.Link(from, p))
}

// Close implements [restore.Sink]. This system has no way to force a whole disk that an ordinary program may
// take: with Options.Sync each file was forced when it was committed.
func (s *sink) Close(bool) error {
	s.mu.Lock()
	left := make([]*file, 0, len(s.open))
	for f := range s.open {
		left = append(left, f)
	}
	s.mu.Unlock()
	for _, f := range left {
		f.Discard()
	}
	return s.root.Close()
}

// file implements [restore.File].
type file struct {
	*os.File
	s          *sink
	temp, path string
	entry      *tree.Entry
	replace    bool
}

// Create implements [restore.Sink].
func (s *sink) Create(path string, e *tree.Entry, replace bool) (restore.File, error) {
	p, err := s.local(path)
	if err != nil {
		return nil, err
	}
	f := &file{s: s, temp: filepath.Join(filepath.Dir(p), s.temps.next()), path: p, entry: e, replace: replace}
	if f.File, err = s.root.OpenFile(f.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, s.problem("it cannot be made", err)
	}
	s.mu.Lock()
	s.open[f] = true
	s.mu.Unlock()
	return f, nil
}

// WriteAt implements [io.WriterAt].
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	n, err := f.File.WriteAt(p, offset)
	return n, f.s.problem("it cannot be written", err)
}

// Commit implements [restore.File].
func (f *file) Commit() error {
	err := f.File.Truncate(f.entry.Size)
	if err == nil && f.s.sync {
		err = f.File.Sync()
	}
	if e := f.File.Close(); err == nil {
		err = e
	}
	if err == nil && !f.replace {
		if _, e := f.s.root.Lstat(f.path); e == nil {
			err = fs.ErrExist
		}
	}
	t := time.Unix(0, f.entry.ModTime)
	timeErr := f.s.root.Chtimes(f.temp, t, t)
	if err == nil {
		err = f.s.root.Rename(f.temp, f.path)
	}
	if err != nil {
		f.Discard()
		return f.s.problem("it cannot be given its name", err)
	}
	if f.entry.Mode&0o200 == 0 {
		f.s.root.Chmod(f.path, 0o444)
	}
	f.forget()
	return f.s.problem("it was restored, but not with its time", timeErr)
}

// Discard implements [restore.File].
func (f *file) Discard() {
	f.File.Close()
	f.s.root.Remove(f.temp)
	f.forget()
}

func (f *file) forget() {
	f.s.mu.Lock()
	delete(f.s.open, f)
	f.s.mu.Unlock()
}
