package gc

import (
	"bytes"
	"context"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	batch      = 20_000  // ids in one statement
	nodeBatch  = 1_000   // nodes that are looked up at once
	batchBytes = 4 << 20 // of references that are held at once; a single node may have more
)

// Marker knows what is reachable in one space. It is used by one goroutine at a time.
type Marker struct {
	space int
	nodes *set // reached, of the whole space
	data  *set // reached, of the range
	where Range
	full  bool // the chunks of the range did not fit: data lacks some

	unknown int64 // nodes that were reached and that the index does not have
}

// NewMarker returns a marker of a space with about so many objects that marks the chunks of one range of ids at a time, in
// budget bytes (0: [DefaultBudget]), and the ranges into which it should be cut. It has marked nothing, in the first of them.
func NewMarker(space int, objects int64, budget int64) (*Marker, []Range) {
	if budget == 0 {
		budget = DefaultBudget
	}
	most := 1 << 4 // ids that the table holds
	for int64(most)*2*slotSize <= budget {
		most *= 2
	}
	most = most / 4 * 3
	expected := int(min(objects+objects/20+100, int64(most)))
	parts := int((objects+objects/10)/int64(most)) + 1
	ranges := Everything.Split(parts)
	return &Marker{space: space, nodes: newSet(0, false), data: newSet(expected, true), where: ranges[0]}, ranges
}

// Nodes is the number of nodes that were reached.
func (m *Marker) Nodes() int { return m.nodes.len() }

// Unknown is the number of nodes that were reached and that the index does not have: what lies below them was not.
func (m *Marker) Unknown() int64 { return m.unknown }

// Knows reports whether a root, or any node, was reached.
func (m *Marker) Knows(node id.Object) bool { return m.nodes.has(node) }

// Full reports that the chunks of the range do not fit into the budget, so that [Marker.Live] is no answer.
func (m *Marker) Full() bool { return m.full }

// Live reports whether an object of the marker's range was reached.
func (m *Marker) Live(o id.Object) bool { return m.nodes.has(o) || m.data.has(o) }

// Walk marks what is reachable from roots: all nodes, and the chunks of the range. It may be called again with more of
// them. After an error the marker is of no use.
func (m *Marker) Walk(ctx context.Context, q sqlx.QueryerContext, roots []id.Object) error {
	for next := m.meet(nil, roots); len(next) > 0; {
		level := next
		next = nil
		err := m.refs(ctx, q, level, true, func(r refRow) {
			next = m.meet(next, ids(r.Children))
			m.mark(r.Data)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// meet marks nodes and appends those that are new to next.
func (m *Marker) meet(next, nodes []id.Object) []id.Object {
	for _, o := range nodes {
		if fresh, _ := m.nodes.add(o); fresh {
			next = append(next, o)
		}
	}
	return next
}

// mark marks the chunks of the range among those that lie one after another in b.
func (m *Marker) mark(b []byte) {
	for ; len(b) >= 16 && !m.full; b = b[16:] {
		if o := id.Object(b[:16]); m.where.Has(o) {
			_, ok := m.data.add(o)
			m.full = !ok
		}
	}
}

// Turn goes over to another range of ids: it marks its chunks and forgets those of the last one. If it stands there
// already, and they fitted, there is nothing to do. After an error the marker is of no use.
func (m *Marker) Turn(ctx context.Context, q sqlx.QueryerContext, r Range) error {
	if r == m.where && !m.full {
		return nil
	}
	m.where, m.full = r, false
	m.data.clear()
	part := make([]id.Object, 0, batch)
	flush := func() error {
		err := m.refs(ctx, q, part, false, func(r refRow) { m.mark(r.Data) })
		part = part[:0]
		return err
	}
	for o := range m.nodes.all {
		if part = append(part, o); len(part) == batch {
			if err := flush(); err != nil || m.full {
				return err
			}
		}
	}
	return flush()
}

// refs calls visit with what each of the nodes refers to; with count, nodes that the index does not have are counted.
func (m *Marker) refs(ctx context.Context, q sqlx.QueryerContext, nodes []id.Object, count bool, visit func(refRow)) error {
	slices.SortFunc(nodes, compare)
	for part := range slices.Chunk(nodes, nodeBatch) {
		heads, err := nodeHeads(ctx, q, m.space, part)
		if err != nil {
			return err
		}
		if count {
			m.unknown += int64(len(part) - len(heads))
		}
		for len(heads) > 0 {
			size, n := 0, 0
			for n < len(heads) && (n == 0 || size+heads[n].Size <= batchBytes) {
				size += heads[n].Size
				n++
			}
			some := make([]id.Object, n)
			for i, h := range heads[:n] {
				some[i] = h.ID
			}
			heads = heads[n:]
			rows, err := nodeRefs(ctx, q, m.space, some)
			if err != nil {
				return err
			}
			for _, r := range rows {
				visit(r)
			}
		}
	}
	return nil
}

// ids is the list of ids that lie one after another in b.
func ids(b []byte) []id.Object {
	list := make([]id.Object, 0, len(b)/16)
	for ; len(b) >= 16; b = b[16:] {
		list = append(list, id.Object(b[:16]))
	}
	return list
}

func compare(a, b id.Object) int { return bytes.Compare(a[:], b[:]) }
