package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// content is the body that told gives an object: n bytes that follow from its id.
func content(o id.Object, n int) []byte {
	sum := sha256.Sum256(o[:])
	return bytes.Repeat(sum[:], n/len(sum)+1)[:n]
}

// told packs chunks of n bytes each, and nodes, whose bodies follow from their ids.
func told(n int, data []id.Object, tree ...node) made {
	w := pack.NewWriter(nil)
	m := made{ids: data}
	for _, o := range data {
		w.Add(o, func(dst []byte) []byte { return append(dst, content(o, n)...) })
	}
	for _, t := range tree {
		w.AddNode(t.id, t.nodes, t.data, func(dst []byte) []byte { return append(dst, content(t.id, 48)...) })
		m.ids = append(m.ids[:len(m.ids):len(m.ids)], t.id)
	}
	m.bytes, m.name = w.Finish()
	return m
}

// check reads objects where they are said to lie, and reports whether all are there with the bytes that told gave them.
func (w *world) check(owner actor.Actor, ids []id.Object) bool {
	w.t.Helper()
	loc := must(w.Locations(w.ctx, owner, ids))(w.t)
	packs := map[string][]byte{}
	space := w.spaceOf(owner)
	for i, o := range ids {
		at, off, n := row(loc.Table, i)
		if at == absent {
			return false
		}
		p := loc.Packs[at]
		if packs[p.Name] == nil {
			f := must(w.OpenPack(w.ctx, space, must(id.ParsePack(p.Name))(w.t)))(w.t)
			packs[p.Name] = must(io.ReadAll(f))(w.t)
			f.Close()
		}
		b := packs[p.Name]
		if int(off+n) > len(b) || !bytes.Equal(b[off:off+n], content(o, int(n))) {
			return false
		}
	}
	return true
}

// half commits two snapshots over one pack of chunks of n bytes, one over all and one over every third, and deletes the first.
func (w *world) half(dev, owner actor.Actor, chunks, n int) (kept *Snapshot, all made, tree node) {
	w.t.Helper()
	ids := fresh(chunks)
	whole := node{object(), nil, ids}
	tree = node{id: object()}
	for i := 0; i < len(ids); i += 3 {
		tree.data = append(tree.data, ids[i])
	}
	b := w.begin(dev)
	all = told(n, ids, tree) // with a node that stays, so that its references have to go along
	w.mustUpload(dev, b, all, told(n, nil, whole))
	gone := must(w.commit(dev, b, whole.id))(w.t)
	b = w.begin(dev)
	kept = must(w.commit(dev, b, tree.id))(w.t)
	if err := w.DeleteSnapshot(w.ctx, owner, gone.ID); err != nil {
		w.t.Fatal(err)
	}
	return kept, all, tree
}

func TestCompact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce, func(cfg *Config) { cfg.Quarantine = 0 })
	owner := w.user()
	dev := w.device(owner)
	kept, old, tree := w.half(dev, owner, 90, 1000)
	kept2, old2, tree2 := w.half(dev, owner, 60, 1000)
	entries := must(w.refsOf(w.spaceOf(owner)))(t)
	if r := w.collect(owner, GCOptions{Win: -1, Work: -1}); r.Compacted != 0 || r.Objects != 102 {
		t.Errorf("compacted what it was told not to: %+v", r)
	}
	if r := w.collect(owner, GCOptions{}); r.Compacted != 0 {
		t.Errorf("compacted for less than it should win: %+v", r)
	}
	if r := w.collect(owner, GCOptions{Win: -1, Work: int64(len(old.bytes))}); r.Compacted != 1 || r.Written != 1 || r.Swept != 1 || r.CompactedBytes != int64(len(old.bytes)) {
		t.Errorf("more or less work than was allowed: %+v", r)
	}
	if r := w.collect(owner, all); r.Compacted != 1 || r.Written != 1 || r.Swept != 1 || r.WrittenBytes > int64(len(old2.bytes)/2) {
		t.Errorf("%+v", r)
	}
	w.sound()
	live := append(append(tree.data, tree.id), append(tree2.data, tree2.id)...)
	if !w.check(owner, live) {
		t.Fatal("an object is gone, or has other bytes")
	}
	for _, m := range []made{old, old2} { // in quarantine, for those who have an address
		f := must(w.OpenPack(w.ctx, w.spaceOf(owner), m.name))(t)
		if b := must(io.ReadAll(f))(t); !bytes.Equal(b, m.bytes) {
			t.Error("a pack in quarantine has other bytes")
		}
		f.Close()
	}
	if r := w.collect(owner, all); !r.idle() {
		t.Errorf("compacted what is full: %+v", r)
	}
	// New packs describe themselves as the old ones did.
	w.exec(`UPDATE packs SET swept_at = now() - interval '2 days' WHERE swept_at IS NOT NULL`)
	if r := w.collect(owner, all); r.Unlinked != 4 {
		t.Errorf("%+v", r)
	}
	w.exec(`TRUNCATE objects, nodes, packs, snapshots CASCADE`)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 2 || r.Incomplete != 0 || r.Packs != 2 {
		t.Errorf("%+v", r)
	}
	for o, refs := range must(w.refsOf(w.spaceOf(owner)))(t) {
		if entries[o] != refs {
			t.Error("a node refers to something else now")
		}
	}
	if !w.check(owner, live) {
		t.Error("an object is gone after a rebuild")
	}
	for _, sn := range []*Snapshot{kept, kept2} {
		if !must(w.Begin(w.ctx, dev, &sn.ID))(t).ParentUsable {
			t.Error("a snapshot is no longer complete")
		}
	}
}

// refsOf returns what the index says of the nodes of a space.
func (w *world) refsOf(space id.Space) (map[id.Object]string, error) {
	var rows []struct {
		ID   id.Object
		Refs string
	}
	err := w.db.Select(&rows, `SELECT n.id, encode(n.children, 'hex') || '|' || encode(n.data, 'hex') AS refs
		FROM nodes n JOIN spaces s ON s.id = n.space_id WHERE s.public_id = $1`, space)
	m := map[id.Object]string{}
	for _, r := range rows {
		m[r.ID] = r.Refs
	}
	return m, err
}

// More than one pack comes of it, and one old pack ends up in two new ones.
func TestCompactIntoSeveralPacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	var live []id.Object
	for range 3 {
		_, _, tree := w.half(dev, owner, 42, 1<<20) // 14 of 42 MiB are alive
		live = append(append(live, tree.data...), tree.id)
	}
	r := w.collect(owner, all)
	if r.Compacted != 3 || r.Written != 3 || r.Unlinked != 6 {
		t.Errorf("%+v", r)
	}
	for _, size := range must(w.sizes())(t) {
		if size > pack.Target+pack.MaxBody {
			t.Errorf("a pack of %d bytes", size)
		}
	}
	w.sound()
	if !w.check(owner, live) {
		t.Error("an object is gone, or has other bytes")
	}
}

func (w *world) sizes() (sizes []int64, err error) {
	err = w.db.Select(&sizes, `SELECT size FROM packs`)
	return sizes, err
}

// Damage is never given a right name.
func TestCompactFindsDamage(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"wrong", "lost", "not a pack"} {
		w := newWorld(t, atOnce)
		owner := w.user()
		dev := w.device(owner)
		kept, old, tree := w.half(dev, owner, 30, 100)
		switch how {
		case "wrong":
			w.corrupt(owner, old)
		case "lost":
			w.lose(owner, old)
		case "not a pack": // and its name is right: no upload lets such bytes in, but who knows
			junk := []byte("these are no pack, though their name is their hash, and there are more than forty")
			w.put(w.ctx, packName(w.spaceOf(owner), sum(junk)), junk)
			w.exec(`UPDATE packs SET name = $1, size = $2, dead_bytes = 0 WHERE name = $3`, sum(junk), len(junk), old.name)
		}
		r := w.collect(owner, all)
		if r.Damaged != 1 || r.Compacted != 0 || r.Written != 0 || len(r.Problems) != 1 {
			t.Errorf("%s: %+v", how, r)
		}
		if r := w.collect(owner, all); r.Damaged+r.Compacted != 0 {
			t.Errorf("%s, again: %+v", how, r)
		}
		w.sound()
		if must(w.Begin(w.ctx, dev, &kept.ID))(t).ParentUsable {
			t.Errorf("%s: a snapshot over a damaged pack is believed", how)
		}
		b := w.begin(dev)
		w.mustUpload(dev, b, told(100, tree.data, tree))
		must(w.commit(dev, b, tree.id))(t)
		w.collect(owner, all)
		w.sound()
		if !w.check(owner, append(tree.data, tree.id)) {
			t.Errorf("%s: what was sent again is not there", how)
		}
	}
}

// The store fails at every step of a compaction: rows never point to what is not there.
func TestCompactSurvivesTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	for _, step := range []string{"open", "create", "write", "stat", "commit", "committed"} {
		_, _, tree := w.half(dev, owner, 30, 100)
		w.store.on(func(op, name string) error {
			if op == step && (name == "" || strings.Contains(name, "/packs/")) {
				return errDisk
			}
			return nil
		})
		_, err := w.Collect(w.ctx, system, w.spaceOf(owner), all)
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", step, err)
		}
		w.store.on(nil)
		w.sound()
		live := append(tree.data, tree.id)
		if !w.check(owner, live) {
			t.Errorf("%s: an object is gone", step)
		}
		if r := w.collect(owner, all); r.Compacted != 1 || r.Written != 1 {
			t.Errorf("after %s: %+v", step, r)
		}
		w.sound()
		if !w.check(owner, live) {
			t.Errorf("after %s: an object is gone", step)
		}
	}
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Damaged+r.Missing+r.Incomplete != 0 || r.Adopted != 0 {
		t.Errorf("%+v", r)
	}
}

// While a pack is copied, a scrub finds it damaged and a backup sends its objects again: they stay where the backup put them.
func TestCompactMeetsHealing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	_, old, tree := w.half(dev, owner, 30, 100)
	again := told(100, tree.data[:5])
	done := false
	w.store.on(func(op, name string) error {
		if op != "committed" || done || !strings.Contains(name, "/packs/") {
			return nil
		}
		done = true
		w.exec(`UPDATE packs SET damaged_at = now() WHERE name = $1`, old.name)
		b := w.begin(dev)
		w.mustUpload(dev, b, again)
		w.exec(`UPDATE packs SET damaged_at = NULL WHERE name = $1`, old.name) // it was the disk's cable
		w.Abort(w.ctx, dev, b.ID, b.Fence)
		return nil
	})
	if r := w.collect(owner, all); r.Compacted != 1 || !done {
		t.Errorf("%+v", r)
	}
	w.store.on(nil)
	w.sound()
	if n := get[int](w, `SELECT count(*) FROM objects o JOIN packs p ON p.id = o.pack_id WHERE p.name = $1`, again.name); n != 5 {
		t.Errorf("%d of 5 objects lie where the backup put them", n)
	}
	if !w.check(owner, append(tree.data, tree.id)) {
		t.Error("an object is gone, or has other bytes")
	}
}

// A read that breaks off says nothing about the pack.
func TestCompactDoesNotTakeABrokenReadForDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	w.half(w.device(owner), owner, 30, 100)
	w.cfg.Store = &breaking{w.cfg.Store}
	_, err := w.Collect(w.ctx, system, w.spaceOf(owner), all)
	wantKind(t, err, fault.Unavailable)
	if n := get[int](w, `SELECT count(*) FROM packs WHERE damaged_at IS NOT NULL`); n != 0 {
		t.Error("a pack was flagged on doubt")
	}
}

// breaking is a store whose readers break off.
type breaking struct{ blob.Store }

func (s *breaking) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	r, err := s.Store.Open(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{&broken{io.LimitReader(r, 10), errDisk}, r}, nil
}
