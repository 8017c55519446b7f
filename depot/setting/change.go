package setting

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Change is what to set. Fields that are nil stay as they are.
type Change struct {
	ProductName       *string
	StaleDays         *int
	UndoDays          *int
	DefaultQuota      *int64
	StorageLowPercent *int
	DigestHour        *int
	Zone              *string
	AdminDigest       *Period
	MailsPerHour      *int
	RunHistoryDays    *int
	ReplicaKeepDays   *int
	RetentionDays     *int

	AdminsNeedSecondFactor *bool
}

// Read returns the settings for administrators, as they are at this moment.
func (s *Service) Read(ctx context.Context, a actor.Actor) (*Settings, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	return read(ctx, s.cfg.DB)
}

// Update changes settings and returns all of them. Changes that come at once are one after another, so that none is lost.
func (s *Service) Update(ctx context.Context, a actor.Actor, c Change) (*Settings, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	var after *Settings
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		was, err := read(ctx, tx)
		if err != nil {
			return err
		}
		next := *was
		c.apply(&next)
		if err := next.check(); err != nil {
			return err
		}
		if next.AdminsNeedSecondFactor && !was.AdminsNeedSecondFactor {
			if err := demandFactor(ctx, tx, a); err != nil {
				return err
			}
		}
		after = &next
		by := person(a)
		old, changes := was.fields(), []string{}
		for i, f := range next.fields() {
			before, value := reflect.ValueOf(old[i].at).Elem().Interface(), reflect.ValueOf(f.at).Elem().Interface()
			if before == value {
				continue
			}
			if err := write(ctx, tx, f.key, value, by); err != nil {
				return err
			}
			changes = append(changes, fmt.Sprintf("%s from %v to %v", f.name, before, value))
		}
		if len(changes) == 0 {
			return nil
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "settings.changed", Actor: a, Text: "These settings were changed: " + strings.Join(changes, "; ") + "."})
	})
	if err != nil {
		return nil, err
	}
	s.forget()
	return after, nil
}

// demandFactor makes sure that whoever wants a second factor of administrators has one, and tells those who have none.
func demandFactor(ctx context.Context, tx *sqlx.Tx, a actor.Actor) error {
	lacking, err := withoutFactor(ctx, tx)
	if err != nil {
		return err
	}
	if !a.IsSystem() && slices.Contains(lacking, a.User) {
		return fault.New(fault.Conflict, "set up a second factor of your own first, in your profile: you would shut yourself out")
	}
	for _, u := range lacking {
		err := notice.Write(ctx, tx, notice.Event{User: u, Kind: "account.second_factor", Title: "Administrators need a second factor now",
			Body: "You have none. Log in to the web app and set one up: until then your account can do nothing else. Your devices go on backing up."})
		if err != nil {
			return err
		}
	}
	return nil
}

// apply sets what is not nil.
func (c Change) apply(s *Settings) {
	set(&s.ProductName, c.ProductName)
	set(&s.StaleDays, c.StaleDays)
	set(&s.UndoDays, c.UndoDays)
	set(&s.DefaultQuota, c.DefaultQuota)
	set(&s.StorageLowPercent, c.StorageLowPercent)
	set(&s.DigestHour, c.DigestHour)
	set(&s.Zone, c.Zone)
	set(&s.AdminDigest, c.AdminDigest)
	set(&s.MailsPerHour, c.MailsPerHour)
	set(&s.RunHistoryDays, c.RunHistoryDays)
	set(&s.ReplicaKeepDays, c.ReplicaKeepDays)
	set(&s.RetentionDays, c.RetentionDays)
	set(&s.AdminsNeedSecondFactor, c.AdminsNeedSecondFactor)
}

func set[T any](at, value *T) {
	if value != nil {
		*at = *value
	}
}

const maxProductName = 60

// check refuses what makes no sense, and puts words into their one spelling.
func (s *Settings) check() error {
	s.ProductName = strings.TrimSpace(s.ProductName)
	if n := utf8.RuneCountInString(s.ProductName); n < 1 || n > maxProductName || strings.ContainsFunc(s.ProductName, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return fault.New(fault.Invalid, "productName: want 1 to %d characters that can be shown", maxProductName)
	}
	for _, f := range []struct {
		name         string
		n, low, high int
	}{
		{"staleDays", s.StaleDays, 1, 365},
		{"undoDays", s.UndoDays, 1, 365},
		{"storageLowPercent", s.StorageLowPercent, 0, 90},
		{"digestHour", s.DigestHour, 0, 23},
		{"mailsPerHour", s.MailsPerHour, 1, 1000},
		{"runHistoryDays", s.RunHistoryDays, 30, 3650},
		{"replicaKeepDays", s.ReplicaKeepDays, 1, 3650},
		{"retentionDays", s.RetentionDays, 0, 36500},
	} {
		if f.n < f.low || f.n > f.high {
			return fault.New(fault.Invalid, "%s: want %d to %d, got %d", f.name, f.low, f.high, f.n)
		}
	}
	if s.DefaultQuota < 0 {
		return fault.New(fault.Invalid, "defaultQuota: want a number of bytes, or 0 for no limit")
	}
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	if _, err := plan.LoadZone(s.Zone); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s", err)
	}
	switch s.AdminDigest {
	case Never, Daily, Weekly:
		return nil
	}
	return fault.New(fault.Invalid, "adminDigest: want never, daily or weekly")
}
