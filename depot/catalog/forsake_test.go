package catalog

import (
	"context"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestSnapshotsAreForsaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	dev := w.device(anna)
	first, _ := w.backup(dev, 2)
	second, _ := w.backup(dev, 1)
	other, _ := w.backup(w.device(ben), 1)
	must(w.PinSnapshot(w.ctx, anna, first.ID, true))(t)
	for _, a := range []actor.Actor{{}, anna, dev} {
		if _, err := w.Forsake(w.ctx, a, anna.User); err == nil {
			t.Errorf("%+v may", a)
		}
	}
	if n := must(w.Forsake(w.ctx, system, anna.User))(t); n != 2 {
		t.Errorf("%d snapshots", n)
	}
	if n := must(w.Forsake(w.ctx, system, anna.User))(t); n != 0 {
		t.Errorf("again %d snapshots", n)
	}
	if n := must(w.Forsake(w.ctx, system, w.user().User))(t); n != 0 {
		t.Errorf("%d snapshots of nobody", n)
	}
	must(w.Snapshot(w.ctx, ben, other.ID))(t)
	if got := strings.Join(w.kinds(anna), " "); !strings.HasSuffix(got, "snapshots.forsaken") || strings.Count(got, "forsaken") != 1 {
		t.Error(got)
	}
	// As long as the keys are the old ones, they can be taken back.
	if list := must(w.DeletedSnapshots(w.ctx, anna))(t); len(list) != 2 {
		t.Fatalf("%d can be taken back", len(list))
	}
	must(w.RestoreDeleted(w.ctx, anna, first.ID))(t)
	must(w.Forsake(w.ctx, system, anna.User))(t)
	w.exec(`UPDATE users SET rekeyed_at = clock_timestamp() WHERE id = $1`, anna.User)
	if list := must(w.DeletedSnapshots(w.ctx, anna))(t); len(list) != 0 {
		t.Errorf("%d can be taken back that nobody can open", len(list))
	}
	_, err := w.RestoreDeleted(w.ctx, anna, second.ID)
	wantKind(t, err, fault.NotFound)
	// What is made with the new keys is taken back as ever.
	third, _ := w.backup(dev, 1)
	if err := w.DeleteSnapshot(w.ctx, anna, third.ID); err != nil {
		t.Fatal(err)
	}
	must(w.RestoreDeleted(w.ctx, anna, third.ID))(t)

	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Forsake(ctx, system, anna.User); err == nil {
		t.Error("no error without a database")
	}
	must(w.Snapshot(w.ctx, anna, third.ID))(t)
}
