package tree

import (
	"context"
	"errors"
	"sort"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// SkipDir, returned by the function that Walk was given for an entry, leaves out what lies under it.
//
//lint:ignore ST1012 it is called what io/fs calls it
var SkipDir = errors.New("skip this folder")

// ErrMalformed is the kind of every error about a node that no builder could have written.
var ErrMalformed = errors.New("malformed tree")

// Reader reads a tree. It is safe for concurrent use if its Source is.
type Reader struct {
	src  Source
	root seal.Key
}

// Open returns a Reader of the tree with this root. Nothing is read yet.
func Open(src Source, root seal.Key) *Reader { return &Reader{src, root} }

// ref is a node that was not read yet, with everything that is known about it.
type ref struct {
	child
	height int
	upper  string // a path before which all of its own are; "" if there is none
}

// within reports whether all of the node's paths are dir or under it.
func (f *ref) within(dir string) bool {
	return Within(f.first, dir) && f.upper != "" && Within(f.upper, dir)
}

// meets reports whether the node may hold dir or something under it.
func (f *ref) meets(dir string) bool {
	return Within(f.first, dir) || Compare(f.first, dir) < 0 && (f.upper == "" || Compare(dir, f.upper) < 0)
}

// refs returns the children of a node that was read through f.
func (f *ref) refs(n *node) []ref {
	list := make([]ref, len(n.children))
	for i := range n.children {
		list[i] = ref{n.children[i], n.height - 1, f.upper}
		if i > 0 {
			list[i-1].upper = n.children[i].first
		}
	}
	return list
}

// readRoot reads the root.
func (r *Reader) readRoot(ctx context.Context) (*node, ref, error) {
	plain, err := r.src.Nodes(ctx, []seal.Key{r.root})
	if err != nil {
		return nil, ref{}, err
	}
	n, err := decodeNode(plain[0])
	if err != nil {
		return nil, ref{}, err
	}
	if n.height > 0 && len(n.children) < 2 {
		return nil, ref{}, malformed("a root with one child")
	}
	f := ref{child: n.total, height: n.height}
	f.key = r.root
	return n, f, nil
}

// read reads nodes and checks them against what their parents say.
func (r *Reader) read(ctx context.Context, refs []ref) ([]*node, error) {
	keys := make([]seal.Key, len(refs))
	for i := range refs {
		keys[i] = refs[i].key
	}
	plain, err := r.src.Nodes(ctx, keys)
	if err != nil {
		return nil, err
	}
	nodes := make([]*node, len(refs))
	for i := range plain {
		if nodes[i], err = refs[i].decode(plain[i]); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (f *ref) decode(plain []byte) (*node, error) {
	n, err := decodeNode(plain)
	if err != nil {
		return nil, err
	}
	want := f.child
	want.key = seal.Key{}
	if n.height != f.height || n.total != want || !below(n.last, f.upper) {
		return nil, malformed("a node at %q is not the one that its parent describes", f.first)
	}
	return n, nil
}

// Root reads the root and returns the tree's totals.
func (r *Reader) Root(ctx context.Context) (Root, error) {
	_, f, err := r.readRoot(ctx)
	if err != nil {
		return Root{}, err
	}
	return Root{r.root, f.height, f.entries, f.files, f.bytes}, nil
}

// Get returns the entry at path, or fault.NotFound.
func (r *Reader) Get(ctx context.Context, path string) (*Entry, error) {
	n, f, err := r.readRoot(ctx)
	for err == nil {
		if n.height == 0 {
			i := sort.Search(len(n.entries), func(i int) bool { return Compare(n.entries[i].Path, path) >= 0 })
			if i < len(n.entries) && n.entries[i].Path == path {
				return &n.entries[i], nil
			}
			break
		}
		refs := f.refs(n)
		i := sort.Search(len(refs), func(i int) bool { return Compare(refs[i].first, path) > 0 })
		if i == 0 {
			break
		}
		f = refs[i-1]
		var nodes []*node
		if nodes, err = r.read(ctx, refs[i-1:i]); err == nil {
			n = nodes[0]
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, fault.New(fault.NotFound, "there is no %q in this snapshot", path)
}

// List calls fn for the entries directly in dir ("" is the top), in order. It does not read what lies deeper,
// except where it shares a node with the entries themselves. A folder that has no entry of its own, but
// something in it, is listed as one without metadata.
func (r *Reader) List(ctx context.Context, dir string, fn func(*Entry) error) error {
	n, f, err := r.readRoot(ctx)
	if err != nil {
		return err
	}
	l := lister{r: r, dir: dir, fn: fn, ahead: 1}
	return l.node(ctx, &f, n)
}

// lister is a List under way.
type lister struct {
	r     *Reader
	dir   string
	fn    func(*Entry) error
	skip  string // the folder of dir that was listed last: what lies in it is passed over
	ahead int    // nodes to read at once
}

func (l *lister) node(ctx context.Context, f *ref, n *node) error {
	if n.height == 0 {
		return l.leaf(n)
	}
	refs := f.refs(n)
	for len(refs) > 0 {
		batch := make([]ref, 0, l.ahead)
		for len(refs) > 0 && len(batch) < l.ahead {
			if l.wants(&refs[0]) {
				batch = append(batch, refs[0])
			}
			refs = refs[1:]
		}
		nodes, err := l.r.read(ctx, batch)
		if err != nil {
			return err
		}
		// Reading ahead pays where files follow each other, and is waste where folders do.
		l.ahead = min(2*l.ahead, 64)
		for i := range nodes {
			if !l.wants(&batch[i]) {
				l.ahead = 1
				continue
			}
			if err := l.node(ctx, &batch[i], nodes[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lister) wants(f *ref) bool {
	return f.meets(l.dir) && (l.skip == "" || !f.within(l.skip))
}

func (l *lister) leaf(n *node) error {
	for i := range n.entries {
		e := &n.entries[i]
		if !Within(e.Path, l.dir) || e.Path == l.dir || l.skip != "" && Within(e.Path, l.skip) {
			continue
		}
		rest := e.Path
		if l.dir != "" {
			rest = e.Path[len(l.dir)+1:]
		}
		if end := strings.IndexByte(rest, '/'); end >= 0 {
			e = &Entry{Path: e.Path[:len(e.Path)-len(rest)+end], Type: Dir, Mode: 0o755}
		}
		l.skip = e.Path
		if err := l.fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Search calls fn for every entry that match accepts, in order.
func (r *Reader) Search(ctx context.Context, match func(*Entry) bool, fn func(*Entry) error) error {
	return r.Walk(ctx, "", func(e *Entry) error {
		if !match(e) {
			return nil
		}
		return fn(e)
	})
}

// Extensions returns a match for [Reader.Search] and for restores: files whose name ends in one of these
// extensions, such as ".docx" or "docx", in upper or lower case. Without any it accepts every file.
func Extensions(exts ...string) func(*Entry) bool {
	want := make([]string, len(exts))
	for i, x := range exts {
		want[i] = "." + strings.ToLower(strings.TrimPrefix(x, "."))
	}
	return func(e *Entry) bool {
		if e.Type != File || len(want) == 0 {
			return e.Type == File
		}
		name := e.Base()
		for _, x := range want {
			if len(name) >= len(x) && strings.EqualFold(name[len(name)-len(x):], x) {
				return true
			}
		}
		return false
	}
}
