package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// noEmail is the answer to every address that somebody else has or was invited with.
func noEmail() error {
	return fault.New(fault.Conflict, "this address cannot be used: choose another one, or ask an administrator")
}

// ChangeEmail changes the address with which the caller logs in, for who shows their password and, if they have a second factor, a code. Keys do
// not hang on the address, so nothing is sealed anew.
//
// Where mail is sent, nothing changes yet: a code goes to the new address, a word about it to the old one, and
// [Service.ConfirmEmail] takes the code. waits is true then. One that was begun before is void. Without mail the address is the new one at once.
//
// An address that another has, or was invited with, is refused with CONFLICT. Somebody who is logged in can learn in that way whether an address is in
// use; each such try counts as a failed login, so they cannot ask about many. So does each mail beyond the first few of a day.
func (s *Service) ChangeEmail(ctx context.Context, a actor.Actor, p Proof, email string) (user *User, waits bool, err error) {
	u, err := loggedIn(a)
	if err != nil {
		return nil, false, err
	}
	email, key, err := cleanEmail(email)
	if err != nil {
		return nil, false, err
	}
	user, err = s.changeWithProof(ctx, u, p, func(tx *sqlx.Tx, _ *factor) error {
		me, err := found(userByID(ctx, tx, u))
		if err != nil {
			return err
		}
		if me.Email == email {
			return fault.New(fault.Conflict, "this is your address already")
		}
		is, err := emailKey(me.Email)
		if err != nil {
			return err
		}
		waits = s.mail != nil && is != key // another spelling of the same address needs no proof
		if err := s.mayHave(ctx, tx, u, key); err != nil {
			return err
		}
		if !waits {
			return s.move(ctx, tx, a, me, email, key)
		}
		return s.askNew(ctx, tx, a, me, email, key)
	})
	if err != nil {
		return nil, false, err
	}
	s.told(ctx, u)
	return user, waits, nil
}

// mayHave refuses an address that another has, or was invited with.
func (s *Service) mayHave(ctx context.Context, tx *sqlx.Tx, u id.User, key string) error {
	if list, err := openInvitationsTo(ctx, tx, key, s.now()); err != nil {
		return err
	} else if len(list) > 0 {
		return noEmail()
	}
	other, err := userByKey(ctx, tx, key)
	if err == nil && other != nil && other.ID != u {
		err = noEmail()
	}
	return err
}

// move gives somebody an address.
func (s *Service) move(ctx context.Context, tx *sqlx.Tx, a actor.Actor, me *User, email, key string) error {
	if err := setEmail(ctx, tx, me.ID, email, key); pg.IsUnique(err) {
		return noEmail()
	} else if err != nil {
		return err
	}
	if err := deleteEmailChange(ctx, tx, me.ID); err != nil {
		return err
	}
	err := audit.Write(ctx, tx, audit.Event{Kind: "user.email", Actor: a, Owner: me.ID, Text: fmt.Sprintf("The e-mail address of %s was changed to %s.", me.Email, email)})
	if err != nil {
		return err
	}
	return notice.Write(ctx, tx, notice.Event{
		User: me.ID, Kind: "account.email", Also: me.Email, Title: "Your e-mail address was changed",
		Body: fmt.Sprintf("You log in with %s from now on, and no longer with %s. If it was not you, tell whoever runs the server at once.", email, me.Email),
	})
}

// askNew mails a code to an address that somebody wants to have, and tells the one that they have.
func (s *Service) askNew(ctx context.Context, tx *sqlx.Tx, a actor.Actor, me *User, email, key string) error {
	if _, err := s.count(ctx, tx, []bucket{{s.mac("mails to new addresses", me.ID[:]), freeCodes}}); errors.Is(err, fault.TooMany) {
		return tooManyCodes(err)
	} else if err != nil {
		return err
	}
	var random [5]byte
	rand.Read(random[:])
	code := base32.StdEncoding.EncodeToString(random[:])
	until := s.now().Add(s.limits.EmailCode).UTC()
	if err := putEmailChange(ctx, tx, me.ID, email, key, s.emailHash(me.ID, key, code), until); err != nil {
		return err
	}
	if err := s.mail(ctx, tx, notice.Code{User: me.ID, Name: me.Name, Address: email, Code: code[:4] + "-" + code[4:], Until: until}); err != nil {
		return err
	}
	err := audit.Write(ctx, tx, audit.Event{Kind: "user.email_asked", Actor: a, Owner: me.ID,
		Text: fmt.Sprintf("%s wants the e-mail address %s, to which a code was mailed.", me.Email, email)})
	if err != nil {
		return err
	}
	return notice.Write(ctx, tx, notice.Event{
		User: me.ID, Kind: "account.email", Also: me.Email, Title: "Your e-mail address is about to be changed",
		Body: fmt.Sprintf("Somebody who knows your password wants %s to be your address. Nothing changes until the code is typed that was mailed there. If it was not you, set a new password: that stops it.", email),
	})
}

// freeCodes is how many codes are mailed in a day before each one more has to wait, twice as long each time.
const freeCodes = 5

func tooManyCodes(err error) error {
	var f *fault.Error
	errors.As(err, &f)
	n := fault.New(fault.TooMany, "too many codes were mailed: try again in %s", words(time.Duration(f.RetryAfter)*time.Second))
	n.RetryAfter = f.RetryAfter
	return n
}

// ConfirmEmail takes the code that [Service.ChangeEmail] mailed: the new address is the caller's from then on. The old one gets a mail. Tries are
// throttled like those of passwords. CONFLICT: nothing waits, its time is over, or another has the address by now.
func (s *Service) ConfirmEmail(ctx context.Context, a actor.Actor, code string) (*User, error) {
	u, err := loggedIn(a)
	if err != nil {
		return nil, err
	}
	try, err := s.tryAgain(ctx, u[:])
	if err != nil {
		return nil, err
	}
	user, err := s.change(ctx, u, func(tx *sqlx.Tx) error {
		if _, err := lockSecrets(ctx, tx, u); err != nil {
			return err
		}
		c, err := emailChangeOf(ctx, tx, u)
		if err != nil {
			return err
		}
		switch {
		case c == nil:
			return fault.New(fault.Conflict, "no address waits to be confirmed: change it again, and a new code is mailed")
		case !s.now().Before(c.ExpiresAt):
			return fault.New(fault.Conflict, "the code is too old: change the address again, and a new one is mailed")
		case !hmac.Equal(c.Hash, s.emailHash(u, c.Key, cleanCode(code))):
			return fault.New(fault.Invalid, "code: this is not the code that was mailed to %s", c.Email)
		}
		if err := try.succeeded(ctx, tx); err != nil {
			return err
		}
		if err := s.mayHave(ctx, tx, u, c.Key); err != nil {
			return err
		}
		me, err := found(userByID(ctx, tx, u))
		if err != nil {
			return err
		}
		return s.move(ctx, tx, a, me, c.Email, c.Key)
	})
	if err == nil {
		s.told(ctx, u)
	}
	return user, err
}

// CancelEmail gives up a change of the address that waits to be confirmed. Without one nothing happens.
func (s *Service) CancelEmail(ctx context.Context, a actor.Actor) (*User, error) {
	u, err := loggedIn(a)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, u, func(tx *sqlx.Tx) error { return deleteEmailChange(ctx, tx, u) })
}

// PendingEmail returns the address that the caller wants to have and has not confirmed; "": none.
func (s *Service) PendingEmail(ctx context.Context, a actor.Actor) (string, error) {
	u, err := a.SignedIn()
	if err != nil {
		return "", err
	}
	c, err := emailChangeOf(ctx, s.db, u)
	if err != nil || c == nil || !s.now().Before(c.ExpiresAt) {
		return "", err
	}
	return c.Email, nil
}

func (s *Service) emailHash(u id.User, key, code string) []byte {
	return s.mac("code of an address", u[:], []byte(key), []byte(code))
}
