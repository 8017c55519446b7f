package run_test

import (
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestSweepRings rings devices that have something to take, every time, and nobody else: a ring may be lost.
func TestSweepRings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(hourly("Office"))
	w.nextHour()
	w.tick()
	w.take(w.desk)
	rung := func(want int, m machine) {
		t.Helper()
		if got := len(w.bell.take(run.RingTopic(m.id))); got != want {
			t.Errorf("rung %d times, want %d", got, want)
		}
	}
	rung(1, w.laptop)
	rung(1, w.desk)
	w.sweep()
	w.sweep()
	rung(2, w.laptop)
	rung(0, w.desk) // is at work
	w.end(w.laptop, w.take(w.laptop), run.EndInput{Outcome: run.OutcomeFailed, Code: "UNAVAILABLE", Retry: true})
	w.sweep()
	rung(0, w.laptop) // waits a minute first
	w.shift(time.Minute + time.Second)
	w.sweep()
	rung(1, w.laptop)
}

// TestSilenceIsNoSuccess unless the session that was at work has made a snapshot since: not an older one, and not of a restore.
func TestSilenceIsNoSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.session(w.laptop)
	sn := w.commit(w.laptop, old, 0)
	n, work := w.running()
	w.keep(w.laptop, work, old)
	restore, err := w.OrderRestore(t.Context(), w.ann, w.desk.id, *sn, []byte("order"))
	w.ok(err)
	desk := w.take(w.desk)
	fresh := w.session(w.desk)
	w.keep(w.desk, desk, fresh)
	w.commit(w.desk, fresh, 0)
	w.shift(lapse)
	w.sweep()
	w.is(run.Waiting, n, restore.ID)
	if r := w.run(restore.ID); *r.SnapshotID != *sn {
		t.Error("another snapshot would be restored")
	}
}

// TestRevoked cancels what a revoked device has, whatever it is doing, and tells nobody that it failed.
func TestRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, _ := w.running()
	w.revoke(w.laptop)
	w.sweep()
	w.is(run.Running, n) // it may still be about to end
	w.shift(lapse)
	w.sweep()
	r := w.run(n)
	if r.State != run.Cancelled || *r.Code != run.DeviceRevoked || *r.Text() != "The device was revoked." {
		t.Errorf("%+v", r)
	}
	equal(t, "told", w.told(w.ann), nil)
}

// TestTextAndRate is what is made of the numbers and words of a run for people.
func TestTextAndRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, work := w.running()
	w.keep(w.laptop, work, nil)
	if r := w.run(n); r.Rate() != 0 || r.Text() != nil { // it has just begun
		t.Errorf("%d, %v", r.Rate(), r.Text())
	}
	w.shift(10 * time.Second)
	if _, err := w.End(t.Context(), w.laptop.actor, run.EndInput{Runs: []id.Run{n}, Lease: work.Lease, Outcome: run.OutcomeFailed, Code: "SOMETHING_NEW", Retry: true, Bytes: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	if r := w.run(n); r.State != run.Waiting || r.Rate() != 0 || *r.Text() != "The device reports SOMETHING_NEW." {
		t.Errorf("%+v: %d, %s", r, r.Rate(), *r.Text())
	}
	w.shift(2 * time.Minute)
	work = w.take(w.laptop)
	w.shift(10 * time.Second)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: "DISK_FULL", Bytes: 1_000_000})
	w.shift(time.Hour)
	if r := w.run(n); r.Rate() < 80_000 || r.Rate() > 100_000 { // of its time, not of the time since
		t.Errorf("%d bytes a second", r.Rate())
	}
}
