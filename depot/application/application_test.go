package application_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// world is a service on a database of its own, with an administrator, two people and their devices.
type world struct {
	*application.Service
	t      *testing.T
	db     *sqlx.DB
	before func(id.ApplicationSchedule) error // what is called before a change

	boss, ann, bob    actor.Actor
	laptop, desk, box actor.Actor // ann's, ann's, bob's
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, db: pgtest.New(t), before: func(id.ApplicationSchedule) error { return nil }}
	w.Service = application.New(application.Config{DB: w.db, BeforeChange: func(_ context.Context, _ *sqlx.Tx, s id.ApplicationSchedule) error { return w.before(s) }})
	w.boss, w.ann, w.bob = w.person("boss", actor.Admin), w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	w.laptop, w.desk, w.box = w.device(w.ann, "laptop"), w.device(w.ann, "desk"), w.device(w.bob, "box")
	return w
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(query, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) person(name string, role actor.Role) actor.Actor {
	u := id.User{}.New()
	w.exec(`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle, recovery_auth_hash,
		recovery_bundle, identity_public) VALUES ($1, $2, $2, $2, $3, '', 1, 1, 1, '', '', '', '', '')`, u, name+"@example.org", role)
	return actor.Actor{User: u, Role: role}
}

func (w *world) device(a actor.Actor, name string) actor.Actor {
	d := id.Device{}.New()
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		VALUES ($1, $2, $3, 'host', 'linux', 'amd64', '1', '', '', $4)`, d, a.User, name, d.String())
	return actor.Actor{User: a.User, Device: d}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// want checks the kind of an error and that its sentence holds the words.
func (w *world) want(err error, kind fault.Kind, words string) {
	w.t.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		w.t.Errorf("%v, want %s and “%s”", err, kind, words)
	}
}

func engine(e application.Engine) *application.Engine { return &e }

func shop(name string) application.RegisterInput {
	return application.RegisterInput{Name: name, Engine: engine(application.MySQL), MediaFolders: 2}
}

func (w *world) register(dev actor.Actor, in application.RegisterInput) *application.Application {
	w.t.Helper()
	app, err := w.Register(w.t.Context(), dev, in)
	w.ok(err)
	return app
}

func (w *world) audited(kind string) (texts []string) {
	w.t.Helper()
	w.ok(w.db.Select(&texts, `SELECT text FROM audit_events WHERE kind = $1 ORDER BY at, id`, kind))
	return texts
}

func TestRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	app := w.register(w.laptop, shop(" Shop "))
	if app.Name != "Shop" || app.DeviceID != w.laptop.Device || app.OwnerID != w.ann.User || app.Device != "laptop" || *app.Engine != application.MySQL ||
		app.MediaFolders != 2 || app.KeepSafety != 5 || app.Notify != application.Failures || app.RemovedAt != nil || app.CreatedAt.IsZero() {
		t.Errorf("%+v", app)
	}
	if again := w.register(w.laptop, shop("Shop")); again.ID != app.ID {
		t.Error("it has another id")
	}
	if other := w.register(w.desk, shop("Shop")); other.ID == app.ID {
		t.Error("two devices share one")
	}
	if is := w.register(w.laptop, application.RegisterInput{Name: "SHOP", MediaFolders: 1}); is.ID != app.ID || is.Name != "SHOP" || is.Engine != nil {
		t.Errorf("%+v", is)
	}
	gone, err := w.Remove(ctx, w.laptop, app.ID)
	w.ok(err)
	if again, err := w.Remove(ctx, w.laptop, app.ID); err != nil || gone.RemovedAt == nil || !again.RemovedAt.Equal(*gone.RemovedAt) {
		t.Errorf("%+v, %v", again, err)
	}
	if back := w.register(w.laptop, shop("shop")); back.ID != app.ID || back.RemovedAt != nil {
		t.Errorf("%+v", back)
	}
	want := []string{
		"The device “laptop” told of its application “Shop”: mysql and 2 folders of media.",
		"The device “desk” told of its application “Shop”: mysql and 2 folders of media.",
		"The application “Shop” of the device “laptop” is now “SHOP”: 1 folder of media (was: mysql and 2 folders of media).",
		"The device “laptop” has its application “shop” again: mysql and 2 folders of media.",
	}
	if got := w.audited("application.registered"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := w.audited("application.removed"); !slices.Equal(got, []string{"The device “laptop” has its application “SHOP” no more. Its backups stay."}) {
		t.Errorf("%q", got)
	}

	for _, tt := range []struct {
		name  string
		a     actor.Actor
		in    application.RegisterInput
		kind  fault.Kind
		words string
	}{
		{"nobody", actor.Actor{}, shop("x"), fault.Unauthenticated, "device token"},
		{"a person", w.ann, shop("x"), fault.Forbidden, "only a device"},
		{"an import", actor.Actor{Import: id.Backup{}.New(), ImportTo: w.laptop.Device}, shop("x"), fault.Forbidden, "only a device"},
		{"no name", w.laptop, shop(" "), fault.Invalid, "name: must not be empty"},
		{"a long name", w.laptop, shop(strings.Repeat("x", 81)), fault.Invalid, "name: at most 80"},
		{"no engine of ours", w.laptop, application.RegisterInput{Name: "x", Engine: engine("oracle")}, fault.Invalid, "engine:"},
		{"nothing", w.laptop, application.RegisterInput{Name: "x"}, fault.Invalid, "nothing to save"},
		{"fewer than none", w.laptop, application.RegisterInput{Name: "x", MediaFolders: -1}, fault.Invalid, "mediaFolders:"},
		{"too many", w.laptop, application.RegisterInput{Name: "x", MediaFolders: 1001}, fault.Invalid, "mediaFolders:"},
		{"no such device", actor.Actor{User: w.ann.User, Device: id.Device{}.New()}, shop("x"), fault.Unauthenticated, "revoked"},
	} {
		_, err := w.Register(ctx, tt.a, tt.in)
		t.Log(tt.name)
		w.want(err, tt.kind, tt.words)
	}
	for _, a := range []actor.Actor{{}, w.ann, w.desk, w.box, w.boss} {
		if _, err := w.Remove(ctx, a, app.ID); err == nil {
			t.Errorf("%+v may remove it", a)
		}
	}
	for i := range application.MaxApplications - 1 {
		w.register(w.laptop, shop(fmt.Sprint("n", i)))
	}
	_, err = w.Register(ctx, w.laptop, shop("one more"))
	w.want(err, fault.Conflict, "100 applications")
	w.register(w.laptop, shop("n1")) // one that is there is no new one
}

// A device, or who has its token, ends the backups of an application in silence no more than it ends those of files: its owner is told, if there were to be any.
func TestRemovalIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, idle := w.register(w.laptop, shop("Shop")), w.register(w.laptop, shop("Idle"))
	_, err := w.CreateSchedule(t.Context(), w.ann, app.ID, daily("nightly"))
	w.ok(err)
	off := daily("off")
	off.Enabled = false
	_, err = w.CreateSchedule(t.Context(), w.ann, idle.ID, off)
	w.ok(err)
	for _, gone := range []*application.Application{app, app, idle} { // once, though it is said twice
		_, err := w.Remove(t.Context(), w.laptop, gone.ID)
		w.ok(err)
	}
	var told []struct{ Kind, Title, Body string }
	w.ok(w.db.Select(&told, `SELECT kind, title, body FROM notifications WHERE user_id = $1 AND device_id = $2`, w.ann.User, w.laptop.Device))
	if len(told) != 1 || told[0].Kind != "application.removed" || told[0].Title != "“Shop” on “laptop” is backed up no more" ||
		!strings.HasPrefix(told[0].Body, "The device has it no more, so its 1 schedules rest") {
		t.Errorf("%+v", told)
	}
}

// Whoever has a device's token could fill the list of its owner, and the database, with applications that come and go.
func TestKnownIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := w.register(w.laptop, shop("gone"))
	_, err := w.Remove(t.Context(), w.laptop, gone.ID)
	w.ok(err)
	w.exec(`INSERT INTO applications (id, device_id, name, name_key, media_folders, removed_at)
		SELECT gen_random_uuid(), $1, n::text, n::text, 1, now() FROM generate_series(1, $2::int) n`, w.laptop.Device, 500-1)
	_, err = w.Register(t.Context(), w.laptop, shop("one more"))
	w.want(err, fault.Conflict, "500 applications")
	w.register(w.desk, shop("one more"))
	if again := w.register(w.laptop, shop("Gone")); again.ID != gone.ID || again.RemovedAt != nil {
		t.Errorf("%+v", again) // what it had before it may have again
	}
}

func TestWhoSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b, c := w.register(w.laptop, shop("B")), w.register(w.desk, shop("a")), w.register(w.box, shop("c"))
	paths := func(list []*application.Application, err error) string {
		t.Helper()
		w.ok(err)
		var names []string
		for _, app := range list {
			names = append(names, app.Path())
		}
		return strings.Join(names, " ")
	}
	if got := paths(w.List(ctx, w.ann, false)); got != "desk/a laptop/B" {
		t.Error(got)
	}
	if got := paths(w.List(ctx, w.boss, true)); got != "desk/a laptop/B box/c" {
		t.Error(got)
	}
	if got := paths(w.List(ctx, w.boss, false)); got != "" {
		t.Error(got)
	}
	_, err := w.List(ctx, w.ann, true)
	w.want(err, fault.Forbidden, "role")
	_, err = w.List(ctx, actor.Actor{}, false)
	w.want(err, fault.Unauthenticated, "")
	s, err := w.CreateSchedule(ctx, w.ann, a.ID, daily("nightly"))
	w.ok(err)
	for _, tt := range []struct {
		name string
		a    actor.Actor
		sees int
	}{
		{"owner", w.ann, 2}, {"by recovery code", actor.Actor{User: w.ann.User, ByRecovery: true}, 2}, {"device", w.laptop, 1}, {"other device", w.desk, 1},
		{"somebody else", w.bob, 1}, {"administrator", w.boss, 3}, {"system", actor.System(), 3},
	} {
		found, err := w.ByID(ctx, tt.a, []id.Application{a.ID, b.ID, c.ID, {}})
		if err != nil || len(found) != tt.sees {
			t.Errorf("%s sees %d, %v", tt.name, len(found), err)
		}
		_, mine := found[a.ID]
		_, err = w.Application(ctx, tt.a, a.ID)
		if (err == nil) != mine {
			t.Errorf("%s: %v", tt.name, err)
		}
		_, err = w.Schedule(ctx, tt.a, s.ID)
		if (err == nil) != mine {
			t.Errorf("%s: schedule: %v", tt.name, err)
		}
		lists, err := w.SchedulesOf(ctx, tt.a, []id.Application{a.ID})
		if err != nil || (len(lists[a.ID]) == 1) != mine {
			t.Errorf("%s: schedules: %v, %v", tt.name, lists, err)
		}
		stats, err := w.Stats(ctx, tt.a, []id.Application{a.ID})
		if err != nil || (stats[a.ID] != nil) != mine {
			t.Errorf("%s: stats: %v, %v", tt.name, stats, err)
		}
	}
	for _, a := range []actor.Actor{{}, {Import: id.Backup{}.New(), ImportTo: w.laptop.Device}} {
		_, err1 := w.ByID(ctx, actor.Actor{}, nil)
		_, err2 := w.Application(ctx, a, b.ID)
		_, err3 := w.SchedulesByID(ctx, a, nil)
		_, err4 := w.SchedulesOf(ctx, a, nil)
		_, err5 := w.Stats(ctx, a, nil)
		_, err6 := w.Find(ctx, a, "a")
		_, err7 := w.Schedules(ctx, a)
		_, _, err8 := w.FindSchedule(ctx, a, "a")
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
			if kind := fault.KindOf(err); err == nil || kind != fault.Unauthenticated && kind != fault.Forbidden {
				t.Errorf("%+v, %d: %v", a, i+1, err)
			}
		}
	}
	if found, err := w.ByID(ctx, actor.Actor{Import: id.Backup{}.New(), ImportTo: w.laptop.Device}, []id.Application{a.ID, b.ID, c.ID}); err != nil || len(found) != 1 || found[a.ID] == nil {
		t.Errorf("an import sees %v, %v", found, err)
	}
	_, err = w.ByID(ctx, w.ann, make([]id.Application, application.MaxByID+1))
	w.want(err, fault.TooLarge, "at most 500")
	_, err = w.Schedule(ctx, w.ann, id.ApplicationSchedule{}.New())
	w.want(err, fault.NotFound, "no such schedule")
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	app := w.register(w.laptop, shop("Shop"))
	three, always := 3, application.Always
	is, err := w.Update(ctx, w.ann, app.ID, application.Change{KeepSafety: &three})
	w.ok(err)
	if is.KeepSafety != 3 || is.Notify != application.Failures {
		t.Errorf("%+v", is)
	}
	is, err = w.Update(ctx, w.boss, app.ID, application.Change{Notify: &always})
	w.ok(err)
	_, err = w.Update(ctx, w.ann, app.ID, application.Change{KeepSafety: &three, Notify: &always}) // nothing
	w.ok(err)
	if is.KeepSafety != 3 || is.Notify != application.Always || len(w.audited("application.changed")) != 2 {
		t.Errorf("%+v, %q", is, w.audited("application.changed"))
	}
	zero, much, never := 0, 51, application.Notify("never")
	for _, tt := range []struct {
		a      actor.Actor
		change application.Change
		kind   fault.Kind
	}{
		{w.ann, application.Change{KeepSafety: &zero}, fault.Invalid}, {w.ann, application.Change{KeepSafety: &much}, fault.Invalid},
		{w.ann, application.Change{Notify: &never}, fault.Invalid}, {w.bob, application.Change{}, fault.NotFound}, {w.laptop, application.Change{}, fault.Forbidden},
		{actor.Actor{}, application.Change{}, fault.Unauthenticated}, {actor.Actor{User: w.ann.User, ByRecovery: true}, application.Change{}, fault.Forbidden},
	} {
		_, err := w.Update(ctx, tt.a, app.ID, tt.change)
		w.want(err, tt.kind, "")
	}
	_, err = w.Update(ctx, w.ann, id.Application{}.New(), application.Change{})
	w.want(err, fault.NotFound, "no such application")
}

func daily(name string) application.Input {
	return application.Input{Name: name, Enabled: true, Part: catalog.Full, Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{3 * 60}}, Zone: "Europe/Berlin",
		Options: application.Options{Level: policy.Default}, Retention: plan.Retention{Days: 14, Monthly: 3}}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	app := w.register(w.laptop, shop("Shop"))
	s, err := w.CreateSchedule(ctx, w.ann, app.ID, daily(" Nightly "))
	w.ok(err)
	if s.Name != "Nightly" || s.Revision != 1 || !s.Enabled || s.Part != catalog.Full || s.Zone != "Europe/Berlin" || s.Schedule.Zone != s.Zone || s.Level != policy.Default ||
		s.Retention != (plan.Retention{Days: 14, Monthly: 3}) || s.ApplicationID != app.ID {
		t.Errorf("%+v", s)
	}
	next, err := s.Next(3)
	w.ok(err)
	if len(next) != 3 || next[1].Sub(next[0]) < 23*time.Hour || next[0].Before(time.Now()) {
		t.Error(next)
	}
	_, err = s.Next(51)
	w.want(err, fault.Invalid, "count:")
	first, err := application.NextDue([]*application.Schedule{s})
	if err != nil || !first.Equal(next[0]) {
		t.Error(first, err)
	}
	in := daily("nightly")
	in.Part, in.ExcludeLogs, in.Portable, in.Level, in.Retention = catalog.Database, true, true, policy.Better, plan.Retention{Days: 30}
	var settled []id.ApplicationSchedule
	w.before = func(s id.ApplicationSchedule) error { settled = append(settled, s); return nil }
	is, err := w.UpdateSchedule(ctx, w.boss, s.ID, 1, in)
	w.ok(err)
	if is.Revision != 2 || is.Name != "nightly" || is.Options != in.Options || is.Part != catalog.Database || !slices.Equal(settled, []id.ApplicationSchedule{s.ID}) {
		t.Errorf("%+v, %v", is, settled)
	}
	if same, err := w.UpdateSchedule(ctx, w.boss, s.ID, 2, in); err != nil || same.Revision != 2 {
		t.Errorf("%+v, %v", same, err)
	}
	_, err = w.UpdateSchedule(ctx, w.ann, s.ID, 1, in)
	w.want(err, fault.Conflict, "at revision 2, you saw 1")
	off, err := w.EnableSchedule(ctx, w.ann, s.ID, false)
	w.ok(err)
	if next, err := off.Next(1); err != nil || len(next) != 0 {
		t.Error(next, err)
	}
	if at, err := application.NextDue([]*application.Schedule{off}); err != nil || at != nil {
		t.Error(at, err)
	}
	if again, err := w.EnableSchedule(ctx, w.ann, s.ID, false); err != nil || again.Revision != 3 {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = w.CreateSchedule(ctx, w.ann, app.ID, daily("weekly"))
	w.ok(err)
	_, err = w.CreateSchedule(ctx, w.ann, app.ID, daily("NIGHTLY"))
	w.want(err, fault.Conflict, "name “NIGHTLY” already")
	_, err = w.UpdateSchedule(ctx, w.ann, s.ID, 3, daily("Weekly"))
	w.want(err, fault.Conflict, "name “Weekly” already")

	for _, tt := range []struct {
		name   string
		change func(*application.Input)
		words  string
	}{
		{"name", func(in *application.Input) { in.Name = "" }, "name: must not be empty"},
		{"part", func(in *application.Input) { in.Part = "" }, "part:"},
		{"zone", func(in *application.Input) { in.Zone = "Mars" }, "Mars"},
		{"schedule", func(in *application.Input) { in.Schedule.Times = nil }, "schedule.times"},
		{"level", func(in *application.Input) { in.Level = "" }, "level:"},
		{"retention", func(in *application.Input) { in.Retention = plan.Retention{Days: -1} }, "retention."},
	} {
		in := daily("x")
		tt.change(&in)
		t.Log(tt.name)
		_, err := w.CreateSchedule(ctx, w.ann, app.ID, in)
		w.want(err, fault.Invalid, tt.words)
		_, err = w.UpdateSchedule(ctx, w.ann, s.ID, 3, in)
		w.want(err, fault.Invalid, tt.words)
	}
	for _, a := range []actor.Actor{{}, w.laptop, w.bob, {User: w.ann.User, ByRecovery: true}} {
		kind := map[bool]fault.Kind{true: fault.NotFound, false: fault.Forbidden}[a.User == w.bob.User]
		if a.IsNobody() {
			kind = fault.Unauthenticated
		}
		_, err1 := w.CreateSchedule(ctx, a, app.ID, daily("x"))
		_, err2 := w.UpdateSchedule(ctx, a, s.ID, 3, in)
		_, err3 := w.EnableSchedule(ctx, a, s.ID, true)
		for _, err := range []error{err1, err2, err3, w.DeleteSchedule(ctx, a, s.ID), w.DeleteSchedule(ctx, a, id.ApplicationSchedule{}.New())} {
			w.want(err, kind, "")
		}
	}
	for i := range application.MaxSchedules - 2 {
		_, err := w.CreateSchedule(ctx, actor.System(), app.ID, daily(fmt.Sprint("n", i)))
		w.ok(err)
	}
	_, err = w.CreateSchedule(ctx, w.ann, app.ID, daily("one more"))
	w.want(err, fault.Conflict, "20 schedules")

	// What accounts for slots fails: nothing is changed.
	w.before = func(id.ApplicationSchedule) error { return errors.New("full moon") }
	_, err = w.EnableSchedule(ctx, w.ann, s.ID, true) // it is off: nothing to account for
	w.ok(err)
	for _, err := range []error{w.DeleteSchedule(ctx, w.ann, s.ID), second(w.Remove(ctx, w.laptop, app.ID)), second(w.EnableSchedule(ctx, w.ann, s.ID, false))} {
		if err == nil || !strings.Contains(err.Error(), "full moon") {
			t.Error(err)
		}
	}
	w.before = func(id.ApplicationSchedule) error { return nil }
	w.ok(w.DeleteSchedule(ctx, w.ann, s.ID))
	w.want(w.DeleteSchedule(ctx, w.ann, s.ID), fault.NotFound, "no such schedule")
	_, err = w.Remove(ctx, w.laptop, app.ID)
	w.ok(err)
	_, err = w.CreateSchedule(ctx, w.ann, app.ID, daily("x"))
	w.want(err, fault.Conflict, "no more")
	changed := w.audited("schedule.changed")
	if want := "Application “Shop” of the device “laptop”: The schedule “Nightly” was changed: name: nightly (was: Nightly); " +
		"saves: database, compression better, without logs, with a portable export (was: full, compression default); kept: "; !strings.HasPrefix(changed[0], want) || len(changed) != 3 {
		t.Errorf("%q", changed)
	}
	if created, deleted := w.audited("schedule.created"), w.audited("schedule.deleted"); len(created) != 20 || len(deleted) != 1 {
		t.Errorf("%q, %q", created, deleted)
	}
}

func second[T any](_ T, err error) error { return err }

func TestFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b, c := w.register(w.laptop, shop("Shop")), w.register(w.desk, shop("shop")), w.register(w.box, shop("Library"))
	for name, want := range map[string]*application.Application{"LIBRARY": c, "Laptop/SHOP": a, b.ID.String(): b} {
		if app, err := w.Find(ctx, actor.System(), name); err != nil || app.ID != want.ID {
			t.Errorf("%s: %+v, %v", name, app, err)
		}
	}
	_, err := w.Find(ctx, actor.System(), "shop")
	w.want(err, fault.Invalid, "there are 2 applications “shop”: name one of desk/shop ("+b.ID.String()+"), laptop/Shop ("+a.ID.String()+")")
	_, err = w.Find(ctx, w.ann, "Library")
	w.want(err, fault.NotFound, "no application “Library”")
	_, err = w.Find(ctx, w.ann, c.ID.String())
	w.want(err, fault.NotFound, "no such application")

	s, err := w.CreateSchedule(ctx, w.ann, a.ID, daily("nightly"))
	w.ok(err)
	other, err := w.CreateSchedule(ctx, w.ann, b.ID, daily("nightly"))
	w.ok(err)
	lonely, err := w.CreateSchedule(ctx, w.bob, c.ID, daily("weekly"))
	w.ok(err)
	for name, want := range map[string]*application.Schedule{"WEEKLY": lonely, "library/weekly": lonely, "desk/shop/nightly": other, s.ID.String(): s} {
		if found, app, err := w.FindSchedule(ctx, actor.System(), name); err != nil || found.ID != want.ID || app.ID != want.ApplicationID {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	_, _, err = w.FindSchedule(ctx, w.ann, "shop/nightly")
	w.want(err, fault.Invalid, "there are 2 schedules “shop/nightly”")
	_, _, err = w.FindSchedule(ctx, w.ann, "weekly")
	w.want(err, fault.NotFound, "no schedule “weekly”")
	_, err = w.Remove(ctx, w.desk, b.ID)
	w.ok(err)
	if app, err := w.Find(ctx, w.ann, "shop"); err != nil || app.ID != a.ID {
		t.Errorf("%+v, %v", app, err)
	}
	if all, err := w.Schedules(ctx, w.ann); err != nil || len(all) != 1 || all[0].ID != s.ID || all[0].Application.ID != a.ID {
		t.Errorf("%+v, %v", all, err)
	}

	// A machine that was enrolled again is another device: what the old one had stands in nobody's way.
	w.register(w.desk, shop("Shop"))
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, w.laptop.Device)
	if app, err := w.Find(ctx, actor.System(), "shop"); err != nil || app.ID != b.ID {
		t.Errorf("%+v, %v", app, err)
	}
	if found, _, err := w.FindSchedule(ctx, actor.System(), "shop/nightly"); err != nil || found.ID != other.ID {
		t.Errorf("%+v, %v", found, err)
	}
	if app, err := w.Find(ctx, actor.System(), a.ID.String()); err != nil || !app.Revoked {
		t.Errorf("%+v, %v", app, err)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	app, idle := w.register(w.laptop, shop("Shop")), w.register(w.laptop, shop("Idle"))
	w.exec(`INSERT INTO spaces (public_id, owner_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), $1, 1, 1, 1)`, w.ann.User)
	day := func(n int) time.Time { return time.Date(2031, 3, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }
	at := func(n int, kind, state string, bytes int) id.Run {
		r := id.Run{}.New()
		w.exec(`INSERT INTO runs (id, device_id, kind, trigger, state, due_at, deadline_at, created_at, ended_at, bytes, uploaded_bytes, application_id, part, title)
			VALUES ($1, $2, $3, 'owner', $4, $5, $5, $5, CASE WHEN $4::run_state NOT IN ('waiting', 'running') THEN $5::timestamptz + interval '1 hour' END, $6::bigint, $6::bigint / 10, $7, 'media', '')`,
			r, w.laptop.Device, kind, state, day(n), bytes, app.ID)
		return r
	}
	for i := range 70 {
		at(i, "backup", "succeeded", 1000+i)
	}
	at(70, "backup", "warned", 5)
	at(71, "backup", "failed", 6)
	at(72, "backup", "missed", 7)
	at(73, "backup", "cancelled", 8)
	last := at(74, "backup", "waiting", 9)
	at(75, "restore", "succeeded", 1)
	at(76, "restore", "failed", 1)
	at(77, "restore", "cancelled", 1)
	at(78, "probe", "failed", 1)
	for i, origin := range []string{"backup", "safety", "import", "backup"} {
		w.exec(`INSERT INTO snapshots (id, space_id, device_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes, application_id, part, origin, deleted_at, purge_after)
			SELECT gen_random_uuid(), id, $1, gen_random_uuid(), '', $2, 1, 100, 0, 1, $3, 'full', $4::snapshot_origin, CASE WHEN $5 THEN now() END, CASE WHEN $5 THEN now() END FROM spaces`,
			w.laptop.Device, day(i), app.ID, origin, i == 3)
	}
	all, err := w.Stats(ctx, w.ann, []id.Application{app.ID, idle.ID})
	w.ok(err)
	s := all[app.ID]
	if s.Backups != 73 || s.Failed != 2 || s.Restores != 2 || s.Snapshots != 3 || s.Bytes != 300 || !s.LastSuccessAt.Equal(day(70).Add(time.Hour)) || *s.LastRunID != last {
		t.Errorf("%+v", s)
	}
	if n := len(s.Trend); n != 60 || s.Trend[0].Bytes != 1011 || s.Trend[58].Bytes != 1069 || *s.Trend[59] != (application.Size{Application: app.ID, At: day(70).Add(time.Hour), Part: catalog.Media, Bytes: 5}) {
		t.Errorf("%d, %+v", n, s.Trend[59])
	}
	if s := all[idle.ID]; s.Backups+s.Failed+s.Restores+s.Snapshots != 0 || s.Bytes != 0 || s.LastSuccessAt != nil || s.LastRunID != nil || len(s.Trend) != 0 {
		t.Errorf("%+v", s)
	}
}

// Two that register the same at once make one.
func TestRegisterAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	found := make(chan id.Application, 8)
	for range cap(found) {
		go func() {
			app, err := w.Register(context.Background(), w.laptop, shop("Shop"))
			if err != nil {
				t.Error(err)
				app = &application.Application{}
			}
			found <- app.ID
		}()
	}
	first := <-found
	for range cap(found) - 1 {
		if n := <-found; n != first {
			t.Error("two applications of one name")
		}
	}
}
