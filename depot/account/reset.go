package account

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Reset shuts an account whose person has lost both the password and the recovery code, and makes an invitation with which they join
// again: with the same id, role and groups, and new keys. email must be the account's: it is typed, so that nobody resets the wrong
// one. Who may suspend a user may do this, nobody to themselves.
//
// Sessions, API tokens and the second factor end at once. Devices and snapshots are the business of who calls (depot.Reset). The old keys
// stay, of no use to anybody but the person who may yet find the code, until the invitation is accepted: so
// [Service.WithdrawInvitation] takes a reset back. From then on nobody can open what is older, for ever. An account that is reset already gets a
// new invitation in the old one's place.
func (s *Service) Reset(ctx context.Context, a actor.Actor, user id.User, email string) (after *User, inv *Invitation, text, url string, err error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, nil, "", "", err
	}
	if a.User == user {
		return nil, nil, "", "", fault.New(fault.Conflict, "you cannot reset your own account: ask another administrator")
	}
	key, err := emailKey(email)
	if err != nil {
		return nil, nil, "", "", err
	}
	text, hash := token.New(proto.TokenInvitation)
	after, err = s.govern(ctx, a, user, func(tx *sqlx.Tx, u *User) error {
		if err := s.stillHas(ctx, tx, a, needed(u.Role)); err != nil {
			return err
		}
		if is, err := emailKey(u.Email); err != nil {
			return err
		} else if is != key {
			return fault.New(fault.Invalid, "email: this is not the address of the account: nothing was reset")
		}
		now := s.now()
		if err := setReset(ctx, tx, user, &now); err != nil {
			return err
		}
		for _, end := range []func(context.Context, *sqlx.Tx, id.User) error{deleteAPITokens, deleteFactor, deleteEmailChange, deleteInvitationsBy, deleteInvitationsOf} {
			if err := end(ctx, tx, user); err != nil {
				return err
			}
		}
		if err := deleteSessions(ctx, tx, user, id.Session{}); err != nil {
			return err
		}
		inv = &Invitation{ID: id.Invitation{}.New(), Email: &u.Email, Name: &u.Name, Role: u.Role, ExpiresAt: now.Add(s.limits.Invitation).UTC(), Resets: &user}
		if err := insertInvitation(ctx, tx, inv, key, hash, person(a), now); err != nil {
			return err
		}
		err := audit.Write(ctx, tx, audit.Event{Kind: "user.reset", Actor: a, Owner: user,
			Text: fmt.Sprintf("The account of %s was reset: its person joins again with new keys, which do not open its backups.", u.Email)})
		if err != nil {
			return err
		}
		return notice.Write(ctx, tx, notice.Event{User: user, Kind: "account.reset", Title: "Your account was reset by an administrator",
			Body: "You join again with the invitation that the administrator gives you. Your backups so far cannot be opened after that, by anybody. If you did not ask for it, do not use the invitation, and tell whoever runs the server."})
	})
	if err != nil {
		return nil, nil, "", "", err
	}
	s.told(ctx, user)
	return after, inv, text, s.link("join", text), nil
}

// rejoin gives an account that was reset the keys that its person made, and reports whose it is.
func (s *Service) rejoin(ctx context.Context, tx *sqlx.Tx, inv *Invitation, in JoinInput, name string) (*User, error) {
	u := *inv.Resets
	x, err := lockSecrets(ctx, tx, u)
	if err != nil {
		return nil, err
	}
	if x == nil || !x.Reset || x.Suspended {
		return nil, noInvitation()
	}
	err = rekey(ctx, tx, u, name, in.Keys, s.authHash(in.Keys.AuthKey), in.Recovery, s.recoveryHash(in.Recovery.AuthKey), in.IdentityPublic)
	if err != nil {
		return nil, err
	}
	return found(userByID(ctx, tx, u))
}
