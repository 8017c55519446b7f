package account

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Sessions returns the caller's sessions, most recent first.
func (s *Service) Sessions(ctx context.Context, a actor.Actor) ([]*Session, error) {
	u, err := a.Person()
	if err != nil {
		return nil, err
	}
	list, err := sessionsOf(ctx, s.db, u, a.Session, s.now())
	for _, ses := range list {
		ses.utc()
	}
	return list, err
}

// Session returns one of the caller's sessions.
func (s *Service) Session(ctx context.Context, a actor.Actor, ses id.Session) (*Session, error) {
	list, err := s.Sessions(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, found := range list {
		if found.ID == ses {
			return found, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no such session: it has ended")
}

// EndSession ends one of the caller's sessions, which may be the present one.
func (s *Service) EndSession(ctx context.Context, a actor.Actor, ses id.Session) error {
	u, err := loggedIn(a)
	if err != nil {
		return err
	}
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		if ok, err := deleteSession(ctx, tx, u, ses); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.NotFound, "there is no such session: it has ended")
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "session.ended", Actor: a, Owner: u, Text: "A session was ended."})
	})
	if err == nil {
		s.revoked(ctx, u)
	}
	return err
}

// loggedIn returns the person of a login session: an API token may not deal with credentials.
func loggedIn(a actor.Actor) (id.User, error) {
	u, err := a.Person()
	if err == nil && a.Session.IsZero() {
		err = fault.New(fault.Forbidden, "an API token cannot do this: log in")
	}
	return u, err
}

// CreateAPIToken makes a credential for programs of the caller's. expiresAt is nil for one that lasts until it
// is revoked.
func (s *Service) CreateAPIToken(ctx context.Context, a actor.Actor, name string, expiresAt *time.Time) (t *APIToken, text string, err error) {
	u, err := loggedIn(a)
	if err != nil {
		return nil, "", err
	}
	if name, err = cleanName("name", name); err != nil {
		return nil, "", err
	}
	now := s.now()
	if expiresAt != nil && (!now.Before(*expiresAt) || expiresAt.Year() > 9999) {
		return nil, "", fault.New(fault.Invalid, "expiresAt: must be in the future")
	}
	text, hash := token.New(proto.TokenAPI)
	t = &APIToken{ID: id.APIToken{}.New(), Name: name, CreatedAt: now, ExpiresAt: expiresAt}
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		if _, err := lockSecrets(ctx, tx, u); err != nil { // one at a time, for the limit's sake
			return err
		}
		have, err := apiTokensOf(ctx, tx, u, now)
		if err != nil {
			return err
		}
		if len(have) >= s.limits.APITokens {
			return fault.New(fault.Conflict, "you have %d API tokens, which is the limit: revoke one first", len(have))
		}
		if err := insertAPIToken(ctx, tx, t, u, hash); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "api_token.created", Actor: a, Owner: u, Text: "The API token “" + name + "” was made."})
	})
	if err != nil {
		return nil, "", err
	}
	return t.utc(), text, nil
}

// APITokens returns the caller's API tokens, newest first.
func (s *Service) APITokens(ctx context.Context, a actor.Actor) ([]*APIToken, error) {
	u, err := a.Person()
	if err != nil {
		return nil, err
	}
	list, err := apiTokensOf(ctx, s.db, u, s.now())
	for _, t := range list {
		t.utc()
	}
	return list, err
}

// APIToken returns one of the caller's API tokens.
func (s *Service) APIToken(ctx context.Context, a actor.Actor, tok id.APIToken) (*APIToken, error) {
	list, err := s.APITokens(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.ID == tok {
			return t, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no such API token")
}

// RevokeAPIToken ends one of the caller's API tokens at once.
func (s *Service) RevokeAPIToken(ctx context.Context, a actor.Actor, tok id.APIToken) error {
	u, err := loggedIn(a)
	if err != nil {
		return err
	}
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		if ok, err := deleteAPIToken(ctx, tx, u, tok); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.NotFound, "there is no such API token")
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "api_token.revoked", Actor: a, Owner: u, Text: "An API token was revoked."})
	})
	if err == nil {
		s.revoked(ctx, u)
	}
	return err
}

// cleanAddress is a client's address as it is listed: without the port, or as much of it as is printable.
func cleanAddress(s string) string {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return "an unknown address"
}

// The database hands times over in the zone of its session; people and programs get UTC.

func (u *User) utc() *User {
	u.CreatedAt = u.CreatedAt.UTC()
	utc(u.LastLoginAt)
	return u
}

func (i *Invitation) utc() *Invitation {
	i.ExpiresAt = i.ExpiresAt.UTC()
	return i
}

func (s *Session) utc() *Session {
	s.CreatedAt, s.LastSeenAt, s.ExpiresAt = s.CreatedAt.UTC(), s.LastSeenAt.UTC(), s.ExpiresAt.UTC()
	return s
}

func (t *APIToken) utc() *APIToken {
	t.CreatedAt = t.CreatedAt.UTC()
	utc(t.LastUsedAt)
	utc(t.ExpiresAt)
	return t
}

func utc(t *time.Time) {
	if t != nil {
		*t = t.UTC()
	}
}
