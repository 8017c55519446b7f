package run

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Codes that the server gives; others are what devices report.
const (
	AgentLost     = "AGENT_LOST" // the device fell silent
	NoPolicy      = "NO_POLICY"  // nothing says any more what to save
	DeviceRevoked = "DEVICE_REVOKED"

	// ApplicationRemoved: the device has the application no more.
	ApplicationRemoved = "APPLICATION_REMOVED"
)

// settleBatch is how many devices are settled in one transaction.
const settleBatch = 100

// Sweep decides about runs that nobody speaks for: whose device fell silent, whose deadline has passed, whose device was revoked.
// Then it rings every device that has something to take.
func (s *Service) Sweep(ctx context.Context) error {
	for after, more := (id.Device{}), true; more; {
		devices, err := unsettledDevices(ctx, s.cfg.DB, after, settleBatch)
		if err != nil {
			return err
		}
		if more = len(devices) == settleBatch; len(devices) == 0 {
			break
		}
		after = devices[len(devices)-1]
		var n news
		err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
			n = news{}
			rows, err := lockUnsettled(ctx, tx, devices)
			if err != nil {
				return err
			}
			now, err := clock(ctx, tx)
			if err != nil {
				return err
			}
			return settle(ctx, tx, rows, now, &n)
		})
		if err != nil {
			return err
		}
		s.ring(ctx, n)
	}
	due, err := dueDevices(ctx, s.cfg.DB)
	if err != nil {
		return err
	}
	s.ring(ctx, news{devices: due})
	return nil
}

// settle decides about locked rows. The clock was read after they were locked.
func settle(ctx context.Context, tx *sqlx.Tx, rows []*row, now time.Time, n *news) error {
	var backups []id.Backup
	for _, r := range rows {
		if r.State == Running && r.BackupID != nil {
			backups = append(backups, *r.BackupID)
		}
	}
	made, err := snapshotsOf(ctx, tx, backups)
	if err != nil {
		return err
	}
	var changed []*row
	for _, r := range rows {
		var sn *snapshotRow
		if r.BackupID != nil {
			sn = made[*r.BackupID]
		}
		ok, err := r.settle(now, sn)
		if err != nil {
			return err
		}
		if ok {
			changed = append(changed, r)
		}
	}
	if err := save(ctx, tx, changed); err != nil {
		return err
	}
	n.changed = append(n.changed, changed...)
	return ended(ctx, tx, changed, n)
}

// settle decides about one run that is not over; sn is what its backup session has made. It reports whether anything has changed.
func (r *row) settle(now time.Time, sn *snapshotRow) (bool, error) {
	switch r.State {
	case Waiting:
		switch {
		case r.Revoked:
			return true, r.end(Cancelled, bySweep, now, DeviceRevoked)
		case r.Removed:
			return true, r.end(Cancelled, bySweep, now, ApplicationRemoved)
		case r.DeadlineAt.After(now):
			return false, nil
		case r.Attempts == 0:
			return true, r.end(Missed, bySweep, now, "")
		}
		return true, r.end(Failed, bySweep, now, "") // with the code of the last attempt
	case Running:
		switch {
		case r.LeaseUntil.After(now):
			return false, nil
		case r.Kind == Backup && sn != nil && sn.answers(r) && !sn.CreatedAt.Before(*r.StartedAt):
			return true, r.done(sn, bySweep, now)
		case r.CancelAsked != nil:
			return true, r.end(Cancelled, bySweep, now, "")
		case r.Revoked:
			return true, r.end(Cancelled, bySweep, now, DeviceRevoked)
		case r.DeadlineAt.After(now):
			return true, r.again(now, bySweep, AgentLost, 0)
		}
		return true, r.end(Failed, bySweep, now, AgentLost)
	}
	return false, nil
}

// end makes a run final. An empty code leaves that of the last attempt, unless nothing has failed.
func (r *row) end(to State, by string, now time.Time, code string) error {
	if err := r.move(to, by); err != nil {
		return err
	}
	r.EndedAt, r.LeaseUntil = &now, nil
	switch {
	case code != "":
		r.Code = &code
	case to.good() || to == Cancelled:
		r.Code = nil
	}
	return nil
}

// done ends a backup with its snapshot.
func (r *row) done(sn *snapshotRow, by string, now time.Time) error {
	to := Succeeded
	if sn.Problems > 0 {
		to = Warned
	}
	r.SnapshotID, r.BackupID = &sn.ID, sn.BackupID
	r.Files, r.Bytes, r.Problems, r.UploadedBytes = sn.Files, sn.Bytes, sn.Problems, sn.UploadedBytes
	return r.end(to, by, now, "")
}

// again lets a run wait for another attempt, not before delay has passed. What is said under its lease is void, apart from
// the same word once more.
func (r *row) again(now time.Time, by, code string, delay time.Duration) error {
	if err := r.move(Waiting, by); err != nil {
		return err
	}
	r.Code, r.LeaseUntil = &code, nil
	if by == bySweep {
		r.Lease = 0
	}
	if at := now.Add(delay); delay > 0 && at.After(r.DueAt) {
		r.DueAt = at
	}
	return nil
}

// ended is what follows from runs that are over: snapshots that were made for them are subject to the retention of policies, or of the schedule of the
// application, and their owner is told.
func ended(ctx context.Context, tx *sqlx.Tx, rows []*row, n *news) error {
	seen := map[id.Snapshot]bool{}
	for _, r := range rows {
		if r.Kind != Backup || !r.State.good() || seen[*r.SnapshotID] {
			continue
		}
		seen[*r.SnapshotID] = true
		var err error
		switch {
		case r.ApplicationID == nil:
			err = catalog.MarkScheduled(ctx, tx, r.DeviceID, *r.SnapshotID)
		case r.ScheduleID != nil:
			err = catalog.MadeBySchedule(ctx, tx, *r.SnapshotID, *r.ScheduleID)
		}
		if err != nil {
			return err
		}
	}
	return tell(ctx, tx, rows, n)
}
