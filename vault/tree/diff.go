package tree

import (
	"bytes"
	"context"
	"slices"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// Change is a difference between two trees. Before is nil for what was added, After for what was removed.
type Change struct {
	Before, After *Entry
}

// Diff calls fn for every entry that differs, in order. It does not read nodes that the trees have in common.
func Diff(ctx context.Context, a, b *Reader, fn func(Change) error) error {
	if a.root == b.root {
		return nil
	}
	d := differ{fn: fn}
	for i, r := range []*Reader{a, b} {
		n, f, err := r.readRoot(ctx)
		if err != nil {
			return err
		}
		d.side[i] = side{r: r, ready: map[seal.Key]*node{}}
		d.side[i].push(&f, n)
	}
	return d.run(ctx)
}

// differ is a Diff under way: each side is a sequence of entries, part of it still folded into nodes. The one
// that is folded higher is unfolded where they overlap, until equal nodes face each other or entries do.
type differ struct {
	side [2]side
	fn   func(Change) error
}

// side is what is left of a tree: the entries of a leaf that was read, then nodes, the nearest last.
type side struct {
	r       *Reader
	entries []Entry
	refs    []ref
	ready   map[seal.Key]*node // read ahead
}

func (s *side) push(f *ref, n *node) {
	if n.height == 0 {
		s.entries = n.entries
		return
	}
	list := f.refs(n)
	slices.Reverse(list)
	s.refs = append(s.refs, list...)
}

// head returns the first path that is left, and the height of what it is in: -1 for an entry.
func (s *side) head() (path string, height int, ok bool) {
	if len(s.entries) > 0 {
		return s.entries[0].Path, -1, true
	}
	if k := len(s.refs); k > 0 {
		return s.refs[k-1].first, s.refs[k-1].height, true
	}
	return "", 0, false
}

func (s *side) entry() *Entry {
	e := &s.entries[0]
	s.entries = s.entries[1:]
	return e
}

// unfold reads the nearest node.
func (s *side) unfold(ctx context.Context, other *side) error {
	k := len(s.refs) - 1
	f := s.refs[k]
	n := s.ready[f.key]
	if n == nil || n.height != f.height {
		if err := s.readAhead(ctx, other); err != nil {
			return err
		}
		n = s.ready[f.key]
	}
	delete(s.ready, f.key)
	s.refs = s.refs[:k]
	s.push(&f, n)
	return nil
}

// readAhead reads the nearest node and some of its right-hand neighbours: those that the other side does not
// have at hand too, because they will not be skipped.
func (s *side) readAhead(ctx context.Context, other *side) error {
	same := make(map[seal.Key]bool, len(other.refs))
	for i := range other.refs {
		same[other.refs[i].key] = true
	}
	if len(s.ready) > 4*innerBatch {
		clear(s.ready) // what proved needless
	}
	var batch []ref
	for k := len(s.refs) - 1; k >= 0 && len(batch) < innerBatch; k-- {
		f := &s.refs[k]
		if len(batch) > 0 && (f.height != batch[0].height || same[f.key]) {
			continue
		}
		batch = append(batch, *f)
	}
	nodes, err := s.r.read(ctx, batch)
	for i := range nodes {
		s.ready[batch[i].key] = nodes[i]
	}
	return err
}

func (d *differ) run(ctx context.Context) error {
	a, b := &d.side[0], &d.side[1]
	for {
		pa, ha, oka := a.head()
		pb, hb, okb := b.head()
		var err error
		switch {
		case !oka && !okb:
			return nil
		case !okb || oka && d.before(a, pb): // a's next has no counterpart
			if ha >= 0 {
				err = a.unfold(ctx, b)
			} else {
				err = d.fn(Change{Before: a.entry()})
			}
		case !oka || d.before(b, pa):
			if hb >= 0 {
				err = b.unfold(ctx, a)
			} else {
				err = d.fn(Change{After: b.entry()})
			}
		case ha < 0 && hb < 0: // the same path
			if ea, eb := a.entry(), b.entry(); !ea.equal(eb) {
				err = d.fn(Change{ea, eb})
			}
		case ha >= 0 && ha == hb && a.refs[len(a.refs)-1].key == b.refs[len(b.refs)-1].key:
			a.refs, b.refs = a.refs[:len(a.refs)-1], b.refs[:len(b.refs)-1]
		case ha > hb || ha == hb && Compare(pa, pb) <= 0:
			err = a.unfold(ctx, b)
		default:
			err = b.unfold(ctx, a)
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// before reports whether the whole of what comes next on side s lies before path.
func (d *differ) before(s *side, path string) bool {
	if len(s.entries) > 0 {
		return Compare(s.entries[0].Path, path) < 0
	}
	f := &s.refs[len(s.refs)-1]
	return f.upper != "" && Compare(f.upper, path) <= 0
}

// equal reports whether a and b are stored as the same bytes.
func (a *Entry) equal(b *Entry) bool {
	return a.Path == b.Path && a.Type == b.Type && a.Mode == b.Mode && a.Size == b.Size && a.ModTime == b.ModTime &&
		a.UID == b.UID && a.GID == b.GID && a.User == b.User && a.Group == b.Group && a.Link == b.Link &&
		a.HardLink == b.HardLink && a.Rdev == b.Rdev && a.ChunkList == b.ChunkList && a.ChunkCount == b.ChunkCount &&
		slices.Equal(a.Chunks, b.Chunks) &&
		slices.EqualFunc(a.Xattrs, b.Xattrs, func(x, y Xattr) bool { return x.Name == y.Name && bytes.Equal(x.Value, y.Value) })
}
