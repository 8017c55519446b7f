package notice

import (
	"context"
	"database/sql"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// overlap is how far [Follower] looks back. A row has the time at which it was written but is seen when its transaction ends, so
// rows may come out of the order of their times: by less than this, since no transaction that tells somebody takes as long.
const overlap = 10 * time.Minute

// batch is the most that one look gives.
const batch = 100

// Follower reads somebody's notifications as they come. It is for one goroutine.
type Follower struct {
	s      *Service
	user   id.User
	newest time.Time               // of what was given; at first, of the beginning
	given  map[id.Notice]time.Time // or was there before, within the overlap
}

// Follow begins to follow the caller's notifications. What was there before is not given.
func (s *Service) Follow(ctx context.Context, a actor.Actor) (*Follower, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	now, err := pg.Clock(ctx, s.cfg.DB)
	if err != nil {
		return nil, err
	}
	f := &Follower{s: s, user: me, newest: now, given: map[id.Notice]time.Time{}}
	before, err := recent(ctx, s.cfg.DB, me, now.Add(-overlap))
	if err != nil {
		return nil, err
	}
	for _, n := range before {
		f.note(n.ID, n.CreatedAt)
	}
	return f, nil
}

func (f *Follower) note(n id.Notice, at time.Time) {
	f.given[n] = at
	if at.After(f.newest) {
		f.newest = at
	}
}

// Look returns what came since the last look, oldest first, and how many notifications are unread. If it returns any,
// there may be more.
func (f *Follower) Look(ctx context.Context) ([]*Notification, int, error) {
	for n, at := range f.given {
		if at.Before(f.newest.Add(-overlap)) {
			delete(f.given, n)
		}
	}
	ids := make([]id.Notice, 0, len(f.given))
	for n := range f.given {
		ids = append(ids, n)
	}
	var rows []*Notification
	var left int
	// Of one moment: else one that comes in between is counted without being given.
	err := pg.InTxAs(ctx, f.s.cfg.DB, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, func(tx *sqlx.Tx) (err error) {
		if rows, err = since(ctx, tx, f.user, f.newest.Add(-overlap), ids, batch); err != nil {
			return err
		}
		left, err = unread(ctx, tx, f.user)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for _, n := range rows {
		f.note(n.ID, n.CreatedAt)
	}
	return rows, left, nil
}
