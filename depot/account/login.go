package account

import (
	"context"
	"crypto/hmac"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Login is a fresh session with what opens the account's keys.
type Login struct {
	Token     string // hfs_…, shown once
	Session   *Session
	User      *User
	Bundle    []byte // sealed, under the password's key or, after LoginWithRecovery, the recovery code's
	ExpiresAt time.Time
}

// LoginInput is a login by password.
type LoginInput struct {
	Email   string
	AuthKey []byte // 32 bytes
	Code    string // of the second factor, or a backup code; empty: none was asked for yet
	Client  string // what the client calls itself
	Address string // where it comes from, as the server saw it

	// Within is who the request comes from. Whoever is logged in to the same account already has shown its second factor.
	Within actor.Actor
}

// RecoveryLoginInput is a login by recovery code.
type RecoveryLoginInput struct {
	Email           string
	RecoveryAuthKey []byte // 32 bytes
	Code            string // as in LoginInput
	Client          string
	Address         string
	Within          actor.Actor
}

// LoginParams says how to derive the keys of an account from its password. An unknown e-mail gets an answer of
// the same kind, the same each time.
func (s *Service) LoginParams(ctx context.Context, email string) (*LoginParams, error) {
	key, err := emailKey(email)
	if err != nil {
		return nil, err
	}
	fake := &LoginParams{Salt: s.mac("salt", []byte(key))[:defaultSalt], Time: defaultPasses, Memory: defaultMemory, Threads: defaultThread}
	p, err := loginParams(ctx, s.db, key)
	if err != nil {
		return nil, err
	}
	if p == nil {
		p = fake
	}
	return p, nil
}

// Login opens a session for who shows an account's auth key. It fails with WRONG_CREDENTIALS, without saying
// which part is wrong, with RATE_LIMITED, or, after the right password only, with FORBIDDEN if the account is
// suspended or was reset, and with SECOND_FACTOR_REQUIRED if the code is missing or wrong.
func (s *Service) Login(ctx context.Context, in LoginInput) (*Login, error) {
	if err := checkAuthKey("authKey", in.AuthKey); err != nil {
		return nil, err
	}
	return s.login(ctx, in, false)
}

// LoginWithRecovery opens a session in which a new password can be set, for who shows the auth key of an
// account's recovery code. It fails like [Service.Login].
func (s *Service) LoginWithRecovery(ctx context.Context, in RecoveryLoginInput) (*Login, error) {
	if err := checkAuthKey("recoveryAuthKey", in.RecoveryAuthKey); err != nil {
		return nil, err
	}
	return s.login(ctx, LoginInput{Email: in.Email, AuthKey: in.RecoveryAuthKey, Code: in.Code, Client: in.Client, Address: in.Address, Within: in.Within}, true)
}

// proves reports whether an auth key's hash is the account's. An account that does not exist takes as long.
func (x *secrets) proves(hash []byte, byRecovery bool) bool {
	want := make([]byte, len(hash))
	if x != nil {
		want = x.AuthHash
		if byRecovery {
			want = x.RecoveryHash
		}
	}
	return hmac.Equal(hash, want) && x != nil
}

// The hashes of the two auth keys are kept apart by their labels.
func (s *Service) authHash(key []byte) []byte     { return s.mac("auth key", key) }
func (s *Service) recoveryHash(key []byte) []byte { return s.mac("recovery auth key", key) }

func (s *Service) login(ctx context.Context, in LoginInput, byRecovery bool) (*Login, error) {
	key, err := emailKey(in.Email)
	if err != nil {
		return nil, err
	}
	try, err := s.try(ctx, key, in.Address)
	if err != nil {
		return nil, err
	}
	hash := s.authHash(in.AuthKey)
	wrong := fault.New(fault.WrongPassword, "the e-mail or the password is wrong")
	if byRecovery {
		hash = s.recoveryHash(in.AuthKey)
		wrong = fault.New(fault.WrongPassword, "the e-mail or the recovery code is wrong")
	}
	// Read without a lock: locking a row writes to the disk, and how long that takes would tell that the row is there.
	x, err := secretsByKey(ctx, s.db, key)
	if err != nil {
		return nil, err
	}
	if !x.proves(hash, byRecovery) {
		return nil, wrong
	}
	var login *Login
	var refused error // though what was written for it stays
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		login, refused = nil, nil
		// Again under a lock: a password that is being changed ends the sessions that were opened with the old one.
		x, err := lockSecrets(ctx, tx, x.ID)
		if err != nil {
			return err
		}
		if !x.proves(hash, byRecovery) {
			return wrong
		}
		switch {
		case x.Suspended:
			refused = fault.New(fault.Forbidden, "this account is suspended: ask an administrator")
		case x.Reset:
			refused = fault.New(fault.Forbidden, "this account was reset: open the new invitation, or ask an administrator for it")
		default:
			if refused, err = s.second(ctx, tx, x.ID, in, try); err != nil || refused != nil {
				return err
			}
		}
		if err := try.succeeded(ctx, tx); err != nil || refused != nil {
			return err
		}
		login, err = s.openSession(ctx, tx, x.ID, in.Client, in.Address, byRecovery, false)
		if err != nil {
			return err
		}
		login.Bundle = x.Bundle
		if byRecovery {
			login.Bundle = x.RecoveryBundle
		}
		return nil
	})
	if err == nil && refused != nil {
		s.told(ctx, x.ID)
		err = refused
	}
	if err != nil {
		return nil, err
	}
	s.told(ctx, login.User.ID)
	return login, nil
}

// openSession makes a session of a user who has proved who they are. The bundle is left to the caller.
func (s *Service) openSession(ctx context.Context, tx *sqlx.Tx, u id.User, client, address string, byRecovery, joining bool) (*Login, error) {
	now := s.now()
	text, hash := token.New(proto.TokenSession)
	ses := &Session{
		ID: id.Session{}.New(), Client: cleanClient(client), Address: cleanAddress(address),
		CreatedAt: now.UTC(), LastSeenAt: now.UTC(), ExpiresAt: now.Add(s.limits.SessionIdle).UTC(), Current: true,
	}
	kind, how := "session.started", ""
	if byRecovery {
		ses.ExpiresAt = now.Add(s.limits.RecoverySession).UTC()
		kind, how = "session.recovered", " by recovery code"
	}
	if err := insertSession(ctx, tx, ses, u, hash, byRecovery); err != nil {
		return nil, err
	}
	if err := setLoggedIn(ctx, tx, u, now); err != nil {
		return nil, err
	}
	known, err := addKnownPlace(ctx, tx, u, s.mac("place", []byte(place(address))), now, now.Add(-s.limits.KnownPlace))
	if err != nil {
		return nil, err
	}
	user, err := userByID(ctx, tx, u)
	if err != nil {
		return nil, err
	}
	err = audit.Write(ctx, tx, audit.Event{
		Kind: kind, Actor: actor.Actor{User: u}, Owner: u,
		Text: user.Email + " logged in" + how + " from " + ses.Address + " with " + ses.Client + ".",
	})
	if err != nil {
		return nil, err
	}
	login := &Login{Token: text, Session: ses, User: user.utc(), ExpiresAt: ses.ExpiresAt}
	from := fmt.Sprintf("It came from %s with %s.", ses.Address, ses.Client)
	switch {
	case byRecovery:
		return login, notice.Write(ctx, tx, notice.Event{
			User: u, Kind: "account.recovery", Title: "Somebody logged in with your recovery code",
			Body: from + " If it was not you, log in, set a new password and make a new recovery code: whoever has the old one can read your backups.",
		})
	case !known && !joining:
		return login, notice.Write(ctx, tx, notice.Event{
			User: u, Kind: "account.login", Title: "A login from a new place",
			Body: from + " If it was not you, set a new password: that ends all other sessions.",
		})
	}
	return login, nil
}

// Logout ends the session that the caller came with.
func (s *Service) Logout(ctx context.Context, a actor.Actor) error {
	u, err := a.Excused().SignedIn()
	if err != nil {
		return err
	}
	if a.Session.IsZero() {
		return fault.New(fault.Conflict, "an API token has no session to end: revoke the token instead")
	}
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		_, err := deleteSession(ctx, tx, u, a.Session)
		return err
	})
	if err == nil {
		s.revoked(ctx, u)
	}
	return err
}

// ended is the answer to every credential that is not, or no longer, one.
func ended() error {
	return fault.New(fault.Unauthenticated, "this login is not valid (any more): log in again")
}

// Authenticate returns who a session or API token stands for. It fails with UNAUTHENTICATED for anything that
// is unknown, has ended or expired, or is of a suspended user.
func (s *Service) Authenticate(ctx context.Context, text string) (actor.Actor, error) {
	var c *credential
	var err error
	switch token.Kind(text) {
	case proto.TokenSession:
		c, err = sessionByHash(ctx, s.db, token.Hash(text))
	case proto.TokenAPI:
		c, err = apiTokenByHash(ctx, s.db, token.Hash(text))
	default:
		return actor.Actor{}, ended()
	}
	if err != nil {
		return actor.Actor{}, err
	}
	now := s.now()
	if c == nil || c.Suspended || c.ExpiresAt != nil && !now.Before(*c.ExpiresAt) {
		return actor.Actor{}, ended()
	}
	if before := now.Add(-seenEvery); !c.ByRecovery && (c.UsedAt == nil || c.UsedAt.Before(before)) {
		if c.Session.IsZero() {
			err = touchAPIToken(ctx, s.db, c.APIToken, now, before)
		} else {
			err = touchSession(ctx, s.db, c.Session, now, before, earlier(now.Add(s.limits.SessionIdle), c.CreatedAt.Add(s.limits.SessionMax)))
		}
		if err != nil {
			return actor.Actor{}, err
		}
	}
	return actor.Actor{User: c.User, Role: c.Role, Session: c.Session, APIToken: c.APIToken, ByRecovery: c.ByRecovery, Unproven: c.Unproven}, nil
}

// seenEvery is how often the use of a credential is written at most.
const seenEvery = time.Minute

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
