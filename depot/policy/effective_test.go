package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestEffective(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b, off := daily("b all"), daily("a laptop"), daily("off")
	a.Excludes = []string{"*.iso"}
	b.Targets, b.Roots, b.Presets, b.Extensions = policy.Targets{Devices: []id.Device{w.laptop}}, []string{"/srv"}, nil, []string{".ai"}
	b.Level, b.UploadLimit, b.Retention = policy.Better, 1<<20, plan.Retention{}
	b.Schedule.Times = []plan.Clock{180}
	off.Enabled = false
	first, second := w.policy(a), w.policy(b)
	w.policy(off)
	found, err := w.EffectiveOf(ctx, w.ann, []id.Device{w.laptop, w.desk})
	w.ok(err)
	e := found[w.laptop]
	if len(e.Policies) != 2 || e.Policies[0].ID != second.ID || e.Policies[1].ID != first.ID || e.Policies[0].Targets != nil {
		t.Fatalf("%+v", e.Policies)
	}
	if len(e.Selections) != 2 || e.Level != "better" || e.UploadLimit != 1<<20 || len(e.Rules) != 2 {
		t.Errorf("%+v", e)
	}
	for _, s := range e.Selections {
		switch s.Policy {
		case first.ID.String():
			if !slices.Contains(s.Extensions, ".docx") || !slices.Equal(s.Excludes, []string{"*.iso"}) || s.Name != "b all" {
				t.Errorf("%+v", s)
			}
		case second.ID.String():
			if !slices.Equal(s.Extensions, []string{".ai"}) || !slices.Equal(s.Roots, []string{"/srv"}) {
				t.Errorf("%+v", s)
			}
		default:
			t.Errorf("%+v", s)
		}
	}
	next, err := e.Next(3)
	w.ok(err)
	if len(next) != 3 || next[0].At.After(next[1].At) || next[1].At.After(next[2].At) || next[0].Policy == next[1].Policy || next[0].Policy != next[2].Policy {
		t.Errorf("%v", next)
	}
	if one := found[w.desk]; len(one.Policies) != 1 || len(one.Selections) != 1 || one.Policies[0].ID != first.ID {
		t.Errorf("%+v", one)
	}
	rules, err := policy.RetentionRules(ctx, w.db, w.laptop)
	w.ok(err)
	if len(rules) != 2 || !slices.Contains(rules, plan.Rule{Retention: plan.Retention{Days: 30}, Zone: "Europe/Athens"}) || !slices.Contains(rules, plan.Rule{Zone: "Europe/Athens"}) {
		t.Errorf("%v", rules)
	}

	// A kind of files that this version does not know is an error: to guess would save too much, or too little.
	w.exec(`UPDATE policies SET presets = '{poems}' WHERE id = $1`, first.ID)
	if _, err := w.EffectiveOf(ctx, w.ann, []id.Device{w.desk}); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("%v", err)
	}
	w.exec(`UPDATE policies SET presets = '{}', exclude_presets = '{poems}' WHERE id = $1`, first.ID)
	if _, err := w.EffectiveOf(ctx, w.ann, []id.Device{w.desk}); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("%v", err)
	}
	w.exec(`UPDATE policies SET schedule = '[]' WHERE id = $1`, first.ID)
	if _, err := w.List(ctx, w.boss); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("%v", err)
	}
	if _, err := policy.RetentionRules(ctx, w.db, w.desk); err == nil {
		t.Error("rules of a policy that cannot be read")
	}
}

// Without a policy nothing is saved, and nothing is deleted.
func TestNoPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	in := daily("off")
	in.Enabled = false
	w.policy(in)
	found, err := w.EffectiveOf(ctx, w.annAtLaptop, []id.Device{w.laptop})
	w.ok(err)
	if e := found[w.laptop]; e == nil || e.Policies == nil || len(e.Policies)+len(e.Selections) != 0 {
		t.Errorf("%+v", e)
	}
	if next, err := found[w.laptop].Next(1); err != nil || next == nil || len(next) != 0 {
		t.Errorf("%v, %v", next, err)
	}
	in = daily("on")
	in.Retention = plan.Retention{Last: 1}
	w.policy(in)
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, w.laptop)
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, w.bob.User)
	for name, d := range map[string]id.Device{"revoked": w.laptop, "of somebody suspended": w.box, "unknown": {1}} {
		if rules, err := policy.RetentionRules(ctx, w.db, d); err != nil || rules != nil {
			t.Errorf("%s: %v, %v", name, rules, err)
		}
	}
	if rules, err := policy.RetentionRules(ctx, w.db, w.desk); err != nil || len(rules) != 1 {
		t.Errorf("%v, %v", rules, err)
	}
}

func TestWhoSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	all := daily("all")
	p := w.policy(all)
	hers := daily("hers")
	hers.Targets = policy.Targets{Devices: []id.Device{w.laptop}}
	q := w.policy(hers)
	past := daily("past")
	past.Targets = policy.Targets{Groups: nil, Devices: []id.Device{w.box}}
	r := w.policy(past)
	w.exec(`INSERT INTO runs (id, device_id, kind, trigger, policy_id, slot, due_at, deadline_at) VALUES ($1, $2, 'backup', 'schedule', $3, now(), now(), now())`,
		id.Run{}.New(), w.desk, r.ID)
	devices := []id.Device{w.laptop, w.desk, w.box, {1}}
	policies := []id.Policy{p.ID, q.ID, r.ID, {1}}
	for name, c := range map[string]struct {
		a                 actor.Actor
		devices, policies string
	}{
		"administrator": {w.boss, "laptop desk box ", "all! hers! past! "},
		"system":        {actor.System(), "laptop desk box ", "all! hers! past! "},
		"owner":         {w.ann, "laptop desk ", "all hers past "}, // the last one made a run of hers
		"other":         {w.bob, "box ", "all past "},
		"recovery":      {w.bobByOldCode, "box ", "all past "},
		"device":        {w.annAtLaptop, "laptop ", "all hers "},
	} {
		found, err := w.EffectiveOf(ctx, c.a, devices)
		w.ok(err)
		got := ""
		for i, d := range devices {
			if found[d] != nil {
				got += [...]string{"laptop ", "desk ", "box ", "? "}[i]
			}
		}
		if got != c.devices {
			t.Errorf("%s sees the policies of %q, want %q", name, got, c.devices)
		}
		byID, err := w.ByID(ctx, c.a, policies)
		w.ok(err)
		got = ""
		for _, p := range policies {
			if byID[p] != nil {
				got += byID[p].Name
				if byID[p].Targets != nil {
					got += "!"
				}
				got += " "
			}
		}
		if got != c.policies {
			t.Errorf("%s sees %q, want %q", name, got, c.policies)
		}
	}

	// Everything else is for administrators.
	for name, a := range map[string]actor.Actor{"owner": w.ann, "device": w.annAtLaptop, "recovery": w.bobByOldCode, "nobody": {}} {
		kind := fault.Forbidden
		if name == "nobody" {
			kind = fault.Unauthenticated
			_, err := w.EffectiveOf(ctx, a, devices)
			w.want(err, kind)
			_, err = w.ByID(ctx, a, policies)
			w.want(err, kind)
			_, err = w.GroupsOf(ctx, a, []id.User{w.ann.User})
			w.want(err, kind)
		}
		for call, err := range map[string]error{
			"List":         second(w.List(ctx, a)),
			"Get":          second(w.Get(ctx, a, p.ID)),
			"Create":       second(w.Create(ctx, a, all)),
			"Update":       second(w.Update(ctx, a, p.ID, 1, all)),
			"Enable":       second(w.Enable(ctx, a, p.ID, false)),
			"Delete":       w.Delete(ctx, a, p.ID),
			"DeviceCounts": second(w.DeviceCounts(ctx, a, policies)),
			"Groups":       second(w.Groups(ctx, a)),
			"Group":        second(w.Group(ctx, a, id.Group{})),
			"Members":      second(w.Members(ctx, a, nil)),
			"CreateGroup":  second(w.CreateGroup(ctx, a, "g", nil)),
			"UpdateGroup":  second(w.UpdateGroup(ctx, a, id.Group{}, policy.GroupChange{})),
			"DeleteGroup":  w.DeleteGroup(ctx, a, id.Group{}),
		} {
			if err == nil || fault.KindOf(err) != kind {
				t.Errorf("%s as %s: %v, want %s", call, name, err, kind)
			}
		}
	}
	for call, err := range map[string]error{
		"ByID":         second(w.ByID(ctx, w.boss, make([]id.Policy, policy.MaxByID+1))),
		"DeviceCounts": second(w.DeviceCounts(ctx, w.boss, make([]id.Policy, policy.MaxByID+1))),
		"EffectiveOf":  second(w.EffectiveOf(ctx, w.boss, make([]id.Device, policy.MaxByID+1))),
		"GroupsByID":   second(w.GroupsByID(ctx, w.boss, make([]id.Group, policy.MaxByID+1))),
		"Members":      second(w.Members(ctx, w.boss, make([]id.Group, policy.MaxByID+1))),
		"GroupsOf":     second(w.GroupsOf(ctx, w.boss, make([]id.User, policy.MaxByID+1))),
	} {
		if fault.KindOf(err) != fault.TooLarge {
			t.Errorf("%s of too many: %v", call, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestSystem: the command line may write policies; nobody is written down as their maker.
func TestSystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := w.Create(t.Context(), actor.System(), daily("p"))
	w.ok(err)
	var by *string
	w.ok(w.db.Get(&by, `SELECT created_by FROM policies WHERE id = $1`, p.ID))
	var logged int
	w.ok(w.db.Get(&logged, `SELECT count(*) FROM audit_events WHERE kind = 'policy.created' AND actor_id IS NULL`))
	if by != nil || logged != 1 {
		t.Error(fmt.Sprint(by), logged)
	}
}
