package catalog

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// atOnce is a world in which nothing waits: deletions are final, swept packs are unlinked by the same call.
func atOnce(cfg *Config) { cfg.UndoWindow, cfg.Quarantine, cfg.Grace = -1, -1, -1 }

// all is every option that makes a collection do all that it can.
var all = GCOptions{Win: -1}

func (w *world) collect(owner actor.Actor, o GCOptions) GCReport {
	w.t.Helper()
	return must(w.Collect(w.ctx, system, w.spaceOf(owner), o))(w.t)
}

// sound checks what must hold at every instant.
func (w *world) sound() {
	w.t.Helper()
	for what, query := range map[string]string{
		"objects that point to a pack in quarantine, or to none": `SELECT count(*) FROM objects o LEFT JOIN packs p ON p.id = o.pack_id AND p.space_id = o.space_id
			WHERE p.id IS NULL OR p.swept_at IS NOT NULL`,
		"packs whose books are wrong": `SELECT count(*) FROM packs p WHERE p.objects - p.shadowed - p.dead <> (SELECT count(*) FROM objects o WHERE o.pack_id = p.id)`,
		"nodes without an object":     `SELECT count(*) FROM nodes n WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.space_id = n.space_id AND o.id = n.id)`,
		"nodes that count as complete though a child is missing": `SELECT count(*) FROM nodes n, generate_series(1, length(n.children) - 15, 16) AS at
			WHERE n.complete AND NOT EXISTS (SELECT 1 FROM nodes c WHERE c.space_id = n.space_id AND c.complete
				AND c.id = encode(substr(n.children, at, 16), 'hex')::uuid)`,
		"nodes that count as complete though a chunk is missing": `SELECT count(*) FROM nodes n, generate_series(1, length(n.data) - 15, 16) AS at
			WHERE n.complete AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.space_id = n.space_id
				AND o.id = encode(substr(n.data, at, 16), 'hex')::uuid)`,
	} {
		if n := get[int](w, query); n != 0 {
			w.t.Errorf("%d %s", n, what)
		}
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev := w.device(anna)
	kept, keptPacks := w.backup(dev, 30)
	gone, gonePacks := w.backup(dev, 30)
	space := w.spaceOf(anna)
	if r := w.collect(anna, all); !r.idle() || r.Space != space || r.Nodes != 4 || r.Passes != 1 {
		t.Errorf("nothing to clean: %+v", r)
	}
	if err := w.DeleteSnapshot(w.ctx, anna, gone.ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE packs SET created_at = now() - interval '30 days'`)
	if r := w.collect(anna, all); r.Objects+r.Purged+r.Swept != 0 {
		t.Errorf("cleaned what can still be taken back: %+v", r)
	}
	w.exec(`UPDATE snapshots SET purge_after = now() WHERE id = $1`, gone.ID)
	size := int64(len(gonePacks[0].bytes) + len(gonePacks[1].bytes))
	dry := w.collect(anna, GCOptions{DryRun: true})
	if dry.Purged != 1 || dry.Objects != 32 || dry.ObjectBytes != 30*32+2*48 || dry.Nodes != 2 || dry.Swept != 0 {
		t.Errorf("dry: %+v", dry)
	}
	if n := get[int](w, `SELECT count(*) FROM objects`); n != 64 {
		t.Errorf("a dry run deleted: %d objects are left", n)
	}
	r := w.collect(anna, all)
	if r.Purged != 1 || r.Objects != 32 || r.ObjectBytes != dry.ObjectBytes || r.Swept != 2 || r.SweptBytes != size || r.Unlinked != 0 {
		t.Errorf("%+v", r)
	}
	w.sound()
	w.readable(anna, keptPacks...)
	if loc := must(w.Locations(w.ctx, anna, gonePacks[0].ids))(t); len(loc.Packs) != 0 {
		t.Error("swept objects have a place")
	}
	// Who has its address reads a pack in quarantine.
	f := must(w.OpenPack(w.ctx, space, gonePacks[0].name))(t)
	if body, err := f.Range(0, -1); err != nil {
		t.Error(err)
	} else {
		body.Close()
	}
	u := must(w.Usage(w.ctx, anna, anna.User))(t)
	if u.Objects != 32 || u.StoredBytes != int64(len(keptPacks[0].bytes)+len(keptPacks[1].bytes)) || u.Snapshots != 1 {
		t.Errorf("usage %+v", u)
	}
	for _, name := range w.names() {
		if name == snapshotName(space, gone.ID) || name == deletionName(space, gone.ID) {
			t.Errorf("%s is left", name)
		}
	}
	w.exec(`UPDATE packs SET swept_at = now() - interval '23 hours' WHERE swept_at IS NOT NULL`)
	if r := w.collect(anna, all); r.Unlinked != 0 {
		t.Errorf("unlinked too soon: %+v", r)
	}
	w.exec(`UPDATE packs SET swept_at = now() - interval '25 hours' WHERE swept_at IS NOT NULL`)
	if r := w.collect(anna, GCOptions{DryRun: true}); r.Unlinked != 2 || r.UnlinkedBytes != size {
		t.Errorf("dry: %+v", r)
	}
	if r := w.collect(anna, all); r.Unlinked != 2 || r.UnlinkedBytes != size {
		t.Errorf("%+v", r)
	}
	if n := len(w.names()); n != 4 { // two packs, a snapshot, the space
		t.Errorf("the store has %v", w.names())
	}
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); len(r.Problems) != 0 || r.Packs != 2 {
		t.Errorf("scrub: %+v", r)
	}
	must(w.Snapshot(w.ctx, anna, kept.ID))(t)
	w.readable(anna, keptPacks...)
	if !must(w.Begin(w.ctx, dev, &kept.ID))(t).ParentUsable {
		t.Error("the snapshot that is left is no parent")
	}
	page := must(carelog.List(w.ctx, w.db, system, "gc", 10, ""))(t)
	if len(page.Entries) != 2 || page.Entries[0].OK == nil || !*page.Entries[0].OK || *page.Entries[1].Space != space {
		t.Errorf("the log of care has %+v", page.Entries)
	}
}

func TestCollectRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	w.backup(w.device(anna), 1)
	space := w.spaceOf(anna)
	for _, a := range []actor.Actor{{}, anna, w.device(anna), {User: anna.User, Role: actor.Admin}} {
		if _, err := w.Collect(w.ctx, a, space, all); err == nil {
			t.Errorf("%+v may clean", a)
		}
		if _, err := w.Spaces(w.ctx, a); err == nil {
			t.Errorf("%+v may list spaces", a)
		}
	}
	_, err := w.Collect(w.ctx, system, id.Space{}.New(), all)
	wantKind(t, err, fault.NotFound)
	if got := must(w.Spaces(w.ctx, system))(t); len(got) != 1 || got[0] != space {
		t.Errorf("spaces %v", got)
	}
	release, err := w.cleaner(w.ctx, get[int](w, `SELECT id FROM spaces`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Collect(w.ctx, system, space, all)
	wantKind(t, err, fault.Conflict)
	release()
	must(w.Collect(w.ctx, system, space, all))(t)
	w.exec(`UPDATE spaces SET owner_id = NULL`)
	_, err = w.Collect(w.ctx, system, space, all)
	wantKind(t, err, fault.Conflict)
	if got := must(w.Spaces(w.ctx, system))(t); len(got) != 0 {
		t.Errorf("spaces %v", got)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Collect(ctx, system, space, all); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := w.CollectDue(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// While a backup runs nothing is deleted; packs are compacted all the same, and the backup goes on undisturbed.
func TestCollectWaitsForBackups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	anna := w.user()
	dev, other := w.device(anna), w.device(anna)
	gone, _ := w.backup(dev, 10)
	b := w.begin(other)
	if err := w.DeleteSnapshot(w.ctx, anna, gone.ID); err != nil {
		t.Fatal(err)
	}
	r := w.collect(anna, all)
	if !r.Busy || r.Purged != 1 || r.Objects+r.Swept != 0 {
		t.Errorf("%+v", r)
	}
	if due := must(w.due(w.ctx, must(spaceOf(w.ctx, w.db, anna.User))(t)))(t); !due.Sweep {
		t.Error("what was put off is forgotten")
	}
	if err := w.Abort(w.ctx, other, b.ID, b.Fence); err != nil {
		t.Fatal(err)
	}
	if n := must(w.CollectDue(w.ctx))(t); n != 1 {
		t.Errorf("%d spaces cleaned", n)
	}
	if n := get[int](w, `SELECT count(*) FROM objects`); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	if n := must(w.CollectDue(w.ctx))(t); n != 0 {
		t.Errorf("%d spaces cleaned for nothing", n)
	}
}

// What a backup that broke off has stored waits for its next try, and is swept after that. A node among it must not be
// believed complete when what it referred to is gone.
func TestGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *Config) { cfg.UndoWindow, cfg.Quarantine = -1, -1 })
	anna := w.user()
	dev := w.device(anna)
	gone, packs := w.backup(dev, 10)
	w.exec(`UPDATE packs SET created_at = now() - interval '8 days' WHERE name = $1`, packs[0].name) // the chunks; the tree is young
	if err := w.DeleteSnapshot(w.ctx, anna, gone.ID); err != nil {
		t.Fatal(err)
	}
	b := w.begin(dev)
	late := chunks(fresh(3)...)
	w.mustUpload(dev, b, late)
	w.Abort(w.ctx, dev, b.ID, b.Fence)
	r := w.collect(anna, all)
	if r.Objects != 10 || r.Young != 5 || r.Swept != 1 {
		t.Errorf("%+v", r)
	}
	w.sound()
	b = w.begin(dev)
	for i, miss := range must(w.Missing(w.ctx, dev, b.ID, b.Fence, late.ids))(t) {
		if miss {
			t.Errorf("chunk %d of the broken backup is gone", i)
		}
	}
	_, err := w.commit(dev, b, id.Object(gone.Root)) // its nodes are there, its chunks are not
	wantKind(t, err, fault.ObjectsMissing)
	w.mustUpload(dev, b, chunks(packs[0].ids...))
	sn := must(w.commit(dev, b, id.Object(gone.Root)))(t)
	if due := must(w.due(w.ctx, must(spaceOf(w.ctx, w.db, anna.User))(t)))(t); due.Sweep {
		t.Error("there is something to sweep before the grace is over")
	}
	w.exec(`UPDATE packs SET created_at = now() - interval '8 days'`)
	w.exec(`UPDATE spaces SET dirty_at = dirty_at - interval '8 days'`)
	if n := must(w.CollectDue(w.ctx))(t); n != 1 {
		t.Errorf("%d spaces cleaned", n)
	}
	for i, miss := range must(w.Missing(w.ctx, dev, w.begin(dev).ID, get[int64](w, `SELECT max(fence) FROM backups`), late.ids))(t) {
		if !miss {
			t.Errorf("chunk %d of the broken backup is still there", i)
		}
	}
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	w.sound()
}

// A broken backup alone makes its space due once its grace is over.
func TestBrokenBackupsAreSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *Config) { cfg.Grace = time.Hour })
	anna := w.user()
	dev := w.device(anna)
	w.backup(dev, 2)
	b := w.begin(dev)
	w.mustUpload(dev, b, chunks(fresh(3)...))
	w.Abort(w.ctx, dev, b.ID, b.Fence)
	if n := must(w.CollectDue(w.ctx))(t); n != 0 {
		t.Error("too soon")
	}
	w.exec(`UPDATE packs SET created_at = now() - interval '2 hours'`)
	w.exec(`UPDATE backups SET ended_at = now() - interval '90 minutes' WHERE state = 'aborted'`)
	if n := must(w.CollectDue(w.ctx))(t); n != 1 {
		t.Error("it is not due")
	}
	if n := get[int](w, `SELECT count(*) FROM objects`); n != 4 {
		t.Errorf("%d objects are left", n)
	}
	if n := must(w.CollectDue(w.ctx))(t); n != 0 {
		t.Error("it is due again")
	}
}

// A commit that takes its time holds the sweep up; the sweep gives up and comes again.
func TestCollectGivesUpWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner, _, _ := w.dying()
	tx := must(w.db.Beginx())(t)
	defer tx.Rollback()
	if err := lockShared(w.ctx, tx, get[int](w, `SELECT id FROM spaces`)); err != nil {
		t.Fatal(err)
	}
	if r := w.collect(owner, all); !r.Busy || r.Objects != 0 {
		t.Errorf("%+v", r)
	}
	tx.Rollback()
	if r := w.collect(owner, all); r.Busy || r.Objects != 7 {
		t.Errorf("%+v", r)
	}
}
