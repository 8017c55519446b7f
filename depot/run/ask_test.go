package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// byCode is somebody who is logged in with the recovery code.
func byCode(a actor.Actor) actor.Actor {
	a.ByRecovery = true
	return a
}

// TestBackUpNowAgain: a backup that failed and waits for its next try is due at once for whoever asks.
func TestBackUpNowAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.policy(hourly("Office"))
	r, err := w.BackUpNow(ctx, w.ann, w.laptop.id)
	w.ok(err)
	w.end(w.laptop, w.take(w.laptop), run.EndInput{Outcome: run.OutcomeFailed, Code: "UNAVAILABLE", Retry: true})
	w.idle(w.laptop)
	w.bell.take(run.RingTopic(w.laptop.id))
	for who, ask := range map[string]func() (*run.Run, error){
		"its owner":  func() (*run.Run, error) { return w.BackUpNow(ctx, w.ann, w.laptop.id) },
		"the device": func() (*run.Run, error) { return w.StartByDevice(ctx, w.laptop.actor) },
	} {
		again, err := ask()
		if err != nil || again.ID != r.ID || again.State != run.Waiting || again.DueAt.After(w.now()) {
			t.Errorf("%s: %+v, %v", who, again, err)
		}
	}
	equal(t, "the ring", w.bell.take(run.RingTopic(w.laptop.id)), []string{""})
	if work := w.take(w.laptop); work.Runs[0].ID != r.ID {
		t.Errorf("%+v", work)
	}
}

func TestBackUpNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.BackUpNow(ctx, w.ann, w.laptop.id)
	w.want(err, fault.Conflict, "no policy")
	_, err = w.StartByDevice(ctx, w.laptop.actor)
	w.want(err, fault.Conflict, "no policy")
	w.policy(hourly("Office"))

	r, err := w.BackUpNow(ctx, w.ann, w.laptop.id)
	w.ok(err)
	if r.State != run.Waiting || r.Trigger != run.Owner || *r.AskedBy != w.ann.User || r.PolicyID != nil || r.Slot != nil ||
		r.DeadlineAt.Sub(r.DueAt).Round(time.Second) != 7*24*time.Hour || r.Rate() != 0 {
		t.Errorf("%+v", r)
	}
	equal(t, "the ring", w.bell.take(run.RingTopic(w.laptop.id)), []string{""})
	for who, a := range map[string]actor.Actor{"its owner": w.ann, "an administrator": w.boss} {
		if again, err := w.BackUpNow(ctx, a, w.laptop.id); err != nil || again.ID != r.ID {
			t.Errorf("again by %s: %+v, %v", who, again, err)
		}
	}
	started, err := w.StartByDevice(ctx, w.laptop.actor)
	w.ok(err)
	if started.ID != r.ID {
		t.Error("the device made a second one")
	}
	work := w.take(w.laptop)
	if again, err := w.BackUpNow(ctx, w.ann, w.laptop.id); err != nil || again.ID != r.ID || again.State != run.Running {
		t.Errorf("%+v, %v", again, err)
	}
	sn := w.snapshot(w.laptop)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: sn})
	next, err := w.BackUpNow(ctx, w.boss, w.laptop.id)
	w.ok(err)
	if next.ID == r.ID || next.Trigger != run.Admin || *next.AskedBy != w.boss.User {
		t.Errorf("%+v", next)
	}
	// A slot of the policy is another matter: it waits beside, and one backup answers both.
	w.nextHour()
	w.tick()
	if work = w.take(w.laptop); len(work.Runs) != 2 {
		t.Errorf("%d runs", len(work.Runs))
	}
	started, err = w.StartByDevice(ctx, w.desk.actor)
	w.ok(err)
	if started.Trigger != run.Device || started.AskedBy != nil || started.DeadlineAt.Sub(started.DueAt).Round(time.Second) != 24*time.Hour {
		t.Errorf("%+v", started)
	}
	equal(t, "audited", w.audited("run.ordered", w.ann), []string{"A backup of the device “laptop” was asked for.", "A backup of the device “laptop” was asked for."})

	_, err = w.BackUpNow(ctx, w.bob, w.laptop.id)
	w.want(err, fault.NotFound)
	_, err = w.BackUpNow(ctx, w.ann, id.Device{}.New())
	w.want(err, fault.NotFound)
	_, err = w.BackUpNow(ctx, byCode(w.ann), w.laptop.id)
	w.want(err, fault.Forbidden, "recovery")
	_, err = w.BackUpNow(ctx, w.laptop.actor, w.laptop.id)
	w.want(err, fault.Forbidden)
	_, err = w.StartByDevice(ctx, w.ann)
	w.want(err, fault.Forbidden)
	w.revoke(w.box)
	_, err = w.BackUpNow(ctx, w.bob, w.box.id)
	w.want(err, fault.Conflict, "revoked")
	_, err = w.StartByDevice(ctx, w.box.actor)
	w.want(err, fault.Unauthenticated)
}

func TestRunPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	in := hourly("Office")
	in.Targets = policy.Targets{Devices: []id.Device{w.laptop.id, w.box.id}}
	p := w.policy(in)
	for _, want := range []int{2, 0} {
		if n, err := w.RunPolicy(ctx, w.boss, p.ID); err != nil || n != want {
			t.Fatal(n, err)
		}
	}
	equal(t, "the other device", w.states(w.desk), nil)
	r := w.take(w.box).Runs[0]
	if r.Trigger != run.Admin || *r.PolicyID != p.ID || *r.AskedBy != w.boss.User || r.Slot != nil {
		t.Errorf("%+v", r)
	}
	equal(t, "rung", append(w.bell.take(run.RingTopic(w.laptop.id)), w.bell.take(run.RingTopic(w.box.id))...), []string{"", ""})
	_, err := w.Cancel(ctx, w.boss, get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.laptop.id))
	w.ok(err)
	if n, err := w.RunPolicy(ctx, actor.System(), p.ID); err != nil || n != 1 {
		t.Error(n, err)
	}
	for a, kind := range map[*actor.Actor]fault.Kind{&w.ann: fault.Forbidden, &w.laptop.actor: fault.Forbidden, {}: fault.Unauthenticated} {
		_, err := w.RunPolicy(ctx, *a, p.ID)
		w.want(err, kind)
	}
	_, err = w.RunPolicy(ctx, w.boss, id.Policy{}.New())
	w.want(err, fault.NotFound)
	_, err = w.policies.Enable(ctx, w.boss, p.ID, false)
	w.ok(err)
	_, err = w.RunPolicy(ctx, w.boss, p.ID)
	w.want(err, fault.Conflict, "“Office” is off")
	if n := get[int](w, `SELECT count(*) FROM audit_events WHERE kind = 'policy.run' AND text LIKE '%“Office”%'`); n != 3 {
		t.Errorf("%d lines in the log", n)
	}
}

func TestOrderRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	sn, theirs := w.snapshot(w.laptop), w.snapshot(w.box)
	order := []byte("sealed for the desk")
	r, err := w.OrderRestore(ctx, w.ann, w.desk.id, *sn, order) // of one device, on another
	w.ok(err)
	if r.Kind != run.Restore || r.Trigger != run.Owner || *r.SnapshotID != *sn || r.DeadlineAt.Sub(r.DueAt).Round(time.Second) != 7*24*time.Hour {
		t.Errorf("%+v", r)
	}
	equal(t, "the ring", w.bell.take(run.RingTopic(w.desk.id)), []string{""})
	if log := w.audited("restore.ordered", w.ann); len(log) != 1 || !strings.Contains(log[0], "“desk”") || !strings.Contains(log[0], sn.String()) {
		t.Errorf("%q", log)
	}
	deleted := w.snapshot(w.laptop)
	w.exec(`UPDATE snapshots SET deleted_at = now(), purge_after = now() + interval '1 day' WHERE id = $1`, deleted)
	gone := w.device(w.ann, "gone")
	w.revoke(gone)
	for name, c := range map[string]struct {
		who      actor.Actor
		device   id.Device
		snapshot id.Snapshot
		order    []byte
		kind     fault.Kind
	}{
		"nobody":                    {actor.Actor{}, w.desk.id, *sn, order, fault.Unauthenticated},
		"a device":                  {w.desk.actor, w.desk.id, *sn, order, fault.Forbidden},
		"the recovery code":         {byCode(w.ann), w.desk.id, *sn, order, fault.Forbidden},
		"the system":                {actor.System(), w.desk.id, *sn, order, fault.Forbidden},
		"an administrator":          {w.boss, w.desk.id, *sn, order, fault.NotFound},
		"somebody else's device":    {w.ann, w.box.id, *sn, order, fault.NotFound},
		"an unknown device":         {w.ann, id.Device{}.New(), *sn, order, fault.NotFound},
		"a revoked device":          {w.ann, gone.id, *sn, order, fault.Conflict},
		"somebody else's snapshot":  {w.ann, w.desk.id, *theirs, order, fault.NotFound},
		"a deleted snapshot":        {w.ann, w.desk.id, *deleted, order, fault.NotFound},
		"an order without anything": {w.ann, w.desk.id, *sn, nil, fault.Invalid},
		"a huge order":              {w.ann, w.desk.id, *sn, make([]byte, run.MaxOrder+1), fault.TooLarge},
	} {
		if _, err := w.OrderRestore(ctx, c.who, c.device, c.snapshot, c.order); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	if n := get[int](w, `SELECT count(*) FROM runs`); n != 1 {
		t.Errorf("%d runs", n)
	}
	for range 19 {
		_, err := w.OrderRestore(ctx, w.ann, w.desk.id, *sn, make([]byte, run.MaxOrder))
		w.ok(err)
	}
	_, err = w.OrderRestore(ctx, w.ann, w.desk.id, *sn, order)
	w.want(err, fault.Conflict, "20 restores on “desk”")

	// One that nobody begins is told as what it is.
	w.shift(7*24*time.Hour + time.Second)
	w.sweep()
	if l := w.letters(w.ann); len(l) != 1 || l[0].Kind != "restore.failed" || l[0].Title != "A restore on “desk” was not begun" {
		t.Errorf("%+v", l)
	}
}

// TestLocationsAllowed: a device reads for a restore that is under way, and for nothing else.
func TestLocationsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	r, err := w.OrderRestore(ctx, w.ann, w.desk.id, *w.snapshot(w.laptop), []byte("order"))
	w.ok(err)
	w.want(w.LocationsAllowed(ctx, w.desk.actor, r.ID, 0), fault.Conflict)
	work := w.take(w.desk)
	w.ok(w.LocationsAllowed(ctx, w.desk.actor, r.ID, work.Lease))
	w.want(w.LocationsAllowed(ctx, w.desk.actor, r.ID, work.Lease+1), fault.Conflict)
	w.want(w.LocationsAllowed(ctx, w.laptop.actor, r.ID, work.Lease), fault.Conflict)
	w.want(w.LocationsAllowed(ctx, w.ann, r.ID, work.Lease), fault.Forbidden)
	w.shift(lapse)
	w.want(w.LocationsAllowed(ctx, w.desk.actor, r.ID, work.Lease), fault.Conflict)
	work = w.take(w.desk)
	_, err = w.Cancel(ctx, w.ann, r.ID)
	w.ok(err)
	w.want(w.LocationsAllowed(ctx, w.desk.actor, r.ID, work.Lease), fault.Conflict)
	w.end(w.desk, work, run.EndInput{Outcome: run.OutcomeCancelled})

	w.policy(hourly("Office"))
	backup, err := w.BackUpNow(ctx, w.ann, w.desk.id)
	w.ok(err)
	w.want(w.LocationsAllowed(ctx, w.desk.actor, backup.ID, w.take(w.desk).Lease), fault.Conflict)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.policy(hourly("Office"))
	w.nextHour()
	w.tick()
	w.nextHour()
	w.tick()
	var both []id.Run
	w.ok(w.db.Select(&both, `SELECT id FROM runs WHERE device_id = $1 ORDER BY slot`, w.laptop.id))
	r, err := w.Cancel(ctx, w.ann, both[0])
	w.ok(err)
	if r.State != run.Cancelled || r.Cancelling || r.Code != nil {
		t.Errorf("%+v", r)
	}
	if r, err = w.Cancel(ctx, w.boss, both[0]); err != nil || r.State != run.Cancelled {
		t.Error(r, err)
	}
	w.is(run.Waiting, both[1])

	// Of runs that one backup answers, one stops with all.
	asked, err := w.BackUpNow(ctx, w.ann, w.laptop.id)
	w.ok(err)
	work := w.take(w.laptop)
	w.bell.take(run.Topic(w.ann.User))
	w.bell.take(run.RingTopic(w.laptop.id))
	r, err = w.Cancel(ctx, w.boss, asked.ID)
	w.ok(err)
	if n := len(w.bell.take(run.RingTopic(w.laptop.id))); n != 1 {
		t.Errorf("the device was rung %d times", n)
	}
	if r.State != run.Running || !r.Cancelling || r.SnapshotID != nil {
		t.Errorf("%+v", r)
	}
	if n := len(w.bell.take(run.Topic(w.ann.User))); n != 2 {
		t.Errorf("%d hints", n)
	}
	if !w.run(both[1]).Cancelling {
		t.Error("the other run goes on")
	}
	before := w.dump(asked.ID, both[1])
	_, err = w.Cancel(ctx, w.ann, both[1])
	w.ok(err)
	if w.dump(asked.ID, both[1]) != before {
		t.Error("asking twice changes something")
	}
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeCancelled})
	w.is(run.Cancelled, asked.ID, both[1])
	if n := len(w.audited("run.cancelled", w.ann)); n != 2 {
		t.Errorf("%d lines in the log", n)
	}

	desk := w.take(w.desk)
	done := w.end(w.desk, desk, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.desk)})[0]
	_, err = w.Cancel(ctx, w.ann, done.ID)
	w.want(err, fault.Conflict, "over")
	box := get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1 LIMIT 1`, w.box.id)
	for name, c := range map[string]struct {
		who  actor.Actor
		run  id.Run
		kind fault.Kind
	}{
		"nobody":            {actor.Actor{}, box, fault.Unauthenticated},
		"a device":          {w.box.actor, box, fault.Forbidden},
		"the recovery code": {byCode(w.bob), box, fault.Forbidden},
		"somebody else's":   {w.ann, box, fault.NotFound},
		"an unknown one":    {w.boss, id.Run{}.New(), fault.NotFound},
	} {
		if _, err := w.Cancel(ctx, c.who, c.run); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	r, err = w.Cancel(ctx, actor.System(), box)
	w.ok(err)
	if r.State != run.Cancelled {
		t.Error("not by the system")
	}
}

// An order opens a whole snapshot for whoever has the device's key, so the server keeps it no longer than the device needs it.
func TestOrdersAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sn := w.snapshot(w.laptop)
	order := func() id.Run {
		t.Helper()
		r, err := w.OrderRestore(t.Context(), w.ann, w.laptop.id, *sn, []byte("order"))
		w.ok(err)
		return r.ID
	}
	kept := func(r id.Run, want bool) {
		t.Helper()
		if get[bool](w, `SELECT sealed_order IS NOT NULL FROM runs WHERE id = $1`, r) != want {
			t.Errorf("%s: the order is kept: %t, want %t", w.run(r).State, !want, want)
		}
	}
	done := order()
	work := w.take(w.laptop)
	kept(done, true)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: run.AgentStopped, Retry: true})
	kept(done, true)
	if work = w.take(w.laptop); string(work.Order) != "order" {
		t.Fatalf("the second attempt has the order %q", work.Order)
	}
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Report: []byte("report")})
	kept(done, false)
	if report, err := w.SealedReport(t.Context(), w.ann, done); err != nil || string(report) != "report" {
		t.Errorf("%q, %v", report, err)
	}
	cancelled, missed := order(), order()
	_, err := w.Cancel(t.Context(), w.ann, cancelled)
	w.ok(err)
	w.exec(`UPDATE runs SET deadline_at = clock_timestamp() WHERE id = $1`, missed)
	w.sweep()
	w.is(run.Missed, missed)
	kept(cancelled, false)
	kept(missed, false)
}
