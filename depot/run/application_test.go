package run_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// shop registers an application with a database and media.
func (w *world) shop(m machine, name string) *application.Application {
	w.t.Helper()
	engine := application.Postgres
	app, err := w.apps.Register(w.t.Context(), m.actor, application.RegisterInput{Name: name, Engine: &engine, MediaFolders: 1})
	w.ok(err)
	return app
}

func full(app *application.Application, title string) run.ApplicationInput {
	return run.ApplicationInput{Application: app.ID, Part: catalog.Full, Title: title, Options: application.Options{Level: policy.Better, Portable: true}}
}

// ask asks for a backup of an application.
func (w *world) ask(a actor.Actor, in run.ApplicationInput) *run.Run {
	w.t.Helper()
	r, err := w.BackUpApplication(w.t.Context(), a, in)
	w.ok(err)
	return r
}

// label says that a snapshot is an application's.
func (w *world) label(sn *id.Snapshot, app *application.Application, origin catalog.Origin) *id.Snapshot {
	w.t.Helper()
	w.exec(`UPDATE snapshots SET application_id = $2, part = 'full', origin = $3 WHERE id = $1`, sn, app.ID, origin)
	return sn
}

func (w *world) saved(m machine, app *application.Application, origin catalog.Origin) *id.Snapshot {
	w.t.Helper()
	return w.label(w.snapshot(m), app, origin)
}

func TestApplicationIsBackedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	w.policy(hourly("all"))
	r := w.ask(w.ann, full(app, " Before the sale "))
	if r.State != run.Waiting || *r.Title != "Before the sale" || *r.Part != catalog.Full || *r.ApplicationID != app.ID || r.Trigger != run.Owner || r.Kind != run.Backup {
		t.Errorf("%+v", r)
	}
	equal(t, "rung", w.bell.take(run.RingTopic(w.laptop.id)), []string{""})
	equal(t, "log", w.audited("run.ordered", w.ann), []string{"A backup of the application “Shop” of the device “laptop” was asked for."})

	// The same once more, while it waits, is the same; another part or name is another.
	if again := w.ask(w.boss, full(app, "Before the sale")); again.ID != r.ID {
		t.Error("a second run for the same")
	}
	other := w.ask(w.boss, full(app, ""))
	if other.ID == r.ID || other.Trigger != run.Admin {
		t.Errorf("%+v", other)
	}

	// Files that are due at the same time wait their turn: what is due longest goes first, and an application goes alone.
	files, err := w.BackUpNow(t.Context(), w.ann, w.laptop.id)
	w.ok(err)
	if files.ApplicationID != nil || files.ID == r.ID {
		t.Error("a backup of files is taken for the application's")
	}
	work := w.take(w.laptop)
	if len(work.Runs) != 1 || work.Runs[0].ID != r.ID || work.Policy != nil || work.Order != nil || *work.Options != (application.Options{Level: policy.Better, Portable: true}) {
		t.Fatalf("%+v", work)
	}
	if wait := w.idle(w.laptop); wait <= 0 {
		t.Error(wait)
	}

	// Its snapshot must be of it, and made by the backup itself.
	for _, wrong := range []*id.Snapshot{w.snapshot(w.laptop), w.saved(w.laptop, app, catalog.MadeForUndo), w.saved(w.laptop, w.shop(w.laptop, "Library"), catalog.MadeByBackup)} {
		_, err := w.End(t.Context(), w.laptop.actor, run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: wrong})
		w.want(err, fault.Conflict, "something else")
	}
	// And it must hold all that was asked for.
	half := w.saved(w.laptop, app, catalog.MadeByBackup)
	w.exec(`UPDATE snapshots SET part = 'media' WHERE id = $1`, half)
	_, err = w.End(t.Context(), w.laptop.actor, run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: half})
	w.want(err, fault.Conflict, "something else")
	sn := w.saved(w.laptop, app, catalog.MadeByBackup)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: sn})
	w.is(run.Succeeded, r.ID)
	if get[bool](w, `SELECT scheduled FROM snapshots WHERE id = $1`, sn) {
		t.Error("it is subject to the retention of policies")
	}
	equal(t, "told", w.told(w.ann), []string{"application.succeeded"})

	// Then the next, and the files; and the other way about for files an application's snapshot will not do.
	if work = w.take(w.laptop); work.Runs[0].ID != other.ID {
		t.Errorf("%+v", work.Runs[0])
	}
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: "DUMP_FAILED"})
	work = w.take(w.laptop)
	if work.Runs[0].ID != files.ID || work.Policy == nil || work.Options != nil {
		t.Errorf("%+v", work)
	}
	_, err = w.End(t.Context(), w.laptop.actor, run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: w.saved(w.laptop, app, catalog.MadeByBackup)})
	w.want(err, fault.Conflict, "something else")
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.laptop)})
	equal(t, "told", w.told(w.ann), []string{"application.failed", "run.first"}) // the application's backups are no first one of the files
}

// What is asked for is bounded, and refused with a sentence.
func TestApplicationIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	engine := application.SQLite
	small, err := w.apps.Register(t.Context(), w.laptop.actor, application.RegisterInput{Name: "Small", Engine: &engine})
	w.ok(err)
	pictures, err := w.apps.Register(t.Context(), w.laptop.actor, application.RegisterInput{Name: "Pictures", MediaFolders: 2})
	w.ok(err)
	sn := w.saved(w.laptop, app, catalog.MadeByBackup)
	in := full(app, "")
	for _, tt := range []struct {
		name   string
		a      actor.Actor
		change func(*run.ApplicationInput)
		kind   fault.Kind
		words  string
	}{
		{"nobody", actor.Actor{}, nil, fault.Unauthenticated, "log in"},
		{"the device", w.laptop.actor, nil, fault.Forbidden, "a device cannot"},
		{"by recovery code", actor.Actor{User: w.ann.User, Role: actor.Staff, ByRecovery: true}, nil, fault.Forbidden, "recovery"},
		{"somebody else", w.bob, nil, fault.NotFound, "no such application"},
		{"no such", w.ann, func(in *run.ApplicationInput) { in.Application = id.Application{}.New() }, fault.NotFound, "no such application"},
		{"no part", w.ann, func(in *run.ApplicationInput) { in.Part = "half" }, fault.Invalid, "part:"},
		{"no media", w.ann, func(in *run.ApplicationInput) { in.Application, in.Part = small.ID, catalog.Media }, fault.Invalid, "no media folders"},
		{"no database", w.ann, func(in *run.ApplicationInput) { in.Application, in.Part = pictures.ID, catalog.Database }, fault.Invalid, "no database"},
		{"title", w.ann, func(in *run.ApplicationInput) { in.Title = strings.Repeat("x", 81) }, fault.Invalid, "title: at most 80"},
		{"level", w.ann, func(in *run.ApplicationInput) { in.Level = "hard" }, fault.Invalid, "level:"},
	} {
		in := in
		if tt.change != nil {
			tt.change(&in)
		}
		_, err := w.BackUpApplication(t.Context(), tt.a, in)
		t.Log(tt.name)
		w.want(err, tt.kind, tt.words)
	}
	for i := range 20 {
		w.ask(w.ann, full(app, fmt.Sprint("no. ", i)))
	}
	_, err = w.BackUpApplication(t.Context(), w.ann, full(app, "one more"))
	w.want(err, fault.Conflict, "20 backups of “Shop” are waiting")

	for _, a := range []actor.Actor{{}, w.laptop.actor, w.bob} {
		if _, err := w.TestApplication(t.Context(), a, app.ID); err == nil {
			t.Errorf("%+v may test it", a)
		}
	}
	for _, tt := range []struct {
		name     string
		a        actor.Actor
		app      id.Application
		snapshot id.Snapshot
		part     catalog.Part
		order    string
		kind     fault.Kind
		words    string
	}{
		{"the device", w.laptop.actor, app.ID, *sn, catalog.Full, "o", fault.Forbidden, ""},
		{"somebody else", w.bob, app.ID, *sn, catalog.Full, "o", fault.NotFound, "no such application"},
		{"an administrator", w.boss, app.ID, *sn, catalog.Full, "o", fault.NotFound, "only its owner"},
		{"no order", w.ann, app.ID, *sn, catalog.Full, "", fault.Invalid, "order:"},
		{"a huge order", w.ann, app.ID, *sn, catalog.Full, strings.Repeat("o", run.MaxOrder+1), fault.TooLarge, "order"},
		{"no part", w.ann, app.ID, *sn, "half", "o", fault.Invalid, "part:"},
		{"another's snapshot", w.ann, small.ID, *sn, catalog.Full, "o", fault.NotFound, "no such snapshot of this application"},
		{"a snapshot of files", w.ann, app.ID, *w.snapshot(w.laptop), catalog.Full, "o", fault.NotFound, "no such snapshot"},
		{"no snapshot", w.ann, app.ID, id.Snapshot{}.New(), catalog.Full, "o", fault.NotFound, "no such snapshot"},
	} {
		_, err := w.RestoreApplication(t.Context(), tt.a, tt.app, tt.snapshot, tt.part, []byte(tt.order))
		t.Log(tt.name)
		w.want(err, tt.kind, tt.words)
	}
	w.exec(`UPDATE snapshots SET part = 'media' WHERE id = $1`, sn)
	_, err = w.RestoreApplication(t.Context(), w.ann, app.ID, *sn, catalog.Database, []byte("o"))
	w.want(err, fault.Invalid, "holds media only")

	w.revoke(w.laptop)
	_, err = w.BackUpApplication(t.Context(), w.ann, full(small, ""))
	w.want(err, fault.Conflict, "revoked")
	_, err = w.RestoreApplication(t.Context(), w.ann, app.ID, *sn, catalog.Media, []byte("o"))
	w.want(err, fault.Conflict, "revoked")
}

// A restore goes before a probe, and a probe before backups; each alone.
func TestRestoreAndProbe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	old := w.saved(w.laptop, app, catalog.MadeForUndo)
	sn := w.saved(w.laptop, app, catalog.MadeByBackup)
	backup := w.ask(w.ann, full(app, ""))
	probe, err := w.TestApplication(t.Context(), w.boss, app.ID)
	w.ok(err)
	if again, err := w.TestApplication(t.Context(), w.ann, app.ID); err != nil || again.ID != probe.ID || probe.Kind != run.Probe || probe.Title != nil {
		t.Errorf("%+v, %v", again, err)
	}
	restore, err := w.RestoreApplication(t.Context(), w.ann, app.ID, *sn, catalog.Database, []byte("sealed"))
	w.ok(err)
	equal(t, "log", w.audited("restore.ordered", w.ann),
		[]string{fmt.Sprintf("A restore of the application “Shop” from the snapshot %s was ordered for the device “laptop”.", sn)})
	work := w.take(w.laptop)
	if work.Runs[0].ID != restore.ID || string(work.Order) != "sealed" || work.Options != nil || *work.Runs[0].Part != catalog.Database {
		t.Fatalf("%+v", work)
	}

	// The backup that was made before it is of the application, for undoing, live, and younger than the order.
	end := run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeSucceeded}
	foreign := w.saved(w.desk, w.shop(w.desk, "Shop"), catalog.MadeForUndo)
	gone := w.saved(w.laptop, app, catalog.MadeForUndo)
	w.exec(`UPDATE snapshots SET deleted_at = clock_timestamp(), purge_after = clock_timestamp() WHERE id = $1`, gone)
	for _, wrong := range []*id.Snapshot{old, foreign, gone, w.saved(w.laptop, app, catalog.MadeByBackup), w.snapshot(w.laptop), {}} {
		end.Safety = wrong
		_, err := w.End(t.Context(), w.laptop.actor, end)
		w.want(err, fault.Conflict, "safety:")
	}
	safety := w.saved(w.laptop, app, catalog.MadeForUndo)
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: "AGENT_STOPPED", Retry: true, Safety: safety})
	work = w.take(w.laptop) // the next attempt names what the first one made, or nothing
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded})
	if r := w.run(restore.ID); r.State != run.Succeeded || *r.SafetyID != *safety || *r.SnapshotID != *sn {
		t.Errorf("%+v", r)
	}
	if r, err := w.Run(t.Context(), w.boss, restore.ID); err != nil || r.SafetyID != nil || r.SnapshotID != nil {
		t.Errorf("an administrator learns of snapshots: %+v, %v", r, err)
	}
	if list := w.letters(w.ann); len(list) != 1 || list[0].Kind != "restore.finished" || !strings.Contains(list[0].Body, "can be undone") {
		t.Errorf("%+v", list)
	}
	w.told(w.ann)

	work = w.take(w.laptop)
	if work.Runs[0].ID != probe.ID || work.Options != nil || work.Policy != nil || work.Order != nil {
		t.Errorf("%+v", work)
	}
	_, err = w.End(t.Context(), w.laptop.actor, run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeSucceeded, Safety: safety})
	w.want(err, fault.Invalid, "only the restore of an application")
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Causes: []run.Cause{{Cause: "rights", Count: 1}}, Report: []byte("sealed")})
	w.is(run.Warned, probe.ID)
	equal(t, "told of a probe", w.told(w.ann), nil)
	if w.take(w.laptop).Runs[0].ID != backup.ID {
		t.Error("the backup is not next")
	}
}

// Files and applications of one device take turns by what is due longest; files that must wait for a window, or for which no policy says
// anything, keep no application.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	in := hourly("nights")
	in.Window, in.DeadlineMinutes = &plan.Window{From: 22 * 60, To: 23 * 60}, 24*60
	p := w.policy(in)
	w.nextHour() // 11:00:01
	w.tick()
	w.exec(`UPDATE runs SET due_at = slot`)
	r := w.ask(w.ann, full(app, ""))
	work := w.take(w.laptop)
	if work.Runs[0].ID != r.ID {
		t.Fatal("files that wait for a window were given")
	}
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.saved(w.laptop, app, catalog.MadeByBackup)})
	_, err := w.policies.Enable(t.Context(), w.boss, p.ID, false)
	w.ok(err)
	w.exec(`UPDATE runs SET due_at = slot WHERE state = 'waiting'`)
	r = w.ask(w.ann, full(app, ""))
	work = w.take(w.laptop)
	if work.Runs[0].ID != r.ID || !slices.Contains(w.states(w.laptop), "cancelled") {
		t.Fatalf("%v", w.states(w.laptop))
	}
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeCancelled})

	// A backup that is silent is done if its snapshot is of the application, and not if it is of something else.
	for _, ours := range []bool{false, true} {
		r = w.ask(w.ann, full(app, fmt.Sprint(ours)))
		work = w.take(w.laptop)
		b := w.session(w.laptop)
		w.keep(w.laptop, work, b)
		if sn := w.commit(w.laptop, b, 0); ours {
			w.label(sn, app, catalog.MadeByBackup)
		}
		w.shift(4 * time.Minute)
		w.sweep()
		w.is(map[bool]run.State{false: run.Waiting, true: run.Succeeded}[ours], r.ID)
		if !ours {
			_, err := w.Cancel(t.Context(), w.ann, r.ID)
			w.ok(err)
			if got := w.audited("run.cancelled", w.ann); got[len(got)-1] != "A backup of the application “Shop” on the device “laptop” was cancelled." {
				t.Error(got)
			}
		}
	}
}

// A device is not taken for well, or ill, or at work, because of its applications.
func TestApplicationsAreNoFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.shop(w.laptop, "Shop")
	health := func() run.HealthState {
		t.Helper()
		m, err := w.Health(t.Context(), w.ann, []id.Device{w.laptop.id})
		w.ok(err)
		return m[w.laptop.id].State
	}
	w.ask(w.ann, full(app, ""))
	work := w.take(w.laptop)
	b := w.session(w.laptop)
	w.keep(w.laptop, work, b)
	if h := health(); h != run.HealthNew {
		t.Errorf("at work for its application: %s", h)
	}
	sn := w.label(w.commit(w.laptop, b, 3), app, catalog.MadeByBackup)
	if h := health(); h != run.HealthNew {
		t.Errorf("with a snapshot of its application: %s", h)
	}
	w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: sn})
	w.ask(w.ann, full(app, ""))
	w.end(w.laptop, w.take(w.laptop), run.EndInput{Outcome: run.OutcomeFailed, Code: "DUMP_FAILED"})
	if h := health(); h != run.HealthNew {
		t.Errorf("after a failure of its application: %s", h)
	}
	w.policy(hourly("all"))
	w.shift(10 * 24 * time.Hour)
	w.saved(w.laptop, app, catalog.MadeByBackup)
	w.ok(w.Stale(t.Context()))
	if n := get[int](w, `SELECT count(*) FROM notifications WHERE kind = 'device.stale' AND device_id = $1`, w.laptop.id); n != 1 {
		t.Error("its application's backup hides that its files are not saved")
	}

	// History goes, but the newest good one of each.
	w.shift(5000 * 24 * time.Hour)
	w.ok(w.Prune(t.Context()))
	equal(t, "left", w.states(w.laptop), []string{"warned"})
	runs, err := w.Runs(t.Context(), w.ann, run.Filter{Application: &app.ID}, false, 10, "")
	if err != nil || runs.TotalCount != 1 || *runs.Runs[0].ApplicationID != app.ID {
		t.Errorf("%+v, %v", runs, err)
	}
}
