package run_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const day = 24 * time.Hour

// TestStale raises the alarm once for each device, and again after it was over, whatever the runs say.
func TestStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	in := hourly("Office")
	in.Targets = policy.Targets{Devices: []id.Device{w.desk.id}} // the laptop is backed up by hand, the box not at all
	w.policy(in)
	w.snapshot(w.laptop)
	gone := w.device(w.bob, "gone")
	w.snapshot(gone)
	w.revoke(gone)
	quiet := w.person("quiet", "staff")
	w.snapshot(w.device(quiet, "quiet"))
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, quiet.User)

	w.shift(7*day - time.Minute)
	w.ok(w.Stale(ctx))
	if n := get[int](w, `SELECT count(*) FROM notifications`); n != 0 {
		t.Fatalf("%d alarms too early", n)
	}
	w.shift(2 * time.Minute)
	for range 3 {
		w.ok(w.Stale(ctx))
		w.shift(time.Hour)
	}
	letters := w.letters(w.ann)
	if len(letters) != 2 || letters[0].Title != "“desk” has not been backed up for 7 days" || letters[0].Kind != "device.stale" || *letters[0].DeviceID != w.desk.id ||
		!strings.Contains(letters[0].Body, "never backed up") || letters[1].Title != "“laptop” has not been backed up for 7 days" || !strings.Contains(letters[1].Body, "Its last backup is of ") {
		t.Errorf("%+v", letters)
	}
	fleet := w.letters(w.boss)
	if len(fleet) != 1 || fleet[0].Kind != "fleet.stale" || fleet[0].Title != "2 devices have not been backed up for 7 days" || !strings.HasPrefix(fleet[0].Body, "“desk”, “laptop”. Their owners") {
		t.Errorf("%+v", fleet)
	}
	equal(t, "the readers' ring", append(w.bell.take(notice.Topic(w.ann.User)), w.bell.take(notice.Topic(w.boss.User))...), []string{"", ""})
	for _, other := range w.letters(w.bob) {
		t.Errorf("%+v", other)
	}

	// A backup ends it, by hand or by run; the next silence is another alarm.
	w.snapshot(w.laptop)
	w.ok(w.Stale(ctx))
	w.shift(7*day + time.Minute)
	w.ok(w.Stale(ctx))
	if l := w.letters(w.ann); len(l) != 3 || !strings.Contains(l[2].Title, "“laptop”") {
		t.Errorf("%+v", l)
	}
	if l := w.letters(w.boss); len(l) != 2 || l[1].Title != "1 device has not been backed up for 7 days" {
		t.Errorf("%+v", l)
	}

	// Many are counted.
	for i := range 25 {
		w.snapshot(w.device(w.bob, fmt.Sprintf("d%02d", i)))
	}
	w.shift(7*day + time.Minute)
	w.ok(w.Stale(ctx))
	if l := w.letters(w.boss); len(l) != 3 || !strings.Contains(l[2].Body, "“d19” and 5 more.") {
		t.Errorf("%+v", l)
	}
}

// TestPrune deletes history, but not what a device's last success was.
func TestPrune(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	settings := setting.New(setting.Config{DB: w.db})
	s := run.New(run.Config{DB: w.db, Policies: w.policies, Settings: settings})
	days := setting.Defaults().RunHistoryDays
	w.policy(hourly("Office"))
	end := func(in run.EndInput) id.Run {
		t.Helper()
		w.nextHour()
		w.tick()
		work := w.take(w.laptop)
		if in.Outcome == run.OutcomeSucceeded {
			in.Snapshot = w.snapshot(w.laptop)
		}
		w.end(w.laptop, work, in)
		return work.Runs[0].ID
	}
	old := end(run.EndInput{Outcome: run.OutcomeSucceeded})
	last := end(run.EndInput{Outcome: run.OutcomeSucceeded})
	failed := end(run.EndInput{Outcome: run.OutcomeFailed, Code: "INTERNAL"})
	restore, err := w.OrderRestore(ctx, w.ann, w.laptop.id, *w.snapshot(w.laptop), []byte("order"))
	w.ok(err)
	w.end(w.laptop, w.take(w.laptop), run.EndInput{Outcome: run.OutcomeSucceeded})
	w.exec(`UPDATE policies SET enabled = false`)

	has := func(want string) {
		t.Helper()
		var got []string
		for _, n := range []id.Run{old, last, failed, restore.ID} {
			got = append(got, fmt.Sprint(get[int](w, `SELECT count(*) FROM runs WHERE id = $1`, n)))
		}
		if strings.Join(got, "") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	w.shift(time.Duration(days)*day - 4*time.Hour)
	w.ok(s.Prune(ctx))
	has("1111")
	w.shift(8 * time.Hour)
	w.ok(s.Prune(ctx))
	has("0100")
	if n := get[int](w, `SELECT count(*) FROM runs WHERE state IN ('waiting', 'running')`); n == 0 {
		t.Error("what is open is not history")
	}

	// A newer success stands in for it.
	w.exec(`UPDATE policies SET enabled = true`)
	_, err = w.BackUpNow(ctx, w.ann, w.laptop.id)
	w.ok(err)
	w.end(w.laptop, w.take(w.laptop), run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.laptop)})
	w.ok(s.Prune(ctx))
	has("0000")
}

// TestSweepOfMany settles more devices than one transaction takes.
func TestSweepOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 250 {
		w.device(w.bob, fmt.Sprint("d", i))
	}
	w.policy(hourly("Office"))
	for range 2 {
		w.nextHour()
		w.tick()
	}
	w.bell.take(run.FleetTopic)
	w.exec(`UPDATE policies SET enabled = false`)
	w.shift(deadline)
	w.sweep()
	if n := get[int](w, `SELECT count(*) FROM runs WHERE state = 'missed'`); n != 2*253 {
		t.Errorf("%d of %d", n, 2*253)
	}
	if n := len(w.told(w.bob)); n != 251 {
		t.Errorf("%d notifications for 251 devices", n)
	}
	if n := len(w.bell.take(run.FleetTopic)); n > 3+50 {
		t.Errorf("%d hints", n)
	}
}
