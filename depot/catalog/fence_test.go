package catalog

import (
	"errors"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// meanwhile runs f once, in the moment between marking and the first lock.
func (w *world) meanwhile(f func()) {
	var once sync.Once
	w.fence.before = func() { once.Do(f) }
}

// dying returns a device with a backup whose snapshot the next collection purges.
func (w *world) dying() (owner, dev actor.Actor, packs []made) {
	w.t.Helper()
	owner = w.user()
	dev = w.device(owner)
	sn, packs := w.backup(dev, 5)
	if err := w.DeleteSnapshot(w.ctx, owner, sn.ID); err != nil {
		w.t.Fatal(err)
	}
	return owner, dev, packs
}

// absent counts the objects that cannot be read.
func (w *world) absent(owner actor.Actor, ids []id.Object) (n int) {
	w.t.Helper()
	loc := must(w.Locations(w.ctx, owner, ids))(w.t)
	for i := range ids {
		if at, _, _ := row(loc.Table, i); at == absent {
			n++
		}
	}
	return n
}

// A whole backup happens between marking and sweeping, and it refers to what is just about to be swept. With the fence nothing
// of it is lost. Without it, it is: this test would notice.
func TestSweepSeesWhatWasCommittedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, fenced := range []bool{true, false} {
		w := newWorld(t, atOnce)
		owner, dev, packs := w.dying()
		w.fence.noRoots = !fenced
		w.meanwhile(func() {
			b := w.begin(dev)
			for _, miss := range must(w.Missing(w.ctx, dev, b.ID, b.Fence, packs[0].ids))(t) {
				if miss {
					t.Error("swept too soon")
				}
			}
			leaf := node{object(), nil, packs[0].ids}
			w.mustUpload(dev, b, nodes(leaf))
			must(w.commit(dev, b, leaf.id))(t)
		})
		r := w.collect(owner, all)
		switch n := w.absent(owner, packs[0].ids); {
		case fenced && (n != 0 || r.Objects != 2 || r.Swept != 1):
			t.Errorf("%d objects of a live snapshot are lost: %+v", n, r)
		case !fenced && n != 5:
			t.Errorf("without the fence %d objects were lost: this test notices nothing", n)
		}
		if fenced {
			w.sound()
			w.readable(owner, packs[0])
		}
	}
}

// A session begins between marking and sweeping, and is told that it need not send what is about to be swept.
func TestSweepHonoursWhatASessionWasTold(t *testing.T) {
	t.Parallel()
	for _, fenced := range []bool{true, false} {
		w := newWorld(t, atOnce)
		owner, dev, packs := w.dying()
		w.fence.noSessions = !fenced
		var b *Begun
		w.meanwhile(func() {
			b = w.begin(dev)
			for _, miss := range must(w.Missing(w.ctx, dev, b.ID, b.Fence, packs[0].ids))(t) {
				if miss {
					t.Error("swept too soon")
				}
			}
		})
		if r := w.collect(owner, all); r.Busy != fenced {
			t.Errorf("%+v", r)
		}
		leaf := node{object(), nil, packs[0].ids}
		w.mustUpload(dev, b, nodes(leaf))
		_, err := w.commit(dev, b, leaf.id)
		if fenced {
			must(0, err)(t)
			w.readable(owner, packs[0])
			w.collect(owner, all)
			w.readable(owner, packs[0])
			w.sound()
		} else {
			wantKind(t, err, fault.ObjectsMissing) // it was deceived
		}
	}
}

// A device that was asleep while its space was cleaned.
func TestSweptSessionIsVoid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	sent, late := chunks(fresh(4)...), chunks(fresh(4)...)
	leaf := node{object(), nil, sent.ids}
	w.mustUpload(dev, b, sent, nodes(leaf))
	w.exec(`UPDATE backups SET last_seen_at = now() - interval '1 week'`)
	if r := w.collect(owner, all); r.Busy || r.Objects != 5 || r.Unlinked != 2 {
		t.Errorf("%+v", r)
	}
	_, err := w.Missing(w.ctx, dev, b.ID, b.Fence, sent.ids)
	wantKind(t, err, fault.SessionExpired)
	_, err = w.upload(dev, b, late)
	wantKind(t, err, fault.SessionExpired)
	_, err = w.upload(dev, b, sent)
	wantKind(t, err, fault.SessionExpired)
	_, err = w.commit(dev, b, leaf.id)
	wantKind(t, err, fault.SessionExpired)
	if n := get[int](w, `SELECT count(*) FROM packs`); n != 0 || len(w.names()) != 1 {
		t.Errorf("%d packs, %v in the store", n, w.names())
	}
}

// Whoever takes back a deletion has all of it, whenever they do.
func TestUndeleteMeetsTheSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce, func(cfg *Config) { cfg.UndoWindow = 0 })
	owner, dev, packs := w.dying()
	other, otherPacks := w.backup(dev, 3)
	if err := w.DeleteSnapshot(w.ctx, owner, other.ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE snapshots SET purge_after = now() WHERE id = $1`, other.ID)
	deleted := must(w.DeletedSnapshots(w.ctx, owner))(t)
	if len(deleted) != 1 {
		t.Fatalf("%d can be taken back", len(deleted))
	}
	w.meanwhile(func() { must(w.RestoreDeleted(w.ctx, owner, deleted[0].ID))(t) })
	if r := w.collect(owner, all); r.Objects != 5 || r.Purged != 1 {
		t.Errorf("%+v", r)
	}
	w.readable(owner, packs...)
	w.sound()
	if n := w.absent(owner, otherPacks[0].ids); n != 3 {
		t.Errorf("%d of 3 objects of a purged snapshot were swept", n)
	}
	_, err := w.RestoreDeleted(w.ctx, owner, other.ID)
	wantKind(t, err, fault.NotFound)
	if !must(w.Begin(w.ctx, dev, &deleted[0].ID))(t).ParentUsable {
		t.Error("the snapshot is no parent")
	}
}

// Whoever else cleans the space, or purges in it, ends a collection before it deletes anything.
func TestCollectionsFenceEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner, _, packs := w.dying()
	w.meanwhile(func() { w.exec(`UPDATE spaces SET epoch = epoch + 1`) })
	_, err := w.Collect(w.ctx, system, w.spaceOf(owner), all)
	wantKind(t, err, fault.Conflict)
	if !errors.Is(err, errOther) || w.absent(owner, packs[0].ids) != 0 {
		t.Error(err)
	}
	if r := w.collect(owner, all); r.Objects != 7 {
		t.Errorf("%+v", r)
	}
}

// A pack is sent again while it is in quarantine, and a pack of which a part was swept.
func TestSweptPacksComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce, func(cfg *Config) { cfg.Quarantine = 0 })
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	c := chunks(fresh(4)...)
	whole, part := node{object(), nil, c.ids}, node{object(), nil, c.ids[:3]} // three of four: not worth a compaction
	trees := []made{nodes(whole), nodes(part)}
	w.mustUpload(dev, b, c, trees[0])
	first := must(w.commit(dev, b, whole.id))(t)
	b = w.begin(dev)
	w.mustUpload(dev, b, trees[1])
	second := must(w.commit(dev, b, part.id))(t)
	again := func(existed bool) {
		t.Helper()
		b := w.begin(dev)
		if got, err := w.upload(dev, b, c); got != existed || err != nil {
			t.Fatal(got, err)
		}
		for i, miss := range must(w.Missing(w.ctx, dev, b.ID, b.Fence, c.ids))(t) {
			if miss {
				t.Errorf("object %d is missing", i)
			}
		}
		w.sound()
		w.readable(owner, c)
		w.Abort(w.ctx, dev, b.ID, b.Fence)
	}
	again(true)
	if err := w.DeleteSnapshot(w.ctx, owner, first.ID); err != nil {
		t.Fatal(err)
	}
	if r := w.collect(owner, all); r.Objects != 2 || r.Swept != 1 {
		t.Errorf("%+v", r)
	}
	w.sound()
	again(false)
	w.collect(owner, all)
	if err := w.DeleteSnapshot(w.ctx, owner, second.ID); err != nil {
		t.Fatal(err)
	}
	if r := w.collect(owner, all); r.Objects != 4 || r.Swept != 2 {
		t.Errorf("%+v", r)
	}
	if b := w.begin(dev); !b.SpaceEmpty {
		t.Error("a space with nothing but packs in quarantine is not empty")
	} else {
		w.Abort(w.ctx, dev, b.ID, b.Fence)
	}
	again(false)
}

// A pack that holds copies of what lies in another one as well is sent again after the other one's were swept.
func TestSweptCopiesComeBack(t *testing.T) {
	t.Parallel()
	for _, quarantined := range []bool{true, false} {
		w := newWorld(t, atOnce, func(cfg *Config) { cfg.Quarantine = 0 })
		owner := w.user()
		dev := w.device(owner)
		b := w.begin(dev)
		first := chunks(fresh(4)...)
		second := first // the same objects
		if second = chunks(first.ids...); !quarantined {
			second = chunks(append(fresh(1), first.ids...)...)
		}
		leaf := node{object(), nil, first.ids}
		w.mustUpload(dev, b, first, second, nodes(leaf))
		gone := must(w.commit(dev, b, leaf.id))(t)
		if !quarantined {
			b = w.begin(dev)
			other := node{object(), nil, second.ids[:1]}
			w.mustUpload(dev, b, nodes(other))
			must(w.commit(dev, b, other.id))(t)
		}
		w.collect(owner, GCOptions{Work: -1})
		if err := w.DeleteSnapshot(w.ctx, owner, gone.ID); err != nil {
			t.Fatal(err)
		}
		w.collect(owner, GCOptions{Work: -1})
		if n := w.absent(owner, first.ids); n != 4 {
			t.Fatalf("%d of 4 objects were swept", n)
		}
		b = w.begin(dev)
		w.mustUpload(dev, b, second)
		if n := w.absent(owner, second.ids); n != 0 {
			t.Errorf("in quarantine %v: a pack was taken, and %d of its objects are not stored", quarantined, n)
		}
		w.sound()
	}
}
