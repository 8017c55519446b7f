package catalog

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// refuses checks that a collection finds a reason to doubt, and deletes nothing.
func (w *world) refuses(space id.Space) {
	w.t.Helper()
	before, names := w.dump(), len(w.names())
	_, err := w.Collect(w.ctx, system, space, all)
	wantKind(w.t, err, fault.Conflict)
	if w.dump() != before || len(w.names()) != names {
		w.t.Error("something was deleted on doubt")
	}
}

// A snapshot whose record is in the store and whose row is not: its commit failed at its end, or the rows are of yesterday.
func TestCollectAdoptsSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	sn, packs := w.backup(dev, 3)
	w.exec(`DELETE FROM snapshots`)
	if r := w.collect(owner, GCOptions{DryRun: true}); r.Adopted != 0 {
		t.Errorf("a dry run adopted: %+v", r)
	}
	if r := w.collect(owner, all); r.Adopted != 1 || r.Objects != 0 {
		t.Errorf("%+v", r)
	}
	must(w.Snapshot(w.ctx, owner, sn.ID))(t)
	w.readable(owner, packs...)
}

// A commit that is under way has written its record: nobody meddles.
func TestCollectLeavesACommitAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	leaf := node{id: object()}
	w.mustUpload(dev, b, nodes(leaf))
	w.store.on(func(op, name string) error {
		if op == "committed" {
			c := &collection{s: w.Service, sp: must(spaceOf(w.ctx, w.db, owner.User))(t)}
			if err := c.adopt(w.ctx); err != nil || c.report.Adopted != 0 {
				t.Errorf("%+v, %v", c.report, err)
			}
		}
		return nil
	})
	must(w.commit(dev, b, leaf.id))(t)
	w.store.on(nil)
	if r := w.collect(owner, all); !r.idle() {
		t.Errorf("%+v", r)
	}
}

// The database is a copy of yesterday's: today's packs and snapshots are in the store only.
func TestCollectDoubtsAnOlderDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	gone, _ := w.backup(dev, 3)
	today, packs := w.backup(dev, 3)
	w.exec(`DELETE FROM objects WHERE pack_id IN (SELECT id FROM packs WHERE name IN ($1, $2))`, packs[0].name, packs[1].name)
	w.exec(`DELETE FROM nodes WHERE id IN ($1, $2)`, packs[1].ids[0], packs[1].ids[1])
	w.exec(`DELETE FROM packs WHERE name IN ($1, $2)`, packs[0].name, packs[1].name)
	w.exec(`DELETE FROM snapshots WHERE id = $1`, today.ID)
	w.exec(`UPDATE snapshots SET deleted_at = now(), purge_after = now() WHERE id = $1`, gone.ID)
	w.refuses(w.spaceOf(owner))
	if _, err := w.CollectDue(w.ctx); !errors.Is(err, fault.Conflict) {
		t.Error(err)
	}
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 1 {
		t.Errorf("%+v", r)
	}
	if r := w.collect(owner, all); r.Purged != 1 || r.Objects != 5 {
		t.Errorf("%+v", r)
	}
	must(w.Snapshot(w.ctx, owner, today.ID))(t)
	w.readable(owner, packs...)
	w.sound()
}

// A snapshot is known, but a node of its tree is not: it may be in a pack that is not known yet.
func TestCollectDoubtsATreeWithHoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	data := chunks(fresh(3)...)
	leaf := node{object(), nil, data.ids}
	root := node{object(), []id.Object{leaf.id}, nil}
	leaves := nodes(leaf)
	w.mustUpload(dev, b, data, leaves, nodes(root))
	must(w.commit(dev, b, root.id))(t)
	w.exec(`DELETE FROM objects WHERE id = $1`, leaf.id)
	w.exec(`DELETE FROM nodes WHERE id = $1`, leaf.id)
	w.exec(`DELETE FROM packs WHERE name = $1`, leaves.name)
	w.refuses(w.spaceOf(owner))
	// It is lost for good: what hung below it can never be found again.
	w.lose(owner, leaves)
	if r := w.collect(owner, all); r.Objects != 3 || r.Swept != 1 {
		t.Errorf("%+v", r)
	}
}

func TestCollectDoubtsARecordThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	w.backup(dev, 3)
	sn, _ := w.backup(dev, 3)
	name := snapshotName(w.spaceOf(owner), sn.ID)
	good := must(w.get(w.ctx, name, 1<<20))(t)
	w.mem.Corrupt(name, func(b []byte) []byte { return b[:20] })
	w.exec(`DELETE FROM snapshots WHERE id = $1`, sn.ID)
	w.refuses(w.spaceOf(owner))
	w.mem.Corrupt(name, func([]byte) []byte { return good })
	if r := w.collect(owner, all); r.Adopted != 1 || r.Objects != 0 {
		t.Errorf("%+v", r)
	}
}

// The index is being rebuilt while it is cleaned: a snapshot comes whose tree is not there yet.
func TestCollectMeetsARebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner, dev, packs := w.dying()
	w.meanwhile(func() {
		w.exec(`INSERT INTO snapshots (id, space_id, device_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes)
			SELECT gen_random_uuid(), id, $1, gen_random_uuid(), 'x', now(), 0, 0, 0, 0 FROM spaces`, dev.Device)
	})
	_, err := w.Collect(w.ctx, system, w.spaceOf(owner), all)
	wantKind(t, err, fault.Conflict)
	if n := w.absent(owner, packs[0].ids); n != 0 {
		t.Errorf("%d objects were deleted", n)
	}
}

// The store does not answer, at any step: nothing is deleted that is not known to be dead.
func TestCollectSurvivesTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	for _, step := range []string{"list", "delete"} {
		sn, _ := w.backup(dev, 3)
		_, packs := w.backup(dev, 3)
		if err := w.DeleteSnapshot(w.ctx, owner, sn.ID); err != nil {
			t.Fatal(err)
		}
		w.store.on(func(op, name string) error {
			if op == step {
				return errDisk
			}
			return nil
		})
		if _, err := w.Collect(w.ctx, system, w.spaceOf(owner), all); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", step, err)
		}
		w.store.on(nil)
		w.sound()
		w.readable(owner, packs...)
		if r := w.collect(owner, all); r.Purged != 1 || r.Objects != 5 || r.Unlinked != 2 {
			t.Errorf("after %s: %+v", step, r)
		}
	}
}

// A spare copy is no copy too many while a pack is damaged.
func TestSparesAreKeptWhileThereIsDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	first, second := chunks(fresh(4)...), made{}
	second = chunks(first.ids...)
	leaf := node{object(), nil, first.ids}
	w.mustUpload(dev, b, first, second, nodes(leaf))
	must(w.commit(dev, b, leaf.id))(t)
	w.exec(`UPDATE packs SET damaged_at = now() WHERE name = $1`, first.name) // found by a scrub that was broken off there
	w.corrupt(owner, first)
	if r := w.collect(owner, all); r.Swept != 0 {
		t.Errorf("%+v", r)
	}
	must(w.Scrub(w.ctx, system, 0, nil))(t)
	w.exec(`UPDATE nodes SET complete = false`)
	must(w.Scrub(w.ctx, system, 0, nil))(t)
	if r := w.collect(owner, all); r.Swept != 1 || r.Unlinked != 1 {
		t.Errorf("%+v", r)
	}
	w.readable(owner, second)
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Damaged+r.Missing != 0 {
		t.Errorf("the damaged pack is gone, and yet: %+v", r)
	}
}

// The books say that a pack is empty, and they are wrong. The objects themselves have the last word.
func TestUnlinkAsksTheObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	_, packs := w.backup(w.device(owner), 3)
	w.exec(`UPDATE packs SET swept_at = now() WHERE name = $1`, packs[0].name)
	if r := w.collect(owner, all); r.Unlinked != 0 || len(r.Problems) != 1 {
		t.Errorf("%+v", r)
	}
	w.sound()
	w.readable(owner, packs...)
	if r := w.collect(owner, all); !r.idle() {
		t.Errorf("%+v", r)
	}
}

// A rebuild after a loss of the database takes packs out of quarantine that were there; the next cleaning finds them again.
func TestRebuildMeetsTheQuarantine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce, func(cfg *Config) { cfg.Quarantine = 0 })
	owner, dev, dead := w.dying()
	_, packs := w.backup(dev, 3)
	w.collect(owner, all)
	// A scrub leaves them alone, even if they are lost.
	w.lose(owner, dead[1])
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); len(r.Problems) != 0 || r.Verified != 2 {
		t.Errorf("%+v", r)
	}
	for _, tables := range []string{"", "packs, objects, nodes"} {
		if tables != "" {
			w.exec(`TRUNCATE ` + tables + ` CASCADE`)
		}
		if r := must(w.RebuildIndex(w.ctx, system, nil))(t); len(r.Problems) != 0 {
			t.Errorf("%+v", r)
		}
		w.sound()
		if n := must(w.CollectDue(w.ctx))(t); n != 1 {
			t.Errorf("%d spaces were cleaned", n)
		}
		w.sound()
		if n := w.absent(owner, dead[0].ids); n != 5 {
			t.Errorf("%d of 5 dead objects are gone again", n)
		}
		w.readable(owner, packs...)
	}
}

// A deletion was killed between its record and its row. The snapshot is live, and must not come back from a rebuild as deleted.
func TestCollectWithdrawsBrokenDeletions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	dev := w.device(owner)
	sn, packs := w.backup(dev, 3)
	deleted, _ := w.backup(dev, 3)
	name := deletionName(w.spaceOf(owner), sn.ID)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	w.store.on(func(op, at string) error {
		if op == "committed" && at == name {
			cancel()
		}
		return nil
	})
	if err := w.DeleteSnapshot(ctx, owner, sn.ID); err == nil {
		t.Fatal("it was deleted after all")
	}
	w.store.on(nil)
	if err := w.DeleteSnapshot(w.ctx, owner, deleted.ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE snapshots SET purge_after = now() + interval '1 day' WHERE id = $1`, deleted.ID)
	w.collect(owner, GCOptions{DryRun: true})
	if !slices.Contains(w.names(), name) {
		t.Error("a dry run removed a record")
	}
	w.collect(owner, all)
	if slices.Contains(w.names(), name) || !slices.Contains(w.names(), deletionName(w.spaceOf(owner), deleted.ID)) {
		t.Errorf("%v", w.names())
	}
	w.exec(`TRUNCATE snapshots`)
	must(w.RebuildIndex(w.ctx, system, nil))(t)
	must(w.Snapshot(w.ctx, owner, sn.ID))(t)
	w.readable(owner, packs...)
}

// The pack that a compaction wrote rots. What it was copied from is still in quarantine, and stands in.
func TestQuarantineIsASpare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce, func(cfg *Config) { cfg.Quarantine = 0 })
	owner := w.user()
	dev := w.device(owner)
	kept, _, tree := w.half(dev, owner, 30, 100)
	if r := w.collect(owner, all); r.Compacted != 1 {
		t.Fatalf("%+v", r)
	}
	name := get[id.Pack](w, `SELECT name FROM packs WHERE swept_at IS NULL AND objects > shadowed + dead`)
	w.mem.Corrupt(packName(w.spaceOf(owner), name), func(b []byte) []byte { b[5] ^= 1; return b })
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Damaged != 1 || r.Incomplete != 0 {
		t.Errorf("%+v", r)
	}
	w.sound()
	if !w.check(owner, append(tree.data, tree.id)) {
		t.Error("an object is gone, or has other bytes")
	}
	if !must(w.Begin(w.ctx, dev, &kept.ID))(t).ParentUsable {
		t.Error("the snapshot is whole, and yet no parent")
	}
}
