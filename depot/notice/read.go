package notice

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Filter says which notifications to list.
type Filter struct {
	UnreadOnly bool
	Severities []Severity // empty: all
}

// Page is a part of somebody's notifications, newest first.
type Page struct {
	Notifications []*Notification
	HasNext       bool // whether List with the last one's cursor would give more
}

// Cursor returns where n stands in the list, for [Service.List].
func (n *Notification) Cursor() string {
	return keyset.Position[id.Notice]{At: n.CreatedAt, ID: n.ID}.Cursor()
}

// List returns up to first of the caller's own notifications that follow the cursor after (empty: from the newest on).
func (s *Service) List(ctx context.Context, a actor.Actor, f Filter, first int, after string) (*Page, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	from, err := parsePage[id.Notice](first, after)
	if err != nil {
		return nil, err
	}
	for _, v := range f.Severities {
		if v != Info && v != Success && v != Warning && v != Error {
			return nil, fault.New(fault.Invalid, "severities: want info, success, warning or error")
		}
	}
	rows, err := list(ctx, s.cfg.DB, me, f, from, first+1)
	if err != nil {
		return nil, err
	}
	page := &Page{Notifications: rows}
	if len(rows) > first {
		page.Notifications, page.HasNext = rows[:first], true
	}
	return page, nil
}

// ByID returns one of the caller's own notifications.
func (s *Service) ByID(ctx context.Context, a actor.Actor, n id.Notice) (*Notification, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	row, err := byID(ctx, s.cfg.DB, me, n)
	if err == nil && row == nil {
		err = fault.New(fault.NotFound, "there is no such notification")
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// UnreadCount returns how many of the caller's notifications are unread.
func (s *Service) UnreadCount(ctx context.Context, a actor.Actor) (int, error) {
	me, err := a.SignedIn()
	if err != nil {
		return 0, err
	}
	return unread(ctx, s.cfg.DB, me)
}

// MarkRead marks some of the caller's notifications as read, or with nil all of them, and returns how many are unread
// then. What is not there, or somebody else's, is passed over: it may have been swept since the page was drawn.
func (s *Service) MarkRead(ctx context.Context, a actor.Actor, ids []id.Notice) (int, error) {
	me, err := a.Person()
	if err != nil {
		return 0, err
	}
	if len(ids) > MaxPage {
		return 0, fault.New(fault.TooLarge, "ids: at most %d at once", MaxPage)
	}
	var left int
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) (err error) {
		if err := markRead(ctx, tx, me, ids); err != nil {
			return err
		}
		left, err = unread(ctx, tx, me)
		return err
	})
	if err == nil {
		s.ring(ctx, me) // other tabs show the number, too
	}
	return left, err
}
