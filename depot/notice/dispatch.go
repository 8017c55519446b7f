package notice

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Pages of the app that mails lead to.
const (
	pageHome     = "/"
	pageNotices  = "/notifications"
	pageSettings = "/settings/mail"
	pageAdmin    = "/admin"
	pageProfile  = "/profile"
)

// The kinds of mails. They are lists to the reader's mailbox, too.
const (
	mailNotification = "notification"
	mailDigest       = "digest"
	mailAdminDigest  = "admin-digest"
	mailTest         = "test"
	mailCode         = "confirmation"
)

// Post does all that is due about mail: [Service.Dispatch], [Service.Digests], [Service.AdminDigest], [Service.Deliver]. One that
// fails does not keep the others from their work.
func (s *Service) Post(ctx context.Context) error {
	return errors.Join(s.Dispatch(ctx), s.Digests(ctx), s.AdminDigest(ctx), s.Deliver(ctx))
}

// reader is somebody to whom mail goes.
type reader struct {
	ID        id.User    `db:"id"`
	Address   string     `db:"email"`
	Name      string     `db:"name"`
	Role      actor.Role `db:"role"`
	Suspended bool       `db:"suspended"`
}

// style is what a mail takes from the settings.
type style struct {
	brand mail.Brand
	zone  *time.Location
}

// settings reads the settings and what mails take from them.
func (s *Service) settings(ctx context.Context) (Settings, style, error) {
	set, err := s.cfg.Settings(ctx)
	if err != nil {
		return set, style{}, err
	}
	zone, err := time.LoadLocation(set.Zone)
	if err != nil {
		return set, style{}, err
	}
	return set, style{mail.Brand{Name: set.ProductName, URL: s.cfg.URL}, zone}, nil
}

// Dispatch decides for everything that is pending what mail does with it, and writes the mails that are due at once. Several
// notifications that are pending for one reader go in one mail.
func (s *Service) Dispatch(ctx context.Context) error {
	if s.cfg.Mail == nil {
		return settleAll(ctx, s.cfg.DB)
	}
	users, err := readers(ctx, s.cfg.DB, "pending")
	if err != nil || len(users) == 0 {
		return err
	}
	set, st, err := s.settings(ctx)
	if err != nil {
		return err
	}
	return s.each(ctx, users, func(tx *sqlx.Tx, r reader) error {
		return dispatch(ctx, tx, r, set.MailsPerHour, st)
	})
}

// each runs fn for each of the users in a transaction of their own, in which nobody else makes mail for them. Users for whom
// somebody does so already are left to them. One who fails does not keep the others from their mail.
func (s *Service) each(ctx context.Context, users []id.User, fn func(*sqlx.Tx, reader) error) error {
	var errs []error
	for _, u := range users {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		errs = append(errs, pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
			r, err := lockReader(ctx, tx, u)
			if err != nil || r == nil {
				return err
			}
			return fn(tx, *r)
		}))
	}
	return errors.Join(errs...)
}

func dispatch(ctx context.Context, tx *sqlx.Tx, r reader, perHour int, st style) error {
	rows, err := toMail(ctx, tx, r.ID, "pending")
	if err != nil || len(rows) == 0 {
		return err
	}
	chosen, err := choices(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	wanted := map[MailMode][]*Notification{}
	for _, n := range rows {
		if n.Also != nil {
			if err := also(ctx, tx, r, n, st); err != nil {
				return err
			}
		}
		m := mode(n.Kind, chosen, r)
		if n.Also != nil && *n.Also == r.Address {
			m = None // it is on its way there already
		}
		wanted[m] = append(wanted[m], n)
	}
	if err := settle(ctx, tx, wanted[None], "none"); err != nil {
		return err
	}
	now := wanted[Instant]
	if len(now) > 0 {
		if n, err := mailsWithinHour(ctx, tx, r.Address); err != nil {
			return err
		} else if n >= perHour {
			wanted[Digest] = append(wanted[Digest], now...)
			now = nil
		}
	}
	if err := settle(ctx, tx, wanted[Digest], "digest"); err != nil || len(now) == 0 {
		return err
	}
	worstFirst(now)
	c, err := mail.Notifications(st.brand, r.Name, items(now, st.zone), pageSettings)
	if err != nil {
		return err
	}
	if _, err := insertMail(ctx, tx, r, mailNotification, c, ""); err != nil {
		return err
	}
	return settle(ctx, tx, now, "sent")
}

// also writes the mail to the other address of a notification.
func also(ctx context.Context, tx *sqlx.Tx, r reader, n *Notification, st style) error {
	c, err := mail.Notification(st.brand, r.Name, items([]*Notification{n}, st.zone)[0], pageSettings)
	if err != nil {
		return err
	}
	r.Address = *n.Also
	_, err = insertMail(ctx, tx, r, mailNotification, c, "also:"+n.ID.String())
	return err
}

// mode is what a reader wants by mail of a kind.
func mode(kind string, chosen map[string]MailMode, r reader) MailMode {
	k, _ := kindOf(kind)
	if r.Suspended || !concerns(k, actor.Actor{Role: r.Role}) {
		return None
	}
	if m, ok := chosen[kind]; ok {
		return m
	}
	return k.Mail
}

// worstFirst sorts what must not be overlooked to the top, and the newest first among what matters as much.
func worstFirst(rows []*Notification) {
	rank := map[Severity]int{Error: 0, Warning: 1, Info: 2, Success: 2}
	slices.SortStableFunc(rows, func(a, b *Notification) int {
		if d := rank[a.Severity] - rank[b.Severity]; d != 0 {
			return d
		}
		return b.CreatedAt.Compare(a.CreatedAt)
	})
}

// items are notifications as mails show them.
func items(rows []*Notification, zone *time.Location) []mail.Item {
	var list []mail.Item
	for _, n := range rows {
		it := mail.Item{Severity: mail.Severity(n.Severity), Title: n.Title, Body: n.Body, When: when(n.CreatedAt, zone), Link: pageNotices}
		switch {
		case n.RunID != nil:
			it.Link = "/runs/" + n.RunID.String()
		case n.DeviceID != nil:
			it.Link = "/devices/" + n.DeviceID.String()
		}
		list = append(list, it)
	}
	return list
}

// when writes a time for people.
func when(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Monday, 2 January, 15:04")
}
