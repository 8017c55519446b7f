package gc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// oid is an object's id that looks random.
func oid(kind string, n int) id.Object {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n))
	return id.Object(sum[:16])
}

// forest puts a space into the index: a root of a few branches of leaves of ten chunks each, and as many objects that nothing
// refers to.
func forest(t *testing.T, chunks int) (db *sqlx.DB, space int, root id.Object) {
	t.Helper()
	db = pgtest.New(t)
	if err := db.Get(&space, insertTestSpace); err != nil {
		t.Fatal(err)
	}
	var entries []pack.Entry
	add := func(e pack.Entry) id.Object { entries = append(entries, e); return e.ID }
	var branches, leaves []id.Object
	for i := 0; i < chunks; i += 10 {
		leaf := pack.Entry{ID: oid("leaf", i), Node: true, Length: 1}
		for n := i; n < i+10; n++ {
			leaf.Data = append(leaf.Data, add(pack.Entry{ID: oid("chunk", n), Length: 1}))
			add(pack.Entry{ID: oid("dead", n), Length: 1})
		}
		if leaves = append(leaves, add(leaf)); len(leaves) == 20 {
			branches = append(branches, add(pack.Entry{ID: oid("branch", i), Node: true, Length: 1, Nodes: leaves}))
			leaves = nil
		}
	}
	root = add(pack.Entry{ID: oid("root", 0), Node: true, Length: 1, Nodes: append(branches, leaves...)})
	err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error {
		_, err := index.Add(t.Context(), tx, space, index.Pack{Name: id.Pack{1}, Size: 1}, entries, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, space, root
}

// Whatever the budget, the same objects are found to be alive.
func TestMarkerFindsWhatIsReachable(t *testing.T) {
	t.Parallel()
	const chunks = 2000
	db, space, root := forest(t, chunks)
	count, err := Count(t.Context(), db, space)
	if err != nil || count != 2*chunks+chunks/10+chunks/200+1 {
		t.Fatal(count, err)
	}
	for _, c := range []struct{ budget, count int64 }{{0, count}, {32 << 10, count}, {8 << 10, count}, {4 << 10, 10}} {
		m, ranges := NewMarker(space, c.count, c.budget)
		if err := m.Walk(t.Context(), db, []id.Object{root, root}); err != nil {
			t.Fatal(err)
		}
		if m.Unknown() != 0 || m.Nodes() != chunks/10+chunks/200+1 || !m.Knows(root) || m.Knows(oid("chunk", 1)) {
			t.Errorf("%+v: %d nodes, %d unknown", c, m.Nodes(), m.Unknown())
		}
		seen, dead, passes, pauses := 0, 0, 0, 0
		for len(ranges) > 0 {
			r := ranges[0]
			ranges = ranges[1:]
			passes++
			if err := m.Turn(t.Context(), db, r); err != nil {
				t.Fatal(err)
			}
			if m.Full() {
				halves, err := r.Halve()
				if err != nil {
					t.Fatal(err)
				}
				ranges = append(halves, ranges...)
				continue
			}
			err := Scan(t.Context(), db, space, r, func(h Held) {
				if seen++; !m.Live(h.ID) {
					dead++
				}
			}, func() error { pauses++; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if int64(seen) != count || dead != chunks {
			t.Errorf("%+v: %d of %d objects seen, %d dead", c, seen, count, dead)
		}
		if most := 3 * c.budget / slotSize / 4; c.budget > 0 && int64(m.data.len()) > most {
			t.Errorf("%+v: %d chunks are held", c, m.data.len())
		}
		if (passes == 1) != (c.budget == 0 || c.budget > 64<<10) {
			t.Errorf("%+v: %d passes", c, passes)
		}
	}
}

// Roots that come later are walked as if they had been there, and nodes that are not known are counted.
func TestMarkerGoesOn(t *testing.T) {
	t.Parallel()
	db, space, root := forest(t, 200)
	m, _ := NewMarker(space, 1000, 0)
	if err := m.Walk(t.Context(), db, []id.Object{oid("leaf", 0), oid("nobody", 0)}); err != nil {
		t.Fatal(err)
	}
	if m.Unknown() != 1 || m.Nodes() != 2 || !m.Live(oid("chunk", 9)) || m.Live(oid("chunk", 10)) {
		t.Errorf("%d nodes, %d unknown", m.Nodes(), m.Unknown())
	}
	if err := m.Walk(t.Context(), db, []id.Object{root}); err != nil {
		t.Fatal(err)
	}
	if m.Unknown() != 1 || !m.Live(oid("chunk", 199)) || m.Live(oid("dead", 1)) {
		t.Errorf("%d nodes, %d unknown", m.Nodes(), m.Unknown())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Walk(ctx, db, []id.Object{oid("x", 1)}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := m.Turn(ctx, db, Range{0, 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := Scan(ctx, db, space, Everything, func(Held) {}, func() error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
