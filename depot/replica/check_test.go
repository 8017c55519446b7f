package replica_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestCheck: what has gone from a replica, or has another size, is copied again; strangers are counted and left alone.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sn := w.backup()
	w.backup()
	w.copy()
	lost, short := w.file(w.there, sn, 0), w.file(w.there, sn, 1)
	w.ok(os.Remove(lost))
	w.ok(os.Truncate(short, 5))
	record := w.there + "/" + catalog.SnapshotName(w.space(), sn)
	w.ok(os.Remove(record))
	stray := catalog.PackName(w.space(), id.Pack{1})
	blobtest.Put(t, w.faulty.Store, stray, []byte("x"))
	blobtest.Put(t, w.faulty.Store, "spaces/notes", []byte("x"))
	r, err := w.Check(w.ctx, actor.System(), replica.CheckEvery)
	w.ok(err)
	if st := w.state(); r.Missing != 1 || r.Damaged != 1 || st.Missing != 1 || st.Damaged != 1 || st.Strays != 1 || st.LagPacks != 2 || st.CheckedAt == nil {
		t.Errorf("%+v, %+v", r, st)
	}
	if r, err := w.Check(w.ctx, actor.System(), replica.CheckEvery); err != nil || !r.Idle() {
		t.Errorf("again at once: %+v, %v", r, err)
	}
	if r := w.copy(); r.Packs != 2 || r.Records != 1 {
		t.Errorf("%+v", r)
	}
	w.ok(os.Remove(w.there + "/" + stray))
	w.ok(os.Remove(w.there + "/spaces/notes"))
	w.same()
	w.shift(25 * time.Hour)
	if r, err := w.Check(w.ctx, actor.System(), replica.CheckEvery); err != nil || !r.Idle() {
		t.Errorf("%+v, %v", r, err)
	}
	w.shift(25 * time.Hour)
	for _, op := range []blobtest.Op{blobtest.List, blobtest.Stat} {
		w.ok(os.Rename(lost, lost+".gone"))
		w.faulty.Fail(op, 0, 1, blobtest.ErrGone)
		if _, err := w.Check(w.ctx, actor.System(), replica.CheckEvery); !errors.Is(err, fault.Unavailable) || w.state().LagPacks != 0 {
			t.Errorf("%s: %v", op, err)
		}
		w.ok(os.Rename(lost+".gone", lost))
	}
	if _, err := w.Check(w.ctx, w.ann, 0); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
}

// TestSeeded: what somebody carried to the place before is found and not copied again.
func TestSeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.backup()
	w.copy()
	w.exec(`DELETE FROM replicas`)
	w.begin()
	w.faulty = nil
	r, err := w.Check(w.ctx, actor.System(), replica.CheckEvery)
	w.ok(err)
	if st := w.state(); !r.Idle() || st.LagPacks != 0 {
		t.Errorf("%+v, %+v", r, st)
	}
	w.copy()
	w.exec(`DELETE FROM replicas`)
	w.begin()
	if r := w.copy(); r.Packs != 0 || w.faulty.Calls(blobtest.Commit) != 0 {
		t.Errorf("%+v", r)
	}
	w.same()
}

// TestScrub: reading goes round in slices, and a wrong copy is replaced by the right one, after that was read to its end.
func TestScrub(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.backup(), w.backup()
	w.copy()
	w.rot(w.file(w.there, first, 0))
	w.ok(os.Remove(w.file(w.there, second, 1)))
	var total replica.Report
	for range 2 {
		r, err := w.Scrub(w.ctx, actor.System(), time.Hour, 2*time.Hour)
		w.ok(err)
		if n := r.Verified + r.Damaged + r.Missing; n != 2 {
			t.Errorf("%+v: %d of 4", r, n)
		}
		total.Verified, total.Damaged, total.Missing = total.Verified+r.Verified, total.Damaged+r.Damaged, total.Missing+r.Missing
	}
	if total.Verified != 2 || total.Damaged != 1 || total.Missing != 1 {
		t.Errorf("%+v", total)
	}
	if _, err := w.Scrub(w.ctx, actor.System(), time.Hour, 2*time.Hour); err != nil || w.state().ScrubbedAt == nil {
		t.Errorf("the round has no end: %v", err)
	}
	// As long as the store has no right bytes, the wrong ones stay: most of them are right.
	w.rot(w.file(w.dir, first, 0))
	w.copy()
	if _, err := os.Stat(w.file(w.there, first, 0)); err != nil {
		t.Error(err)
	}
	w.rot(w.file(w.dir, first, 0))
	w.shift(2 * time.Minute)
	w.copy()
	w.same()
	if st := w.state(); st.Damaged != 1 || st.LagPacks != 0 {
		t.Errorf("%+v", st)
	}
	// A bad sector counts as wrong bytes; a replica that is away counts as nothing.
	w.faulty.Fail(blobtest.Read, 0, 1, blobtest.ErrGone)
	if r, err := w.Scrub(w.ctx, actor.System(), time.Hour, time.Hour); err != nil || r.Damaged != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	w.copy()
	w.faulty.Fail(blobtest.Open, 0, -1, blobtest.ErrGone)
	w.exec(`UPDATE replicas SET scrubbed_pack = 0`)
	if _, err := w.Scrub(w.ctx, actor.System(), time.Hour, time.Hour); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	w.faulty.Heal()
	if _, err := w.Scrub(w.ctx, w.ann, 1, 1); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
}

// TestMend: a scrub of the store fetches back what is damaged or lost, and downloads do without it until then.
func TestMend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.backup(), w.backup()
	w.copy()
	lost, rotten := w.file(w.dir, first, 0), w.file(w.dir, second, 1)
	w.ok(os.Remove(lost))
	w.rot(rotten)
	f, err := w.catalog.OpenPack(w.ctx, w.space(), w.packs[first][0])
	w.ok(err)
	b, err := io.ReadAll(f)
	if want := contents(t, w.there)[catalog.PackName(w.space(), w.packs[first][0])]; err != nil || string(b) != want {
		t.Errorf("reading what is lost: %d bytes, %v", len(b), err)
	}
	r, err := w.catalog.Scrub(w.ctx, actor.System(), 0, nil)
	w.ok(err)
	if r.Mended != 2 || r.Damaged != 0 || r.Missing != 0 || len(r.Problems) != 2 {
		t.Errorf("%+v", r)
	}
	w.same()
	if n := w.count(`SELECT count(*) FROM packs WHERE damaged_at IS NOT NULL`); n != 0 {
		t.Error(n)
	}
	if r, err := w.catalog.Scrub(w.ctx, actor.System(), 0, nil); err != nil || r.Mended != 0 || r.Verified != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}
