package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxMembers is how many people one call adds to a group, or removes.
const MaxMembers = 1000

// GroupChange is what to change of a group.
type GroupChange struct {
	Name   *string // nil: it stays
	Add    []id.User
	Remove []id.User // who is no member is left alone
}

func noGroup() error { return fault.New(fault.NotFound, "there is no such group") }

// Groups returns all groups, by name.
func (s *Service) Groups(ctx context.Context, a actor.Actor) ([]*Group, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	return groups(ctx, s.cfg.DB, nil)
}

// Group returns one group.
func (s *Service) Group(ctx context.Context, a actor.Actor, group id.Group) (*Group, error) {
	found, err := s.GroupsByID(ctx, a, []id.Group{group})
	if err == nil && found[group] == nil {
		err = noGroup()
	}
	return found[group], err
}

// GroupsByID returns those of the groups that exist, at most [MaxByID] at once.
func (s *Service) GroupsByID(ctx context.Context, a actor.Actor, ids []id.Group) (map[id.Group]*Group, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if err := mayAsk(a, len(ids)); err != nil {
		return nil, err
	}
	list, err := groups(ctx, s.cfg.DB, ids)
	found := map[id.Group]*Group{}
	for _, g := range list {
		found[g.ID] = g
	}
	return found, err
}

// Members returns who is in each of the groups, by e-mail.
func (s *Service) Members(ctx context.Context, a actor.Actor, ids []id.Group) (map[id.Group][]id.User, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if err := mayAsk(a, len(ids)); err != nil {
		return nil, err
	}
	return members(ctx, s.cfg.DB, ids)
}

// GroupsOf returns the groups of each of the users, by name: to the user and to administrators. For others a user has none.
func (s *Service) GroupsOf(ctx context.Context, a actor.Actor, users []id.User) (map[id.User][]*Group, error) {
	if err := mayAsk(a, len(users)); err != nil {
		return nil, err
	}
	all := a.Require(actor.Admin) == nil
	users = slices.DeleteFunc(slices.Clone(users), func(u id.User) bool { return !all && !a.MayRead(u) })
	return groupsOf(ctx, s.cfg.DB, users)
}

// CreateGroup makes a group.
func (s *Service) CreateGroup(ctx context.Context, a actor.Actor, name string, with []id.User) (*Group, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	name, err := named.Clean("name", name, MaxName)
	if err != nil {
		return nil, err
	}
	group := id.Group{}.New()
	return s.changeGroup(ctx, func(tx *sqlx.Tx) (id.Group, error) {
		if err := insertGroup(ctx, tx, group, name); err != nil {
			return group, taken(err, "groups_name_key_key", "group", name)
		}
		joined, _, err := s.move(ctx, tx, group, with, nil)
		if err != nil {
			return group, err
		}
		return group, log(ctx, tx, a, "group.created", "The group “%s” was made: %s.", name, joined)
	})
}

// UpdateGroup renames a group, and adds and removes members.
func (s *Service) UpdateGroup(ctx context.Context, a actor.Actor, group id.Group, change GroupChange) (*Group, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if change.Name != nil {
		name, err := named.Clean("name", *change.Name, MaxName)
		if err != nil {
			return nil, err
		}
		change.Name = &name
	}
	return s.changeGroup(ctx, func(tx *sqlx.Tx) (id.Group, error) {
		found, err := groups(ctx, tx, []id.Group{group})
		if err != nil {
			return group, err
		}
		if len(found) == 0 {
			return group, noGroup()
		}
		was := found[0]
		var changes []string
		if change.Name != nil && *change.Name != was.Name {
			if err := renameGroup(ctx, tx, group, *change.Name); err != nil {
				return group, taken(err, "groups_name_key_key", "group", *change.Name)
			}
			changes = append(changes, fmt.Sprintf("its name is now “%s”", *change.Name))
		}
		if err := s.settleGroup(ctx, tx, group); err != nil {
			return group, err
		}
		text, moved, err := s.move(ctx, tx, group, change.Add, change.Remove)
		if err != nil {
			return group, err
		}
		if moved {
			changes = append(changes, text)
		}
		if len(changes) == 0 {
			return group, nil
		}
		return group, log(ctx, tx, a, "group.changed", "The group “%s” was changed: %s.", was.Name, strings.Join(changes, "; "))
	})
}

// DeleteGroup deletes a group. Policies lose it as a target, and rise in revision; people stay. It fails with CONFLICT while the
// group is the only target of a policy that is on.
func (s *Service) DeleteGroup(ctx context.Context, a actor.Actor, group id.Group) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	return pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		if err := lockWriters(ctx, tx); err != nil {
			return err
		}
		found, err := groups(ctx, tx, []id.Group{group})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return noGroup()
		}
		if err := s.settleGroup(ctx, tx, group); err != nil {
			return err
		}
		using, err := naming(ctx, tx, group)
		if err != nil {
			return err
		}
		var names []string
		for _, p := range using {
			names = append(names, "“"+p.Name+"”")
			rest := *p.Targets
			rest.Groups = slices.DeleteFunc(slices.Clone(rest.Groups), func(g id.Group) bool { return g == group })
			if p.Enabled && rest.nobody() {
				return fault.New(fault.Conflict, "the policy “%s” is for this group only: give it another target, or switch it off", p.Name)
			}
		}
		if err := removeGroup(ctx, tx, group); err != nil {
			return err
		}
		text := "no policy named it"
		if len(names) > 0 {
			text = "these policies named it: " + short(strings.Join(names, ", "))
		}
		return log(ctx, tx, a, "group.deleted", "The group “%s” with %d members was deleted; %s.", found[0].Name, found[0].MemberCount, text)
	})
}

// changeGroup runs fn alone and returns the group as it is then.
func (s *Service) changeGroup(ctx context.Context, fn func(*sqlx.Tx) (id.Group, error)) (*Group, error) {
	var after *Group
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		if err := lockWriters(ctx, tx); err != nil {
			return err
		}
		group, err := fn(tx)
		if err != nil {
			return err
		}
		found, err := groups(ctx, tx, []id.Group{group})
		if err != nil {
			return err
		}
		after = found[0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// settleGroup accounts for the slots of all policies that name a group.
func (s *Service) settleGroup(ctx context.Context, tx *sqlx.Tx, group id.Group) error {
	if s.cfg.BeforeChange == nil {
		return nil
	}
	using, err := naming(ctx, tx, group)
	if err != nil {
		return err
	}
	for _, p := range using {
		if _, err := lock(ctx, tx, p.ID); err != nil {
			return err
		}
		if _, err := s.settle(ctx, tx, p); err != nil {
			return err
		}
	}
	return nil
}

// move adds and removes members, and says so.
func (s *Service) move(ctx context.Context, tx *sqlx.Tx, group id.Group, add, remove []id.User) (text string, moved bool, err error) {
	if len(add) > MaxMembers || len(remove) > MaxMembers {
		return "", false, fault.New(fault.Invalid, "members: at most %d in one call", MaxMembers)
	}
	for _, u := range add {
		if slices.Contains(remove, u) {
			return "", false, fault.New(fault.Invalid, "members: the user %s is both to be added and to be removed", u)
		}
	}
	unknown, err := missing(ctx, tx, `users`, add)
	if err != nil {
		return "", false, err
	}
	if unknown != nil {
		return "", false, fault.New(fault.Invalid, "members: there is no user %s", unknown)
	}
	joined, err := join(ctx, tx, group, add)
	if err != nil {
		return "", false, err
	}
	left, err := leave(ctx, tx, group, remove)
	if err != nil {
		return "", false, err
	}
	var parts []string
	if len(joined) > 0 || len(left) == 0 {
		parts = append(parts, fmt.Sprintf("%d joined (%s)", len(joined), short(listed(joined))))
	}
	if len(left) > 0 {
		parts = append(parts, fmt.Sprintf("%d left (%s)", len(left), short(listed(left))))
	}
	return strings.Join(parts, ", "), len(joined)+len(left) > 0, nil
}
