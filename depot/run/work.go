package run

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	// MaxTake is how many runs one backup answers at most.
	MaxTake = 1000

	// LookEvery is how long a device may rest between two looks for work, rung or not.
	LookEvery = 10 * time.Minute
)

// Work is what a device is to do.
type Work struct {
	Runs      []*Run // none: nothing is due
	Lease     int64
	TTL       time.Duration
	Order     []byte               // of a restore
	Policy    *policy.Effective    // of backups of files
	Options   *application.Options // of the backup of an application
	LookAgain time.Duration        // should no ring come
}

// Take hands out the work of the device that asks: the restore that waits longest, or else the probe that does; or else what is due longest: the
// backup of one application, or all backups of files that are due, oldest first, at most [MaxTake]. While runs that it took are under way
// there is none.
//
// A run whose policy has a window that is closed now waits for it to open, unless a backup of files begins anyway. Backups of files that are due
// when no policy says any more what to save are cancelled.
func (s *Service) Take(ctx context.Context, a actor.Actor) (*Work, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	// Not inside the transaction: it would need a second connection while it holds one.
	effective, err := s.effective(ctx, a, device)
	if err != nil {
		return nil, err
	}
	var w *Work
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) (err error) {
		n = news{}
		w, err = s.take(ctx, tx, device, effective, &n)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.ring(ctx, n)
	return w, nil
}

// effective returns what policies come to on a device; nil if none says what to save.
func (s *Service) effective(ctx context.Context, a actor.Actor, device id.Device) (*policy.Effective, error) {
	m, err := s.cfg.Policies.EffectiveOf(ctx, a, []id.Device{device})
	if err != nil {
		return nil, err
	}
	if e := m[device]; e != nil && len(e.Selections) > 0 {
		return e, nil
	}
	return nil, nil
}

func (s *Service) take(ctx context.Context, tx *sqlx.Tx, device id.Device, effective *policy.Effective, n *news) (*Work, error) {
	if _, err := welcome(ctx, tx, device); err != nil {
		return nil, err
	}
	rows, err := lockOpen(ctx, tx, device)
	if err != nil {
		return nil, err
	}
	now, err := clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := settle(ctx, tx, rows, now, n); err != nil {
		return nil, err
	}
	w := &Work{TTL: s.cfg.LeaseTTL}
	var given, changed []*row
	if !slices.ContainsFunc(rows, func(r *row) bool { return r.State == Running }) {
		if given, changed, err = choose(rows, effective, now); err != nil {
			return nil, err
		}
	}
	if len(given) > 0 {
		if w.Lease, err = nextLease(ctx, tx); err != nil {
			return nil, err
		}
		for _, r := range given {
			if err := r.begin(w.Lease, now, s.cfg.LeaseTTL); err != nil {
				return nil, err
			}
		}
		w.Runs = nouns(given)
		switch r := given[0]; {
		case r.Kind == Restore:
			if w.Order, err = readOrder(ctx, tx, r.ID); err != nil {
				return nil, err
			}
		case r.Kind == Backup && r.ApplicationID == nil:
			w.Policy = effective
		case r.Kind == Backup:
			w.Options = (*application.Options)(r.Options)
		}
	}
	changed = append(changed, given...)
	n.changed = append(n.changed, changed...)
	w.LookAgain = lookAgain(rows, now)
	return w, save(ctx, tx, changed)
}

// choose decides what a device that is free gets of its open runs; and what else has changed: backups of files that nothing asks for any more, or
// that wait for a window.
func choose(rows []*row, effective *policy.Effective, now time.Time) (given, changed []*row, err error) {
	for _, kind := range []Kind{Restore, Probe} {
		if r := firstDue(rows, now, func(r *row) bool { return r.Kind == kind }); r != nil {
			return []*row{r}, nil, nil
		}
	}
	app := firstDue(rows, now, func(r *row) bool { return r.Kind == Backup && r.ApplicationID != nil })
	files, free := dueBackups(rows, effective, now)
	switch {
	case len(files) > 0 && effective == nil:
		for _, r := range files {
			if err := r.end(Cancelled, byDevice, now, NoPolicy); err != nil {
				return nil, nil, err
			}
		}
		changed = files
	case !free:
		changed = files
	case app == nil || files[0].DueAt.Before(app.DueAt):
		return files, nil, nil
	}
	if app != nil {
		given = []*row{app}
	}
	return given, changed, nil
}

// welcome locks a device and refuses one that was revoked or whose owner is suspended.
func welcome(ctx context.Context, tx *sqlx.Tx, device id.Device) (*deviceRow, error) {
	found, err := lockDevices(ctx, tx, []id.Device{device})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0 || found[0].Revoked || found[0].Suspended:
		return nil, fault.New(fault.Unauthenticated, "this device was revoked, or its owner suspended")
	}
	return found[0], nil
}

// firstDue returns what is due longest of the runs that wait and are wanted; nil: none is.
func firstDue(rows []*row, now time.Time, wanted func(*row) bool) (first *row) {
	for _, r := range rows {
		if wanted(r) && r.State == Waiting && !r.DueAt.After(now) && (first == nil || r.DueAt.Before(first.DueAt)) {
			first = r
		}
	}
	return first
}

// dueBackups returns the backups of files that are due and whether they may begin. If all of them must wait for a window, those
// that wait are returned, with the time at which it opens.
func dueBackups(rows []*row, effective *policy.Effective, now time.Time) (due []*row, free bool) {
	windows := map[id.Policy]*policy.Policy{}
	if effective != nil {
		for _, p := range effective.Policies {
			windows[p.ID] = p
		}
	}
	opens := map[*row]time.Time{}
	for _, r := range rows {
		if r.Kind != Backup || r.ApplicationID != nil || r.State != Waiting || r.DueAt.After(now) {
			continue
		}
		due = append(due, r)
		at := now
		if r.Trigger == Schedule && r.PolicyID != nil && windows[*r.PolicyID] != nil {
			at = windows[*r.PolicyID].DueAt(now, 0)
		}
		opens[r] = at
		free = free || !at.After(now)
	}
	slices.SortStableFunc(due, func(a, b *row) int { return cmp.Or(a.DueAt.Compare(b.DueAt), slices.Compare(a.ID[:], b.ID[:])) })
	due = due[:min(len(due), MaxTake)]
	if !free && effective != nil {
		for _, r := range due {
			r.DueAt = opens[r]
		}
	}
	return due, free
}

// begin gives a run to its device.
func (r *row) begin(lease int64, now time.Time, ttl time.Duration) error {
	if err := r.move(Running, byDevice); err != nil {
		return err
	}
	until := now.Add(ttl)
	r.Lease, r.LeaseUntil, r.StartedAt = lease, &until, &now
	r.Attempts++
	r.Code, r.BackupID = nil, nil
	r.Phase, r.Problems, r.Causes = "", 0, nil
	r.Files, r.Bytes, r.TotalFiles, r.TotalBytes, r.UploadedBytes = 0, 0, 0, 0, 0
	return nil
}

// lookAgain is when something of the rows is due, or a lease lapses.
func lookAgain(rows []*row, now time.Time) time.Duration {
	wait := LookEvery
	for _, r := range rows {
		switch r.State {
		case Waiting:
			wait = min(wait, r.DueAt.Sub(now))
		case Running:
			wait = min(wait, r.LeaseUntil.Sub(now))
		}
	}
	return max(wait.Truncate(time.Second)+time.Second, time.Second)
}

// KeepInput is a sign of life of the device that has runs.
type KeepInput struct {
	Runs     []id.Run
	Lease    int64
	Backup   *id.Backup // the session that works for them
	Progress Progress
}

// Keep is the heartbeat of runs that the device took, and says how far they are. It reports whether somebody asked to stop. It fails with
// fault.Conflict if one of them is not the device's any more under this lease: then it stops.
func (s *Service) Keep(ctx context.Context, a actor.Actor, in KeepInput) (cancel bool, err error) {
	device, err := a.RequireDevice()
	if err != nil {
		return false, err
	}
	if err := in.Progress.check(); err != nil {
		return false, err
	}
	var rows []*row
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		if rows, err = held(ctx, tx, device, in.Runs, in.Lease); err != nil {
			return err
		}
		if in.Backup != nil {
			if ok, err := isBackupOf(ctx, tx, device, *in.Backup); err != nil {
				return err
			} else if !ok {
				return fault.New(fault.Invalid, "backup: this device has no such backup session")
			}
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		until := now.Add(s.cfg.LeaseTTL)
		cancel = false
		for _, r := range rows {
			if r.State != Running {
				return notYours()
			}
			r.LeaseUntil = &until
			if in.Backup != nil {
				r.BackupID = in.Backup
			}
			p := in.Progress
			r.Phase, r.Files, r.Bytes, r.TotalFiles, r.TotalBytes = p.Phase, p.Files, p.Bytes, p.TotalFiles, p.TotalBytes
			r.UploadedBytes, r.Problems = p.UploadedBytes, p.Problems
			cancel = cancel || r.CancelAsked != nil
		}
		return save(ctx, tx, rows)
	})
	if err != nil {
		return false, err
	}
	s.ring(ctx, news{changed: rows})
	return cancel, nil
}

func notYours() error {
	return fault.New(fault.Conflict, "this run is not under way on this device any more: stop, and look for work again")
}

// held locks runs that a device speaks of, and refuses what it has no lease for.
func held(ctx context.Context, tx *sqlx.Tx, device id.Device, runs []id.Run, lease int64) ([]*row, error) {
	ids := slices.Clone(runs)
	slices.SortFunc(ids, func(a, b id.Run) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	if len(ids) == 0 || len(ids) > MaxTake {
		return nil, fault.New(fault.Invalid, "runs: name 1 to %d of them", MaxTake)
	}
	rows, err := lockRuns(ctx, tx, device, ids)
	if err != nil {
		return nil, err
	}
	if len(rows) != len(ids) {
		return nil, fault.New(fault.NotFound, "there is no such run of this device")
	}
	for _, r := range rows {
		if r.Lease != lease || lease == 0 {
			return nil, notYours()
		}
	}
	return rows, nil
}

func (p Progress) check() error {
	if len(p.Phase) > 40 || !utf8.ValidString(p.Phase) {
		return fault.New(fault.Invalid, "phase: a word of at most 40 characters")
	}
	if min(p.Files, p.Bytes, p.TotalFiles, p.TotalBytes, p.UploadedBytes, p.Problems) < 0 {
		return fault.New(fault.Invalid, "a count cannot be negative")
	}
	return nil
}

var (
	codeForm  = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,39}$`)
	causeForm = regexp.MustCompile(`^[a-z][a-z-]{0,19}$`)
)
