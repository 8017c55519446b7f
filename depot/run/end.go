package run

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	// MaxReport is the size of a sealed report, in bytes.
	MaxReport = 1 << 20

	// AgentStopped is the code by which a device gives runs back because its agent was stopped: they wait again at once, and the
	// attempt does not count.
	AgentStopped = "AGENT_STOPPED"

	maxAttempts = 3  // after so many, a failure is final even if trying again may help
	maxCauses   = 20 // different ones
)

// backoff is how long a run waits after its first and its second failure.
var backoff = []time.Duration{time.Minute, 5 * time.Minute}

// EndInput is how runs ended, as their device says.
type EndInput struct {
	Runs          []id.Run
	Lease         int64
	Outcome       Outcome
	Snapshot      *id.Snapshot // of backups that succeeded
	Safety        *id.Snapshot // of a restore of an application: what was made before it
	Code          string       // of a failure
	Retry         bool         // trying again later may help
	Files         int64
	Bytes         int64
	UploadedBytes int64
	Causes        []Cause
	Report        []byte // sealed to the owner
}

// End ends runs that the device took, together. A backup that succeeded names its snapshot, which must be committed, the device's, of the same
// application if it is of one, and younger than the attempt: fault.Conflict otherwise, and the runs go on. It has warnings if the snapshot
// has files that could not be read; a restore or a probe, if causes are given. A restore of an application names the backup that was made before
// anything was touched, however it ended: a live safety backup of that application, younger than the order; an earlier attempt may have made it.
//
// A failure that may pass waits for another attempt, up to the third, if there is time before the deadline; unless somebody asked to stop.
// Saying it again, after the answer was lost, changes nothing and returns the runs as they are.
func (s *Service) End(ctx context.Context, a actor.Actor, in EndInput) ([]*Run, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	counts, err := in.check()
	if err != nil {
		return nil, err
	}
	var rows []*row
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) (err error) {
		n = news{}
		if rows, err = held(ctx, tx, device, in.Runs, in.Lease); err != nil {
			return err
		}
		return in.end(ctx, tx, device, rows, counts, &n)
	})
	if err != nil {
		return nil, err
	}
	s.ring(ctx, n)
	return nouns(rows), nil
}

// end moves those of the rows that are running.
func (in *EndInput) end(ctx context.Context, tx *sqlx.Tx, device id.Device, rows []*row, counts causes, n *news) error {
	now, err := clock(ctx, tx)
	if err != nil {
		return err
	}
	var sn *snapshotRow
	if in.Snapshot != nil {
		if sn, err = snapshotOf(ctx, tx, device, *in.Snapshot); err != nil {
			return err
		}
	}
	var safety *snapshotRow
	if in.Safety != nil {
		if safety, err = snapshotOf(ctx, tx, device, *in.Safety); err != nil {
			return err
		}
	}
	var changed []*row
	var ids []id.Run
	for _, r := range rows {
		if r.State != Running {
			continue // said before
		}
		r.Causes, r.Problems = counts, counts.sum()
		r.Files, r.Bytes, r.UploadedBytes = in.Files, in.Bytes, in.UploadedBytes
		if in.Safety != nil {
			if err := r.undoneBy(safety); err != nil {
				return err
			}
		}
		if err := in.endOne(r, sn, now); err != nil {
			return err
		}
		changed = append(changed, r)
		ids = append(ids, r.ID)
	}
	if err := save(ctx, tx, changed); err != nil {
		return err
	}
	if len(in.Report) > 0 && len(ids) > 0 {
		if err := saveReport(ctx, tx, ids, in.Report); err != nil {
			return err
		}
	}
	n.changed = changed
	return ended(ctx, tx, changed, n)
}

// undoneBy notes what was made before a restore, sn, which is nil if it is not the device's.
func (r *row) undoneBy(sn *snapshotRow) error {
	switch {
	case r.Kind != Restore || r.ApplicationID == nil:
		return fault.New(fault.Invalid, "safety: only the restore of an application has one")
	case sn == nil || !sn.Live || !r.of(sn.ApplicationID) || *sn.Origin != catalog.MadeForUndo:
		return fault.New(fault.Conflict, "safety: this application has no such safety backup: commit it first")
	case sn.CreatedAt.Before(r.CreatedAt):
		return fault.New(fault.Conflict, "safety: this backup is older than the order: make a new one")
	}
	r.SafetyID = &sn.ID
	return nil
}

func (in *EndInput) endOne(r *row, sn *snapshotRow, now time.Time) error {
	switch in.Outcome {
	case OutcomeSucceeded:
		switch {
		case r.Kind != Backup && r.Problems > 0:
			return r.end(Warned, byDevice, now, "")
		case r.Kind != Backup:
			return r.end(Succeeded, byDevice, now, "")
		case sn == nil:
			return fault.New(fault.Conflict, "a backup that succeeded has a snapshot of this device, and the one that is named is not: commit it first")
		case !sn.answers(r):
			return fault.New(fault.Conflict, "the snapshot is of something else than this run: make one of what was asked for")
		case sn.CreatedAt.Before(*r.StartedAt):
			return fault.New(fault.Conflict, "the snapshot is older than this attempt: make a new one")
		}
		return r.done(sn, byDevice, now)
	case OutcomeCancelled:
		return r.end(Cancelled, byDevice, now, "")
	}
	stopped := in.Retry && in.Code == AgentStopped
	var delay time.Duration
	if !stopped {
		delay = backoff[min(r.Attempts, len(backoff))-1]
	}
	switch {
	case r.CancelAsked != nil:
		return r.end(Cancelled, byDevice, now, "")
	case in.Retry && (stopped || r.Attempts < maxAttempts) && r.DeadlineAt.After(now.Add(delay)):
		if stopped {
			r.Attempts--
		}
		return r.again(now, byDevice, in.Code, delay)
	}
	return r.end(Failed, byDevice, now, in.Code)
}

// check refuses what no device of ours says, and returns the causes.
func (in *EndInput) check() (causes, error) {
	switch in.Outcome {
	case OutcomeSucceeded, OutcomeCancelled:
	case OutcomeFailed:
		if !codeForm.MatchString(in.Code) {
			return nil, fault.New(fault.Invalid, "code: say why it failed, in a word such as STORAGE_FULL of at most 40 capitals, digits and _")
		}
	default:
		return nil, fault.New(fault.Invalid, "outcome: succeeded, failed or cancelled")
	}
	if min(in.Files, in.Bytes, in.UploadedBytes) < 0 {
		return nil, fault.New(fault.Invalid, "a count cannot be negative")
	}
	if len(in.Report) > MaxReport {
		return nil, fault.New(fault.TooLarge, "a report has at most %d bytes, not %d", MaxReport, len(in.Report))
	}
	if len(in.Causes) > maxCauses {
		return nil, fault.New(fault.Invalid, "causes: at most %d different ones", maxCauses)
	}
	counts := causes{}
	for _, c := range in.Causes {
		if !causeForm.MatchString(c.Cause) || c.Count < 0 || c.Count > 1<<53 {
			return nil, fault.New(fault.Invalid, "causes: each is a word such as permission, and how often")
		}
		if c.Count > 0 {
			counts[c.Cause] += c.Count
		}
	}
	return counts, nil
}
