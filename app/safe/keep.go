package safe

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Life is how long keys can come back after they were last used.
const Life = 15 * time.Minute

// keepEvery is how often a use of the keys prolongs their life.
const keepEvery = time.Minute

// keepTime is how long a Keeper may take.
const keepTime = 5 * time.Second

// A Keeper keeps one thing across a reload: a key, wrapped so that no script can read it, and what that key opens.
type Keeper interface {
	// Keep keeps it, in place of what was kept before.
	Keep(ctx context.Context, user string, key [32]byte, sealed []byte, until time.Time) error

	// Kept returns what was kept for a user, or fault.NotFound. What is over is deleted.
	Kept(ctx context.Context, user string, now time.Time) (key [32]byte, sealed []byte, until time.Time, err error)

	// Forget deletes whatever is kept.
	Forget(ctx context.Context) error
}

// keep keeps the keys for another while. That it cannot be done is no failure: the keys are gone after a reload, then.
func (s *Safe) keep(a *account) {
	now := s.out.Now()
	if s.out.Keeper == nil || a.ctx.Err() != nil {
		return
	}
	k := &a.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	until := now.Add(Life)
	if until.Sub(k.until) < keepEvery {
		return
	}
	if k.sealed == nil {
		rand.Read(k.wrap[:]) // never fails: crypto/rand ends the program instead
		k.sealed = a.keys.SealBundle(k.wrap)
	}
	ctx, cancel := context.WithTimeout(a.ctx, keepTime)
	defer cancel()
	if s.out.Keeper.Keep(ctx, a.user, k.wrap, k.sealed, until) != nil {
		return
	}
	k.until = until
	if k.expiry != nil {
		k.expiry.Stop()
	}
	// Browsers that sleep, or slow down hidden tabs, are late: then Kept sees that it is over.
	k.expiry = time.AfterFunc(Life, s.forget)
	if a.ctx.Err() != nil { // it was locked meanwhile, and what was kept came after what deleted it
		k.expiry.Stop()
		s.forget()
	}
}

// forget deletes what was kept.
func (s *Safe) forget() {
	if s.out.Keeper == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTime)
	defer cancel()
	s.out.Keeper.Forget(ctx) //nolint:errcheck // it is tried again when it is over, and when somebody comes back
}

// resume opens what was kept for a user. Without that it fails with fault.NotFound.
func (s *Safe) resume(ctx context.Context, in talk.Resume) (any, error) {
	s.mu.Lock()
	open := s.account != nil && s.account.user == in.User
	s.mu.Unlock()
	if open {
		return nil, nil
	}
	none := fault.New(fault.NotFound, "no keys were kept: type your password")
	if s.out.Keeper == nil {
		return nil, none
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	wrap, sealed, _, err := s.out.Keeper.Kept(ctx, in.User, s.out.Now())
	if errors.Is(err, fault.NotFound) {
		return nil, none
	} else if err != nil {
		return nil, err
	}
	keys, err := keyring.OpenBundle(wrap, sealed)
	if err != nil {
		s.forget()
		return nil, fault.Wrap(err, fault.NotFound, "what was kept of the keys is damaged: type your password")
	}
	s.use(keys, in.User)
	return nil, nil
}
