package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func (w *world) kinds(owner actor.Actor) (kinds []string) {
	w.t.Helper()
	for _, e := range must(audit.List(w.ctx, w.db, owner, 100, ""))(w.t).Entries {
		kinds = append(kinds, e.Kind)
	}
	slices.Reverse(kinds)
	return kinds
}

func TestDeletionsAreTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	dev := w.device(anna)
	sn, packs := w.backup(dev, 3)
	w.backup(w.device(ben), 1)
	name := deletionName(w.spaceOf(anna), sn.ID)
	_, err := w.RestoreDeleted(w.ctx, anna, sn.ID)
	wantKind(t, err, fault.NotFound) // it is live
	if err := w.DeleteSnapshot(w.ctx, anna, sn.ID); err != nil {
		t.Fatal(err)
	}
	list := must(w.DeletedSnapshots(w.ctx, anna))(t)
	if len(list) != 1 || list[0].ID != sn.ID || list[0].DeletedAt == nil || list[0].PurgeAfter.Sub(*list[0].DeletedAt) != 7*24*time.Hour {
		t.Fatalf("%+v", list)
	}
	for _, a := range []actor.Actor{{}, system, dev, ben, {User: anna.User, Role: actor.Staff, ByRecovery: true}} {
		if _, err := w.RestoreDeleted(w.ctx, a, sn.ID); err == nil {
			t.Errorf("%+v may take it back", a)
		}
		if _, err := w.PinSnapshot(w.ctx, a, sn.ID, true); err == nil {
			t.Errorf("%+v may pin it", a)
		}
		if list, err := w.DeletedSnapshots(w.ctx, a); err == nil && len(list) != 0 && a.User != anna.User {
			t.Errorf("%+v sees it", a)
		}
	}
	back := must(w.RestoreDeleted(w.ctx, anna, sn.ID))(t)
	if back.DeletedAt != nil || back.PurgeAfter != nil || back.ID != sn.ID {
		t.Errorf("%+v", back)
	}
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	w.readable(anna, packs...)
	if list := must(w.DeletedSnapshots(w.ctx, anna))(t); len(list) != 0 || slices.Contains(w.names(), name) {
		t.Errorf("%v, %v", list, w.names())
	}
	if got := strings.Join(w.kinds(anna), " "); got != "snapshot.deleted snapshot.restored" {
		t.Error(got)
	}
	_, err = w.RestoreDeleted(w.ctx, w.user(), sn.ID) // a user without a space
	wantKind(t, err, fault.NotFound)
}

// The record of a deletion leaves the store first: a crash after that leaves a snapshot that a rebuild brings back.
func TestTakingBackSurvivesTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	sn, _ := w.backup(w.device(anna), 3)
	w.DeleteSnapshot(w.ctx, anna, sn.ID)
	w.store.on(func(op, name string) error {
		if op == "delete" {
			return errDisk
		}
		return nil
	})
	if _, err := w.RestoreDeleted(w.ctx, anna, sn.ID); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	w.store.on(nil)
	if list := must(w.DeletedSnapshots(w.ctx, anna))(t); len(list) != 1 {
		t.Error("it is no longer deleted, though its record says so")
	}
	w.exec(`ALTER TABLE audit_events RENAME TO away`)
	if _, err := w.RestoreDeleted(w.ctx, anna, sn.ID); err == nil {
		t.Fatal("it was taken back without a line in the log")
	}
	w.exec(`ALTER TABLE away RENAME TO audit_events`)
	w.exec(`TRUNCATE snapshots`)
	must(w.RebuildIndex(w.ctx, system, nil))(t)
	if list := must(w.DeletedSnapshots(w.ctx, anna))(t); len(list) != 1 || !list[0].PurgeAfter.After(time.Now().Add(6*24*time.Hour)) {
		t.Error("a rebuild does not bring it back as deleted, with a window of its own")
	}
	must(w.RestoreDeleted(w.ctx, anna, sn.ID))(t)
	w.exec(`TRUNCATE snapshots`)
	must(w.RebuildIndex(w.ctx, system, nil))(t)
	must(w.Snapshot(w.ctx, anna, sn.ID))(t)
}

// Who sets the window is asked at every deletion.
func TestUndoWindow(t *testing.T) {
	t.Parallel()
	window, failing := 3*time.Hour, error(nil)
	w := newWorld(t, func(cfg *Config) {
		cfg.Undo = func(context.Context) (time.Duration, error) { return window, failing }
	})
	anna := w.user()
	dev := w.device(anna)
	sn := w.aged(dev, []int{1, 2})
	if err := w.DeleteSnapshot(w.ctx, anna, sn[0].ID); err != nil {
		t.Fatal(err)
	}
	if d := must(w.DeletedSnapshots(w.ctx, anna))(t)[0]; d.PurgeAfter.Sub(*d.DeletedAt) != window {
		t.Errorf("%+v", d)
	}
	w.exec(`DELETE FROM snapshots WHERE id = $1`, sn[0].ID)
	failing = errDisk
	if err := w.DeleteSnapshot(w.ctx, anna, sn[1].ID); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if _, err := w.Retain(w.ctx, system, dev.Device, last(1)); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if _, err := w.RebuildIndex(w.ctx, system, nil); !errors.Is(err, errDisk) {
		t.Error(err)
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	sn, _ := w.backup(w.device(anna), 3)
	pinned := must(w.PinSnapshot(w.ctx, anna, sn.ID, true))(t)
	if pinned.PinnedAt == nil {
		t.Fatalf("%+v", pinned)
	}
	if again := must(w.PinSnapshot(w.ctx, anna, sn.ID, true))(t); !again.PinnedAt.Equal(*pinned.PinnedAt) {
		t.Error("pinned again")
	}
	wantKind(t, w.DeleteSnapshot(w.ctx, anna, sn.ID), fault.Conflict)
	if free := must(w.PinSnapshot(w.ctx, anna, sn.ID, false))(t); free.PinnedAt != nil {
		t.Errorf("%+v", free)
	}
	must(w.PinSnapshot(w.ctx, anna, sn.ID, false))(t)
	if err := w.DeleteSnapshot(w.ctx, anna, sn.ID); err != nil {
		t.Fatal(err)
	}
	_, err := w.PinSnapshot(w.ctx, anna, sn.ID, true)
	wantKind(t, err, fault.NotFound)
	if got := strings.Join(w.kinds(anna), " "); got != "snapshot.pinned snapshot.unpinned snapshot.deleted" {
		t.Error(got)
	}
}

// aged makes backups of a device so many days old, newest first as given, with so many problems each.
func (w *world) aged(dev actor.Actor, days []int, problems ...int) (list []*Snapshot) {
	w.t.Helper()
	for i, d := range days {
		sn, _ := w.backup(dev, 1)
		p := 0
		if i < len(problems) {
			p = problems[i]
		}
		w.exec(`UPDATE snapshots SET created_at = clock_timestamp() - make_interval(days => $2), problems = $3 WHERE id = $1`, sn.ID, d, p)
		err := pg.InTx(w.ctx, w.db, func(tx *sqlx.Tx) error { return MarkScheduled(w.ctx, tx, dev.Device, sn.ID) })
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, sn)
	}
	return list
}

func last(n int) []plan.Rule { return []plan.Rule{{Retention: plan.Retention{Last: n}}} }

func TestRetain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	dev, other := w.device(anna), w.device(anna)
	list := w.aged(dev, []int{1, 2, 3, 4, 5, 6}, 1, 1, 0, 0, 0)
	others := w.aged(other, []int{1, 2})
	byHand, _ := w.backup(dev, 1)
	must(w.PinSnapshot(w.ctx, anna, list[5].ID, true))(t)

	preview := must(w.RetentionPreview(w.ctx, anna, dev.Device, last(1)))(t)
	r := must(w.Retain(w.ctx, system, dev.Device, last(1)))(t)
	if r != (RetainReport{Kept: 3, Deleted: 3}) { // the newest, the newest good one, the pinned one
		t.Errorf("%+v", r)
	}
	var left []id.Snapshot
	for _, sn := range must(w.Snapshots(w.ctx, anna, SnapshotFilter{Device: &dev.Device}, 50, ""))(t).Snapshots {
		left = append(left, sn.ID)
	}
	if want := []id.Snapshot{byHand.ID, list[0].ID, list[2].ID, list[5].ID}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	for _, p := range preview {
		if p.Keep != slices.Contains(left, p.Snapshot) || p.Keep != (len(p.Reasons) > 0) {
			t.Errorf("the preview said %+v", p)
		}
		if p.Snapshot == byHand.ID && (p.Scheduled || p.Reasons[0] != "manual") {
			t.Errorf("%+v", p)
		}
	}
	if len(preview) != 7 || !preview[0].Pinned || preview[0].Snapshot != list[5].ID {
		t.Errorf("%+v", preview)
	}
	if r := must(w.Retain(w.ctx, system, dev.Device, last(1)))(t); r != (RetainReport{Kept: 3}) {
		t.Errorf("again: %+v", r)
	}
	if r := must(w.Retain(w.ctx, system, dev.Device, nil))(t); r != (RetainReport{Kept: 3}) {
		t.Errorf("without rules: %+v", r)
	}
	if n := len(must(w.DeletedSnapshots(w.ctx, anna))(t)); n != 3 {
		t.Errorf("%d can be taken back", n)
	}
	must(w.RestoreDeleted(w.ctx, anna, list[1].ID))(t)
	if got := strings.Join(w.kinds(anna), " "); got != "snapshot.pinned snapshots.retired snapshot.restored" {
		t.Error(got)
	}
	for _, sn := range others {
		must(w.Snapshot(w.ctx, anna, sn.ID))(t)
	}
	// What was deleted by rule comes back as deleted.
	w.exec(`TRUNCATE snapshots`)
	must(w.RebuildIndex(w.ctx, system, nil))(t)
	if n := len(must(w.DeletedSnapshots(w.ctx, anna))(t)); n != 2 {
		t.Errorf("after a rebuild %d can be taken back", n)
	}
}

func TestRetainRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	dev := w.device(anna)
	list := w.aged(dev, []int{1, 2, 3})
	admin := actor.Actor{User: ben.User, Role: actor.Admin}
	for _, a := range []actor.Actor{{}, anna, dev, admin} {
		if _, err := w.Retain(w.ctx, a, dev.Device, last(1)); err == nil {
			t.Errorf("%+v may apply rules", a)
		}
	}
	for _, a := range []actor.Actor{{}, ben, dev} {
		if _, err := w.RetentionPreview(w.ctx, a, dev.Device, last(1)); err == nil {
			t.Errorf("%+v sees a preview", a)
		}
	}
	_, err := w.RetentionPreview(w.ctx, ben, dev.Device, last(1))
	wantKind(t, err, fault.NotFound)
	_, err = w.RetentionPreview(w.ctx, admin, id.Device{}.New(), last(1))
	wantKind(t, err, fault.NotFound)
	must(w.RetentionPreview(w.ctx, admin, dev.Device, last(1)))(t)
	if r := must(w.Retain(w.ctx, system, id.Device{}.New(), last(1)))(t); r != (RetainReport{}) {
		t.Errorf("%+v", r)
	}
	wantKind(t, pg.InTx(w.ctx, w.db, func(tx *sqlx.Tx) error { return MarkScheduled(w.ctx, tx, w.device(anna).Device, list[0].ID) }), fault.NotFound)

	// The store fails: nothing is deleted, and nothing says so.
	n := 0
	w.store.on(func(op, name string) error {
		if op == "committed" {
			if n++; n == 2 {
				return errDisk
			}
		}
		return nil
	})
	if _, err := w.Retain(w.ctx, system, dev.Device, last(1)); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	w.store.on(nil)
	for _, sn := range list {
		must(w.Snapshot(w.ctx, anna, sn.ID))(t)
		if slices.Contains(w.names(), deletionName(w.spaceOf(anna), sn.ID)) {
			t.Error("the record of a deletion that did not happen was left")
		}
	}
	// The rows disagree with the rules: somebody has changed what the rules take for granted.
	w.exec(`CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
		CREATE TRIGGER hide BEFORE UPDATE ON snapshots FOR EACH ROW EXECUTE FUNCTION hide()`)
	if r, err := w.Retain(w.ctx, system, dev.Device, last(1)); err == nil {
		t.Errorf("%+v", r)
	}
	w.exec(`DROP TRIGGER hide ON snapshots`)
	// Future ones are left alone and count for nothing.
	w.exec(`UPDATE snapshots SET created_at = clock_timestamp() + interval '1 day' WHERE id = $1`, list[2].ID)
	if r := must(w.Retain(w.ctx, system, dev.Device, last(1)))(t); r != (RetainReport{Kept: 2, Deleted: 1}) {
		t.Errorf("%+v", r)
	}
	must(w.Snapshot(w.ctx, anna, list[0].ID))(t)
}

func TestRetainGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	w.backup(dev, 1)
	w.exec(`INSERT INTO snapshots (id, space_id, device_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes, scheduled)
		SELECT gen_random_uuid(), space_id, device_id, root, manifest, now() - make_interval(days => n), files, bytes, 0, 0, true
		FROM snapshots, generate_series(1, 250) AS n`)
	if r := must(w.Retain(w.ctx, system, dev.Device, last(3)))(t); r != (RetainReport{Kept: 3, Deleted: MaxRetain, More: true}) {
		t.Errorf("%+v", r)
	}
	if r := must(w.Retain(w.ctx, system, dev.Device, last(3)))(t); r != (RetainReport{Kept: 3, Deleted: 47}) {
		t.Errorf("%+v", r)
	}
	if n := get[int](w, `SELECT count(*) FROM snapshots WHERE scheduled AND deleted_at IS NULL AND created_at > now() - interval '4 days'`); n != 3 {
		t.Errorf("%d of the newest are left", n)
	}
}
