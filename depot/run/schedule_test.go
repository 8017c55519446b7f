package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// everyHour is a schedule of a database.
func everyHour(name string) application.Input {
	return application.Input{Name: name, Enabled: true, Part: catalog.Database, Schedule: plan.Schedule{Kind: plan.Cron, Cron: "0 * * * *"}, Zone: "Europe/Berlin",
		Options: application.Options{Level: policy.Fast, ExcludeLogs: true}, Retention: plan.Retention{Days: 7}}
}

func (w *world) schedule(app *application.Application, in application.Input) *application.Schedule {
	w.t.Helper()
	s, err := w.apps.CreateSchedule(w.t.Context(), w.ann, app.ID, in)
	w.ok(err)
	return s
}

func (w *world) tickSchedules() { w.t.Helper(); w.ok(w.TickSchedules(w.t.Context())) }

func TestScheduleMakesRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	s := w.schedule(app, everyHour("hourly"))
	w.tickSchedules()
	equal(t, "before its first slot", w.states(w.laptop), nil)
	slot := w.nextHour()
	w.tickSchedules()
	w.tickSchedules()
	w.ok(w.service().TickSchedules(t.Context()))
	equal(t, "after it", w.states(w.laptop), []string{"waiting"})
	equal(t, "rung", w.bell.take(run.RingTopic(w.laptop.id)), []string{""})
	work := w.take(w.laptop)
	r := work.Runs[0]
	if *r.ScheduleID != s.ID || *r.ApplicationID != app.ID || *r.Title != "hourly" || *r.Part != catalog.Database || r.Trigger != run.Schedule || !r.Slot.Equal(slot) ||
		!r.DeadlineAt.Equal(slot.Add(time.Hour)) || *work.Options != s.Options {
		t.Errorf("%+v, %+v", r, work.Options)
	}
	// Its rule is for the snapshot that ends the run, and for no other that the device makes meanwhile.
	beside, made := w.saved(w.laptop, app, catalog.MadeByBackup), w.saved(w.laptop, app, catalog.MadeByBackup)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: made})
	for sn, want := range map[*id.Snapshot]bool{beside: false, made: true} {
		if got := get[bool](w, `SELECT schedule_id IS NOT DISTINCT FROM $2 FROM snapshots WHERE id = $1`, sn, s.ID); got != want {
			t.Errorf("subject to the schedule's rule: %t, want %t", got, want)
		}
	}

	// What is asked for by hand is not what the slot has made, and says of which schedule it is.
	w.nextHour()
	w.tickSchedules()
	in := run.ApplicationInput{Application: app.ID, Part: s.Part, Title: s.Name, Options: s.Options, Schedule: &s.ID}
	if by := w.ask(w.ann, in); by.Slot != nil || *by.ScheduleID != s.ID || w.ask(w.ann, in).ID != by.ID {
		t.Errorf("%+v", by)
	}
	in.Schedule = nil
	if by := w.ask(w.ann, in); by.ScheduleID != nil {
		t.Errorf("%+v", by)
	}
	// Nor is it the same if it is to be made in another way.
	in.Portable = true
	by := w.ask(w.ann, in)
	if in.Portable = false; by.ID == w.ask(w.ann, in).ID {
		t.Error("who asked for the portable form gets a backup without it")
	}
}

// Slots that nobody looked at are missed, once; the rest is caught up.
func TestScheduleIsCaughtUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	w.schedule(app, everyHour("hourly"))
	w.shift(3 * time.Hour)
	w.tickSchedules()
	equal(t, "states", w.states(w.laptop), []string{"missed", "missed", "waiting"})
	list := w.letters(w.ann)
	if len(list) != 1 || list[0].Kind != "application.missed" || list[0].Title != "2 backups of “Shop” on “laptop” were missed" ||
		!strings.Contains(list[0].Body, "by the schedule “hourly” from 3 March 2031, 12:00 CET to 3 March 2031, 13:00 CET") {
		t.Errorf("%+v", list)
	}
	w.shift(time.Hour)
	w.sweep()
	if list = w.letters(w.ann); len(list) != 2 || list[1].Title != "A backup of “Shop” on “laptop” was missed" {
		t.Errorf("%+v", list)
	}
}

// Nobody could carry these out: there are no slots, and none come up later.
func TestIdleSchedules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	s := w.schedule(app, everyHour("hourly"))
	for _, state := range []struct{ name, begin, end string }{
		{"revoked", `UPDATE devices SET revoked_at = clock_timestamp() WHERE id = $1`, `UPDATE devices SET revoked_at = NULL WHERE id = $1`},
		{"suspended", `UPDATE users SET suspended_at = clock_timestamp() WHERE id = (SELECT user_id FROM devices WHERE id = $1)`,
			`UPDATE users SET suspended_at = NULL WHERE id = (SELECT user_id FROM devices WHERE id = $1)`},
		{"removed", `UPDATE applications SET removed_at = clock_timestamp() WHERE device_id = $1`, `UPDATE applications SET removed_at = NULL WHERE device_id = $1`},
	} {
		w.exec(state.begin, w.laptop.id)
		w.nextHour()
		w.tickSchedules()
		w.exec(state.end, w.laptop.id)
		w.tickSchedules()
		equal(t, state.name, w.states(w.laptop), nil)
	}
	// Nor do they if nobody looked in all the time that the device had it not.
	_, err := w.apps.Remove(t.Context(), w.laptop.actor, app.ID)
	w.ok(err)
	w.nextHour()
	w.shop(w.laptop, "Shop")
	w.tickSchedules()
	equal(t, "removed, and there again", w.states(w.laptop), nil)
	_, err = w.apps.EnableSchedule(t.Context(), w.ann, s.ID, false)
	w.ok(err)
	w.nextHour()
	w.tickSchedules()
	equal(t, "off", w.states(w.laptop), nil)
}

// A change comes after the slots that have passed, which are by the old rule; what is removed cancels what waits.
func TestScheduleChangesAfterItsSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	s := w.schedule(app, everyHour("hourly"))
	w.nextHour()
	in := everyHour("daily")
	in.Schedule, in.Part = plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{2 * 60}}, catalog.Full
	_, err := w.apps.UpdateSchedule(t.Context(), w.boss, s.ID, s.Revision, in)
	w.ok(err)
	equal(t, "part and title of the slot before", []string{get[string](w, `SELECT part || ' ' || title FROM runs`)}, []string{"database hourly"})
	w.nextHour()
	w.tickSchedules()
	if n := get[int](w, `SELECT count(*) FROM runs`); n != 1 {
		t.Errorf("%d runs by the new rule", n)
	}
	restore, err := w.RestoreApplication(t.Context(), w.ann, app.ID, *w.saved(w.laptop, app, catalog.MadeByBackup), catalog.Full, []byte("o"))
	w.ok(err)
	w.goTo(w.now().Truncate(24 * time.Hour).Add(25*time.Hour + time.Second)) // 2 in Berlin
	w.sweep()                                                                // misses what the hour made
	w.told(w.ann)
	_, err = w.apps.Remove(t.Context(), w.laptop.actor, app.ID) // which settles the slot first
	w.ok(err)
	w.sweep()
	equal(t, "states", w.states(w.laptop), []string{"missed", "cancelled", "cancelled"})
	if r := w.run(restore.ID); *r.Code != run.ApplicationRemoved || !strings.Contains(*r.Text(), "has the application no more") {
		t.Errorf("%+v", r)
	}
	equal(t, "told", w.told(w.ann), []string{"application.removed"})
	if back := w.shop(w.laptop, "SHOP"); back.ID != app.ID || back.RemovedAt != nil {
		t.Errorf("%+v", back)
	}
	w.ok(w.apps.DeleteSchedule(t.Context(), w.ann, s.ID))
	if n := get[int](w, `SELECT count(*) FROM runs WHERE application_id = $1 AND schedule_id IS NULL`, app.ID); n != 3 {
		t.Errorf("%d runs are left", n)
	}
	w.ok(pg.InTx(t.Context(), w.db, func(tx *sqlx.Tx) error { return w.TickSchedule(t.Context(), tx, s.ID) })) // it is gone: nothing to do
}

// A mail goes out for every backup, if that is wanted.
func TestAlwaysTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	always := application.Always
	_, err := w.apps.Update(t.Context(), w.ann, app.ID, application.Change{Notify: &always})
	w.ok(err)
	end := func(problems int) {
		t.Helper()
		w.ask(w.ann, full(app, ""))
		work := w.take(w.laptop)
		w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.label(w.commit(w.laptop, w.session(w.laptop), problems), app, catalog.MadeByBackup)})
	}
	end(0)
	end(2)
	w.exec(`DELETE FROM snapshots`)
	sn := w.saved(w.laptop, app, catalog.Imported)
	for _, in := range []run.EndInput{
		{Outcome: run.OutcomeSucceeded}, {Outcome: run.OutcomeSucceeded, Causes: []run.Cause{{Cause: "locked", Count: 1}}}, {Outcome: run.OutcomeFailed, Code: "RESTORE_REFUSED"},
		{Outcome: run.OutcomeCancelled},
	} {
		_, err := w.RestoreApplication(t.Context(), w.ann, app.ID, *sn, catalog.Full, []byte("o"))
		w.ok(err)
		w.end(w.laptop, w.take(w.laptop), in)
	}
	_, err = w.RestoreApplication(t.Context(), w.ann, app.ID, *sn, catalog.Full, []byte("o"))
	w.ok(err)
	w.shift(8 * 24 * time.Hour)
	w.sweep()
	var got []string
	for _, l := range w.letters(w.ann) {
		got = append(got, l.Kind+": "+l.Title)
	}
	equal(t, "told", got, []string{
		"application.reported: “Shop” on “laptop” is backed up",
		"application.warned: 2 files of “Shop” on “laptop” could not be read",
		"restore.finished: The restore of “Shop” on “laptop” has ended",
		"restore.finished: The restore of “Shop” on “laptop” has ended",
		"restore.failed: The restore of “Shop” on “laptop” failed",
		"restore.failed: The restore of “Shop” on “laptop” was not begun",
	})
	if body := w.letters(w.ann)[3].Body; !strings.Contains(body, "1 file could not be restored") || !strings.Contains(body, "cannot be undone") {
		t.Error(body)
	}
}
