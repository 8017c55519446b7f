package depot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// What the worker does now and then. Every method may run at any time, several times at once, and again.

// Tasks that are rung for an id.
const (
	TaskCollect = "space.collect" // the id of a space
	TaskCare    = "care.run"      // one of CareKinds
	TaskCopy    = "replicas.copy" // of everything to all replicas; the id says why
)

// CareKinds are what [Depot.Care] can be asked for.
var CareKinds = []string{"gc", "scrub", "retention", "selfbackup", "replicate"}

// Times.
const (
	VerifyEvery     = 30 * 24 * time.Hour // every pack is read again this often
	scrubPortion    = 5 * time.Minute     // of one call
	selfBackupEvery = 24 * time.Hour
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

// TickPolicies writes a run for every slot of every policy and device that has come, and rings the devices.
func (d *Depot) TickPolicies(ctx context.Context) error { return d.Runs.Tick(ctx) }

// TickSchedules writes a run for every slot of every schedule of an application that has come, and rings the devices.
func (d *Depot) TickSchedules(ctx context.Context) error { return d.Runs.TickSchedules(ctx) }

// SweepRuns ends what is overdue or abandoned, and rings devices again that have not come for what is due.
func (d *Depot) SweepRuns(ctx context.Context) error { return d.Runs.Sweep(ctx) }

// PruneRuns deletes runs that are history.
func (d *Depot) PruneRuns(ctx context.Context) error { return d.Runs.Prune(ctx) }

// AlarmStale tells of devices that have not backed up for days, whatever the scheduler did, and of quotas that are nearly used up.
func (d *Depot) AlarmStale(ctx context.Context) error {
	return errors.Join(d.Runs.Stale(ctx), d.Reports.WarnQuotas(ctx))
}

// SendNotices makes mails of notifications and sends those that wait.
func (d *Depot) SendNotices(ctx context.Context) error { return d.Notices.Post(ctx) }

// SendDigests writes the digests that are due.
func (d *Depot) SendDigests(ctx context.Context) error {
	return errors.Join(d.Notices.Digests(ctx), d.Notices.AdminDigest(ctx))
}

// SweepNotices deletes old notifications and mails.
func (d *Depot) SweepNotices(ctx context.Context) error { return d.Notices.Sweep(ctx) }

// retained is what retention did.
type retained struct {
	Devices      int   `json:"devices"`      // that lost any snapshot
	Applications int   `json:"applications"` // schedules, and applications with safety backups, that lost any
	Deleted      int64 `json:"deleted"`
}

// RetainSnapshots deletes, of every device that a policy applies to, the snapshots that no policy keeps; of every schedule of an application, those
// that it does not keep; and of every application, the safety backups that are too many.
func (d *Depot) RetainSnapshots(ctx context.Context) error {
	_, err := d.retain(ctx)
	return err
}

func (d *Depot) retain(ctx context.Context) (total retained, err error) {
	err = d.job(ctx, "retention", func() (any, bool, error) {
		total = retained{}
		var errs []error
		each := func(count *int, retain func() (catalog.RetainReport, error)) {
			var deleted int64
			for more := true; more && ctx.Err() == nil; {
				r, err := retain()
				deleted += int64(r.Deleted)
				errs = append(errs, err) // one failure keeps no other's snapshots
				more = err == nil && r.More
			}
			if total.Deleted += deleted; deleted > 0 {
				*count++
			}
		}
		devices, err := scheduled(ctx, d.DB)
		errs = append(errs, err)
		for _, dev := range devices {
			each(&total.Devices, func() (catalog.RetainReport, error) {
				rules, err := policy.RetentionRules(ctx, d.DB, dev)
				if err != nil || len(rules) == 0 {
					return catalog.RetainReport{}, err
				}
				return d.Catalog.Retain(ctx, actor.System(), dev, rules)
			})
		}
		schedules, err := d.Applications.Retained(ctx)
		errs = append(errs, err)
		for _, s := range schedules {
			each(&total.Applications, func() (catalog.RetainReport, error) {
				return d.Catalog.RetainScheduled(ctx, actor.System(), s.ID, s.ApplicationID, plan.Rule{Retention: s.Retention, Zone: s.Zone})
			})
		}
		apps, err := d.Applications.Saved(ctx)
		errs = append(errs, err)
		for _, app := range apps {
			each(&total.Applications, func() (catalog.RetainReport, error) {
				return d.Catalog.RetainSafety(ctx, actor.System(), app.ID, app.KeepSafety)
			})
		}
		return total, total.Deleted == 0, errors.Join(append(errs, ctx.Err())...)
	})
	return total, err
}

// Cleaned is what [Depot.CleanUp] did.
type Cleaned struct {
	Sessions int   `json:"sessions"` // backup sessions that had lapsed
	Deleted  int64 `json:"deleted"`  // snapshots, by rule
	Spaces   int   `json:"spaces"`   // in which there was something to clean
}

// CleanUp does once what the worker does now and then to keep only what rules keep: it ends what has lapsed, deletes snapshots by rule, and cleans the
// spaces in which there is something to clean. Where no worker runs, something like cron may call it. What failed keeps nothing else from being done.
func (d *Depot) CleanUp(ctx context.Context) (c Cleaned, err error) {
	var errs []error
	c.Sessions, err = d.Catalog.ExpireSessions(ctx)
	errs = append(errs, err, d.Runs.Sweep(ctx))
	r, err := d.retain(ctx)
	c.Deleted, errs = r.Deleted, append(errs, err)
	c.Spaces, err = d.Catalog.CollectDue(ctx)
	return c, errors.Join(append(errs, err)...)
}

// job writes down that a piece of care is taken, runs it, and tells administrators if it failed. Where do says that it was idle and
// nothing is wrong, the line is taken back.
func (d *Depot) job(ctx context.Context, kind string, do func() (report any, idle bool, err error)) error {
	job, err := carelog.Begin(ctx, d.DB, kind, id.Space{})
	if err != nil {
		return err
	}
	report, idle, err := do()
	if err == nil && idle {
		return errors.Join(d.failed(ctx, kind, nil), carelog.Drop(ctx, d.DB, job))
	}
	return errors.Join(d.failed(ctx, kind, err), carelog.End(context.WithoutCancel(ctx), d.DB, job, report, err))
}

// CollectSpaces rings for the spaces in which there is something to clean.
func (d *Depot) CollectSpaces(ctx context.Context) error {
	spaces, err := d.Catalog.DueSpaces(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range spaces {
		errs = append(errs, d.Queue.Ring(ctx, TaskCollect, s.String()))
	}
	return errors.Join(errs...)
}

// CollectSpace cleans one space. That somebody else cleans it, or backs up into it, is no failure: it stays due.
func (d *Depot) CollectSpace(ctx context.Context, space string) error {
	var s id.Space
	if err := s.UnmarshalText([]byte(space)); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s", err)
	}
	_, err := d.Catalog.Collect(ctx, actor.System(), s, catalog.GCOptions{})
	switch fault.KindOf(err) {
	case fault.Conflict, fault.NotFound:
		return nil
	}
	return d.failed(ctx, "gc", err)
}

// ScrubPacks reads for a few minutes packs again that were not verified for [VerifyEvery]. The next call goes
// on where this one was broken off.
func (d *Depot) ScrubPacks(ctx context.Context) error {
	return d.job(ctx, "scrub", func() (any, bool, error) {
		portion, cancel := context.WithTimeout(ctx, scrubPortion)
		defer cancel()
		r, err := d.Catalog.Scrub(portion, actor.System(), VerifyEvery, nil)
		if portion.Err() != nil && ctx.Err() == nil {
			err = nil
		}
		idle := r.Verified+r.Adopted+r.Healed+r.Damaged+r.Missing+r.Mended == 0
		return map[string]int64{"verified": r.Verified, "bytes": r.BytesRead, "adopted": r.Adopted, "healed": r.Healed, "damaged": r.Damaged, "missing": r.Missing, "mended": r.Mended},
			idle, errors.Join(err, d.tellDamage(ctx))
	})
}

// tellDamage tells administrators that stored data is damaged, once, until none is any more.
func (d *Depot) tellDamage(ctx context.Context) error {
	n, err := damagedPacks(ctx, d.DB)
	switch {
	case err != nil:
		return err
	case n == 0:
		return d.Notices.Over(ctx, damageKey)
	}
	return d.Notices.Tell(ctx, notice.Event{Kind: "pack.damaged", Key: damageKey, Title: "Stored data is damaged",
		Body: fmt.Sprintf("%d packs in the store are damaged or lost. The next backup of each device sends again what it still has. "+
			"Look after the store's disk; holdfast scrub names the packs.", n)})
}

const damageKey = "pack.damaged"

// SampleStorage notes what is stored today, and tells administrators when room is short.
func (d *Depot) SampleStorage(ctx context.Context) error {
	if err := d.Reports.Sample(ctx); err != nil {
		return err
	}
	var free, total *int64
	if d.room != nil {
		f, t, err := d.room.Room(ctx)
		if err != nil {
			return err
		}
		free, total = &f, &t
	}
	return d.Notices.Room(ctx, free, total)
}

// BackUpMetadata stores a sealed copy of the database, if one is wanted and the last is a day old.
func (d *Depot) BackUpMetadata(ctx context.Context) error {
	due, err := d.SelfBackup.Due(ctx, selfBackupEvery)
	if err != nil || !due {
		return err
	}
	return d.dump(ctx)
}

func (d *Depot) dump(ctx context.Context) error {
	return d.job(ctx, "selfbackup", func() (any, bool, error) {
		info, err := d.SelfBackup.Dump(ctx, actor.System())
		return map[string]any{"name": info.Name, "bytes": info.Size}, false, err
	})
}

// SelfBackupAt returns when the newest sealed copy of the database was made; nil without one.
func (d *Depot) SelfBackupAt(ctx context.Context) (*time.Time, error) {
	copies, err := d.SelfBackup.List(ctx, actor.System())
	if err != nil || len(copies) == 0 {
		return nil, err
	}
	return &copies[0].At, nil
}

// failed tells administrators that a kind of care failed, or that it is well again; it returns err.
func (d *Depot) failed(ctx context.Context, kind string, err error) error {
	key := "care:" + kind
	if ctx.Err() != nil {
		return err // somebody stopped it
	}
	if err == nil {
		return d.Notices.Over(ctx, key)
	}
	return errors.Join(err, d.Notices.Tell(ctx, notice.Event{Kind: "care.failed", Key: key, Title: "Care of the installation failed: " + kind,
		Body: "It is tried again by itself. The log of the worker has the cause, and holdfast doctor says what to do."}))
}

// Care rings for a kind of care now: see [CareKinds]. Administrators may.
func (d *Depot) Care(ctx context.Context, a actor.Actor, kind string) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	if !slices.Contains(CareKinds, kind) {
		return fault.New(fault.Invalid, "care is one of %s, not %q", strings.Join(CareKinds, ", "), kind)
	}
	if d.Queue == nil {
		return fault.New(fault.Unavailable, "there is no queue to ring: Redis is not configured")
	}
	return d.Queue.Ring(ctx, TaskCare, kind)
}

// RunCare does a kind of care now.
func (d *Depot) RunCare(ctx context.Context, kind string) error {
	switch kind {
	case "gc":
		return d.CollectSpaces(ctx)
	case "scrub":
		return d.ScrubPacks(ctx)
	case "retention":
		return d.RetainSnapshots(ctx)
	case "selfbackup":
		return d.dump(ctx)
	case "replicate":
		return d.CopyToReplicas(ctx)
	}
	return fault.New(fault.Invalid, "care is one of %s, not %q", strings.Join(CareKinds, ", "), kind)
}

// Check is one line of [Depot.Doctor].
type Check = catalog.Check

// maxSkew is how far this machine's clock and the database's may be apart. Sessions and codes live by the
// clocks; more than this is noticed by people.
const maxSkew = 5 * time.Second

// maxLag is how long slots of policies may not have been looked for.
const maxLag = 5 * time.Minute

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
	at, err := pg.Clock(ctx, d.DB)
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
	if current {
		behind, err := schedulerLag(ctx, d.DB)
		if err == nil && behind > maxLag {
			err = fmt.Errorf("slots of policies were last looked for %s ago: start a holdfast worker, or look at its log", behind.Round(time.Minute))
		}
		add("worker", err, "looks after policies")
	}
	if d.SelfBackup != nil && current {
		text, err := d.SelfBackup.Check(ctx)
		add("copies", err, text)
	}
	if d.Replicas != nil && current {
		lines, err := d.checkReplicas(ctx, a)
		if err != nil {
			add("replicas", err, "")
		}
		checks = append(checks, lines...)
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
