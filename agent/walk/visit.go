package walk

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// info is what the system says about an entry, in the terms of every system.
type info struct {
	typ        tree.Type
	skip       bool // a socket, or a kind that no snapshot knows
	mode       uint32
	size       int64
	mtime      int64
	ctime      int64
	inode, dev uint64
	links      uint64
	uid, gid   uint32
	rdev       uint64
}

// walker is one Walk.
type walker struct {
	tree    *Tree
	ctx     context.Context
	emit    func(*backup.Item) error
	pending []*backup.Item // with an extension filter: the folders on the way down that were not emitted yet
	free    []*names
	slab    []backup.Item
	count   int
	path    []byte
}

// planned walks a folder of which only some entries are wanted. prefix is its path with a slash behind, or "".
func (w *walker) planned(f *folder, prefix string, p *plan) error {
	if p.whole { // the top of the file system itself
		var in info
		if err := f.lstat(".", &in); err != nil {
			return explain(err)
		}
		l := w.list(f)
		l.dev = in.dev
		if l.err != nil {
			w.reuse(l.names)
			return explain(l.err)
		}
		return w.whole(f, prefix, l)
	}
	names := make([]string, 0, len(p.children))
	for name := range p.children {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		child := p.children[name]
		path := prefix + name
		var in info
		err := child.err
		if err == nil {
			err = f.lstat(name, &in)
		}
		if err != nil {
			if err := w.send(w.failed(path, err)); err != nil {
				return err
			}
			continue
		}
		if in.skip {
			continue
		}
		item := w.item(f, path, name, &in)
		if in.typ != tree.Dir {
			if err := w.send(item); err != nil {
				return err
			}
			continue
		}
		sub := f.enter(name)
		if !child.whole {
			if err := w.send(item); err != nil {
				return err
			}
			if err := w.planned(sub, path+"/", child); err != nil {
				return err
			}
			continue
		}
		l := w.list(sub)
		item.Err = l.err
		if err := w.send(item); err != nil {
			return err
		}
		l.dev = in.dev
		if err := w.whole(sub, path+"/", l); err != nil {
			return err
		}
	}
	return nil
}

// listing is a folder's sorted names, as far as they could be read.
type listing struct {
	names *names
	err   error
	dev   uint64 // the file system of the root
}

func (w *walker) list(f *folder) listing {
	var n *names
	if k := len(w.free); k > 0 {
		n, w.free = w.free[k-1], w.free[:k-1]
	} else {
		n = newNames(w.tree.o.TempDir)
	}
	err := f.list(n)
	if sorted := n.sort(); err == nil {
		err = sorted
	}
	return listing{names: n, err: explain(err)}
}

// reuse empties a folder's names for the next folder.
func (w *walker) reuse(n *names) {
	n.reset()
	w.free = append(w.free, n)
}

// whole walks everything in a folder.
func (w *walker) whole(f *folder, prefix string, l listing) error {
	defer w.reuse(l.names)
	for {
		b, err := l.names.next()
		if err != nil {
			return err
		}
		if b == nil {
			return nil
		}
		if w.count++; w.count%256 == 0 {
			if err := w.ctx.Err(); err != nil {
				return context.Cause(w.ctx)
			}
		}
		w.path = append(append(w.path[:0], prefix...), b...)
		path := string(w.path)
		if err := w.entry(f, path, path[len(prefix):], l.dev); err != nil {
			return err
		}
	}
}

// entry walks one entry of a folder that is wanted whole.
func (w *walker) entry(f *folder, path, name string, dev uint64) error {
	t := w.tree
	if t.skip[path] {
		return nil
	}
	var in info
	if err := f.lstat(name, &in); err != nil {
		if t.filter.excluded(path, name, false) || !t.filter.wanted(name) {
			return nil
		}
		return w.send(w.failed(path, err))
	}
	folder := in.typ == tree.Dir
	switch {
	case in.skip, t.filter.excluded(path, name, folder):
		return nil
	case !folder:
		if !t.filter.wanted(name) || in.typ == tree.File && t.o.MaxSize > 0 && in.size > t.o.MaxSize {
			return nil
		}
		return w.send(w.item(f, path, name, &in))
	}
	item := w.item(f, path, name, &in)
	sub := f.enter(name)
	if in.dev != dev {
		if t.o.OneFileSystem || !t.o.Pseudo && sub.pseudo(path) {
			return w.sendFolder(item)
		}
	}
	l := w.list(sub)
	l.dev = dev
	if in.dev != dev {
		// Below a mount point, only what is mounted there in turn is another file system again.
		l.dev = in.dev
	}
	item.Err = l.err
	if err := w.sendFolder(item); err != nil {
		return err
	}
	err := w.whole(sub, path+"/", l)
	if n := len(w.pending); n > 0 && w.pending[n-1] == item {
		w.pending = w.pending[:n-1]
	}
	return err
}

// sendFolder sends a folder, or keeps it until something in it is sent.
func (w *walker) sendFolder(item *backup.Item) error {
	if len(w.tree.filter.exts) == 0 || item.Err != nil {
		return w.send(item)
	}
	w.pending = append(w.pending, item)
	return nil
}

// send emits an item and the folders above it that were kept back.
func (w *walker) send(item *backup.Item) error {
	for _, p := range w.pending {
		if err := w.emit(p); err != nil {
			return err
		}
	}
	w.pending = w.pending[:0]
	return w.emit(item)
}

// failed is the item of an entry about which nothing is known.
func (w *walker) failed(path string, err error) *backup.Item {
	return &backup.Item{Entry: tree.Entry{Path: path}, Err: explain(err)}
}

// item is an entry as the listing shows it.
func (w *walker) item(f *folder, path, name string, in *info) *backup.Item {
	if len(w.slab) == 0 {
		w.slab = make([]backup.Item, 64) // items live and die together; one allocation for many
	}
	it := &w.slab[0]
	w.slab = w.slab[1:]
	it.Path, it.Type, it.Mode, it.ModTime = path, in.typ, in.mode, in.mtime
	it.UID, it.GID = in.uid, in.gid
	it.Fingerprint = backup.Fingerprint{Ctime: in.ctime, Inode: in.inode, Dev: in.dev}
	switch in.typ {
	case tree.File:
		it.Size = in.size
		if in.links > 1 {
			it.HardLink = group(in.dev, in.inode)
		}
		it.Open = func() (backup.File, error) {
			file, err := f.open(name)
			if err != nil {
				return nil, explain(err) // not a nil *file in an interface
			}
			return file, nil
		}
		it.Load = loadFile
	case tree.CharDevice, tree.BlockDevice:
		it.Rdev = in.rdev
		fallthrough
	default:
		it.Load = func(_ backup.File, e *tree.Entry) error { return explain(f.load(name, e)) }
	}
	return it
}

// group is the number of a hard-link group: the same for all names of a file, on every walk. Never 0.
func group(dev, inode uint64) uint64 {
	x := inode + dev*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return max(1, x^x>>31)
}

// explain gives an error its cause where the standard library has no word for it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var known *backup.Unreadable
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return err
	case isTooLong(err):
		return &backup.Unreadable{Cause: backup.TooLong, Err: err}
	case isGone(err):
		return &backup.Unreadable{Cause: backup.Vanished, Err: err}
	}
	return &backup.Unreadable{Cause: backup.IO, Err: err}
}
