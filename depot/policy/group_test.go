package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	ann, bob := w.ann.User, w.bob.User
	staff, err := w.CreateGroup(ctx, w.boss, " Staff ", []id.User{bob, ann, bob})
	w.ok(err)
	if staff.Name != "Staff" || staff.MemberCount != 2 {
		t.Errorf("%+v", staff)
	}
	labs, err := w.CreateGroup(ctx, w.boss, "labs", nil)
	w.ok(err)
	list, err := w.Groups(ctx, w.boss)
	w.ok(err)
	if len(list) != 2 || *list[0] != *labs || *list[1] != *staff {
		t.Errorf("%v", list)
	}
	members, err := w.Members(ctx, w.boss, []id.Group{staff.ID, labs.ID})
	w.ok(err)
	if !slices.Equal(members[staff.ID], []id.User{ann, bob}) || len(members[labs.ID]) != 0 {
		t.Errorf("%v", members)
	}

	name := "Research"
	labs, err = w.UpdateGroup(ctx, w.boss, labs.ID, policy.GroupChange{Name: &name, Add: []id.User{ann}, Remove: []id.User{bob}})
	w.ok(err)
	if labs.Name != "Research" || labs.MemberCount != 1 {
		t.Errorf("%+v", labs)
	}
	_, err = w.UpdateGroup(ctx, w.boss, labs.ID, policy.GroupChange{Name: &name, Add: []id.User{ann}, Remove: []id.User{bob}}) // nothing new
	w.ok(err)
	_, err = w.UpdateGroup(ctx, w.boss, labs.ID, policy.GroupChange{Remove: []id.User{ann}})
	w.ok(err)
	log := w.audited("group.changed")
	if len(log) != 2 || log[0] != "The group “labs” was changed: its name is now “Research”; 1 joined (ann@example.org)." ||
		log[1] != "The group “Research” was changed: 1 left (ann@example.org)." {
		t.Errorf("%q", log)
	}
	if log := w.audited("group.created"); len(log) != 2 || !strings.Contains(log[0], "“Staff”") || !strings.Contains(log[0], "2 joined (ann@example.org, bob@example.org)") {
		t.Errorf("%q", log)
	}

	got, err := w.Group(ctx, w.boss, staff.ID)
	w.ok(err)
	if *got != *staff {
		t.Errorf("%+v", got)
	}
	found, err := w.GroupsByID(ctx, w.boss, []id.Group{staff.ID, {9}})
	w.ok(err)
	if len(found) != 1 || *found[staff.ID] != *staff {
		t.Errorf("%v", found)
	}
	w.exec(`DELETE FROM users WHERE id = $1`, bob)
	if got, err := w.Group(ctx, w.boss, staff.ID); err != nil || got.MemberCount != 1 {
		t.Errorf("a user who is gone is a member still: %+v, %v", got, err)
	}
}

func TestBadGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	g, err := w.CreateGroup(ctx, w.boss, "Staff", []id.User{w.ann.User})
	w.ok(err)
	other, err := w.CreateGroup(ctx, w.boss, "Other", nil)
	w.ok(err)
	many := make([]id.User, policy.MaxMembers+1)
	for name, c := range map[string]struct {
		name   string
		change policy.GroupChange
		kind   fault.Kind
		words  string
	}{
		"taken name":   {"STAFF", policy.GroupChange{}, fault.Conflict, "a group with the name “STAFF” already"},
		"no name":      {"", policy.GroupChange{}, fault.Invalid, "name: must not be empty"},
		"unknown user": {"x", policy.GroupChange{Add: []id.User{w.bob.User, {7}}}, fault.Invalid, "there is no user " + (id.User{7}).String()},
		"too many":     {"x", policy.GroupChange{Add: many}, fault.Invalid, "members: at most 1000"},
	} {
		_, err := w.CreateGroup(ctx, w.boss, c.name, c.change.Add)
		w.want(err, c.kind, c.words)
		c.change.Name = &c.name
		if _, err := w.UpdateGroup(ctx, w.boss, other.ID, c.change); fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = w.UpdateGroup(ctx, w.boss, g.ID, policy.GroupChange{Remove: many})
	w.want(err, fault.Invalid, "members: at most 1000")
	_, err = w.UpdateGroup(ctx, w.boss, g.ID, policy.GroupChange{Add: []id.User{w.ann.User}, Remove: []id.User{w.ann.User}})
	w.want(err, fault.Invalid, "both to be added and to be removed")
	_, err = w.UpdateGroup(ctx, w.boss, id.Group{5}, policy.GroupChange{})
	w.want(err, fault.NotFound)
	_, err = w.Group(ctx, w.boss, id.Group{5})
	w.want(err, fault.NotFound)
	w.want(w.DeleteGroup(ctx, w.boss, id.Group{5}), fault.NotFound)
	if list, err := w.Groups(ctx, w.boss); err != nil || len(list) != 2 || list[0].MemberCount+list[1].MemberCount != 1 {
		t.Errorf("something refused was written: %v, %v", list, err)
	}
}

func TestDeleteGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	g, err := w.CreateGroup(ctx, w.boss, "Staff", []id.User{w.ann.User})
	w.ok(err)
	only := daily("only for them")
	only.Targets = policy.Targets{Groups: []id.Group{g.ID}}
	p := w.policy(only)
	except := daily("all but them")
	except.Targets = policy.Targets{Everyone: true, ExceptGroups: []id.Group{g.ID}}
	q := w.policy(except)
	w.want(w.DeleteGroup(ctx, w.boss, g.ID), fault.Conflict, "“only for them”", "give it another target, or switch it off")
	_, err = w.Enable(ctx, w.boss, p.ID, false)
	w.ok(err)
	w.ok(w.DeleteGroup(ctx, w.boss, g.ID))
	for _, c := range []struct {
		policy   *policy.Policy
		revision int
	}{{p, 3}, {q, 2}} {
		got, err := w.Get(ctx, w.boss, c.policy.ID)
		w.ok(err)
		if len(got.Targets.Groups)+len(got.Targets.ExceptGroups) != 0 || got.Revision != c.revision {
			t.Errorf("%s: %+v at revision %d", got.Name, got.Targets, got.Revision)
		}
	}
	_, err = w.Update(ctx, w.boss, q.ID, 1, except) // by an editor that does not know of it
	w.want(err, fault.Conflict)
	_, err = w.Update(ctx, w.boss, q.ID, 2, except)
	w.want(err, fault.Invalid, "there is no group")
	if log := w.audited("group.deleted"); len(log) != 1 || !strings.Contains(log[0], "“only for them”, “all but them”") || !strings.Contains(log[0], "1 members") {
		t.Errorf("%q", log)
	}
	empty, err := w.CreateGroup(ctx, w.boss, "Empty", nil)
	w.ok(err)
	w.ok(w.DeleteGroup(ctx, w.boss, empty.ID))
	if log := w.audited("group.deleted"); !strings.HasSuffix(log[1], "no policy named it.") {
		t.Errorf("%q", log)
	}
}

func TestGroupsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	for _, name := range []string{"b", "a"} {
		_, err := w.CreateGroup(ctx, w.boss, name, []id.User{w.ann.User, w.bob.User})
		w.ok(err)
	}
	both := []id.User{w.ann.User, w.bob.User, w.boss.User}
	for name, c := range map[string]struct {
		a    actor.Actor
		want string
	}{
		"an administrator": {w.boss, "ann: a b; bob: a b; "},
		"she herself":      {w.ann, "ann: a b; "},
		"he by recovery":   {w.bobByOldCode, "bob: a b; "},
		"her laptop":       {w.annAtLaptop, ""},
	} {
		found, err := w.GroupsOf(ctx, c.a, both)
		w.ok(err)
		got := ""
		for i, u := range both {
			if groups := found[u]; len(groups) > 0 {
				got += [...]string{"ann", "bob", "boss"}[i] + ":"
				for _, g := range groups {
					got += " " + g.Name
				}
				got += "; "
			}
		}
		if got != c.want {
			t.Errorf("%s sees %q, want %q", name, got, c.want)
		}
	}
}
