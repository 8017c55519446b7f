package account

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/pquerna/otp/totp"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// BackupCodes is how many backup codes are made at once.
const BackupCodes = 10

// SecondFactorSetup is what a device needs to show the codes of a second factor.
type SecondFactorSetup struct {
	Secret string // base32, to be typed
	URI    string // otpauth://…, to be shown to a camera
}

// issuer is what devices that show codes call this service.
const issuer = "Holdfast"

// BeginSecondFactor makes the secret of a second factor for who shows their password. It counts once
// [Service.ConfirmSecondFactor] has seen a code of it; one that was begun before and not confirmed is void.
func (s *Service) BeginSecondFactor(ctx context.Context, a actor.Actor, authKey []byte) (*SecondFactorSetup, error) {
	u, err := loggedIn(a.Excused())
	if err != nil {
		return nil, err
	}
	var setup *SecondFactorSetup
	_, err = s.changeWithPassword(ctx, u, "authKey", authKey, func(tx *sqlx.Tx) error {
		if f, err := factorOf(ctx, tx, u); err != nil {
			return err
		} else if f.on() {
			return fault.New(fault.Conflict, "your second factor is on already: switch it off first, to set it up anew")
		}
		me, err := found(userByID(ctx, tx, u))
		if err != nil {
			return err
		}
		key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: me.Email, SecretSize: 20})
		if err != nil {
			return err
		}
		setup = &SecondFactorSetup{Secret: key.Secret(), URI: key.URL()}
		return putFactor(ctx, tx, u, s.box.Lock([]byte(key.Secret()), u.String()), s.now())
	})
	if err != nil {
		return nil, err
	}
	return setup, nil
}

// ConfirmSecondFactor switches the second factor on that [Service.BeginSecondFactor] began, and returns its backup codes, which
// nobody can see again. All other sessions end, so that every session has shown a code. Tries are throttled like those of passwords.
func (s *Service) ConfirmSecondFactor(ctx context.Context, a actor.Actor, code string) (*User, []string, error) {
	u, err := loggedIn(a.Excused())
	if err != nil {
		return nil, nil, err
	}
	try, err := s.tryAgain(ctx, u[:])
	if err != nil {
		return nil, nil, err
	}
	var codes []string
	user, err := s.change(ctx, u, func(tx *sqlx.Tx) error {
		if _, err := lockSecrets(ctx, tx, u); err != nil {
			return err
		}
		f, err := factorOf(ctx, tx, u)
		if err != nil {
			return err
		}
		switch {
		case f == nil:
			return fault.New(fault.Conflict, "there is no second factor to confirm: begin to set it up first")
		case f.on():
			return fault.New(fault.Conflict, "your second factor is on already")
		}
		if ok, err := s.timed(ctx, tx, u, f, cleanCode(code)); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.Invalid, "code: this is not the code that your device shows now: see that its clock is right, and type the next one")
		}
		if err := try.succeeded(ctx, tx); err != nil {
			return err
		}
		if err := confirmFactor(ctx, tx, u, s.now()); err != nil {
			return err
		}
		if codes, err = s.newCodes(ctx, tx, u); err != nil {
			return err
		}
		if err := deleteSessions(ctx, tx, u, a.Session); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, u, "second_factor.on", "The second factor was switched on, and all other sessions were ended.",
			"Your second factor is on", "Logins ask for a code from now on, and all other sessions were ended. If it was not you, set a new password: somebody knows it.")
	})
	if err != nil {
		return nil, nil, err
	}
	s.revoked(ctx, u)
	s.told(ctx, u)
	return user, codes, nil
}

// RenewBackupCodes replaces all backup codes, and returns the new ones.
func (s *Service) RenewBackupCodes(ctx context.Context, a actor.Actor, p Proof) (user *User, codes []string, err error) {
	user, err = s.changeFactor(ctx, a, p, func(tx *sqlx.Tx, u id.User) error {
		if codes, err = s.newCodes(ctx, tx, u); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, u, "second_factor.codes", "The backup codes of the second factor were replaced.",
			"Your backup codes were replaced", "The old ones let nobody in any more. If it was not you, set a new password.")
	})
	return user, codes, err
}

// DisableSecondFactor switches the caller's second factor off.
func (s *Service) DisableSecondFactor(ctx context.Context, a actor.Actor, p Proof) (*User, error) {
	return s.changeFactor(ctx, a, p, func(tx *sqlx.Tx, u id.User) error {
		if err := deleteFactor(ctx, tx, u); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, u, "second_factor.off", "The second factor was switched off.",
			"Your second factor is off", "Logins ask for the password only. If it was not you, set a new password and switch it on again.")
	})
}

// changeFactor changes a second factor that is on, for who shows their password and a code.
func (s *Service) changeFactor(ctx context.Context, a actor.Actor, p Proof, fn func(*sqlx.Tx, id.User) error) (*User, error) {
	u, err := loggedIn(a)
	if err != nil {
		return nil, err
	}
	user, err := s.changeWithProof(ctx, u, p, func(tx *sqlx.Tx, f *factor) error {
		if !f.on() {
			return fault.New(fault.Conflict, "your second factor is not on")
		}
		return fn(tx, u)
	})
	if err == nil {
		s.told(ctx, u)
	}
	return user, err
}

// ResetSecondFactor switches the second factor of another off who has lost their device and their backup codes. Who may suspend a user
// may do this; that it is really that person who asks is for the administrator to find out.
func (s *Service) ResetSecondFactor(ctx context.Context, a actor.Actor, user id.User) (*User, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if a.User == user {
		return nil, fault.New(fault.Conflict, "switch your own second factor off in your profile, or ask another administrator")
	}
	after, err := s.govern(ctx, a, user, func(tx *sqlx.Tx, u *User) error {
		if err := s.stillHas(ctx, tx, a, needed(u.Role)); err != nil {
			return err
		}
		if !u.SecondFactor {
			return fault.New(fault.Conflict, "%s has no second factor", u.Email)
		}
		if err := deleteFactor(ctx, tx, user); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, user, "second_factor.reset", "The second factor of "+u.Email+" was switched off by an administrator.",
			"An administrator switched your second factor off", "Logins ask for the password only. Set it up again. If you did not ask for it, set a new password and tell whoever runs the server.")
	})
	if err == nil {
		s.told(ctx, user)
	}
	return after, err
}

// BackupCodesLeft returns how many backup codes of the caller's were not used.
func (s *Service) BackupCodesLeft(ctx context.Context, a actor.Actor) (int, error) {
	u, err := a.Person()
	if err != nil {
		return 0, err
	}
	return countCodes(ctx, s.db, u)
}

// factorChanged writes down what was done to a second factor, and tells its owner.
func (s *Service) factorChanged(ctx context.Context, tx *sqlx.Tx, a actor.Actor, u id.User, kind, text, title, body string) error {
	if err := audit.Write(ctx, tx, audit.Event{Kind: kind, Actor: a, Owner: u, Text: text}); err != nil {
		return err
	}
	return notice.Write(ctx, tx, notice.Event{User: u, Kind: "account.second_factor", Title: title, Body: body})
}

// newCodes puts new backup codes in the place of all others. They are base32 in two groups: 50 random bits each, of which nobody can
// try many.
func (s *Service) newCodes(ctx context.Context, tx *sqlx.Tx, u id.User) ([]string, error) {
	codes := make([]string, BackupCodes)
	hashes := make([][]byte, BackupCodes)
	for i := range codes {
		var random [7]byte
		rand.Read(random[:])
		code := base32.StdEncoding.EncodeToString(random[:])[:10]
		codes[i] = code[:5] + "-" + code[5:]
		hashes[i] = s.codeHash(u, code)
	}
	return codes, replaceCodes(ctx, tx, u, hashes)
}

// seconds is for how long a code is shown.
const seconds = 30

func step(t time.Time) int64 { return t.Unix() / seconds }

// changeWithProof is change for somebody who shows the password's auth key and, if they have a second factor, a code.
func (s *Service) changeWithProof(ctx context.Context, u id.User, p Proof, fn func(*sqlx.Tx, *factor) error) (*User, error) {
	if err := checkAuthKey("authKey", p.AuthKey); err != nil {
		return nil, err
	}
	try, err := s.tryAgain(ctx, u[:])
	if err != nil {
		return nil, err
	}
	var refused error // though what was written for it stays
	user, err := s.change(ctx, u, func(tx *sqlx.Tx) error {
		refused = nil
		x, err := lockSecrets(ctx, tx, u)
		if err != nil {
			return err
		}
		if !x.proves(s.authHash(p.AuthKey), false) {
			return fault.New(fault.WrongPassword, "the password is wrong")
		}
		f, err := factorOf(ctx, tx, u)
		if err != nil {
			return err
		}
		if f.on() && cleanCode(p.Code) == "" {
			refused = codeNeeded()
			return try.unlooked(ctx, tx)
		}
		if f.on() {
			if ok, err := s.passes(ctx, tx, u, f, p.Code); err != nil {
				return err
			} else if !ok {
				return codeWrong()
			}
		}
		if err := try.succeeded(ctx, tx); err != nil {
			return err
		}
		return fn(tx, f)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	return user, nil
}
