package catalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/catalog/gc"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// What [Service.Collect] does if nothing else is said.
const (
	gcWork = 1 << 30 // bytes of packs that one call compacts
	gcFill = 0.6     // packs with fewer of their bytes alive are compacted
	gcWin  = 4 << 20 // bytes that this must win
)

// GCOptions say how to clean. The zero value is the usual way.
type GCOptions struct {
	DryRun bool  // count only
	Budget int64 // bytes of memory for marking chunks; 0: [gc.DefaultBudget]
	Work   int64 // bytes of packs that are compacted at most; 0: 1 GiB; negative: none
	Win    int64 // bytes that a compaction must win; 0: 4 MiB; negative: one
}

// GCReport is what a [Service.Collect] did, or would do.
type GCReport struct {
	Space          id.Space  `json:"space"`
	Busy           bool      `json:"busy"`    // backups were running: nothing was swept or unlinked
	Adopted        int64     `json:"adopted"` // snapshots whose commit had failed at its very end
	Purged         int64     `json:"purged"`  // snapshots whose undo window was over
	Nodes          int64     `json:"nodes"`   // tree nodes that are alive
	Passes         int64     `json:"passes"`  // over the references, to stay within the budget
	Objects        int64     `json:"objects"` // that were deleted
	ObjectBytes    int64     `json:"object_bytes"`
	Young          int64     `json:"young"`       // objects that nothing refers to, left to a backup that may go on
	Swept          int64     `json:"swept"`       // packs that went into quarantine
	SweptBytes     int64     `json:"swept_bytes"` // of them
	Compacted      int64     `json:"compacted"`   // packs that were copied without what is dead
	CompactedBytes int64     `json:"compacted_bytes"`
	Written        int64     `json:"written"` // packs that came of it
	WrittenBytes   int64     `json:"written_bytes"`
	Unlinked       int64     `json:"unlinked"` // packs that left quarantine and the store
	UnlinkedBytes  int64     `json:"unlinked_bytes"`
	Damaged        int64     `json:"damaged"` // packs that were found wrong or lost: not copied, but flagged
	Problems       []Problem `json:"problems,omitempty"`
}

// idle reports whether nothing was done.
func (r *GCReport) idle() bool {
	return r.Adopted+r.Purged+r.Objects+r.Swept+r.Compacted+r.Unlinked+r.Damaged == 0 && len(r.Problems) == 0
}

func (r *GCReport) problem(name, text string) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{name, text})
	}
}

// Collect cleans a space: it purges snapshots whose undo window is over, deletes what no snapshot refers to any more, puts
// packs without live objects into quarantine, copies packs that are mostly dead, and unlinks packs that were in quarantine for
// long enough. The package comment says why that is safe.
//
// It may be killed at any point and called at any time. While backups into the space run, only what does not need the
// space alone is done, and Busy says so. One call at a time works on a space: another gets fault.Conflict, and so does one
// that finds a reason to doubt the index, which [Service.RebuildIndex] settles. Only superusers and the system may call it.
func (s *Service) Collect(ctx context.Context, a actor.Actor, space id.Space, o GCOptions) (GCReport, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return GCReport{}, err
	}
	return s.collect(ctx, space, o, func(*spaceRow) (gc.Due, error) { return gc.Due{Sweep: true, Compact: true, Unlink: true}, nil })
}

// CollectDue cleans the spaces in which there is something to clean, one after the other, and returns how many that were.
// Spaces that another process cleans, or into which backups run, wait for the next call. One space's failure keeps no other
// from being cleaned; all are returned.
func (s *Service) CollectDue(ctx context.Context) (int, error) {
	spaces, err := listSpaces(ctx, s.cfg.DB)
	if err != nil {
		return 0, pg.Fault(err)
	}
	var errs []error
	n := 0
	for _, sp := range spaces {
		if sp.OwnerID == nil {
			continue
		}
		due, err := s.due(ctx, &sp)
		if err == nil && due == (gc.Due{}) {
			continue
		}
		var r GCReport
		if err == nil {
			r, err = s.collect(ctx, sp.PublicID, GCOptions{}, func(sp *spaceRow) (gc.Due, error) { return s.due(ctx, sp) })
		}
		switch {
		case ctx.Err() != nil:
			return n, ctx.Err()
		case errors.Is(err, errOther):
		case err != nil:
			errs = append(errs, err)
		case !r.idle():
			n++
		}
	}
	return n, errors.Join(errs...)
}

// Spaces lists the spaces that [Service.Collect] can clean: those that somebody owns. Superusers and the system may ask.
func (s *Service) Spaces(ctx context.Context, a actor.Actor) ([]id.Space, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return nil, err
	}
	rows, err := listSpaces(ctx, s.cfg.DB)
	if err != nil {
		return nil, pg.Fault(err)
	}
	list := []id.Space{}
	for _, sp := range rows {
		if sp.OwnerID != nil {
			list = append(list, sp.PublicID)
		}
	}
	return list, nil
}

func (s *Service) due(ctx context.Context, sp *spaceRow) (gc.Due, error) {
	d, err := gc.Ask(ctx, s.cfg.DB, sp.ID, gc.Limits{Grace: s.cfg.Grace, Quarantine: s.cfg.Quarantine, Fill: gcFill, Win: gcWin})
	return d, pg.Fault(err)
}

// errOther is the cause of the CONFLICT that says that somebody else is at it.
var errOther = errors.New("another process cleans this space")

// collection is one cleaning of one space.
type collection struct {
	s      *Service
	o      GCOptions
	sp     *spaceRow
	epoch  int64 // of the space: whoever else raises it ends this
	report GCReport

	unknown int64 // nodes that are lost for good
}

func (s *Service) collect(ctx context.Context, space id.Space, o GCOptions, ask func(*spaceRow) (gc.Due, error)) (report GCReport, err error) {
	sp, err := spaceNamed(ctx, s.cfg.DB, space)
	switch {
	case err != nil:
		return report, pg.Fault(err)
	case sp == nil:
		return report, fault.New(fault.NotFound, "there is no such space")
	case sp.OwnerID == nil:
		return report, fault.New(fault.Conflict, "nobody owns this space, so nothing in it is deleted: restore its user from a copy of the database, then run holdfast rebuild-index")
	}
	release, err := s.cleaner(ctx, sp.ID)
	if err != nil {
		return report, err
	}
	defer release()
	due, err := ask(sp) // again: somebody else may just have done it
	if err != nil || due == (gc.Due{}) {
		return report, err
	}
	c := &collection{s: s, o: o, sp: sp, report: GCReport{Space: space}}
	if o.DryRun {
		return c.report, pg.Fault(c.run(ctx, due))
	}
	job, err := carelog.Begin(ctx, s.cfg.DB, "gc", space)
	if err != nil {
		return report, err
	}
	err = pg.Fault(c.run(ctx, due))
	if err == nil && c.report.idle() {
		return c.report, carelog.Drop(ctx, s.cfg.DB, job)
	}
	return c.report, errors.Join(err, carelog.End(ctx, s.cfg.DB, job, c.report, err))
}

// run does what is due. What needs the space alone is given up, not waited for, while backups run.
func (c *collection) run(ctx context.Context, due gc.Due) error {
	var steps []func(context.Context) error
	if due.Sweep {
		steps = append(steps, c.adopt, c.purge, c.sweep)
	}
	if !c.o.DryRun {
		steps = append(steps, c.compact)
	}
	for _, step := range append(steps, c.unlink) { // both see for themselves whether there is anything to do
		switch err := step(ctx); {
		case errors.Is(err, errBusy), pq.As(err, pqerror.LockNotAvailable) != nil:
			c.report.Busy = true
		case err != nil:
			return err
		}
	}
	return nil
}

// cleaner makes the caller the only one that cleans the space, until release. It saves work and keeps reports apart; that
// nothing is lost does not hang on it.
func (s *Service) cleaner(ctx context.Context, space int) (release func(), err error) {
	conn, err := s.cfg.DB.Connx(ctx)
	if err != nil {
		return nil, pg.Fault(err)
	}
	discard := func() { // never back into the pool with the lock
		conn.Raw(func(any) error { return driver.ErrBadConn })
		conn.Close()
	}
	switch ok, err := tryCleaner(ctx, conn, space); {
	case err != nil:
		discard() // it may have been granted all the same
		return nil, pg.Fault(err)
	case !ok:
		conn.Close()
		return nil, fault.Wrap(errOther, fault.Conflict, "this space is being cleaned by another process: wait for it")
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if releaseCleaner(ctx, conn, space) != nil {
			discard()
			return
		}
		conn.Close()
	}, nil
}

// alone runs fn as [Service.Exclusive] does, and ends the collection if somebody else has cleaned the space since it began.
func (c *collection) alone(ctx context.Context, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	var now int64
	err := c.s.exclusive(ctx, c.sp.PublicID, func(ctx context.Context, tx *sqlx.Tx, epoch int64) error {
		if epoch != c.epoch+1 {
			return fault.Wrap(errOther, fault.Conflict, "this space was cleaned by another process meanwhile: start again")
		}
		now = epoch
		return fn(ctx, tx)
	})
	if err == nil {
		c.epoch = now
	}
	return err
}
