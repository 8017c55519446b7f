package account

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// noEmail is the answer to every address that somebody else has or was invited with.
func noEmail() error {
	return fault.New(fault.Conflict, "this address cannot be used: choose another one, or ask an administrator")
}

// ChangeEmail changes the address with which the caller logs in, for who shows their password and, if they have a second factor, a code. The
// old address gets a mail. Keys do not hang on the address, so nothing is sealed anew.
//
// An address that another has, or was invited with, is refused with CONFLICT. Somebody who is logged in can learn in that way whether an address is in
// use; each such try counts as a failed login, so they cannot ask about many.
func (s *Service) ChangeEmail(ctx context.Context, a actor.Actor, p Proof, email string) (*User, error) {
	u, err := loggedIn(a)
	if err != nil {
		return nil, err
	}
	email, key, err := cleanEmail(email)
	if err != nil {
		return nil, err
	}
	user, err := s.changeWithProof(ctx, u, p, func(tx *sqlx.Tx, _ *factor) error {
		me, err := found(userByID(ctx, tx, u))
		if err != nil {
			return err
		}
		if me.Email == email {
			return fault.New(fault.Conflict, "this is your address already")
		}
		if list, err := openInvitationsTo(ctx, tx, key, s.now()); err != nil {
			return err
		} else if len(list) > 0 {
			return noEmail()
		}
		if err := setEmail(ctx, tx, u, email, key); pg.IsUnique(err) {
			return noEmail()
		} else if err != nil {
			return err
		}
		err = audit.Write(ctx, tx, audit.Event{Kind: "user.email", Actor: a, Owner: u, Text: fmt.Sprintf("The e-mail address of %s was changed to %s.", me.Email, email)})
		if err != nil {
			return err
		}
		return notice.Write(ctx, tx, notice.Event{
			User: u, Kind: "account.email", Also: me.Email, Title: "Your e-mail address was changed",
			Body: fmt.Sprintf("You log in with %s from now on, and no longer with %s. If it was not you, tell whoever runs the server at once.", email, me.Email),
		})
	})
	if err == nil {
		s.told(ctx, u)
	}
	return user, err
}
