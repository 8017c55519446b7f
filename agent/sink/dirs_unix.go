//go:build linux || darwin

package sink

import (
	"sync"

	"golang.org/x/sys/unix"
)

// maxDirs is how many folders are kept open: a restore is in few at a time, and comes back to them often.
const maxDirs = 128

// dir is an open folder.
type dir struct {
	path  string
	fd    int
	fresh bool // this restore made it: what is in it, this restore made too
	gid   uint32
	users int
	gone  bool // closed when its last user leaves
}

// dirs are the open folders, each opened from the one above it and never through a symbolic link.
type dirs struct {
	mu    sync.Mutex
	top   *dir
	list  map[string]*dir
	fresh map[string]bool // unfinished folders that this restore made
}

func (s *dirs) init(fd int) {
	s.top = &dir{fd: fd, users: 1}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		s.top.gid = st.Gid
	} else {
		s.top.gid = ^uint32(0) // nobody's
	}
	s.list = map[string]*dir{"": s.top}
	s.fresh = map[string]bool{}
}

// has reports whether a folder is open.
func (s *dirs) has(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[path] != nil
}

// open returns the folder at path, which must be closed again. The error is the system's own.
func (s *dirs) open(path string) (*dir, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(path)
}

func (s *dirs) find(path string) (*dir, error) {
	if d := s.list[path]; d != nil {
		d.users++
		return d, nil
	}
	parent, name := split(path)
	p, err := s.find(parent)
	if err != nil {
		return nil, err
	}
	defer s.leave(p)
	return s.into(p, path, name)
}

// into opens the folder name in p.
func (s *dirs) into(p *dir, path, name string) (*dir, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(p.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if len(s.list) >= maxDirs {
		s.evict()
	}
	d := &dir{path: path, fd: fd, fresh: s.fresh[path], gid: st.Gid, users: 1}
	s.list[path] = d
	return d, nil
}

// evict closes half of the folders that nobody is in.
func (s *dirs) evict() {
	n := 0
	for path, d := range s.list {
		if d.users == 0 && n < maxDirs/2 {
			unix.Close(d.fd)
			delete(s.list, path)
			n++
		}
	}
}

// add opens a folder in p that was made just now, or existed.
func (s *dirs) add(p *dir, path, name string, fresh bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh {
		s.fresh[path] = true
	}
	if d := s.list[path]; d != nil {
		return nil
	}
	d, err := s.into(p, path, name)
	if err == nil {
		s.leave(d)
	}
	return err
}

func (s *dirs) close(d *dir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(d)
}

func (s *dirs) leave(d *dir) {
	if d.users--; d.users == 0 && d.gone {
		unix.Close(d.fd)
	}
}

// drop closes a finished folder.
func (s *dirs) drop(d *dir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fresh, d.path)
	if s.list[d.path] == d {
		delete(s.list, d.path)
		d.gone = true
	}
	s.leave(d)
}

func (s *dirs) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, d := range s.list {
		unix.Close(d.fd)
		delete(s.list, path)
	}
}
