//go:build linux || darwin

package sink

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// file implements [restore.File].
type file struct {
	s       *sink
	dir     *dir
	name    string
	temp    string
	fd      int
	entry   *tree.Entry
	replace bool
	end     atomic.Int64 // of what was written
}

// Create implements [restore.Sink].
func (s *sink) Create(path string, e *tree.Entry, replace bool) (restore.File, error) {
	d, name, err := s.in(path)
	if err != nil {
		return nil, s.problem("its folder cannot be opened", err)
	}
	f := &file{s: s, dir: d, name: name, temp: s.temps.next(), entry: e, replace: replace}
	f.fd, err = retry(func() (int, error) {
		return unix.Openat(d.fd, f.temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		s.dirs.close(d)
		return nil, s.problem("it cannot be made", err)
	}
	s.mu.Lock()
	s.open[f] = true
	s.mu.Unlock()
	return f, nil
}

// WriteAt implements [io.WriterAt].
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return unix.Pwrite(f.fd, p[done:], offset+int64(done)) })
		if err != nil {
			return done, f.s.problem("it cannot be written", err)
		}
		done += n
	}
	end := offset + int64(len(p))
	for {
		old := f.end.Load()
		if end <= old || f.end.CompareAndSwap(old, end) {
			return done, nil
		}
	}
}

// Commit implements [restore.File].
func (f *file) Commit() error {
	if f.end.Load() < f.entry.Size { // it ends with a hole
		if err := unix.Ftruncate(f.fd, f.entry.Size); err != nil {
			f.Discard()
			return f.s.problem("it cannot be given its size", err)
		}
	}
	// What is made in a folder of this process's own group gets that group, whatever the system's rules.
	born := f.entry.UID == f.s.uid && f.entry.GID == f.s.gid && f.dir.gid == f.s.gid
	incomplete := f.s.metadata(f.fd, f.dir.fd, f.temp, f.entry, born)
	fd := f.fd
	f.fd = -1
	err := unix.Close(fd)
	if err == nil || err == unix.EINTR {
		err = f.s.rename(f.dir.fd, f.temp, f.name, f.replace)
	}
	if err != nil {
		f.Discard()
		return f.s.problem("it cannot be given its name", err)
	}
	f.forget()
	return incomplete
}

// Discard implements [restore.File].
func (f *file) Discard() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
	unix.Unlinkat(f.dir.fd, f.temp, 0)
	f.forget()
}

func (f *file) forget() {
	f.s.mu.Lock()
	delete(f.s.open, f)
	f.s.mu.Unlock()
	f.s.dirs.close(f.dir)
}

// metadata gives what is at name in the folder dir its owner, mode, attributes and time. fd is the same thing,
// open, or -1. What is missing is one error, and does not keep the rest from being set.
// born says that it has its owner already.
func (s *sink) metadata(fd, dir int, name string, e *tree.Entry, born bool) error {
	var first error
	note := func(what string, err error) {
		if err != nil && first == nil {
			first = s.problem(what, err)
		}
	}
	if fd >= 0 {
		for _, x := range e.Xattrs {
			err := setXattr(fd, x.Name, x.Value)
			if err != nil && !s.asRoot && !isUserXattr(x.Name) {
				continue // the system's own attributes are root's to set
			}
			note("it was restored, but without its extended attribute "+x.Name, err)
		}
	}
	mode := e.Mode
	if s.asRoot && !born {
		note("it was restored, but not for its owner", unix.Fchownat(dir, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW))
	} else if !s.asRoot && e.UID != s.uid {
		mode &^= unix.S_ISUID | unix.S_ISGID // it would lend the rights of somebody else than it did
	}
	switch {
	case e.Type == tree.Symlink:
	case fd >= 0:
		note("it was restored, but not with its mode", unix.Fchmod(fd, mode))
	default:
		note("it was restored, but not with its mode", unix.Fchmodat(dir, name, mode, 0))
	}
	t := unix.NsecToTimespec(e.ModTime)
	note("it was restored, but not with its time", unix.UtimesNanoAt(dir, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW))
	return first
}
