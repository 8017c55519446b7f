package policy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// world is a service on a database whose clock moves on demand, with an administrator and some staff.
type world struct {
	*policy.Service
	t     *testing.T
	db    *sqlx.DB
	shift func(time.Duration)

	boss, ann, bob            actor.Actor
	laptop, desk, box         id.Device // ann's, ann's, bob's
	annAtLaptop, bobByOldCode actor.Actor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, nil)
}

func newWorldWith(t *testing.T, before func(context.Context, *sqlx.Tx, *policy.Policy) error) *world {
	t.Helper()
	db, _, shift := pgtest.NewShifted(t)
	w := &world{Service: policy.New(policy.Config{DB: db, BeforeChange: before}), t: t, db: db, shift: shift}
	w.boss, w.ann, w.bob = w.person("boss", actor.Admin), w.person("ann", actor.Staff), w.person("bob", actor.Staff)
	w.laptop, w.desk, w.box = w.device(w.ann, "laptop"), w.device(w.ann, "desk"), w.device(w.bob, "box")
	w.annAtLaptop = actor.Actor{User: w.ann.User, Device: w.laptop}
	w.bobByOldCode = actor.Actor{User: w.bob.User, Role: actor.Staff, ByRecovery: true}
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// want checks the kind of an error and that its sentence holds the words.
func (w *world) want(err error, kind fault.Kind, words ...string) {
	w.t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		w.t.Fatalf("%v, want %s", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("%q does not say %q", err, word)
		}
	}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(query, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) person(name string, role actor.Role) actor.Actor {
	w.t.Helper()
	u := id.User{}.New()
	w.exec(`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle, recovery_auth_hash,
		recovery_bundle, identity_public) VALUES ($1, $2, $2, $2, $3, '', 1, 1, 1, '', '', '', '', '')`, u, name+"@example.org", role)
	return actor.Actor{User: u, Role: role, Session: id.Session{}.New()}
}

func (w *world) device(a actor.Actor, name string) id.Device {
	w.t.Helper()
	d := id.Device{}.New()
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash, created_at)
		VALUES ($1, $2, $3, 'host', 'linux', 'amd64', '1', '', '', $4, clock_timestamp())`, d, a.User, name, d.String())
	return d
}

// daily is a policy for everyone, at two in the morning.
func daily(name string) policy.Input {
	return policy.Input{
		Name: name, Enabled: true, Targets: policy.Targets{Everyone: true}, Roots: []string{"~documents"}, Presets: []string{"documents"},
		Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}}, Zone: "Europe/Athens", SpreadMinutes: 10,
		Level: policy.Default, Retention: plan.Retention{Days: 30},
	}
}

func (w *world) policy(in policy.Input) *policy.Policy {
	w.t.Helper()
	p, err := w.Create(w.t.Context(), w.boss, in)
	w.ok(err)
	return p
}

// audited returns the texts of a kind in the log, oldest first. Only administrators may read them.
func (w *world) audited(kind string) []string {
	w.t.Helper()
	var texts []string
	w.ok(w.db.Select(&texts, `SELECT text FROM audit_events WHERE kind = $1 AND actor_id IS NOT NULL AND owner_id IS NULL ORDER BY at`, kind))
	return texts
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	staff, err := w.CreateGroup(ctx, w.boss, "Staff", []id.User{w.ann.User})
	w.ok(err)
	in := policy.Input{
		Name: "  Büro ", Enabled: true,
		Targets: policy.Targets{Groups: []id.Group{staff.ID, staff.ID}, Devices: []id.Device{w.box}, ExceptDevices: []id.Device{w.desk}},
		Roots:   []string{"~documents", "/srv/data", "~documents"}, Presets: []string{"documents"}, Extensions: []string{"*.PSD", "psd", ".ai"},
		ExcludePresets: []string{"caches"}, Excludes: []string{"*.iso", " ", "!keep.iso"}, MaxFileSize: 1 << 30,
		Schedule: plan.Schedule{Kind: plan.Weekly, Times: []plan.Clock{60}, Days: []time.Weekday{time.Monday}}, Zone: "Europe/Athens",
		Window: &plan.Window{From: 0, To: 360}, DeadlineMinutes: 300, SpreadMinutes: 30, UploadLimit: 1 << 20, Level: policy.Better,
		Retention: plan.Retention{Days: 1, Last: 2, Daily: 3, Weekly: 4, Monthly: 5, Yearly: 6},
	}
	p := w.policy(in)
	got, err := w.Get(ctx, w.boss, p.ID)
	w.ok(err)
	want := *p
	if got.CreatedAt.Location() != time.UTC || got.CreatedAt.IsZero() || !got.CreatedAt.Equal(got.UpdatedAt) && got.UpdatedAt.Sub(got.CreatedAt) > time.Second {
		t.Errorf("made %v, changed %v", got.CreatedAt, got.UpdatedAt)
	}
	if g, w := fmt.Sprintf("%+v %+v", *got.Targets, *got.Window), fmt.Sprintf("%+v %+v", *want.Targets, *want.Window); g != w {
		t.Errorf("%s\n%s", g, w)
	}
	for _, c := range []struct{ got, want any }{
		{got.Name, "Büro"}, {got.Enabled, true}, {got.Revision, 1}, {got.Targets.Groups, []id.Group{staff.ID}}, {got.Targets.Devices, []id.Device{w.box}},
		{got.Targets.ExceptDevices, []id.Device{w.desk}}, {got.Targets.ExceptGroups, []id.Group{}}, {got.Targets.Everyone, false},
		{got.Roots, []string{"~documents", "/srv/data"}}, {got.Presets, []string{"documents"}}, {got.Extensions, []string{".ai", ".psd"}},
		{got.ExcludePresets, []string{"caches"}}, {got.Excludes, []string{"*.iso", "!keep.iso"}}, {got.MaxFileSize, 1 << 30}, {got.Zone, "Europe/Athens"},
		{got.Schedule.String(), "Mondays at 01:00 (Europe/Athens)"}, {got.Window.String(), "from 00:00 to 06:00"}, {got.DeadlineMinutes, 300},
		{got.SpreadMinutes, 30}, {got.UploadLimit, 1 << 20}, {got.Level, policy.Better}, {got.Retention, in.Retention},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	if log := w.audited("policy.created"); len(log) != 1 || !strings.Contains(log[0], "“Büro”") || !strings.Contains(log[0], "Mondays at 01:00") || !strings.Contains(log[0], "/srv/data") {
		t.Errorf("%q", log)
	}

	other := w.policy(daily("all"))
	list, err := w.List(ctx, w.boss)
	w.ok(err)
	if len(list) != 2 || list[0].ID != other.ID || list[1].ID != p.ID {
		t.Errorf("not by name: %v", list)
	}
	_, err = w.Create(ctx, w.boss, daily("BÜRO"))
	w.want(err, fault.Conflict, "“BÜRO”", "choose another")
	_, err = w.Update(ctx, w.boss, other.ID, 1, daily("büro"))
	w.want(err, fault.Conflict, "“büro”")

	in.Name, in.Window, in.Retention, in.Targets = "Office", nil, plan.Retention{}, policy.Targets{Everyone: true}
	w.shift(time.Hour)
	after, err := w.Update(ctx, w.boss, p.ID, 1, in)
	w.ok(err)
	if after.Name != "Office" || after.Revision != 2 || after.Window != nil || !after.Targets.Everyone || len(after.Targets.Groups)+len(after.Targets.ExceptDevices) != 0 ||
		!after.Retention.IsZero() || !after.CreatedAt.Equal(got.CreatedAt) || after.UpdatedAt.Sub(got.UpdatedAt) < time.Hour {
		t.Errorf("%+v", after)
	}
	log := w.audited("policy.changed")
	if len(log) != 1 {
		t.Fatalf("%q", log)
	}
	for _, words := range []string{"“Büro”", "name: Office (was: Büro)", "window: at any time (was: from 00:00 to 06:00)", "kept: everything, for ever", "for: everyone (was: "} {
		if !strings.Contains(log[0], words) {
			t.Errorf("%q does not say %q", log[0], words)
		}
	}
	if strings.Contains(log[0], "schedule") {
		t.Errorf("%q tells what did not change", log[0])
	}
	same, err := w.Update(ctx, w.boss, p.ID, 2, in)
	w.ok(err)
	if same.Revision != 2 || len(w.audited("policy.changed")) != 1 {
		t.Error("saving what is there counts as a change")
	}

	w.ok(w.Delete(ctx, w.boss, p.ID))
	w.want(w.Delete(ctx, w.boss, p.ID), fault.NotFound)
	_, err = w.Get(ctx, w.boss, p.ID)
	w.want(err, fault.NotFound)
	_, err = w.Update(ctx, w.boss, p.ID, 2, in)
	w.want(err, fault.NotFound)
	if log := w.audited("policy.deleted"); len(log) != 1 || !strings.Contains(log[0], "“Office”") {
		t.Errorf("%q", log)
	}
}

func TestEnable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	in := daily("quiet")
	in.Enabled, in.Targets = false, policy.Targets{ExceptDevices: []id.Device{w.box}}
	p := w.policy(in)
	if next, err := p.Next(3); err != nil || len(next) != 0 {
		t.Errorf("a policy that is off has slots: %v, %v", next, err)
	}
	_, err := w.Enable(ctx, w.boss, p.ID, true)
	w.want(err, fault.Conflict, "“quiet”", "for nobody")
	p, err = w.Enable(ctx, w.boss, p.ID, false)
	w.ok(err)
	if p.Revision != 1 {
		t.Errorf("nothing was changed, but the revision is %d", p.Revision)
	}
	in.Targets.Everyone = true
	_, err = w.Update(ctx, w.boss, p.ID, 1, in)
	w.ok(err)
	p, err = w.Enable(ctx, w.boss, p.ID, true)
	w.ok(err)
	if !p.Enabled || p.Revision != 3 || len(p.Targets.ExceptDevices) != 1 {
		t.Errorf("%+v", p)
	}
	if next, err := p.Next(3); err != nil || len(next) != 3 {
		t.Errorf("%v, %v", next, err)
	}
	if log := w.audited("policy.changed"); len(log) != 2 || !strings.Contains(log[1], "state: on (was: off)") {
		t.Errorf("%q", log)
	}
	_, err = w.Enable(ctx, w.boss, id.Policy{}.New(), true)
	w.want(err, fault.NotFound)
}

// Of administrators who change a policy at once, one succeeds and the others are told to look again.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy(daily("shared"))
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			in := daily("shared")
			in.SpreadMinutes = 100 + i
			_, errs[i] = w.Update(t.Context(), w.boss, p.ID, 1, in)
		})
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		if err == nil {
			if won >= 0 {
				t.Errorf("%d and %d both succeeded", won, i)
			}
			won = i
			continue
		}
		w.want(err, fault.Conflict, "load it again", "revision 2")
	}
	got, err := w.Get(t.Context(), w.boss, p.ID)
	w.ok(err)
	if won < 0 || got.SpreadMinutes != 100+won || got.Revision != 2 {
		t.Errorf("%d won, and there is %+v", won, got)
	}
}

// Policies that are made under one name at once are one.
func TestNamesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.Create(t.Context(), w.boss, daily("one")) })
	}
	wg.Wait()
	fine := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err != nil })
	if len(fine) != 1 {
		t.Errorf("%v", errs)
	}
}

// A hook that fails undoes the change.
func TestHookThatFails(t *testing.T) {
	t.Parallel()
	var called []string
	w := newWorldWith(t, func(ctx context.Context, tx *sqlx.Tx, p *policy.Policy) error {
		called = append(called, p.Name)
		return fault.New(fault.Unavailable, "no runs today")
	})
	ctx := t.Context()
	group, err := w.CreateGroup(ctx, w.boss, "Staff", nil)
	w.ok(err)
	in := daily("p")
	in.Targets.Groups = []id.Group{group.ID}
	p := w.policy(in) // nothing is due yet: no hook
	in.SpreadMinutes++
	_, err = w.Update(ctx, w.boss, p.ID, 1, in)
	w.want(err, fault.Unavailable)
	_, err = w.Enable(ctx, w.boss, p.ID, false)
	w.want(err, fault.Unavailable)
	w.want(w.Delete(ctx, w.boss, p.ID), fault.Unavailable)
	_, err = w.UpdateGroup(ctx, w.boss, group.ID, policy.GroupChange{Add: []id.User{w.ann.User}})
	w.want(err, fault.Unavailable)
	w.want(w.DeleteGroup(ctx, w.boss, group.ID), fault.Unavailable)
	if len(called) != 5 {
		t.Errorf("%v", called)
	}
	got, err := w.Get(ctx, w.boss, p.ID)
	w.ok(err)
	if got.Revision != 1 || got.SpreadMinutes != 10 {
		t.Errorf("%+v", got)
	}
	if log := w.audited("policy.changed"); len(log) != 0 {
		t.Errorf("%q", log)
	}
}

func TestGoneDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy(daily("p"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"List":         func() error { _, err := w.List(ctx, w.boss); return err },
		"Get":          func() error { _, err := w.Get(ctx, w.boss, p.ID); return err },
		"ByID":         func() error { _, err := w.ByID(ctx, w.ann, []id.Policy{p.ID}); return err },
		"Create":       func() error { _, err := w.Create(ctx, w.boss, daily("q")); return err },
		"Update":       func() error { _, err := w.Update(ctx, w.boss, p.ID, 1, daily("q")); return err },
		"Delete":       func() error { return w.Delete(ctx, w.boss, p.ID) },
		"DeviceCounts": func() error { _, err := w.DeviceCounts(ctx, w.boss, []id.Policy{p.ID}); return err },
		"EffectiveOf":  func() error { _, err := w.EffectiveOf(ctx, w.ann, []id.Device{w.laptop}); return err },
		"Rules":        func() error { _, err := policy.RetentionRules(ctx, w.db, w.laptop); return err },
		"Enabled":      func() error { _, err := w.Enabled(ctx); return err },
		"Preview":      func() error { _, err := w.Preview(ctx, p.Schedule, 1); return err },
		"Groups":       func() error { _, err := w.Groups(ctx, w.boss); return err },
		"Group":        func() error { _, err := w.Group(ctx, w.boss, id.Group{}); return err },
		"Members":      func() error { _, err := w.Members(ctx, w.boss, []id.Group{{}}); return err },
		"GroupsOf":     func() error { _, err := w.GroupsOf(ctx, w.ann, []id.User{w.ann.User}); return err },
		"CreateGroup":  func() error { _, err := w.CreateGroup(ctx, w.boss, "g", nil); return err },
		"UpdateGroup":  func() error { _, err := w.UpdateGroup(ctx, w.boss, id.Group{}, policy.GroupChange{}); return err },
		"DeleteGroup":  func() error { return w.DeleteGroup(ctx, w.boss, id.Group{}) },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	err := pg.InTx(t.Context(), w.db, func(tx *sqlx.Tx) error {
		_, err := policy.Due(ctx, tx, p.ID)
		return err
	})
	if err == nil {
		t.Error("Due: no error")
	}
}
