package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxRetain is how many snapshots one [Service.Retain] deletes.
const MaxRetain = 200

// RetainReport is what a [Service.Retain] did.
type RetainReport struct {
	Kept    int
	Deleted int
	More    bool // there is more to delete: call it again
}

// Retained is what the rules say about a live snapshot.
type Retained struct {
	Snapshot  id.Snapshot
	CreatedAt time.Time
	Files     int64
	Bytes     int64
	Problems  int64
	Scheduled bool
	Pinned    bool
	Keep      bool
	Reasons   []string // why it is kept: words of [plan.Verdict], or "manual": no policy made it
}

// Retain applies rules to the snapshots of a device that a policy made, and deletes those that no rule keeps, oldest
// first, as [Service.DeleteSnapshot] does: they can be taken back while the undo window lasts. Pinned ones,
// those that somebody made by hand and those that are newer than the database's clock stay, and so does the newest one without
// problems, whatever the rules say. One line in the audit log says how many were deleted. Only superusers and the system may
// call it. A device that nobody owns has nothing to delete.
func (s *Service) Retain(ctx context.Context, a actor.Actor, device id.Device, rules []plan.Rule) (RetainReport, error) {
	return s.retain(ctx, a, retention{
		what: ofPolicies, of: device,
		keep:   func(now time.Time, rows []retainedRow) []plan.Verdict { return plan.Keep(now, rules, items(rows)) },
		newest: func(tx *sqlx.Tx, now time.Time) (map[Part]time.Time, error) { return newestGood(ctx, tx, device, now) },
		words:  fmt.Sprintf("snapshots of the device %s were deleted by the rules of its policies", device),
	})
}

// RetainScheduled is [Service.Retain] of the snapshots that a schedule made of its application. Of each part that it made, should it have been
// another one once, the newest without problems stays.
func (s *Service) RetainScheduled(ctx context.Context, a actor.Actor, schedule id.ApplicationSchedule, app id.Application, rule plan.Rule) (RetainReport, error) {
	return s.retain(ctx, a, retention{
		what: ofSchedule, of: schedule,
		keep: func(now time.Time, rows []retainedRow) []plan.Verdict {
			verdicts := plan.Keep(now, []plan.Rule{rule}, items(rows))
			seen := map[Part]bool{}
			for i, r := range slices.Backward(rows) {
				if r.Problems == 0 && !r.CreatedAt.After(now) && !seen[*r.Part] {
					seen[*r.Part], verdicts[i].Keep = true, true
				}
			}
			return verdicts
		},
		newest: func(tx *sqlx.Tx, now time.Time) (map[Part]time.Time, error) { return newestGoodOf(ctx, tx, app, now) },
		words:  fmt.Sprintf("snapshots of the application %s were deleted by the rule of the schedule %s", app, schedule),
	})
}

// safetyTime is how long a safety backup is kept at least: so long an undoing may be thought of.
const safetyTime = 24 * time.Hour

// RetainSafety is [Service.Retain] of an application's safety backups: the newest n stay, and all that are younger than a day.
func (s *Service) RetainSafety(ctx context.Context, a actor.Actor, app id.Application, n int) (RetainReport, error) {
	return s.retain(ctx, a, retention{
		what: ofSafety, of: app,
		keep: func(now time.Time, rows []retainedRow) []plan.Verdict {
			verdicts := make([]plan.Verdict, len(rows))
			for i, r := range rows {
				verdicts[i].Keep = r.Pinned || i >= len(rows)-n || now.Sub(r.CreatedAt) < safetyTime
			}
			return verdicts
		},
		words: fmt.Sprintf("safety backups of the application %s were deleted: it keeps the newest %d", app, n),
	})
}

// retention is what to delete by rule.
type retention struct {
	what   string // one of ofPolicies, ofSchedule, ofSafety
	of     any    // the id that it takes
	keep   func(now time.Time, rows []retainedRow) []plan.Verdict
	newest func(tx *sqlx.Tx, now time.Time) (map[Part]time.Time, error) // when the newest good ones were made, which stay; nil: every one may go
	words  string                                                       // what was done, for the audit log
}

func (s *Service) retain(ctx context.Context, a actor.Actor, r retention) (RetainReport, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return RetainReport{}, err
	}
	undo, err := s.undoWindow(ctx)
	if err != nil {
		return RetainReport{}, err
	}
	if r.newest == nil {
		r.newest = func(*sqlx.Tx, time.Time) (map[Part]time.Time, error) { return nil, nil }
	}
	var report RetainReport
	var d deletion
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		report = RetainReport{}
		rows, err := lockRetained(ctx, tx, r.what, r.of)
		if err != nil || len(rows) == 0 {
			return err
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		var out []id.Snapshot
		for i, v := range r.keep(now, rows) {
			switch {
			case v.Keep:
				report.Kept++
			case len(out) == MaxRetain:
				report.More = true
			default:
				out = append(out, rows[i].ID)
			}
		}
		if len(out) == 0 {
			return nil
		}
		before, err := r.newest(tx, now)
		if err != nil {
			return err
		}
		n, err := d.run(ctx, tx, s, rows[0].Space, out, byRetention, undo)
		if err != nil {
			return err
		}
		// The rules have said so already. This asks the rows themselves.
		after, err := r.newest(tx, now)
		if err != nil {
			return err
		}
		fewer := int(n) != len(out)
		for part, at := range before {
			fewer = fewer || after[part].Before(at)
		}
		if fewer {
			return fmt.Errorf("catalog: of %s, retention would have deleted %d and %d rows agreed, or the newest good one: nothing was deleted", r.of, len(out), n)
		}
		report.Deleted = len(out)
		return audit.Write(ctx, tx, audit.Event{Kind: "snapshots.retired", Actor: a, Owner: rows[0].Owner,
			Text: fmt.Sprintf("%d %s; %d were kept.", len(out), r.words, report.Kept)})
	})
	return report, d.settle(ctx, s, err)
}

// RetentionPreview says what rules would keep of a device's live snapshots, oldest first, without doing anything: to the
// device's owner and to administrators.
func (s *Service) RetentionPreview(ctx context.Context, a actor.Actor, device id.Device, rules []plan.Rule) ([]Retained, error) {
	owner, err := ownerOfDevice(ctx, s.cfg.DB, device)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if owner == nil || !a.MayRead(*owner) {
		if err := a.Require(actor.Admin); err != nil {
			if _, e := a.SignedIn(); e != nil {
				return nil, e
			}
			return nil, fault.New(fault.NotFound, "there is no such device")
		}
		if owner == nil {
			return nil, fault.New(fault.NotFound, "there is no such device")
		}
	}
	rows, err := retained(ctx, s.cfg.DB, device)
	if err != nil {
		return nil, pg.Fault(err)
	}
	now, err := clock(ctx, s.cfg.DB)
	if err != nil {
		return nil, pg.Fault(err)
	}
	list := make([]Retained, len(rows))
	var judged []retainedRow
	var at []int
	for i, r := range rows {
		list[i] = Retained{Snapshot: r.ID, CreatedAt: r.CreatedAt.UTC(), Files: r.Files, Bytes: r.Bytes, Problems: r.Problems, Scheduled: r.Scheduled, Pinned: r.Pinned,
			Keep: true, Reasons: []string{"manual"}}
		if r.Scheduled {
			judged, at = append(judged, r), append(at, i)
		}
	}
	for i, v := range plan.Keep(now, rules, items(judged)) {
		list[at[i]].Keep, list[at[i]].Reasons = v.Keep, v.Reasons
	}
	return list, nil
}

// items is what the rules look at.
func items(rows []retainedRow) []plan.Item {
	list := make([]plan.Item, len(rows))
	for i, r := range rows {
		list[i] = plan.Item{At: r.CreatedAt, Pinned: r.Pinned, Good: r.Problems == 0}
	}
	return list
}
