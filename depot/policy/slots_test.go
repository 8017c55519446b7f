package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// due asks in a transaction of its own, and advances.
func (w *world) due(p id.Policy) *policy.DuePolicy {
	w.t.Helper()
	var d *policy.DuePolicy
	w.ok(pg.InTx(w.t.Context(), w.db, func(tx *sqlx.Tx) (err error) {
		if d, err = policy.Due(w.t.Context(), tx, p); err != nil || d == nil {
			return err
		}
		return policy.Advance(w.t.Context(), tx, p, d.Until)
	}))
	return d
}

func cron(name, expr string) policy.Input {
	in := daily(name)
	in.Schedule, in.Zone = plan.Schedule{Kind: plan.Cron, Cron: expr}, "UTC"
	return in
}

func TestEverySlotOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.policy(cron("hourly", "0 * * * *"))
	d := w.due(p.ID)
	before := d.Until
	seen := map[time.Time]bool{}
	for _, at := range d.Slots { // if the hour is full just now
		seen[at] = true
	}
	for _, step := range []time.Duration{time.Minute, 90 * time.Minute, 0, 5 * time.Hour, 24 * time.Hour} {
		w.shift(step)
		d := w.due(p.ID)
		if d.More || !d.Until.Equal(d.Now) || d.Name != "hourly" || d.Targets != nil {
			t.Errorf("%+v", d)
		}
		for i, at := range d.Slots {
			if seen[at] || !at.Equal(at.Truncate(time.Hour)) || at.After(d.Now) || i > 0 && !at.After(d.Slots[i-1]) {
				t.Errorf("after %s: the slot %s", step, at)
			}
			seen[at] = true
		}
		before = d.Until
	}
	want := int(before.Truncate(time.Hour).Sub(p.CreatedAt.Truncate(time.Hour)) / time.Hour)
	if len(seen) != want {
		t.Errorf("%d slots, want %d", len(seen), want)
	}

	ids, err := w.Enabled(ctx)
	w.ok(err)
	if len(ids) != 1 || ids[0] != p.ID {
		t.Errorf("%v", ids)
	}
	_, err = w.Enable(ctx, w.boss, p.ID, false)
	w.ok(err)
	if ids, err := w.Enabled(ctx); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
	w.shift(48 * time.Hour)
	if d := w.due(p.ID); d != nil {
		t.Errorf("off, and due: %+v", d)
	}
	if d := w.due(id.Policy{}.New()); d != nil {
		t.Errorf("unknown, and due: %+v", d)
	}
	_, err = w.Enable(ctx, w.boss, p.ID, true)
	w.ok(err)
	if d := w.due(p.ID); len(d.Slots) > 1 { // one if an hour has just begun
		t.Errorf("the slots while it was off came back: %v", d.Slots)
	}
}

// A backlog comes in portions, oldest first.
func TestBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy(cron("often", "* * * * *"))
	first := w.due(p.ID).Until
	w.shift(5000 * time.Minute)
	total, last := 0, first
	for round := 1; ; round++ {
		d := w.due(p.ID)
		for _, at := range d.Slots {
			if at.Sub(last.Truncate(time.Minute)) != time.Minute {
				t.Fatalf("from %s to %s", last, at)
			}
			last = at
		}
		total += len(d.Slots)
		if !d.More {
			if round != 3 || !d.Until.Equal(d.Now) {
				t.Errorf("round %d, until %s", round, d.Until)
			}
			break
		}
		if len(d.Slots) != policy.MaxSlots || !d.Until.Equal(last) {
			t.Fatalf("%d slots until %s", len(d.Slots), d.Until)
		}
	}
	if total < 5000 || total > 5002 {
		t.Errorf("%d slots", total)
	}
}

func TestAdvanceNeverGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy(cron("hourly", "0 * * * *"))
	w.shift(10 * time.Hour)
	n := len(w.due(p.ID).Slots)
	w.ok(pg.InTx(t.Context(), w.db, func(tx *sqlx.Tx) error {
		return policy.Advance(t.Context(), tx, p.ID, time.Now().Add(-time.Hour))
	}))
	if d := w.due(p.ID); n < 10 || len(d.Slots) > 1 {
		t.Errorf("%d slots, then %v again", n, d.Slots)
	}
}

// While one holds a policy, another waits, and then finds nothing left.
func TestTwoLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy(cron("hourly", "0 * * * *"))
	w.shift(10 * time.Hour)
	second := make(chan int)
	w.ok(pg.InTx(t.Context(), w.db, func(tx *sqlx.Tx) error {
		d, err := policy.Due(t.Context(), tx, p.ID)
		if err != nil {
			return err
		}
		if len(d.Slots) < 10 {
			t.Errorf("%v", d.Slots)
		}
		go func() { second <- len(w.due(p.ID).Slots) }()
		for waiting := 0; waiting == 0; { // until the other one stands at the lock
			if err := w.db.Get(&waiting, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`); err != nil {
				return err
			}
		}
		return policy.Advance(t.Context(), tx, p.ID, d.Until)
	}))
	if n := <-second; n > 1 {
		t.Errorf("%d slots a second time", n)
	}
}

// Slots before a change are the old rule's, those after it the new one's, and none is lost in between.
func TestSlotsAroundAChange(t *testing.T) {
	t.Parallel()
	var got []time.Time
	w := newWorldWith(t, func(ctx context.Context, tx *sqlx.Tx, p *policy.Policy) error {
		d, err := policy.Due(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		got = append(got, d.Slots...)
		return policy.Advance(ctx, tx, p.ID, d.Until)
	})
	ctx := t.Context()
	group, err := w.CreateGroup(ctx, w.boss, "Staff", nil)
	w.ok(err)
	in := cron("p", "0 * * * *")
	in.Targets.Groups = []id.Group{group.ID}
	p := w.policy(in)
	w.shift(3 * time.Hour)
	changed := cron("p", "*/30 * * * *")
	changed.Targets = in.Targets
	p, err = w.Update(ctx, w.boss, p.ID, 1, changed)
	w.ok(err)
	if len(got) != 3 {
		t.Errorf("by the old rule: %v", got)
	}
	for _, at := range got {
		if at.Minute() != 0 {
			t.Errorf("%s is no slot of the old rule", at)
		}
	}
	if d := w.due(p.ID); len(d.Slots) > 1 {
		t.Errorf("right after the change: %v", d.Slots)
	}
	got = nil
	w.shift(2 * time.Hour)
	_, err = w.UpdateGroup(ctx, w.boss, group.ID, policy.GroupChange{Add: []id.User{w.ann.User}})
	w.ok(err)
	if len(got) != 4 {
		t.Errorf("before the group changed: %v", got)
	}
	got = nil
	w.shift(time.Hour)
	w.ok(w.DeleteGroup(ctx, w.boss, group.ID))
	if len(got) != 2 {
		t.Errorf("before the group went: %v", got)
	}
	got = nil
	w.shift(time.Hour)
	_, err = w.Enable(ctx, w.boss, p.ID, false)
	w.ok(err)
	if len(got) != 2 {
		t.Errorf("before it was switched off: %v", got)
	}
	got = nil
	w.shift(time.Hour)
	w.ok(w.Delete(ctx, w.boss, p.ID))
	if len(got) != 0 {
		t.Errorf("of a policy that is off: %v", got)
	}
}

func TestDevicesOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	group, err := w.CreateGroup(ctx, w.boss, "Staff", []id.User{w.ann.User})
	w.ok(err)
	of := func(p id.Policy) map[id.Device]policy.Target {
		found := map[id.Device]policy.Target{}
		w.ok(pg.InTx(ctx, w.db, func(tx *sqlx.Tx) error {
			list, err := policy.DevicesOf(ctx, tx, p)
			for _, target := range list {
				found[target.Device] = target
			}
			return err
		}))
		counts, err := w.DeviceCounts(ctx, w.boss, []id.Policy{p})
		w.ok(err)
		if counts[p] != len(found) {
			t.Errorf("counted %d, listed %d", counts[p], len(found))
		}
		return found
	}
	all, byGroup, none := w.policy(daily("all")), daily("group"), daily("none")
	byGroup.Targets = policy.Targets{Groups: []id.Group{group.ID}, Devices: []id.Device{w.box}, ExceptDevices: []id.Device{w.desk}}
	none.Targets = policy.Targets{Everyone: true, ExceptGroups: []id.Group{group.ID}, ExceptDevices: []id.Device{w.box}}
	if got := of(all.ID); len(got) != 3 || got[w.laptop].Owner != w.ann.User || time.Since(got[w.box].CreatedAt) > time.Minute || got[w.box].CreatedAt.Location() != time.UTC {
		t.Errorf("everyone: %v", got)
	}
	if got := of(w.policy(byGroup).ID); len(got) != 2 || got[w.laptop].Owner != w.ann.User || got[w.box].Owner != w.bob.User {
		t.Errorf("group, device, exception: %v", got)
	}
	if got := of(w.policy(none).ID); len(got) != 0 {
		t.Errorf("exceptions: %v", got)
	}
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, w.laptop)
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, w.bob.User)
	if got := of(all.ID); len(got) != 1 || got[w.desk].Owner != w.ann.User {
		t.Errorf("revoked and suspended: %v", got)
	}
}

func TestTimesOfASlot(t *testing.T) {
	t.Parallel()
	athens, err := time.LoadLocation("Europe/Athens")
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 1, day, hour, minute, 0, 0, athens) }
	p := func(window *plan.Window, spread, deadline int, times ...plan.Clock) *policy.Policy {
		return &policy.Policy{Schedule: plan.Schedule{Kind: plan.Daily, Times: times, Zone: "Europe/Athens"}, Zone: "Europe/Athens",
			Window: window, SpreadMinutes: spread, DeadlineMinutes: deadline}
	}
	day, night := &plan.Window{From: 480, To: 1080}, &plan.Window{From: 1320, To: 360}
	for name, c := range map[string]struct {
		p                *policy.Policy
		slot, first, end time.Time
		last             time.Time
	}{
		"plain":                       {p(nil, 0, 0, 120), at(10, 2, 0), at(10, 2, 0), at(11, 2, 0), at(10, 2, 0)},
		"twice a day":                 {p(nil, 60, 0, 120, 840), at(10, 2, 0), at(10, 2, 0), at(10, 14, 0), at(10, 3, 0)},
		"by a deadline":               {p(nil, 60, 90, 120), at(10, 2, 0), at(10, 2, 0), at(10, 3, 30), at(10, 3, 0)},
		"spread beyond the next slot": {p(nil, 120, 0, 120, 180), at(10, 2, 0), at(10, 2, 0), at(10, 5, 0), at(10, 4, 0)},
		"within an hour":              {p(nil, 0, 0, 120, 130), at(10, 2, 0), at(10, 2, 0), at(10, 3, 0), at(10, 2, 0)},
		"moved into the window":       {p(day, 10, 0, 120), at(10, 2, 0), at(10, 8, 0), at(11, 2, 0), at(10, 8, 0)},
		"open at night":               {p(night, 30, 0, 120), at(10, 2, 0), at(10, 2, 0), at(11, 2, 0), at(10, 2, 30)},
		"the last fall out":           {p(night, 30, 0, 340), at(10, 5, 40), at(10, 5, 40), at(11, 5, 40), at(10, 22, 0)},
		"the window is the next day":  {p(&plan.Window{From: 60, To: 110}, 10, 0, 120), at(10, 2, 0), at(11, 1, 0), at(11, 2, 0), at(11, 1, 0)},
		"after the next slot":         {p(&plan.Window{From: 119, To: 120}, 0, 0, 120), at(10, 2, 0), at(11, 1, 59), at(11, 2, 59), at(11, 1, 59)},
	} {
		if got := c.p.DueAt(c.slot, 0); !got.Equal(c.first) {
			t.Errorf("%s: the first at %s, want %s", name, got, c.first)
		}
		if got := c.p.DueAt(c.slot, time.Duration(c.p.SpreadMinutes)*time.Minute); !got.Equal(c.last) {
			t.Errorf("%s: the last at %s, want %s", name, got, c.last)
		}
		if got := c.p.DeadlineAt(c.slot); !got.Equal(c.end) {
			t.Errorf("%s: until %s, want %s", name, got, c.end)
		}
	}
	broken := p(day, 0, 0, 120)
	broken.Zone = "Mars/Base" // never stored; the table of zones may have lost one
	if got := broken.DueAt(at(10, 2, 0), 0); !got.Equal(at(10, 2, 0)) {
		t.Errorf("%s", got)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.policy(daily("p"))
	next, err := p.Next(3)
	w.ok(err)
	schedule := plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}, Zone: "Europe/Athens"}
	preview, err := w.Preview(ctx, schedule, 3)
	w.ok(err)
	if len(next) != 3 || len(preview) != 3 || !next[0].Equal(preview[0]) || !next[2].Equal(preview[2]) || next[0].Location() != time.UTC || next[1].Sub(next[0]) < 22*time.Hour {
		t.Errorf("%v, %v", next, preview)
	}
	w.shift(10 * 24 * time.Hour) // the database's clock decides
	later, err := w.Preview(ctx, schedule, 1)
	w.ok(err)
	if later[0].Sub(next[0]) < 9*24*time.Hour {
		t.Errorf("%v", later)
	}
	for _, n := range []int{0, -1, policy.MaxNext + 1} {
		_, err := p.Next(n)
		w.want(err, fault.Invalid, "count: ask for 1 to 50")
		_, err = w.Preview(ctx, schedule, n)
		w.want(err, fault.Invalid, "count")
		_, err = (&policy.Effective{}).Next(n)
		w.want(err, fault.Invalid, "count")
	}
	_, err = w.Preview(ctx, plan.Schedule{Kind: "x"}, 1)
	w.want(err, fault.Invalid, "schedule: kind")
	once := plan.Schedule{Kind: plan.Cron, Cron: "0 0 29 2 *"} // the horizon ends before the fifth
	if got, err := w.Preview(ctx, once, 5); err != nil || len(got) == 0 {
		t.Errorf("%v, %v", got, err)
	}
}
