package policy

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Create makes a policy. Its first slot is the next one.
func (s *Service) Create(ctx context.Context, a actor.Actor, in Input) (*Policy, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	var made *Policy
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		p, err := s.checked(ctx, tx, in)
		if err != nil {
			return err
		}
		p.ID = id.Policy{}.New()
		var by *id.User
		if !a.IsSystem() {
			by = &a.User
		}
		if err := insert(ctx, tx, p, by); err != nil {
			return taken(err, "policies_name_key_key", "policy", p.Name)
		}
		if err := setTargets(ctx, tx, p.ID, p.Targets); err != nil {
			return err
		}
		if err := log(ctx, tx, a, "policy.created", "The policy “%s” was made: %s.", p.Name, p.describe()); err != nil {
			return err
		}
		made, err = one(ctx, tx, p.ID)
		return err
	})
	return made, err
}

// Update changes a policy. It fails with CONFLICT if revision is not the present one: somebody else was faster.
func (s *Service) Update(ctx context.Context, a actor.Actor, policy id.Policy, revision int, in Input) (*Policy, error) {
	return s.change(ctx, a, policy, func(tx *sqlx.Tx, was *Policy) (*Policy, error) {
		if was.Revision != revision {
			return nil, fault.New(fault.Conflict,
				"the policy “%s” was changed by somebody else meanwhile (it is at revision %d, you saw %d): load it again, and make your change there", was.Name, was.Revision, revision)
		}
		return s.checked(ctx, tx, in)
	})
}

// Enable switches a policy on or off. What was due before stays due. Repeating it changes nothing.
func (s *Service) Enable(ctx context.Context, a actor.Actor, policy id.Policy, on bool) (*Policy, error) {
	return s.change(ctx, a, policy, func(_ *sqlx.Tx, was *Policy) (*Policy, error) {
		if on && was.Targets.nobody() {
			return nil, fault.New(fault.Conflict, "the policy “%s” is for nobody: name everyone, a group or a device first", was.Name)
		}
		p := *was
		p.Enabled = on
		return &p, nil
	})
}

// Delete deletes a policy. Its runs and what it saved stay; what only it kept is kept no longer by it.
func (s *Service) Delete(ctx context.Context, a actor.Actor, policy id.Policy) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	return pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		p, err := s.hold(ctx, tx, policy)
		if err != nil {
			return err
		}
		if _, err := s.settle(ctx, tx, p); err != nil {
			return err
		}
		if err := remove(ctx, tx, policy); err != nil {
			return err
		}
		return log(ctx, tx, a, "policy.deleted", "The policy “%s” was deleted: %s.", p.Name, p.describe())
	})
}

// change replaces a policy by what decide makes of it. If that is the same, nothing is done.
func (s *Service) change(ctx context.Context, a actor.Actor, policy id.Policy, decide func(*sqlx.Tx, *Policy) (*Policy, error)) (*Policy, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	var after *Policy
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		was, err := s.hold(ctx, tx, policy)
		if err != nil {
			return err
		}
		p, err := decide(tx, was)
		if err != nil {
			return err
		}
		changes := p.changes(was)
		if changes == "" {
			after = was
			return nil
		}
		settled, err := s.settle(ctx, tx, was)
		if err != nil {
			return err
		}
		p.ID = policy
		if err := update(ctx, tx, p, settled); err != nil {
			return taken(err, "policies_name_key_key", "policy", p.Name)
		}
		if err := setTargets(ctx, tx, policy, p.Targets); err != nil {
			return err
		}
		if err := log(ctx, tx, a, "policy.changed", "The policy “%s” was changed: %s.", was.Name, changes); err != nil {
			return err
		}
		after, err = one(ctx, tx, policy)
		return err
	})
	return after, err
}

// checked reads an input inside the transaction that will write it.
func (s *Service) checked(ctx context.Context, tx *sqlx.Tx, in Input) (*Policy, error) {
	if err := lockWriters(ctx, tx); err != nil {
		return nil, err
	}
	now, err := pg.Clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	p, err := in.policy(now)
	if err != nil {
		return nil, err
	}
	t := p.Targets
	group, err := missing(ctx, tx, `groups`, append(append([]id.Group{}, t.Groups...), t.ExceptGroups...))
	if err != nil {
		return nil, err
	}
	if group != nil {
		return nil, fault.New(fault.Invalid, "targets: there is no group %s", group)
	}
	device, err := missing(ctx, tx, `devices`, append(append([]id.Device{}, t.Devices...), t.ExceptDevices...))
	if err != nil {
		return nil, err
	}
	if device != nil {
		return nil, fault.New(fault.Invalid, "targets: there is no device %s", device)
	}
	return p, nil
}

// hold locks a policy for a change and returns it with its targets.
func (s *Service) hold(ctx context.Context, tx *sqlx.Tx, policy id.Policy) (*Policy, error) {
	if err := lockWriters(ctx, tx); err != nil {
		return nil, err
	}
	if p, err := lock(ctx, tx, policy); err != nil {
		return nil, err
	} else if p == nil {
		return nil, noPolicy()
	}
	return one(ctx, tx, policy)
}

// settle accounts for the slots of a policy that have passed, and reports whether ticked_at says up to when. The slots from then on belong to
// the new rule, also those that came since this began.
func (s *Service) settle(ctx context.Context, tx *sqlx.Tx, p *Policy) (bool, error) {
	if !p.Enabled || s.cfg.BeforeChange == nil {
		return false, nil
	}
	return true, s.cfg.BeforeChange(ctx, tx, p)
}

// taken turns a name that is taken into a fault.
func taken(err error, constraint, what, name string) error {
	if pg.IsUnique(err, constraint) {
		return fault.Wrap(err, fault.Conflict, "there is a %s with the name “%s” already: choose another", what, name)
	}
	return err
}

// log writes a line about policies and groups, for administrators.
func log(ctx context.Context, tx *sqlx.Tx, a actor.Actor, kind, format string, args ...any) error {
	return audit.Write(ctx, tx, audit.Event{Kind: kind, Actor: a, Text: fmt.Sprintf(format, args...)})
}
