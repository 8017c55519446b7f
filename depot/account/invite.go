package account

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// InviteInput is whom to invite.
type InviteInput struct {
	Email string
	Name  string
	Role  actor.Role
}

// JoinInput accepts an invitation.
type JoinInput struct {
	Token          string
	Email          *string // needed if the invitation has none
	Name           string
	Keys           Keys
	Recovery       Recovery
	IdentityPublic []byte // 1216 bytes
	Client         string
	Address        string
}

// link is where a person opens an invitation: /join, or /setup for the first superuser. The token stands behind
// the #, which browsers do not send and servers do not log.
func (s *Service) link(page, token string) string { return s.url + "/" + page + "#" + token }

// needed is the role that somebody must have to deal with people of the given role.
func needed(r actor.Role) actor.Role {
	if r == actor.Staff {
		return actor.Admin
	}
	return actor.Superuser
}

// Invite makes an invitation and the token and link to be given to the person. Administrators invite staff,
// superusers anybody. A second invitation to the same e-mail replaces the first.
func (s *Service) Invite(ctx context.Context, a actor.Actor, in InviteInput) (inv *Invitation, text, url string, err error) {
	if !in.Role.Valid() {
		return nil, "", "", fault.New(fault.Invalid, "role: want staff, admin or superuser")
	}
	if err := a.Require(needed(in.Role)); err != nil {
		return nil, "", "", err
	}
	email, key, err := cleanEmail(in.Email)
	if err != nil {
		return nil, "", "", err
	}
	name, err := cleanName("name", in.Name)
	if err != nil {
		return nil, "", "", err
	}
	now := s.now()
	text, hash := token.New(proto.TokenInvitation)
	inv = &Invitation{ID: id.Invitation{}.New(), Email: &email, Name: &name, Role: in.Role, ExpiresAt: now.Add(s.limits.Invitation).UTC()}
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		if err := lockRoles(ctx, tx); err != nil { // also keeps two invitations to one e-mail apart
			return err
		}
		if err := s.stillHas(ctx, tx, a, needed(in.Role)); err != nil {
			return err
		}
		if u, err := userByKey(ctx, tx, key); err != nil {
			return err
		} else if u != nil {
			return fault.New(fault.Conflict, "%s has an account already", u.Email)
		}
		before, err := openInvitationsTo(ctx, tx, key, now)
		if err != nil {
			return err
		}
		for _, old := range before {
			if a.Require(needed(old.Role)) != nil {
				return fault.New(fault.Conflict, "%s is invited already, with the role %s", email, old.Role)
			}
			if _, err := deleteInvitation(ctx, tx, old.ID); err != nil {
				return err
			}
		}
		if err := insertInvitation(ctx, tx, inv, key, hash, person(a), now); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{
			Kind: "invitation.sent", Actor: a, Owner: a.User, Text: fmt.Sprintf("%s was invited as %s.", email, in.Role),
		})
	})
	if err != nil {
		return nil, "", "", err
	}
	return inv, text, s.link("join", text), nil
}

// person returns whom to write down as the one who did it.
func person(a actor.Actor) *id.User {
	if a.User.IsZero() || a.IsDevice() {
		return nil
	}
	return &a.User
}

// stillHas checks the caller's rights as they are now, under [lockRoles]: they may have changed since the
// request came in.
func (s *Service) stillHas(ctx context.Context, tx *sqlx.Tx, a actor.Actor, r actor.Role) error {
	if a.IsSystem() {
		return nil
	}
	me, err := userByID(ctx, tx, a.User)
	if err != nil {
		return err
	}
	if me == nil || me.Suspended || !me.Role.AtLeast(r) {
		return fault.New(fault.Forbidden, "this needs the role %s", r)
	}
	return nil
}

// noInvitation is the answer to every token that does not open an invitation, whatever the reason.
func noInvitation() error {
	return fault.New(fault.NotFound, "this invitation is not valid (any more): ask for a new one")
}

// Invitation returns what an invitation offers to whoever holds its token.
func (s *Service) Invitation(ctx context.Context, text string) (*Invitation, error) {
	if token.Kind(text) != proto.TokenInvitation {
		return nil, noInvitation()
	}
	inv, err := openInvitation(ctx, s.db, token.Hash(text), s.now())
	if err != nil {
		return nil, err
	}
	if inv == nil {
		return nil, noInvitation()
	}
	return inv.utc(), nil
}

// InvitationByID returns an open invitation, for administrators.
func (s *Service) InvitationByID(ctx context.Context, a actor.Actor, inv id.Invitation) (*Invitation, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	found, err := openInvitationByID(ctx, s.db, inv, s.now())
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "there is no such invitation")
	}
	return found.utc(), nil
}

// Invitations returns the open invitations, newest first.
func (s *Service) Invitations(ctx context.Context, a actor.Actor) ([]*Invitation, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	list, err := openInvitations(ctx, s.db, s.now())
	for _, inv := range list {
		inv.utc()
	}
	return list, err
}

// WithdrawInvitation makes an invitation void. Who may invite for a role may withdraw for it. With the invitation of an account that was reset,
// the reset is taken back: its person logs in as before.
func (s *Service) WithdrawInvitation(ctx context.Context, a actor.Actor, inv id.Invitation) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	return pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		found, err := openInvitationByID(ctx, tx, inv, s.now())
		if err != nil {
			return err
		}
		if found == nil {
			return fault.New(fault.NotFound, "there is no such invitation")
		}
		if err := a.Require(needed(found.Role)); err != nil {
			return err
		}
		if ok, err := deleteInvitation(ctx, tx, inv); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.Conflict, "this invitation has just been accepted")
		}
		if found.Resets != nil {
			if err := setReset(ctx, tx, *found.Resets, nil); err != nil {
				return err
			}
			return audit.Write(ctx, tx, audit.Event{
				Kind: "user.reset_withdrawn", Actor: a, Owner: *found.Resets, Text: "The reset of " + *found.Email + " was taken back: its person logs in as before.",
			})
		}
		to := "the first superuser"
		if found.Email != nil {
			to = *found.Email
		}
		return audit.Write(ctx, tx, audit.Event{
			Kind: "invitation.withdrawn", Actor: a, Owner: a.User, Text: "The invitation of " + to + " was withdrawn.",
		})
	})
}

// SetupInvitation returns an invitation for the first superuser, while there is none. It makes the ones before
// it void, so of all that were printed only the last one works.
func (s *Service) SetupInvitation(ctx context.Context) (text, url string, needed bool, err error) {
	now := s.now()
	text, hash := token.New(proto.TokenInvitation)
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		needed = false
		if err := lockRoles(ctx, tx); err != nil {
			return err
		}
		if any, err := anySuperuser(ctx, tx); err != nil || any {
			return err
		}
		needed = true
		if err := deleteSetupInvitations(ctx, tx); err != nil {
			return err
		}
		inv := &Invitation{ID: id.Invitation{}.New(), Role: actor.Superuser, ExpiresAt: now.Add(s.limits.Invitation)}
		return insertInvitation(ctx, tx, inv, "", hash, nil, now)
	})
	if err != nil || !needed {
		return "", "", false, err
	}
	return text, s.link("setup", text), true, nil
}

// Join accepts an invitation: it makes the account from keys that the client made, and opens a session. An
// invitation serves once.
func (s *Service) Join(ctx context.Context, in JoinInput) (*Login, error) {
	if token.Kind(in.Token) != proto.TokenInvitation {
		return nil, noInvitation()
	}
	name, err := cleanName("name", in.Name)
	if err != nil {
		return nil, err
	}
	if err := in.Keys.check(); err != nil {
		return nil, err
	}
	if err := in.Recovery.check(); err != nil {
		return nil, err
	}
	if len(in.IdentityPublic) != identityLen {
		return nil, fault.New(fault.Invalid, "identityPublic: want %d bytes, got %d", identityLen, len(in.IdentityPublic))
	}
	var given, givenKey string
	if in.Email != nil {
		if given, givenKey, err = cleanEmail(*in.Email); err != nil {
			return nil, err
		}
	}
	var login *Login
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		now := s.now()
		if err := lockRoles(ctx, tx); err != nil { // before the invitation's lock, as everywhere
			return err
		}
		inv, err := lockInvitation(ctx, tx, token.Hash(in.Token), now)
		if err != nil {
			return err
		}
		if inv == nil {
			return noInvitation()
		}
		email, key := given, givenKey
		if inv.Email != nil {
			invited, invitedKey, err := cleanEmail(*inv.Email)
			if err != nil {
				return err
			}
			if in.Email != nil && key != invitedKey {
				return fault.New(fault.Invalid, "email: this invitation is for another e-mail address")
			}
			email, key = invited, invitedKey
		} else if in.Email == nil {
			return fault.New(fault.Invalid, "email: this invitation has none: give the one to log in with")
		}
		u := &User{ID: id.User{}.New(), Email: email, Name: name, Role: inv.Role, IdentityPublic: in.IdentityPublic}
		how := "joined"
		if inv.Resets != nil {
			how = "joined again"
			if u, err = s.rejoin(ctx, tx, inv, in, name); err != nil {
				return err
			}
		} else if ok, err := insertUser(ctx, tx, u, key, in.Keys, s.authHash(in.Keys.AuthKey), in.Recovery, s.recoveryHash(in.Recovery.AuthKey), now); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.Conflict, "%s has an account already: log in", email)
		}
		if err := acceptInvitation(ctx, tx, inv.ID, u.ID, now); err != nil {
			return err
		}
		if u.Role == actor.Superuser { // the first one is here: who else holds a setup link comes too late
			if err := deleteSetupInvitations(ctx, tx); err != nil {
				return err
			}
		}
		err = audit.Write(ctx, tx, audit.Event{
			Kind: "user.joined", Actor: actor.Actor{User: u.ID}, Owner: u.ID, Text: fmt.Sprintf("%s %s as %s.", u.Email, how, u.Role),
		})
		if err != nil {
			return err
		}
		login, err = s.openSession(ctx, tx, u.ID, in.Client, in.Address, false, true)
		if err != nil {
			return err
		}
		login.Bundle = in.Keys.Bundle
		return nil
	})
	if err != nil {
		return nil, err
	}
	return login, nil
}
