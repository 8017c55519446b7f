package depot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
)

// What the worker does now and then. Every method may run at any time, several times at once, and again.

// Times of the scrub.
const (
	VerifyEvery  = 30 * 24 * time.Hour // every pack is read again this often
	scrubPortion = 5 * time.Minute     // of one call
)

// ExpireSessions marks backup sessions void whose heartbeat has lapsed.
func (d *Depot) ExpireSessions(ctx context.Context) error {
	_, err := d.Catalog.ExpireSessions(ctx)
	return err
}

// SweepAccounts deletes what has run out: logins, invitations, enrolment codes, old counts of failed logins.
func (d *Depot) SweepAccounts(ctx context.Context) error {
	return errors.Join(d.Accounts.Sweep(ctx), d.Fleet.Sweep(ctx))
}

// ScrubPacks reads for a few minutes packs again that were not verified for [VerifyEvery]. The next call goes
// on where this one was broken off.
func (d *Depot) ScrubPacks(ctx context.Context) error {
	portion, cancel := context.WithTimeout(ctx, scrubPortion)
	defer cancel()
	_, err := d.Catalog.Scrub(portion, actor.System(), VerifyEvery, nil)
	if portion.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// Check is one line of [Depot.Doctor].
type Check = catalog.Check

// maxSkew is how far this machine's clock and the database's may be apart. Sessions and codes live by the
// clocks; more than this is noticed by people.
const maxSkew = 5 * time.Second

// Doctor looks whether everything is as it should be, and says of what is not what to do.
func (d *Depot) Doctor(ctx context.Context, a actor.Actor) ([]Check, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	var checks []Check
	add := func(name string, err error, fine string) bool {
		if err != nil {
			fine = err.Error()
		}
		checks = append(checks, Check{Name: name, OK: err == nil, Text: fine})
		return err == nil
	}
	before := time.Now()
	at, err := clock(ctx, d.DB)
	if !add("database", err, "answers") {
		return checks, nil
	}
	after := time.Now()
	var skew error
	if off := at.Sub(before.Add(after.Sub(before) / 2)); off.Abs() > maxSkew+after.Sub(before) {
		skew = fmt.Errorf("the database's clock and this machine's are %s apart: synchronise both (NTP)", off.Abs().Round(time.Second))
	}
	add("clock", skew, "agrees with the database's")
	current := add("schema", d.CheckSchema(ctx), "is current")
	if d.Redis != nil {
		add("redis", d.Redis.Ping(ctx).Err(), "answers")
	}
	if d.Catalog != nil && current {
		more, err := d.Catalog.Doctor(ctx, a)
		if err != nil {
			add("catalog", err, "")
		}
		checks = append(checks, more...)
	}
	return checks, nil
}
