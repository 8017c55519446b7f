//go:build linux || darwin

package sink

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sink implements [restore.Sink] relative to open folders.
type sink struct {
	dir    string // for messages
	opts   Options
	asRoot bool
	uid    uint32
	gid    uint32
	locked bool // no other restore is at work at the same place: its leftovers may go
	temps  temps
	dirs   dirs

	mu   sync.Mutex
	open map[*file]bool
}

func open(dir string, o Options) (restore.Sink, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the folder %s cannot be made", dir)
	}
	fd, err := retry(func() (int, error) { return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the folder %s cannot be opened", dir)
	}
	s := &sink{dir: dir, opts: o, asRoot: unix.Geteuid() == 0, uid: uint32(unix.Geteuid()), gid: uint32(unix.Getegid()), temps: newTemps(), open: map[*file]bool{}}
	s.dirs.init(fd)
	s.locked = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil
	s.sweep(fd)
	return s, nil
}

// retry repeats a call that a signal interrupted.
func retry[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// problem says what failed, in words.
func (s *sink) problem(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return full(s.dir, err)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return fault.Wrap(err, fault.Conflict, "%s: there is a symbolic link or a file where a folder should be", what)
	case errors.Is(err, unix.EEXIST):
		return fault.Wrap(err, fault.Conflict, "%s: something has taken its place meanwhile", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// in opens the folder of path.
func (s *sink) in(path string) (*dir, string, error) {
	if err := tree.CheckPath(path); err != nil {
		return nil, "", err
	}
	parent, name := split(path)
	d, err := s.dirs.open(parent)
	return d, name, err
}

// Stat implements [restore.Sink].
func (s *sink) Stat(path string, e *tree.Entry) (restore.State, error) {
	d, name, err := s.in(path)
	if err == unix.ENOENT {
		return restore.Absent, nil
	}
	if err != nil {
		return restore.Different, s.problem("it cannot be looked at", err)
	}
	defer s.dirs.close(d)
	if d.fresh {
		return restore.Absent, nil // this restore made the folder, and has not yet restored anything of that name
	}
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
		return restore.Absent, nil
	} else if err != nil {
		return restore.Different, s.problem("it cannot be looked at", err)
	}
	same := false
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return restore.Folder, nil
	case unix.S_IFREG:
		same = e.Type == tree.File && st.Size == e.Size && st.Mtim.Nano() == e.ModTime
	case unix.S_IFLNK:
		if e.Type == tree.Symlink {
			buf := make([]byte, len(e.Link)+1)
			n, err := unix.Readlinkat(d.fd, name, buf)
			same = err == nil && string(buf[:n]) == e.Link
		}
	case unix.S_IFIFO:
		same = e.Type == tree.FIFO
	case unix.S_IFCHR:
		same = e.Type == tree.CharDevice && uint64(st.Rdev) == e.Rdev
	case unix.S_IFBLK:
		same = e.Type == tree.BlockDevice && uint64(st.Rdev) == e.Rdev
	}
	if same {
		return restore.Identical, nil
	}
	return restore.Different, nil
}

// Mkdir implements [restore.Sink].
func (s *sink) Mkdir(path string, e *tree.Entry, replace bool) error {
	if err := tree.CheckPath(path); err != nil {
		return err
	}
	for i := range path {
		if path[i] == '/' && !s.dirs.has(path[:i]) {
			if err := s.mkdir(path[:i], nil, false); err != nil {
				return err
			}
		}
	}
	return s.mkdir(path, e, replace)
}

func (s *sink) mkdir(path string, e *tree.Entry, replace bool) error {
	parent, name, err := s.in(path)
	if err != nil {
		return s.problem("the folder cannot be made", err)
	}
	defer s.dirs.close(parent)
	mode := uint32(0o700) // until it is finished
	if e == nil {
		mode = 0o755
	}
	err = unix.Mkdirat(parent.fd, name, mode)
	if err == nil {
		return s.problem("the folder cannot be opened", s.dirs.add(parent, path, name, true))
	}
	if err != unix.EEXIST {
		return s.problem("the folder cannot be made", err)
	}
	err = s.dirs.add(parent, path, name, false)
	if replace && (err == unix.ENOTDIR || err == unix.ELOOP) {
		if err = unix.Unlinkat(parent.fd, name, 0); err == nil {
			if err = unix.Mkdirat(parent.fd, name, mode); err == nil {
				err = s.dirs.add(parent, path, name, true)
			}
		}
		return s.problem("what is in the folder's place cannot be replaced", err)
	}
	if err == unix.EACCES {
		// An earlier restore may have finished it with a mode that keeps its owner out.
		if unix.Fchmodat(parent.fd, name, mode, 0) == nil {
			err = s.dirs.add(parent, path, name, false)
		}
	}
	if err != nil {
		return s.problem("the folder cannot be opened", err)
	}
	d, err := s.dirs.open(path)
	if err != nil {
		return s.problem("the folder cannot be opened", err)
	}
	defer s.dirs.close(d)
	if e != nil && !s.asRoot {
		var st unix.Stat_t
		if unix.Fstat(d.fd, &st) == nil && st.Uid == s.uid && uint32(st.Mode)&0o700 != 0o700 {
			unix.Fchmod(d.fd, uint32(st.Mode)&0o7777|0o700) // FinishDir gives it its own
		}
	}
	s.sweep(d.fd)
	return nil
}

// sweep removes what a killed restore left in a folder.
func (s *sink) sweep(fd int) {
	if !s.locked {
		return
	}
	list, err := retry(func() (int, error) { return unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(list), "folder")
	defer f.Close()
	for {
		names, err := f.Readdirnames(1000)
		for _, name := range names {
			if isTemp(name) {
				unix.Unlinkat(fd, name, 0)
			}
		}
		if err != nil {
			return
		}
	}
}

// FinishDir implements [restore.Sink].
func (s *sink) FinishDir(path string, e *tree.Entry) error {
	parent, name, err := s.in(path)
	if err != nil {
		return s.problem("its folder cannot be opened", err)
	}
	defer s.dirs.close(parent)
	d, err := s.dirs.open(path)
	if err != nil {
		return s.problem("the folder cannot be opened", err)
	}
	defer s.dirs.drop(d)
	return s.metadata(d.fd, parent.fd, name, e, false)
}

// Make implements [restore.Sink].
func (s *sink) Make(path string, e *tree.Entry, replace bool) error {
	d, name, err := s.in(path)
	if err != nil {
		return s.problem("its folder cannot be opened", err)
	}
	defer s.dirs.close(d)
	temp := s.temps.next()
	switch e.Type {
	case tree.Symlink:
		err = unix.Symlinkat(e.Link, d.fd, temp)
	case tree.FIFO:
		err = mknodat(d.fd, temp, unix.S_IFIFO|0o600, 0)
	case tree.CharDevice, tree.BlockDevice:
		if !s.asRoot {
			return fault.New(fault.Forbidden, "it is a device: only root can restore it")
		}
		kind := uint32(unix.S_IFCHR)
		if e.Type == tree.BlockDevice {
			kind = unix.S_IFBLK
		}
		err = mknodat(d.fd, temp, kind|0o600, e.Rdev)
	default:
		return fault.New(fault.Internal, "a %s has a content", e.Type)
	}
	if err != nil {
		return s.problem(fmt.Sprintf("the %s cannot be made", e.Type), err)
	}
	incomplete := s.metadata(-1, d.fd, temp, e, false)
	if err := s.rename(d.fd, temp, name, replace); err != nil {
		unix.Unlinkat(d.fd, temp, 0)
		return s.problem("it cannot be given its name", err)
	}
	return incomplete
}

// Link implements [restore.Sink].
func (s *sink) Link(path, old string, e *tree.Entry, replace bool) error {
	d, name, err := s.in(path)
	if err != nil {
		return s.problem("its folder cannot be opened", err)
	}
	defer s.dirs.close(d)
	from, oldName, err := s.in(old)
	if err != nil {
		return s.problem("the folder of the file that it is linked with cannot be opened", err)
	}
	defer s.dirs.close(from)
	temp := name
	if replace {
		temp = s.temps.next()
	}
	if err := unix.Linkat(from.fd, oldName, d.fd, temp, 0); err != nil {
		return s.problem(fmt.Sprintf("it cannot be linked with %q", old), err)
	}
	if replace {
		err = s.rename(d.fd, temp, name, true)
		unix.Unlinkat(d.fd, temp, 0) // renaming a file to another name of the same does nothing
	}
	return s.problem("it cannot be given its name", err)
}

// rename gives a temporary file its name.
func (s *sink) rename(fd int, temp, name string, replace bool) error {
	if replace {
		return unix.Renameat(fd, temp, fd, name)
	}
	err := renameNew(fd, temp, name)
	if err != unix.EINVAL && err != unix.ENOTSUP && err != unix.ENOSYS {
		return err
	}
	// A file system that cannot refuse to replace: ask before.
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != unix.ENOENT {
		if err == nil {
			err = unix.EEXIST
		}
		return err
	}
	return unix.Renameat(fd, temp, fd, name)
}

// Close implements [restore.Sink].
func (s *sink) Close(ok bool) error {
	s.mu.Lock()
	left := make([]*file, 0, len(s.open))
	for f := range s.open {
		left = append(left, f)
	}
	s.mu.Unlock()
	for _, f := range left {
		f.Discard()
	}
	var err error
	if ok && s.opts.Sync {
		err = s.problem("what was restored cannot be made durable", syncfs(s.dirs.top.fd))
	}
	s.dirs.closeAll()
	return err
}
