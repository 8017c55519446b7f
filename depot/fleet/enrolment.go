package fleet

import (
	"context"
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

// Of one-time codes.
const (
	CodeLife = 15 * time.Minute
	MaxCodes = 20 // open at once, of one person

	tokenHashLen = 32
	minSealed    = 32
	maxSealed    = 8 << 10
)

// EnrolmentOffer is what a one-time code opens.
type EnrolmentOffer struct {
	Sealed    []byte    `db:"sealed"` // for the device, under a key of the code
	Email     string    `db:"email"`  // whose code it is
	ExpiresAt time.Time `db:"expires_at"`
}

// Enrolment is a one-time code, as its maker sees it.
type Enrolment struct {
	ID        id.Enrolment
	ExpiresAt time.Time
}

// noCode is the answer to every code that does not open anything, whatever the reason.
func noCode() error {
	return fault.New(fault.NotFound, "this code is not valid (any more): make a new one")
}

// CreateEnrolment stores what a new device of the caller's will need, under the SHA-256 of the token that is
// derived from a one-time code. The code is valid for [CodeLife], for one device.
func (s *Service) CreateEnrolment(ctx context.Context, a actor.Actor, tokenHash, sealed []byte) (*Enrolment, error) {
	me, err := a.Person()
	if err != nil {
		return nil, err
	}
	if len(tokenHash) != tokenHashLen {
		return nil, fault.New(fault.Invalid, "tokenHash: want %d bytes, got %d", tokenHashLen, len(tokenHash))
	}
	if len(sealed) < minSealed || len(sealed) > maxSealed {
		return nil, fault.New(fault.Invalid, "sealed: want %d to %d bytes, got %d", minSealed, maxSealed, len(sealed))
	}
	e := &Enrolment{ID: id.Enrolment{}.New()}
	err = pg.InTx(ctx, s.db, func(tx *sqlx.Tx) error {
		now := s.now()
		e.ExpiresAt = now.Add(CodeLife).UTC()
		if _, err := lockOwner(ctx, tx, me); err != nil { // one at a time, for the limit's sake
			return err
		}
		if n, err := countOpen(ctx, tx, me, now); err != nil {
			return err
		} else if n >= MaxCodes {
			return fault.New(fault.TooMany, "you have %d codes that were not used yet: use one, or wait until they expire", n)
		}
		if ok, err := insertEnrolment(ctx, tx, e, me, tokenHash, sealed, now); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.Conflict, "tokenHash: this code exists already: make a new one")
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "enrolment.created", Actor: a, Owner: me, Text: "A code for a new device was made."})
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// OpenEnrolment returns what a one-time code's token opens. It does not use the code up: a device that fails
// before it has registered can try again.
func (s *Service) OpenEnrolment(ctx context.Context, text string) (*EnrolmentOffer, error) {
	if token.Kind(text) != proto.TokenEnrolment {
		return nil, noCode()
	}
	offer, err := offer(ctx, s.db, token.Hash(text), s.now())
	if err != nil {
		return nil, err
	}
	if offer == nil {
		return nil, noCode()
	}
	offer.ExpiresAt = offer.ExpiresAt.UTC()
	return offer, nil
}

// Sweep deletes codes that expired a day ago. The worker calls it now and then.
func (s *Service) Sweep(ctx context.Context) error {
	return deleteExpired(ctx, s.db, s.now().Add(-24*time.Hour))
}
