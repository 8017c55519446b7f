package account

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// PasswordInput sets a new password.
type PasswordInput struct {
	OldAuthKey []byte // nil only in a session by recovery code
	Keys       Keys
}

// Proof is what shows again that somebody is who they are, for what is not done with a session alone.
type Proof struct {
	AuthKey []byte // of the password
	Code    string // of the second factor, or a backup code, if the account has one
}

// RenewRecoveryInput sets a new recovery code.
type RenewRecoveryInput struct {
	AuthKey  []byte // of the password
	Recovery Recovery
}

// ChangePassword sets a new password, ends all other sessions of the account and gives up a change of its address that waits. It takes the old password's
// auth key or, without one, a session from [Service.LoginWithRecovery], which then becomes an ordinary one.
func (s *Service) ChangePassword(ctx context.Context, a actor.Actor, in PasswordInput) (*User, error) {
	u, err := a.Excused().SignedIn() // whoever came with the recovery code needs a password before the second factor
	if err != nil {
		return nil, err
	}
	if err := in.Keys.check(); err != nil {
		return nil, err
	}
	if in.OldAuthKey == nil && !a.ByRecovery {
		return nil, fault.New(fault.Invalid, "oldAuthKey: needed, unless you logged in with the recovery code")
	}
	set := func(tx *sqlx.Tx) error {
		if err := setPassword(ctx, tx, u, in.Keys, s.authHash(in.Keys.AuthKey)); err != nil {
			return err
		}
		if err := deleteSessions(ctx, tx, u, a.Session); err != nil {
			return err
		}
		if err := deleteEmailChange(ctx, tx, u); err != nil { // whoever knew the old password may have begun it
			return err
		}
		if err := promoteSession(ctx, tx, a.Session, s.now().Add(s.limits.SessionIdle)); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "password.changed", Actor: a, Owner: u, Text: "The password was changed, and all other sessions were ended."}); err != nil {
			return err
		}
		return notice.Write(ctx, tx, notice.Event{
			User: u, Kind: "account.password", Title: "Your password was changed",
			Body: "All other sessions were ended. If it was not you, log in with your recovery code, set a new password and make a new recovery code.",
		})
	}
	var user *User
	if in.OldAuthKey == nil {
		user, err = s.change(ctx, u, func(tx *sqlx.Tx) error {
			// The session may have served already, or have ended: what the request came in with is a memory.
			if _, err := lockSecrets(ctx, tx, u); err != nil {
				return err
			}
			if ok, err := isRecovering(ctx, tx, a.Session, u, s.now()); err != nil {
				return err
			} else if !ok {
				return fault.New(fault.Forbidden, "oldAuthKey: needed: this login by recovery code has served already")
			}
			return set(tx)
		})
	} else {
		user, err = s.changeWithPassword(ctx, u, "oldAuthKey", in.OldAuthKey, set)
	}
	if err == nil {
		s.revoked(ctx, u)
		s.told(ctx, u)
	}
	return user, err
}

// RenewRecovery replaces the recovery code: the old one opens nothing any more. It takes the password's auth key.
func (s *Service) RenewRecovery(ctx context.Context, a actor.Actor, in RenewRecoveryInput) (*User, error) {
	u, err := a.Person()
	if err != nil {
		return nil, err
	}
	if err := in.Recovery.check(); err != nil {
		return nil, err
	}
	user, err := s.changeWithPassword(ctx, u, "authKey", in.AuthKey, func(tx *sqlx.Tx) error {
		if err := setRecovery(ctx, tx, u, in.Recovery, s.recoveryHash(in.Recovery.AuthKey)); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "recovery.renewed", Actor: a, Owner: u, Text: "The recovery code was replaced."}); err != nil {
			return err
		}
		return notice.Write(ctx, tx, notice.Event{
			User: u, Kind: "account.recovery", Title: "Your recovery code was replaced",
			Body: "The old one opens nothing any more. If it was not you, set a new password and make a new recovery code: somebody knows your password.",
		})
	})
	if err == nil {
		s.told(ctx, u)
	}
	return user, err
}

// UpdateProfile changes the caller's own name.
func (s *Service) UpdateProfile(ctx context.Context, a actor.Actor, name string) (*User, error) {
	u, err := a.Person()
	if err != nil {
		return nil, err
	}
	name, err = cleanName("name", name)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, u, func(tx *sqlx.Tx) error { return setName(ctx, tx, u, name) })
}

// change runs fn in a transaction and returns the user as it is after it.
func (s *Service) change(ctx context.Context, u id.User, fn func(*sqlx.Tx) error) (*User, error) {
	var user *User
	err := pg.InTx(ctx, s.db, func(tx *sqlx.Tx) (err error) {
		if err := fn(tx); err != nil {
			return err
		}
		user, err = userByID(ctx, tx, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, noUser()
	}
	return user.utc(), nil
}

// changeWithPassword is change for somebody who shows the password's auth key, throttled like a login.
func (s *Service) changeWithPassword(ctx context.Context, u id.User, field string, authKey []byte, fn func(*sqlx.Tx) error) (*User, error) {
	if err := checkAuthKey(field, authKey); err != nil {
		return nil, err
	}
	try, err := s.tryAgain(ctx, u[:])
	if err != nil {
		return nil, err
	}
	return s.change(ctx, u, func(tx *sqlx.Tx) error {
		x, err := lockSecrets(ctx, tx, u)
		if err != nil {
			return err
		}
		if !x.proves(s.authHash(authKey), false) {
			return fault.New(fault.WrongPassword, "the password is wrong")
		}
		if err := try.succeeded(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	})
}
