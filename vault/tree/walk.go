package tree

import (
	"context"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// How many nodes a walk fetches at once. One batch is being fetched while another is used.
const (
	leafBatch  = 128
	innerBatch = 32
)

// Walk calls fn for the entry at from and everything under it, in order; from "" is the whole tree. Nodes are
// fetched ahead in batches. Entries may be kept, but not changed; each keeps the memory of its node's others. A
// from that does not exist is no entry and no error.
func (r *Reader) Walk(ctx context.Context, from string, fn func(*Entry) error) error {
	n, f, err := r.readRoot(ctx)
	if err != nil {
		return err
	}
	w := walker{r: r, from: from, fn: fn}
	if n.height == 0 {
		return w.leaf(n)
	}
	return w.walk(ctx, f.refs(n))
}

// walker is a Walk under way.
type walker struct {
	r    *Reader
	from string
	fn   func(*Entry) error
	skip string // the folder for which fn returned SkipDir
}

func (w *walker) wants(f *ref) bool {
	return f.meets(w.from) && (w.skip == "" || !f.within(w.skip))
}

// walk walks nodes that follow each other on one level.
func (w *walker) walk(ctx context.Context, refs []ref) error {
	size := innerBatch
	if len(refs) > 0 && refs[0].height == 0 {
		size = leafBatch
	}
	take := func() []ref {
		var batch []ref
		for len(refs) > 0 && len(batch) < size {
			if w.wants(&refs[0]) {
				batch = append(batch, refs[0])
			}
			refs = refs[1:]
		}
		return batch
	}
	return ahead(ctx, take, w.r.read, func(batch []ref, nodes []*node) error {
		if batch[0].height == 0 {
			for i := range nodes {
				if err := w.leaf(nodes[i]); err != nil {
					return err
				}
			}
			return nil
		}
		var next []ref
		for i := range nodes {
			next = append(next, batch[i].refs(nodes[i])...)
		}
		return w.walk(ctx, next)
	})
}

func (w *walker) leaf(n *node) error {
	for i := range n.entries {
		e := &n.entries[i]
		if !Within(e.Path, w.from) || w.skip != "" && Within(e.Path, w.skip) {
			continue
		}
		switch err := w.fn(e); err {
		case nil:
		case SkipDir:
			w.skip = e.Path
		default:
			return err
		}
	}
	return nil
}

// ahead takes batches until there are none, reads each, and uses it while the next one is being read.
func ahead[R, N any](ctx context.Context, take func() []R, read func(context.Context, []R) ([]N, error), use func([]R, []N) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		batch []R
		nodes []N
		err   error
	}
	start := func() chan result {
		batch := take()
		if len(batch) == 0 {
			return nil
		}
		c := make(chan result, 1)
		go func() {
			nodes, err := read(ctx, batch)
			c <- result{batch, nodes, err}
		}()
		return c
	}
	for next := start(); next != nil; {
		got := <-next
		if got.err != nil {
			return got.err
		}
		next = start()
		if err := use(got.batch, got.nodes); err != nil {
			if next != nil {
				cancel()
				<-next
			}
			return err
		}
	}
	return nil
}

// Chunks calls fn for every chunk of a file, in order. It fails if they are not as many, or not as long
// together, as e says; what fn saw before then is worth nothing.
func (r *Reader) Chunks(ctx context.Context, e *Entry, fn func(Chunk) error) error {
	return Chunks(ctx, r.src, e, fn)
}

// Chunks is [Reader.Chunks] for an entry whose Reader is not at hand.
func Chunks(ctx context.Context, src Source, e *Entry, fn func(Chunk) error) error {
	if e.Inline() {
		for i := range e.Chunks {
			if err := fn(e.Chunks[i]); err != nil {
				return err
			}
		}
		return nil
	}
	l := listWalker{src: src, fn: fn}
	root := listRef{listChild{e.ChunkList, e.ChunkCount, e.Size}, -1}
	return l.walk(ctx, []listRef{root})
}

// listRef is a list node that was not read yet.
type listRef struct {
	listChild
	height int // -1 for the root's, which nobody knows before
}

type listWalker struct {
	src Source
	fn  func(Chunk) error
}

func (l *listWalker) walk(ctx context.Context, refs []listRef) error {
	take := func() []listRef {
		batch := refs[:min(len(refs), innerBatch)]
		refs = refs[len(batch):]
		return batch
	}
	return ahead(ctx, take, l.read, func(batch []listRef, nodes []*listNode) error {
		var next []listRef
		for _, n := range nodes {
			for _, c := range n.chunks {
				if err := l.fn(c); err != nil {
					return err
				}
			}
			for _, c := range n.children {
				next = append(next, listRef{c, n.height - 1})
			}
		}
		return l.walk(ctx, next)
	})
}

func (l *listWalker) read(ctx context.Context, refs []listRef) ([]*listNode, error) {
	keys := make([]seal.Key, len(refs))
	for i := range refs {
		keys[i] = refs[i].key
	}
	plain, err := l.src.Nodes(ctx, keys)
	if err != nil {
		return nil, err
	}
	nodes := make([]*listNode, len(refs))
	for i := range plain {
		n, err := decodeList(plain[i])
		if err != nil {
			return nil, err
		}
		f := &refs[i]
		if f.height >= 0 && n.height != f.height || f.height < 0 && n.height > 0 && len(n.children) < 2 ||
			n.total.count != f.count || n.total.bytes != f.bytes {
			return nil, malformed("a list node is not the one that its parent describes")
		}
		nodes[i] = n
	}
	return nodes, nil
}
