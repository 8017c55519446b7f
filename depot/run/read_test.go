package run_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestWhoSees holds that runs are read through their owner, and what administrators do not learn.
func TestWhoSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	n, work := w.running()
	b := w.session(w.laptop)
	w.keep(w.laptop, work, b)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.commit(w.laptop, b, 0)})
	for name, c := range map[string]struct {
		who             actor.Actor
		sees, snapshots bool
	}{
		"its owner":         {w.ann, true, true},
		"the recovery code": {byCode(w.ann), true, true},
		"its device":        {w.laptop.actor, true, true},
		"the system":        {actor.System(), true, true},
		"an administrator":  {w.boss, true, false},
		"another device":    {w.desk.actor, false, false},
		"somebody else":     {w.bob, false, false},
	} {
		r, err := w.Run(ctx, c.who, n)
		if c.sees != (err == nil) || err != nil && fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r != nil && (r.SnapshotID != nil) != c.snapshots {
			t.Errorf("%s: snapshot %v", name, r.SnapshotID)
		}
		if r != nil && (r.BackupID != nil) != c.snapshots {
			t.Errorf("%s: session %v", name, r.BackupID)
		}
		m, err := w.Latest(ctx, c.who, []id.Device{w.laptop.id, w.box.id}, 5)
		w.ok(err)
		if (len(m[w.laptop.id]) == 1) != c.sees {
			t.Errorf("%s: %d runs of the device", name, len(m[w.laptop.id]))
		}
		h, err := w.Health(ctx, c.who, []id.Device{w.laptop.id})
		w.ok(err)
		if (h[w.laptop.id] != nil) != c.sees {
			t.Errorf("%s: health %v", name, h)
		}
	}
	nobody := actor.Actor{}
	_, err := w.Run(ctx, nobody, n)
	w.want(err, fault.Unauthenticated)
	_, err = w.Latest(ctx, nobody, nil, 1)
	w.want(err, fault.Unauthenticated)
	_, err = w.Health(ctx, nobody, nil)
	w.want(err, fault.Unauthenticated)
	_, err = w.RunsByID(ctx, w.ann, make([]id.Run, run.MaxByID+1))
	w.want(err, fault.TooLarge)
	_, err = w.Health(ctx, w.ann, make([]id.Device, run.MaxByID+1))
	w.want(err, fault.TooLarge)
	_, err = w.Latest(ctx, w.ann, nil, 0)
	w.want(err, fault.Invalid)
	_, err = w.SealedReport(ctx, nobody, n)
	w.want(err, fault.Unauthenticated)
	w.want(w.LocationsAllowed(ctx, nobody, n, 1), fault.Unauthenticated)
}

func TestRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.policy(hourly("Office"))
	group, err := w.policies.CreateGroup(ctx, w.boss, "Bobs", []id.User{w.bob.User})
	w.ok(err)
	for range 3 {
		w.nextHour()
		w.tick()
	}
	half := w.now()
	w.nextHour()
	w.tick()
	sn := w.snapshot(w.laptop)
	restore, err := w.OrderRestore(ctx, w.ann, w.laptop.id, *sn, []byte("order"))
	w.ok(err)

	// Pages, to the end, in order and without gaps.
	var all []id.Run
	cursor := ""
	for {
		page, err := w.Runs(ctx, w.ann, run.Filter{}, false, 4, cursor)
		w.ok(err)
		if page.TotalCount != 9 {
			t.Errorf("%d in all", page.TotalCount)
		}
		for _, r := range page.Runs {
			all = append(all, r.ID)
			cursor = r.Cursor()
		}
		if !page.HasNext {
			break
		}
	}
	if len(all) != 9 || all[0] != restore.ID {
		t.Errorf("%d runs", len(all))
	}
	slices.SortFunc(all, func(a, b id.Run) int { return slices.Compare(a[:], b[:]) })
	if len(slices.Compact(all)) != 9 {
		t.Error("one comes twice")
	}

	kind := run.Restore
	other := id.Policy{}.New()
	for name, c := range map[string]struct {
		who   actor.Actor
		f     run.Filter
		fleet bool
		want  int
	}{
		"an administrator's own":        {w.boss, run.Filter{}, false, 0},
		"the fleet":                     {w.boss, run.Filter{}, true, 13},
		"a device":                      {w.boss, run.Filter{Device: &w.laptop.id}, true, 5},
		"somebody else's device":        {w.bob, run.Filter{Device: &w.laptop.id}, false, 0},
		"a person":                      {w.boss, run.Filter{User: &w.bob.User}, true, 4},
		"a group":                       {w.boss, run.Filter{Group: &group.ID}, true, 4},
		"a policy":                      {w.ann, run.Filter{Policy: &p.ID}, false, 8},
		"another policy":                {w.ann, run.Filter{Policy: &other}, false, 0},
		"a kind":                        {w.ann, run.Filter{Kind: &kind}, false, 1},
		"states":                        {w.ann, run.Filter{States: []run.State{run.Waiting, run.Running}}, false, 9},
		"other states":                  {w.ann, run.Filter{States: []run.State{run.Failed}}, false, 0},
		"from":                          {w.ann, run.Filter{From: &half}, false, 3},
		"to":                            {w.ann, run.Filter{To: &half}, false, 6},
		"with the recovery code, their": {byCode(w.ann), run.Filter{}, false, 9},
	} {
		page, err := w.Runs(ctx, c.who, c.f, c.fleet, 200, "")
		if err != nil || page.TotalCount != c.want || len(page.Runs) != c.want {
			t.Errorf("%s: %+v, %v, want %d", name, page, err, c.want)
		}
	}
	for _, a := range []actor.Actor{w.ann, w.laptop.actor, byCode(w.boss)} {
		_, err := w.Runs(ctx, a, run.Filter{}, true, 1, "")
		w.want(err, fault.Forbidden)
	}
	for _, first := range []int{0, 201} {
		_, err := w.Runs(ctx, w.ann, run.Filter{}, false, first, "")
		w.want(err, fault.Invalid, "1 to 200")
	}
	for _, cursor := range []string{"x", "!!", strings.Repeat("_", 32), restore.Cursor()[1:]} {
		_, err := w.Runs(ctx, w.ann, run.Filter{}, false, 1, cursor)
		w.want(err, fault.Invalid, "not a cursor")
	}
}

// TestChanges gives what is open, and what has ended since.
func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	n, work := w.running()
	look := func(a actor.Actor, fleet bool, since time.Time, want ...id.Run) time.Time {
		t.Helper()
		runs, at, err := w.Changes(ctx, a, fleet, since)
		w.ok(err)
		if got := ids(runs); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		return at
	}
	desk := get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.desk.id)
	box := get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.box.id)
	inOrder := func(list ...id.Run) []id.Run {
		slices.SortFunc(list, func(a, b id.Run) int { return w.run(a).CreatedAt.Compare(w.run(b).CreatedAt) })
		return list
	}
	since := look(w.ann, false, time.Time{}, inOrder(n, desk)...)
	look(w.boss, false, time.Time{})
	look(w.boss, true, time.Time{}, inOrder(n, desk, box)...)
	w.shift(time.Second)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeCancelled})
	look(w.ann, false, time.Time{}, desk)
	next := look(w.ann, false, since, inOrder(n, desk)...)
	w.shift(time.Second)
	look(w.ann, false, next, desk)
	_, _, err := w.Changes(ctx, w.ann, true, since)
	w.want(err, fault.Forbidden)
	_, _, err = w.Changes(ctx, w.laptop.actor, false, since)
	w.want(err, fault.Forbidden)

	before := w.run(desk).Sketch()
	if before != w.run(desk).Sketch() {
		t.Error("two readings of the same run differ")
	}
	work = w.take(w.desk)
	taken := w.run(desk).Sketch()
	w.keep(w.desk, work, nil)
	if before == taken || taken != w.run(desk).Sketch() {
		t.Error("a heartbeat without news is news, or taking it is none")
	}
}

// TestHealth is what a light shows, as far as it is about runs. The rest is told in package report.
func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	is := func(want run.HealthState, last *id.Run, days int) {
		t.Helper()
		m, err := w.Health(t.Context(), w.ann, []id.Device{w.laptop.id, w.box.id})
		w.ok(err)
		h := m[w.laptop.id]
		if len(m) != 1 || h.State != want || (h.LastRunID == nil) != (last == nil) || last != nil && *h.LastRunID != *last || h.StaleDays != days {
			t.Errorf("%+v, want %s", h, want)
		}
	}
	is(run.HealthNew, nil, 0)
	w.policy(policy.Input{Name: "Once", Enabled: true, Targets: policy.Targets{Everyone: true}, Roots: []string{"~"},
		Schedule: hourly("").Schedule, Zone: "UTC", DeadlineMinutes: 43200, Level: policy.Default})
	w.nextHour()
	w.tick()
	w.exec(`UPDATE policies SET enabled = false`)
	is(run.HealthWorking, nil, 0)
	w.exec(`UPDATE policies SET enabled = true`)
	work := w.take(w.laptop)
	n := work.Runs[0].ID
	is(run.HealthWorking, &n, 0)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.commit(w.laptop, w.session(w.laptop), 1)})
	is(run.HealthWarning, &n, 0)
	w.shift(3*24*time.Hour + time.Hour)
	is(run.HealthWarning, &n, 3)
	w.shift(4 * 24 * time.Hour)
	is(run.HealthBad, &n, 7)
	w.revoke(w.laptop)
	is(run.HealthRevoked, &n, 7)
}
