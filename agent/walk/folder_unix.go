//go:build linux || darwin

package walk

import (
	"errors"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// maxOpen is how many folders stay open at most, besides those in use at the moment.
const maxOpen = 128

// folders keeps the folders that were used last open.
type folders struct {
	mu     sync.Mutex
	lru    folder // head of a ring: next is the one used last
	open   int
	closed bool
}

// folder is a directory, reached from its parent. Its methods may be called from several goroutines.
type folder struct {
	set    *folders
	parent *folder // nil for the top
	name   string

	// Under set.mu.
	fd         int // -1 while it is not open
	users      int
	prev, next *folder // in the ring, while it is open
}

func newFolders() *folders {
	s := &folders{}
	s.lru.prev, s.lru.next = &s.lru, &s.lru
	return s
}

// top returns the folder above all roots.
func top(s *folders) *folder {
	s.mu.Lock()
	s.closed = false
	s.mu.Unlock()
	return &folder{set: s, fd: -1}
}

// enter returns a folder in this one. Nothing is opened yet.
func (f *folder) enter(name string) *folder {
	return &folder{set: f.set, parent: f, name: name, fd: -1}
}

// use returns f's descriptor, opening it and what lies above as needed. done must follow.
func (f *folder) use() (int, error) {
	s := f.set
	s.mu.Lock()
	if f.fd >= 0 {
		f.users++
		s.unlink(f)
		s.link(f)
		s.mu.Unlock()
		return f.fd, nil
	}
	s.mu.Unlock()

	fd, err := f.openSelf()
	if err != nil {
		return -1, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.fd >= 0 { // somebody was faster
		unix.Close(fd)
		s.unlink(f)
	} else {
		f.fd = fd
		s.open++
	}
	f.users++
	s.link(f)
	s.trim(maxOpen)
	return f.fd, nil
}

func (f *folder) openSelf() (int, error) {
	if f.parent == nil {
		return openat(unix.AT_FDCWD, "/", unix.O_DIRECTORY)
	}
	parent, err := f.parent.use()
	if err != nil {
		return -1, err
	}
	defer f.parent.done()
	fd, err := openat(parent, f.name, unix.O_DIRECTORY)
	if errors.Is(err, unix.EACCES) && searchOnly != 0 {
		// Not readable, but perhaps its entries can be reached by name, which is enough above a root.
		fd, err = openat(parent, f.name, unix.O_DIRECTORY|searchOnly)
	}
	return fd, err
}

func (f *folder) done() {
	f.set.mu.Lock()
	f.users--
	if f.set.closed {
		f.set.trim(0)
	}
	f.set.mu.Unlock()
}

func (s *folders) link(f *folder) {
	f.prev, f.next = &s.lru, s.lru.next
	f.prev.next, f.next.prev = f, f
}

func (s *folders) unlink(f *folder) { f.prev.next, f.next.prev = f.next, f.prev }

// trim closes the folders that were not used for longest until at most keep are open.
func (s *folders) trim(keep int) {
	for f := s.lru.prev; f != &s.lru && s.open > keep; {
		prev := f.prev
		if f.users == 0 {
			s.unlink(f)
			unix.Close(f.fd)
			f.fd = -1
			s.open--
		}
		f = prev
	}
}

func (s *folders) closeAll() {
	s.mu.Lock()
	s.closed = true
	s.trim(0)
	s.mu.Unlock()
}

// openat opens without following a symbolic link and without waiting for a FIFO's other end.
func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, 0)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, fmt.Errorf("open: %w", err)
		}
	}
}

// lstat asks what name is.
func (f *folder) lstat(name string, in *info) error {
	fd, err := f.use()
	if err != nil {
		return err
	}
	defer f.done()
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, statFlags); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	in.set(&st)
	return nil
}

func (in *info) set(st *unix.Stat_t) {
	*in = info{
		mode: uint32(st.Mode) & 0o7777, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
		inode: st.Ino, dev: uint64(st.Dev), links: uint64(st.Nlink), uid: st.Uid, gid: st.Gid,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		in.typ, in.size = tree.File, st.Size
	case unix.S_IFDIR:
		in.typ = tree.Dir
	case unix.S_IFLNK:
		in.typ = tree.Symlink
	case unix.S_IFIFO:
		in.typ = tree.FIFO
	case unix.S_IFCHR:
		in.typ, in.rdev = tree.CharDevice, uint64(st.Rdev)
	case unix.S_IFBLK:
		in.typ, in.rdev = tree.BlockDevice, uint64(st.Rdev)
	default:
		in.skip = true
	}
}

// open opens a regular file.
func (f *folder) open(name string) (*file, error) {
	dir, err := f.use()
	if err != nil {
		return nil, err
	}
	defer f.done()
	fd, err := openFile(dir, name)
	if err != nil {
		return nil, err
	}
	return &file{fd: fd}, nil
}

// load completes an entry that is not a regular file.
func (f *folder) load(name string, e *tree.Entry) error {
	e.User, e.Group = userName(e.UID), groupName(e.GID)
	if e.Type == tree.Symlink {
		dir, err := f.use()
		if err != nil {
			return err
		}
		defer f.done()
		for size := 256; ; size *= 2 {
			buf := make([]byte, size)
			n, err := unix.Readlinkat(dir, name, buf)
			if err != nil {
				return fmt.Errorf("readlink: %w", err)
			}
			if n < size {
				e.Link = string(buf[:n])
				break
			}
		}
	}
	if e.Type == tree.Dir {
		sub := f.enter(name)
		fd, err := sub.openSelf() // not kept: it is needed once
		if err != nil {
			return nil // its listing has said so already
		}
		defer unix.Close(fd)
		e.Xattrs = xattrs(
			func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
			func(n string, b []byte) (int, error) { return unix.Fgetxattr(fd, n, b) })
		return nil
	}
	path := "/" + e.Path // links and special files cannot be opened; too long a path means no attributes
	e.Xattrs = xattrs(
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(n string, b []byte) (int, error) { return unix.Lgetxattr(path, n, b) })
	return nil
}

// loadFile completes a regular file's entry.
func loadFile(f backup.File, e *tree.Entry) error {
	e.User, e.Group = userName(e.UID), groupName(e.GID)
	if f, ok := f.(*file); ok {
		e.Xattrs = xattrs(
			func(b []byte) (int, error) { return unix.Flistxattr(f.fd, b) },
			func(n string, b []byte) (int, error) { return unix.Fgetxattr(f.fd, n, b) })
	}
	return nil
}

// xattrs reads all extended attributes. A file system without any, or one that vanishes in between, has none.
func xattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) []tree.Xattr {
	small := buffers.Get().(*[512]byte)
	defer buffers.Put(small)
	names, ok := grow(small[:], list)
	if !ok || len(names) == 0 {
		return nil
	}
	var all []tree.Xattr
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		value, ok := grow(small[:], func(b []byte) (int, error) { return get(name, b) })
		if ok {
			all = append(all, tree.Xattr{Name: name, Value: append([]byte{}, value...)})
		}
	}
	return all
}

var buffers = sync.Pool{New: func() any { return new([512]byte) }}

// grow calls fill with a large enough buffer.
func grow(buf []byte, fill func([]byte) (int, error)) ([]byte, bool) {
	for {
		n, err := fill(buf)
		if err == nil {
			return buf[:n], true
		}
		if err != unix.ERANGE || len(buf) > 1<<20 {
			return nil, false
		}
		buf = make([]byte, 8*len(buf))
	}
}

// file is an open regular file. It is leaner than an os.File, of which a backup would make one for each of
// a million small files.
type file struct{ fd int }

func (f *file) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(f.fd, p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, explain(fmt.Errorf("read: %w", err))
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (f *file) Close() error { return unix.Close(f.fd) }

// Stat implements [backup.File].
func (f *file) Stat() (backup.Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return backup.Stat{}, explain(fmt.Errorf("stat: %w", err))
	}
	var in info
	in.set(&st)
	if in.typ != tree.File || in.skip {
		return backup.Stat{}, &backup.Unreadable{Cause: backup.Vanished, Err: errors.New("it is no longer a file")}
	}
	return backup.Stat{
		Size: in.size, ModTime: in.mtime, Mode: in.mode, UID: in.uid, GID: in.gid,
		Fingerprint: backup.Fingerprint{Ctime: in.ctime, Inode: in.inode, Dev: in.dev},
	}, nil
}

// names of users and groups by number. Looking one up means reading a file.
var users, groups sync.Map

func userName(uid uint32) string {
	return lookup(&users, uid, func(n string) (string, error) {
		u, err := user.LookupId(n)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func groupName(gid uint32) string {
	return lookup(&groups, gid, func(n string) (string, error) {
		g, err := user.LookupGroupId(n)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func lookup(m *sync.Map, number uint32, find func(string) (string, error)) string {
	if name, ok := m.Load(number); ok {
		return name.(string)
	}
	name, _ := find(strconv.FormatUint(uint64(number), 10)) // unknown: it has no name
	m.Store(number, name)
	return name
}

func isTooLong(err error) bool { return errors.Is(err, unix.ENAMETOOLONG) }

// isGone: a component of the path is no folder any more, or was replaced by a symbolic link.
func isGone(err error) bool { return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) }
