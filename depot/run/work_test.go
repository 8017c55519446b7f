package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestTake hands out one restore, or all backups that are due, and nothing while something is under way.
func TestTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if look := w.idle(w.laptop); look != run.LookEvery+time.Second {
		t.Errorf("without anything, look again in %s", look)
	}
	a, b := hourly("A"), hourly("B")
	b.Roots = []string{"/srv"}
	w.policy(a)
	w.policy(b)
	w.nextHour()
	w.tick()
	w.nextHour()
	w.tick()
	asked, err := w.BackUpNow(ctx, w.ann, w.laptop.id)
	w.ok(err)
	sn := w.snapshot(w.laptop)
	first, err := w.OrderRestore(ctx, w.ann, w.laptop.id, *sn, []byte("one"))
	w.ok(err)
	second, err := w.OrderRestore(ctx, w.ann, w.laptop.id, *sn, []byte("two"))
	w.ok(err)

	one := w.take(w.laptop)
	if len(one.Runs) != 1 || one.Runs[0].ID != first.ID || string(one.Order) != "one" || one.Policy != nil || one.Lease == 0 || one.TTL != 3*time.Minute {
		t.Fatalf("%+v", one)
	}
	if r := one.Runs[0]; r.State != run.Running || r.Attempts != 1 || r.StartedAt == nil || *r.SnapshotID != *sn {
		t.Errorf("%+v", r)
	}
	if look := w.idle(w.laptop); look > 3*time.Minute+time.Second {
		t.Errorf("busy, look again in %s", look)
	}
	w.take(w.desk) // another device is another matter
	w.end(w.laptop, one, run.EndInput{Outcome: run.OutcomeSucceeded})
	if two := w.take(w.laptop); two.Runs[0].ID != second.ID {
		t.Error("not the other restore")
	} else {
		w.end(w.laptop, two, run.EndInput{Outcome: run.OutcomeSucceeded})
	}

	all := w.take(w.laptop)
	if len(all.Runs) != 5 || all.Order != nil || len(all.Policy.Selections) != 2 || all.Lease <= one.Lease {
		t.Fatalf("%d runs, %+v", len(all.Runs), all.Policy)
	}
	if all.Runs[4].ID != asked.ID || all.Runs[0].Slot.After(*all.Runs[2].Slot) {
		t.Error("not the oldest first")
	}
	done := w.end(w.laptop, all, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.laptop)})
	for _, r := range done {
		if r.State != run.Succeeded || *r.SnapshotID != *done[0].SnapshotID || r.Progress.Files != 1200 || r.Progress.Bytes != 1_000_000 || r.Progress.UploadedBytes != 300 {
			t.Errorf("%+v", r)
		}
	}
	if n := get[int](w, `SELECT count(*) FROM snapshots WHERE scheduled`); n != 1 {
		t.Errorf("%d snapshots are subject to retention", n)
	}
	w.idle(w.laptop)

	_, err = w.Take(ctx, w.ann)
	w.want(err, fault.Forbidden)
	_, err = w.Take(ctx, actor.Actor{})
	w.want(err, fault.Unauthenticated)
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, w.bob.User)
	_, err = w.Take(ctx, w.box.actor)
	w.want(err, fault.Unauthenticated, "suspended")
	w.revoke(w.desk)
	_, err = w.Take(ctx, w.desk.actor)
	w.want(err, fault.Unauthenticated, "revoked")
}

// TestWindow has a device wake outside of the window of its policy.
func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	night := hourly("Night")
	night.Schedule = plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{23 * 60}}
	night.Window, night.DeadlineMinutes = &plan.Window{From: 22 * 60, To: 6 * 60}, 2000
	midnight := w.now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	w.goTo(midnight)
	w.policy(night)
	w.goTo(midnight.Add(23*time.Hour + time.Minute))
	w.tick()
	n := get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.laptop.id)
	morning := midnight.Add(31 * time.Hour)
	w.goTo(morning)
	w.idle(w.laptop)
	if r := w.run(n); !r.DueAt.Equal(morning.Add(15*time.Hour)) || r.State != run.Waiting {
		t.Errorf("due at %s", r.DueAt)
	}
	// A backup that begins anyway answers what waits for a window and is due; this one is not any more.
	asked, err := w.BackUpNow(t.Context(), w.ann, w.laptop.id)
	w.ok(err)
	if got := w.take(w.laptop); len(got.Runs) != 1 || got.Runs[0].ID != asked.ID {
		t.Errorf("%d runs", len(got.Runs))
	}
	m := get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.desk.id)
	asked, err = w.BackUpNow(t.Context(), w.ann, w.desk.id)
	w.ok(err)
	if got := w.take(w.desk); len(got.Runs) != 2 || got.Runs[0].ID != m || got.Runs[1].ID != asked.ID {
		t.Errorf("%d runs", len(got.Runs))
	}
	w.goTo(morning.Add(15 * time.Hour))
	w.shift(time.Second)
	if got := w.take(w.laptop); len(got.Runs) != 2 || got.Runs[1].ID != n { // the attempt of the morning has lapsed, and comes with it
		t.Error("not at night either")
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	n, work := w.running()
	p := run.Progress{Phase: "upload", Files: 1, Bytes: 3 << 20, TotalFiles: 3, TotalBytes: 4 << 20, UploadedBytes: 5, Problems: 6}
	in := run.KeepInput{Runs: []id.Run{n, n}, Lease: work.Lease, Backup: w.session(w.laptop), Progress: p}
	w.bell.take(run.Topic(w.ann.User))
	w.shift(2 * time.Second)
	if cancel, err := w.Keep(ctx, w.laptop.actor, in); err != nil || cancel {
		t.Fatal(cancel, err)
	}
	r := w.run(n)
	if r.Progress != p || *r.BackupID != *in.Backup || r.Rate() < 1<<20 || r.Rate() > 3<<19 {
		t.Errorf("%+v at %d bytes a second", r, r.Rate())
	}
	equal(t, "the hint", w.bell.take(run.Topic(w.ann.User)), []string{n.String()})

	// Heartbeats carry it over any time; so does one that is late but comes before anybody looked.
	for range 5 {
		w.shift(2 * time.Minute)
		w.keep(w.laptop, work, nil)
		w.sweep()
	}
	w.shift(time.Hour)
	w.keep(w.laptop, work, nil)
	w.sweep()
	w.is(run.Running, n)
	if r := w.run(n); *r.BackupID != *in.Backup {
		t.Error("a heartbeat without a session forgets the session")
	}

	many := make([]id.Run, run.MaxTake+1)
	for i := range many {
		many[i] = id.Run{}.New()
	}
	theirs := w.session(w.box)
	for name, c := range map[string]struct {
		who  actor.Actor
		in   run.KeepInput
		kind fault.Kind
	}{
		"a person":                {w.ann, in, fault.Forbidden},
		"another device":          {w.box.actor, in, fault.NotFound},
		"another lease":           {w.laptop.actor, run.KeepInput{Runs: in.Runs, Lease: work.Lease + 1}, fault.Conflict},
		"no lease":                {w.laptop.actor, run.KeepInput{Runs: in.Runs}, fault.Conflict},
		"no runs":                 {w.laptop.actor, run.KeepInput{Lease: work.Lease}, fault.Invalid},
		"too many runs":           {w.laptop.actor, run.KeepInput{Runs: many, Lease: work.Lease}, fault.Invalid},
		"one that is unknown":     {w.laptop.actor, run.KeepInput{Runs: []id.Run{n, many[0]}, Lease: work.Lease}, fault.NotFound},
		"somebody else's session": {w.laptop.actor, run.KeepInput{Runs: in.Runs, Lease: work.Lease, Backup: theirs}, fault.Invalid},
		"a long phase":            {w.laptop.actor, run.KeepInput{Runs: in.Runs, Lease: work.Lease, Progress: run.Progress{Phase: strings.Repeat("x", 41)}}, fault.Invalid},
		"a negative count":        {w.laptop.actor, run.KeepInput{Runs: in.Runs, Lease: work.Lease, Progress: run.Progress{Bytes: -1}}, fault.Invalid},
	} {
		before := w.dump(n)
		if _, err := w.Keep(ctx, c.who, c.in); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
		if w.dump(n) != before {
			t.Errorf("%s: something has changed", name)
		}
	}
}

// TestFence has a device sleep through its successor: what it says then is void.
func TestFence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	n, old := w.running()
	w.shift(lapse)
	now := w.take(w.laptop) // the agent was started again, and asks before any sweep
	if now.Runs[0].ID != n || now.Runs[0].Attempts != 2 || now.Lease == old.Lease {
		t.Fatalf("%+v", now.Runs[0])
	}
	before := w.dump(n)
	_, err := w.Keep(ctx, w.laptop.actor, run.KeepInput{Runs: ids(old.Runs), Lease: old.Lease})
	w.want(err, fault.Conflict, "not under way")
	_, err = w.End(ctx, w.laptop.actor, run.EndInput{Runs: ids(old.Runs), Lease: old.Lease, Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.laptop)})
	w.want(err, fault.Conflict, "not under way")
	if w.dump(n) != before {
		t.Error("an old attempt has changed the run")
	}
	w.keep(w.laptop, now, nil)

	// Void is also what is said after the sweep has looked, before anybody takes the run again.
	w.shift(lapse)
	w.sweep()
	_, err = w.End(ctx, w.laptop.actor, run.EndInput{Runs: ids(now.Runs), Lease: now.Lease, Outcome: run.OutcomeFailed, Code: "INTERNAL"})
	w.want(err, fault.Conflict)
	r := w.run(n)
	if r.State != run.Waiting || *r.Code != run.AgentLost || !strings.Contains(*r.Text(), "silent") {
		t.Errorf("%+v", r)
	}
	equal(t, "rung for another attempt", w.bell.take(run.RingTopic(w.laptop.id))[1:], []string{""})
}
