package walk

import (
	"context"
	"errors"
	"io/fs"

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
	pending []*backup.Item // with extension filters: the folders on the way down that were not emitted yet
	free    []*names
	slab    []backup.Item
	count   int
	path    []byte
}

// top walks what p wants.
func (w *walker) top(p *plan) error {
	f := top(w.tree.folders)
	if len(p.rules) == 0 {
		return w.inside(f, "", nil, p, scope{})
	}
	var in info // a root is the top of the file system itself
	if err := f.lstat(".", &in); err != nil {
		return explain(err)
	}
	l, err := w.list(f)
	if err != nil {
		w.reuse(l)
		return err
	}
	return w.inside(f, "", l, p, scope{p.rules, in.dev})
}

// scope is what a folder's entries are judged by.
type scope struct {
	rules []*rule // that may take something in the folder
	dev   uint64  // the file system that the folder is on
}

// inside walks what is wanted of a folder: those of its entries that rules take, and those that lead to roots. prefix is the
// folder's path with a slash behind, or "". l is its listing, nil if no rule asks for it; p is nil if it leads to no root.
func (w *walker) inside(f *folder, prefix string, l *names, p *plan, s scope) error {
	if l != nil {
		defer w.reuse(l)
	}
	planned := p.names()
	for {
		name, err := l.next()
		if err != nil {
			return err
		}
		// What leads to roots and is not listed comes in its place.
		for len(planned) > 0 && (name == nil || planned[0] < string(name)) {
			q := planned[0]
			planned = planned[1:]
			if err := w.entry(f, prefix+q, q, p.children[q], s); err != nil {
				return err
			}
		}
		if name == nil {
			return nil
		}
		var child *plan
		if len(planned) > 0 && planned[0] == string(name) {
			child, planned = p.children[planned[0]], planned[1:]
		}
		if w.count++; w.count%256 == 0 {
			if err := w.ctx.Err(); err != nil {
				return context.Cause(w.ctx)
			}
		}
		w.path = append(append(w.path[:0], prefix...), name...)
		path := string(w.path)
		if err := w.entry(f, path, path[len(prefix):], child, s); err != nil {
			return err
		}
	}
}

// entry walks one entry of a folder. p is nil if it leads to no root. What leads to one is always sent.
func (w *walker) entry(f *folder, path, name string, p *plan, s scope) error {
	t := w.tree
	rules := s.rules
	if t.skip[path] {
		rules = nil
	}
	if p == nil && len(rules) == 0 {
		return nil
	}
	var in info
	err := p.failure()
	if err == nil {
		err = f.lstat(name, &in)
	}
	if err != nil {
		if p == nil && !anyTakes(rules, path, name, nil) {
			return nil
		}
		return w.send(w.failed(path, err))
	}
	if in.skip {
		return nil
	}
	if in.typ != tree.Dir {
		if p == nil && !anyTakes(rules, path, name, &in) {
			return nil
		}
		return w.send(w.item(f, path, name, &in))
	}
	if rules = inFolder(rules, path, name); p == nil && len(rules) == 0 {
		return nil
	}
	return w.folder(f.enter(name), w.item(f, path, name, &in), p, scope{rules, in.dev}, in.dev != s.dev)
}

// folder walks a folder. s has the rules that do not exclude it, and mount is set if it is on another file system than the
// folder it lies in.
func (w *walker) folder(f *folder, item *backup.Item, p *plan, s scope, mount bool) error {
	keep := p != nil || everyFile(s.rules)
	if o := &w.tree.o; len(s.rules) > 0 && mount && (o.OneFileSystem || !o.Pseudo && f.pseudo(item.Path)) {
		s.rules = nil
	}
	s.rules = p.join(s.rules)
	var l *names
	if len(s.rules) > 0 {
		l, item.Err = w.list(f)
	}
	before := len(w.pending)
	if keep || item.Err != nil {
		if err := w.send(item); err != nil {
			return err
		}
	} else {
		w.pending = append(w.pending, item)
	}
	err := w.inside(f, item.Path+"/", l, p, s)
	w.pending = w.pending[:min(before, len(w.pending))]
	return err
}

// list returns a folder's sorted names, as far as they could be read.
func (w *walker) list(f *folder) (*names, error) {
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
	return n, explain(err)
}

// reuse empties a folder's names for the next folder.
func (w *walker) reuse(n *names) {
	n.reset()
	w.free = append(w.free, n)
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
