package index

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

func ids(n int) []id.Object {
	all := make([]byte, 16*n)
	rand.Read(all)
	list := make([]id.Object, n)
	for i := range list {
		copy(list[i][:], all[16*i:])
	}
	return list
}

func entries(list []id.Object) []pack.Entry {
	e := make([]pack.Entry, len(list))
	for i, o := range list {
		e[i] = pack.Entry{ID: o, Offset: uint32(100 * i), Length: 100}
	}
	return e
}

func name() (p id.Pack) { rand.Read(p[:]); return p }

// space makes a space and returns its number.
func space(t testing.TB, db *sqlx.DB) (n int) {
	t.Helper()
	if err := db.Get(&n, `INSERT INTO spaces (public_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), 1, 2, 3) RETURNING id`); err != nil {
		t.Fatal(err)
	}
	return n
}

func add(t testing.TB, db *sqlx.DB, space int, e []pack.Entry) (a Added) {
	t.Helper()
	p := Pack{Name: name(), Size: 1 << 24}
	err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) (err error) {
		a, err = Add(t.Context(), tx, space, p, e, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verify(t testing.TB, db *sqlx.DB, space int, root id.Object, limit int) (missing []id.Object) {
	t.Helper()
	err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) (err error) {
		missing, err = Verify(t.Context(), tx, space, root, limit)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return missing
}

// tree makes nodes over data, per chunks a leaf, and a root over all leaves: the root first.
func tree(data []id.Object, per int) []pack.Entry {
	root := pack.Entry{ID: ids(1)[0], Length: 1, Node: true}
	var list []pack.Entry
	for part := range slices.Chunk(data, per) {
		leaf := pack.Entry{ID: ids(1)[0], Length: 1, Node: true, Data: part}
		root.Nodes = append(root.Nodes, leaf.ID)
		list = append(list, leaf)
	}
	return append([]pack.Entry{root}, list...)
}

// More ids than go into one statement, and more references than are held at once.
func TestPortions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	sp := space(t, db)
	data := ids(3*batch + 7)
	if a := add(t, db, sp, entries(data)); a.Objects != int64(len(data)) || a.Existed {
		t.Errorf("%+v", a)
	}
	wide := tree(data, len(data)/2) // leaves of half a megabyte each
	deep := pack.Entry{ID: ids(1)[0], Length: 1, Node: true, Nodes: []id.Object{wide[0].ID}}
	for range 12 { // more than batchBytes on one level
		leaf := pack.Entry{ID: ids(1)[0], Length: 1, Node: true, Data: data[:batch+1]}
		deep.Nodes = append(deep.Nodes, leaf.ID)
		wide = append(wide, leaf)
	}
	add(t, db, sp, append(wide, deep))
	if missing := verify(t, db, sp, deep.ID, 10); len(missing) != 0 {
		t.Errorf("%d missing", len(missing))
	}
	ask := append(ids(3), data...)
	missing, err := Missing(t.Context(), db, sp, ask)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range missing {
		if m != (i < 3) {
			t.Fatalf("object %d: missing %v", i, m)
		}
	}
	loc, packs, err := Locate(t.Context(), db, sp, ask)
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	for i, l := range loc {
		want := Location{0, uint32(100 * (i - 3)), 100}
		if i < 3 {
			want = Location{Pack: -1}
		}
		if l != want {
			t.Fatalf("object %d at %+v, want %+v", i, l, want)
		}
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	list := ids(3)
	slices.SortFunc(list, func(a, b id.Object) int { return bytes.Compare(a[:], b[:]) })
	in := []pack.Entry{{ID: list[2]}, {ID: list[0], Offset: 1}, {ID: list[1]}, {ID: list[0], Offset: 2}}
	got := distinct(in)
	if len(got) != 3 || got[0].ID != list[0] || got[0].Offset != 1 || got[2].ID != list[2] || in[0].ID != list[2] {
		t.Errorf("%+v", got)
	}
}

// fill makes a space with a million objects and some thousand nodes, and returns ids that it holds.
func fill(b *testing.B, db *sqlx.DB, sp int) (known []id.Object) {
	b.Helper()
	for range 50 {
		list := ids(20_000)
		add(b, db, sp, entries(list))
		known = append(known, list[:400]...)
	}
	return known
}

// The three statements on which the speed of a backup rests, in a space with a million objects.
func BenchmarkMillion(b *testing.B) {
	db := pgtest.New(b)
	sp := space(b, db)
	known := fill(b, db, sp)
	b.Run("Add10000", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			e := entries(ids(10_000))
			b.StartTimer()
			add(b, db, sp, e)
		}
	})
	b.Run("Add10000/known", func(b *testing.B) {
		e := entries(ids(10_000))
		add(b, db, sp, e)
		for b.Loop() {
			add(b, db, sp, e)
		}
	})
	b.Run("Missing20000", func(b *testing.B) {
		ask := append(ids(10_000), known[:10_000]...)
		for b.Loop() {
			if _, err := Missing(b.Context(), db, sp, ask); err != nil {
				b.Fatal(err)
			}
		}
	})
	data := ids(200_000)
	add(b, db, sp, entries(data))
	b.Run("Verify200000", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			t := tree(data, 200)
			add(b, db, sp, t)
			b.StartTimer()
			if m := verify(b, db, sp, t[0].ID, 1000); len(m) != 0 {
				b.Fatal(len(m))
			}
		}
	})
	b.Run("VerifyUnchanged", func(b *testing.B) {
		t := tree(data, 200)
		add(b, db, sp, t)
		verify(b, db, sp, t[0].ID, 1000)
		for b.Loop() {
			verify(b, db, sp, t[0].ID, 1000)
		}
	})
}
