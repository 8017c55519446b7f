package index

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Verify walks the tree below root and returns up to limit ids that it refers to and that the space lacks;
// none means that the tree is complete. A node that was once found complete is not entered again, so the cost
// is that of what is new. When the tree is complete, all nodes that were entered are marked so, as part of tx.
//
// Memory: a map entry for every node that is met, [pending] ids and [batchBytes] of references; never the whole of what
// they refer to. It expects the space's lock, shared.
func Verify(ctx context.Context, tx *sqlx.Tx, space int, root id.Object, limit int) ([]id.Object, error) {
	v := verifier{ctx: ctx, tx: tx, space: space, limit: limit, known: map[id.Object]bool{root: true}}
	for next := []id.Object{root}; len(next) > 0 && !v.enough(); {
		level := next
		next = nil
		slices.SortFunc(level, compare)
		for part := range slices.Chunk(level, 1000) {
			children, err := v.enter(part)
			if err != nil {
				return nil, err
			}
			next = append(next, children...)
			if v.enough() {
				break
			}
		}
	}
	if err := v.flush(); err != nil {
		return nil, err
	}
	if len(v.missing) > 0 {
		return v.missing[:min(limit, len(v.missing))], nil
	}
	slices.SortFunc(v.entered, compare)
	for part := range slices.Chunk(v.entered, batch) {
		if err := markComplete(ctx, tx, space, part); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

type verifier struct {
	ctx   context.Context
	tx    *sqlx.Tx
	space int
	limit int

	known   map[id.Object]bool // nodes that were met
	entered []id.Object        // nodes whose references were followed
	data    []id.Object        // met, not yet looked up
	missing []id.Object
}

func (v *verifier) enough() bool { return len(v.missing) >= v.limit }

// enter follows the references of nodes and returns the nodes among them that were not met before.
func (v *verifier) enter(nodes []id.Object) ([]id.Object, error) {
	heads, err := nodeHeads(v.ctx, v.tx, v.space, nodes)
	if err != nil {
		return nil, err
	}
	there := make(map[id.Object]bool, len(heads))
	var open []nodeHead
	for _, h := range heads {
		there[h.ID] = h.Sound || h.Complete
		if h.Sound && !h.Complete {
			open = append(open, h)
		}
	}
	for _, n := range nodes {
		if !there[n] {
			v.missing = append(v.missing, n)
		}
	}
	var next []id.Object
	for len(open) > 0 {
		size, n := 0, 0
		for n < len(open) && (n == 0 || size+open[n].Size <= batchBytes) {
			size += open[n].Size
			n++
		}
		part := make([]id.Object, n)
		for i, h := range open[:n] {
			part[i] = h.ID
		}
		open = open[n:]
		v.entered = append(v.entered, part...)
		refs, err := nodeRefs(v.ctx, v.tx, v.space, part)
		if err != nil {
			return nil, err
		}
		for _, r := range refs {
			for o := range objects(r.Children) {
				if !v.known[o] {
					v.known[o] = true
					next = append(next, o)
				}
			}
			for o := range objects(r.Data) {
				v.data = append(v.data, o)
				if len(v.data) == pending {
					if err := v.flush(); err != nil {
						return nil, err
					}
				}
			}
		}
		if v.enough() {
			break
		}
	}
	return next, nil
}

// flush looks up the data that was met.
func (v *verifier) flush() error {
	slices.SortFunc(v.data, compare)
	v.data = slices.Compact(v.data)
	missing, err := Missing(v.ctx, v.tx, v.space, v.data)
	if err != nil {
		return err
	}
	for i, m := range missing {
		if m {
			v.missing = append(v.missing, v.data[i])
		}
	}
	v.data = v.data[:0]
	return nil
}

// objects yields the ids that lie one after another in b.
func objects(b []byte) func(func(id.Object) bool) {
	return func(yield func(id.Object) bool) {
		for ; len(b) >= 16; b = b[16:] {
			if !yield(id.Object(b[:16])) {
				return
			}
		}
	}
}
