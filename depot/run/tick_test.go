package run_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestTick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := hourly("Office")
	in.Targets = policy.Targets{Devices: []id.Device{w.laptop.id, w.box.id}}
	w.policy(in)
	off := hourly("Off")
	off.Enabled = false
	w.policy(off)

	w.tick()
	equal(t, "before a slot", w.states(w.laptop), nil)
	slot := w.nextHour()
	w.tick()
	w.tick() // a slot is there once
	equal(t, "at its slot", w.states(w.laptop), []string{"waiting"})
	equal(t, "of a device that is not meant", w.states(w.desk), nil)
	r := w.run(get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.laptop.id))
	if !r.Slot.Equal(slot) || !r.DueAt.Equal(slot) || !r.DeadlineAt.Equal(slot.Add(2*time.Hour)) || r.Trigger != run.Schedule || r.Kind != run.Backup ||
		r.AskedBy != nil || r.Attempts != 0 || r.StartedAt != nil || r.OwnerID != w.ann.User {
		t.Errorf("%+v", r)
	}
	equal(t, "the ring", w.bell.take(run.RingTopic(w.laptop.id)), []string{""})
	equal(t, "the owner's hint", w.bell.take(run.Topic(w.ann.User)), []string{r.ID.String()})
	if n := len(w.bell.take(run.FleetTopic)); n != 2 {
		t.Errorf("%d hints about 2 runs", n)
	}

	// A device that comes later has no slots from before; one that sleeps through three, of which two are past their deadlines, has all of them.
	w.shift(30 * time.Minute)
	late := w.device(w.ann, "late")
	w.exec(`UPDATE policies SET everyone = true WHERE name = 'Office'`)
	w.shift(3 * time.Hour)
	w.tick()
	equal(t, "of a new device", w.states(late), []string{"missed", "waiting", "waiting"})
	w.sweep()
	equal(t, "after four hours", w.states(w.laptop), []string{"missed", "missed", "waiting", "waiting"})
	equal(t, "told", w.told(w.bob), []string{"run.missed", "run.missed"})

	// Revoked devices, and those of suspended people, have no more slots.
	w.revoke(w.box)
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, w.ann.User)
	w.nextHour()
	w.tick()
	if n := get[int](w, `SELECT count(*) FROM runs WHERE slot > clock_timestamp() - interval '1 minute'`); n != 0 {
		t.Errorf("%d runs for devices that cannot back up", n)
	}
}

// TestSpreadWindowAndDeadline holds when rows are due.
func TestSpreadWindowAndDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 60 {
		w.device(w.bob, fmt.Sprint("d", i))
	}
	in := hourly("Spread")
	in.SpreadMinutes = 30
	p := w.policy(in)
	slot := w.nextHour()
	w.tick()
	var due []time.Time
	w.ok(w.db.Select(&due, `SELECT DISTINCT due_at FROM runs WHERE policy_id = $1`, p.ID))
	if len(due) < 40 {
		t.Errorf("63 devices begin at %d different times", len(due))
	}
	for _, at := range due {
		if d := at.Sub(slot); d < 0 || d >= 30*time.Minute {
			t.Errorf("due %s after its slot", d)
		}
	}
	if a, b := run.Spread(w.laptop.id, p.ID, 30), run.Spread(w.laptop.id, p.ID, 30); a != b || run.Spread(w.laptop.id, p.ID, 0) != 0 {
		t.Error("a device's place moves")
	}
	// Nobody was rung who has to wait.
	if n := get[int](w, `SELECT count(*) FROM runs WHERE device_id = $1 AND due_at > clock_timestamp()`, w.laptop.id); n == 1 {
		equal(t, "rings too early", w.bell.take(run.RingTopic(w.laptop.id)), nil)
		w.idle(w.laptop)
		w.shift(30 * time.Minute)
		w.sweep()
		equal(t, "the sweep's ring", w.bell.take(run.RingTopic(w.laptop.id)), []string{""})
	}
	w.take(w.laptop)

	// A slot at noon with a window at night is due at night.
	w.exec(`DELETE FROM runs`)
	w.exec(`DELETE FROM policies`)
	night := hourly("Night")
	night.Schedule = plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{12 * 60}}
	night.Window, night.DeadlineMinutes = &plan.Window{From: 22 * 60, To: 6 * 60}, 0
	noon := w.now().Truncate(24 * time.Hour).Add(36 * time.Hour)
	w.goTo(noon.Add(-time.Minute))
	w.policy(night)
	w.shift(2 * time.Minute)
	w.tick()
	n := get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1`, w.desk.id)
	if r := w.run(n); !r.DueAt.Equal(noon.Add(10*time.Hour)) || !r.DeadlineAt.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("slot %s, due %s, deadline %s", r.Slot, r.DueAt, r.DeadlineAt)
	}
	if look := w.idle(w.desk); look != run.LookEvery+time.Second {
		t.Errorf("look again in %s", look)
	}
	w.goTo(noon.Add(10 * time.Hour).Add(time.Second))
	w.take(w.desk)
}

// TestTickAfterLong writes more slots than one transaction takes.
func TestTickAfterLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := hourly("Often")
	in.Schedule.Cron = "* * * * *"
	in.DeadlineMinutes = 10
	w.policy(in)
	slot := w.nextHour()
	w.tick()
	had := get[int](w, `SELECT count(*) FROM runs WHERE device_id = $1`, w.box.id)
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id <> $1`, w.box.id)
	w.goTo(slot.Add(2500*time.Minute + time.Second))
	w.told(w.bob)
	w.bell.take(run.Topic(w.bob.User))
	w.tick()
	if n := get[int](w, `SELECT count(*) FROM runs WHERE device_id = $1`, w.box.id); n != had+2500 {
		t.Errorf("%d runs of 2500 slots", n-had)
	}
	if n := get[int](w, `SELECT count(*) FROM runs WHERE device_id = $1 AND state = 'waiting' AND deadline_at > clock_timestamp()`, w.box.id); n != 10 {
		t.Errorf("%d runs may still begin", n)
	}
	// Two transactions, two notifications, not 2490; and one hint to look at all.
	equal(t, "told", w.told(w.bob), []string{"run.missed", "run.missed"})
	for _, m := range w.bell.take(run.Topic(w.bob.User)) {
		if m != "" {
			t.Fatal("thousands of hints")
		}
	}
}

// TestWordsOfMissed is what a person reads whose computer was off for three nights.
func TestWordsOfMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := hourly("Office")
	in.Schedule, in.Zone = plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}}, "Europe/Athens"
	in.Targets = policy.Targets{Devices: []id.Device{w.laptop.id}}
	w.policy(in)
	athens, err := time.LoadLocation("Europe/Athens")
	w.ok(err)
	at := time.Date(2031, 5, 4, 2, 0, 0, 0, athens)
	w.exec(`UPDATE policies SET ticked_at = $1`, at.Add(-time.Minute))
	w.goTo(at.Add(3 * time.Hour))
	w.tick()
	w.goTo(at.Add(72 * time.Hour))
	w.tick()
	letters := w.letters(w.ann)
	if len(letters) != 2 {
		t.Fatalf("%+v", letters)
	}
	if l := letters[0]; l.Title != "A backup of “laptop” was missed" || l.Kind != "run.missed" || l.Severity != "error" || *l.DeviceID != w.laptop.id || l.RunID == nil ||
		!strings.HasPrefix(l.Body, "It was due by the policy “Office” for 4 May 2031, 02:00 EEST, and the device was not heard of until its deadline.") {
		t.Errorf("%+v", l)
	}
	if l := letters[1]; l.Title != "2 backups of “laptop” were missed" ||
		!strings.HasPrefix(l.Body, "They were due by the policy “Office” from 5 May 2031, 02:00 EEST to 6 May 2031, 02:00 EEST, and") {
		t.Errorf("%+v", l)
	}
}

// TestChangeOfAPolicy holds that slots before a change have their rows by the old rule.
func TestChangeOfAPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := hourly("Office")
	in.DeadlineMinutes = 300
	p := w.policy(in)
	w.nextHour()
	in.DeadlineMinutes = 600
	p, err := w.policies.Update(t.Context(), w.boss, p.ID, p.Revision, in)
	w.ok(err)
	w.nextHour()
	w.ok(w.policies.Delete(t.Context(), w.boss, p.ID))
	w.nextHour()
	w.tick()
	var minutes []int
	w.ok(w.db.Select(&minutes, `SELECT extract(epoch FROM deadline_at - slot)::int / 60 FROM runs WHERE device_id = $1 ORDER BY slot`, w.laptop.id))
	if fmt.Sprint(minutes) != "[300 600]" {
		t.Errorf("deadlines after %v minutes", minutes)
	}
	// What a deleted policy made stays due, and is cancelled only because nothing is left that says what to save.
	w.idle(w.laptop)
	equal(t, "after the deletion", w.states(w.laptop), []string{"cancelled", "cancelled"})
	if r := w.run(get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1 LIMIT 1`, w.laptop.id)); *r.Code != run.NoPolicy || r.PolicyID != nil || *r.Text() == "" {
		t.Errorf("%+v", r)
	}
}

// TestTickGoesOn holds that one policy that fails does not keep the others, and is reported.
func TestTickGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(hourly("A"))
	w.policy(hourly("B"))
	w.policy(hourly("C"))
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.policy_id = (SELECT id FROM policies WHERE name = 'B') THEN RAISE EXCEPTION 'no room'; END IF; RETURN NEW; END $$`)
	w.exec(`CREATE TRIGGER refuse BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION refuse()`)
	w.nextHour()
	if err := w.Tick(t.Context()); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
	if n := get[int](w, `SELECT count(*) FROM runs WHERE device_id = $1`, w.box.id); n != 2 {
		t.Errorf("%d runs of the two policies that work", n)
	}
	w.exec(`DROP TRIGGER refuse ON runs`)
	w.tick()
	if n := get[int](w, `SELECT count(*) FROM runs WHERE device_id = $1`, w.box.id); n != 3 {
		t.Errorf("%d runs: the slot was lost", n)
	}
}
