package catalog

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog/gc"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	sweepBatch = 100_000 // objects that are deleted under one lock
	catchUps   = 3       // times that new roots are marked before the lock is taken
)

// adopt makes snapshots known whose record is in the store and of which there is no row: their commit failed at its very
// end, or the database is older than the store. Either way what they refer to must not be swept. If a record's tree is not
// known, or the record cannot be read, that is doubt.
//
// The other way about, records of deletions that did not happen are withdrawn: a deletion was broken off after it had
// written them, and a rebuild would believe them.
func (c *collection) adopt(ctx context.Context) error {
	live, err := snapshotStates(ctx, c.s.cfg.DB, c.sp.ID)
	if err != nil {
		return err
	}
	var strange, undeleted []id.Snapshot
	err = c.s.cfg.Store.List(ctx, snapshotsPrefix(c.sp.PublicID), func(info blob.Info) error {
		p := parseName(info.Name)
		is, known := live[p.snapshot]
		switch {
		case p.kind == snapshotBlob && !known:
			strange = append(strange, p.snapshot)
		case p.kind == deletionBlob && is:
			undeleted = append(undeleted, p.snapshot)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !c.o.DryRun {
		for _, sn := range undeleted {
			if err := c.withdraw(ctx, sn); err != nil {
				return err
			}
		}
	}
	v := c.s.newSurvey(nil)
	for _, sn := range strange {
		// A commit that is under way has written its record, and will write the row.
		if alive, err := sessionAlive(ctx, c.s.cfg.DB, c.s.cfg.SessionTTL, id.Backup(sn)); err != nil {
			return err
		} else if alive {
			continue
		}
		if _, err := v.record(ctx, *c.sp, sn, !c.o.DryRun); err != nil {
			return err
		}
	}
	if c.report.Adopted = v.report.Restored; c.o.DryRun {
		return nil
	}
	switch r := v.report; {
	case r.Foreign > 0:
		return fault.New(fault.Conflict, "%s cannot be read, and the index does not know the snapshot: put back a copy of it, or remove it. Nothing was deleted", r.Problems[0].Name)
	case r.Incomplete > 0:
		return c.settleDoubt(ctx, "a snapshot")
	}
	return nil
}

// withdraw removes the record of a deletion, if the snapshot is live once nobody is deleting it any more.
func (c *collection) withdraw(ctx context.Context, sn id.Snapshot) error {
	return c.s.inTx(ctx, func(tx *sqlx.Tx) error {
		row, err := snapshotIn(ctx, tx, c.sp.ID, sn, true)
		if err != nil || row == nil {
			return err
		}
		return c.s.cfg.Store.Delete(ctx, deletionName(c.sp.PublicID, sn))
	})
}

// settleDoubt is called when something refers to a tree that the index does not have. If the store holds packs that the
// index does not know either, it may be in one of them, and nothing is deleted before they are known. Otherwise it is lost for good.
func (c *collection) settleDoubt(ctx context.Context, what string) error {
	known := map[id.Pack]bool{}
	names, err := packNames(ctx, c.s.cfg.DB, c.sp.ID)
	if err != nil {
		return err
	}
	for _, name := range names {
		known[name] = true
	}
	strange := ""
	err = c.s.cfg.Store.List(ctx, spacePrefix(c.sp.PublicID)+"packs/", func(info blob.Info) error {
		if p := parseName(info.Name); p.kind == packBlob && !known[p.pack] {
			strange = info.Name
		}
		return nil
	})
	if err == nil && strange != "" {
		err = fault.New(fault.Conflict, "%s refers to objects that the index does not know, and the store holds a pack that it does not know, %s: run holdfast rebuild-index. Nothing was deleted", what, strange)
	}
	return err
}

// purge lets go of snapshots whose undo window is over.
//
// What the store says of one goes before its row does, and the snapshot's record before the deletion's: whatever is left
// after a crash, a rebuild never brings the snapshot back to life, and the next purge finds the row and goes on.
func (c *collection) purge(ctx context.Context) error {
	list, err := purgeable(ctx, c.s.cfg.DB, c.sp.ID)
	if err != nil {
		return err
	}
	if c.o.DryRun {
		c.report.Purged = int64(len(list))
		return nil
	}
	for _, sn := range list {
		gone := false
		err := c.s.inTx(ctx, func(tx *sqlx.Tx) error {
			if gone, err = lockPurgeable(ctx, tx, sn); err != nil || !gone {
				return err
			}
			for _, name := range []string{snapshotName(c.sp.PublicID, sn), deletionName(c.sp.PublicID, sn)} {
				if err := c.s.cfg.Store.Delete(ctx, name); err != nil {
					return err
				}
			}
			if err := removeSnapshot(ctx, tx, sn); err != nil {
				return err
			}
			return gc.Purged(ctx, tx, c.sp.ID)
		})
		if err != nil {
			return err
		}
		if gone {
			c.report.Purged++
		}
	}
	return nil
}

// sweep marks what is reachable from the roots of snapshots and deletes everything else, a range of ids at a time.
func (c *collection) sweep(ctx context.Context) error {
	db := c.s.cfg.DB
	var err error
	// Before the roots are read: whoever purges one of them after that raises it.
	if c.epoch, err = epochOf(ctx, db, c.sp.ID); err != nil {
		return err
	}
	count, err := gc.Count(ctx, db, c.sp.ID)
	if err != nil {
		return err
	}
	old, err := gc.OldPacks(ctx, db, c.sp.ID, c.s.cfg.Grace)
	if err != nil {
		return err
	}
	m, ranges := gc.NewMarker(c.sp.ID, count, c.o.Budget)
	roots := gc.Roots
	if c.o.DryRun {
		roots = gc.Kept
	}
	if err := c.mark(ctx, db, m, roots); err != nil {
		return err
	}
	if c.unknown = m.Unknown(); c.unknown > 0 {
		if err := c.settleDoubt(ctx, "a tree"); err != nil {
			return err
		}
	}
	if !c.o.DryRun {
		if err := c.doubtUnmarked(ctx, m); err != nil {
			return err
		}
	}
	s := &sweeper{collection: c, marker: m, old: map[int]bool{}, young: map[int]bool{}}
	for _, p := range old {
		s.old[p] = true
	}
	for len(ranges) > 0 {
		full, err := s.pass(ctx, ranges[0])
		if err != nil {
			return err
		}
		r := ranges[0]
		if ranges = ranges[1:]; full {
			halves, err := r.Halve()
			if err != nil {
				return fault.Wrap(err, fault.Conflict, "%v", err)
			}
			ranges = append(halves, ranges...)
		}
	}
	c.report.Nodes = int64(m.Nodes())
	return s.finish(ctx)
}

// mark marks what is reachable from roots that the marker has not heard of.
func (c *collection) mark(ctx context.Context, q sqlx.QueryerContext, m *gc.Marker, roots func(context.Context, sqlx.QueryerContext, int) ([]id.Object, error)) error {
	list, err := roots(ctx, q, c.sp.ID)
	if err != nil {
		return err
	}
	return m.Walk(ctx, q, list)
}

// fenced runs fn alone in the space, when everything is marked that is reachable from its snapshots at that moment.
//
// What was committed since the marker last looked is marked now. Most of it before the lock is taken, so
// that writers do not wait for it; the rest, and be it much, under the lock, so that a space in which there is always
// something new is cleaned too.
func (c *collection) fenced(ctx context.Context, m *gc.Marker, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	for range catchUps {
		if c.s.fence.noRoots {
			break
		}
		before := m.Nodes()
		if err := c.mark(ctx, c.s.cfg.DB, m, gc.Roots); err != nil {
			return err
		}
		if m.Nodes() == before {
			break
		}
	}
	if c.s.fence.before != nil {
		c.s.fence.before()
	}
	return c.alone(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if c.s.fence.noRoots {
			return fn(ctx, tx)
		}
		if err := c.mark(ctx, tx, m, gc.Roots); err != nil {
			return err
		}
		if m.Unknown() > c.unknown {
			return fault.Wrap(errOther, fault.Conflict, "the index of this space is being rebuilt: clean it when that is over")
		}
		return fn(ctx, tx)
	})
}

// doubtUnmarked takes the word "complete" from all nodes that no snapshot reaches. Some of them outlive what they refer to,
// because their packs are young; a later commit must not believe them. It comes before anything is deleted: after a
// crash in between, nodes are doubted that need not be.
func (c *collection) doubtUnmarked(ctx context.Context, m *gc.Marker) error {
	var after id.Object
	for {
		nodes, err := gc.Complete(ctx, c.s.cfg.DB, c.sp.ID, after, sweepBatch)
		if err != nil || len(nodes) == 0 {
			return err
		}
		after = nodes[len(nodes)-1]
		var doubted []id.Object
		for _, n := range nodes {
			if !m.Knows(n) {
				doubted = append(doubted, n)
			}
		}
		if len(doubted) == 0 {
			continue
		}
		err = c.fenced(ctx, m, func(ctx context.Context, tx *sqlx.Tx) error {
			return gc.Doubt(ctx, tx, c.sp.ID, without(doubted, m.Knows))
		})
		if err != nil {
			return err
		}
	}
}

// without returns the ids for which is is false.
func without(ids []id.Object, is func(id.Object) bool) []id.Object {
	out := make([]id.Object, 0, len(ids))
	for _, o := range ids {
		if !is(o) {
			out = append(out, o)
		}
	}
	return out
}

// sweeper deletes what a marker has not reached.
type sweeper struct {
	*collection
	marker *gc.Marker
	old    map[int]bool // packs whose objects may go
	young  map[int]bool // packs that hold objects which may not go yet
}

// pass sweeps one range. Candidates are found without a lock and deleted under it, if they are still unmarked then. It
// reports whether the range has more chunks than fit: then it has to be swept in halves.
func (s *sweeper) pass(ctx context.Context, r gc.Range) (full bool, err error) {
	db := s.s.cfg.DB
	s.report.Passes++
	if err := s.marker.Turn(ctx, db, r); err != nil || s.marker.Full() {
		return true, err
	}
	var dead []id.Object
	var young, dry gc.Tally
	flush := func() error {
		if len(dead) == 0 || s.marker.Full() {
			return nil
		}
		var t gc.Tally
		err := s.fenced(ctx, s.marker, func(ctx context.Context, tx *sqlx.Tx) (err error) {
			if t = (gc.Tally{}); s.marker.Full() {
				return nil
			}
			t, err = gc.Delete(ctx, tx, s.sp.ID, without(dead, s.marker.Live))
			return err
		})
		dead = dead[:0]
		if err == nil {
			s.report.Objects, s.report.ObjectBytes = s.report.Objects+t.N, s.report.ObjectBytes+t.Bytes
		}
		return err
	}
	err = gc.Scan(ctx, db, s.sp.ID, r, func(h gc.Held) {
		switch {
		case s.marker.Live(h.ID):
		case !s.old[h.PackID]:
			s.young[h.PackID] = true
			young.Add(gc.Tally{N: 1, Bytes: h.Length})
		case s.o.DryRun:
			dry.Add(gc.Tally{N: 1, Bytes: h.Length})
		default:
			dead = append(dead, h.ID)
		}
	}, func() error {
		if len(dead) < sweepBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if full = s.marker.Full(); err != nil || full {
		return full, err
	}
	s.report.Young += young.N
	s.report.Objects, s.report.ObjectBytes = s.report.Objects+dry.N, s.report.ObjectBytes+dry.Bytes
	return false, nil
}

// finish puts empty packs into quarantine and notes that the space is clean.
func (s *sweeper) finish(ctx context.Context) error {
	if s.o.DryRun {
		return nil
	}
	var young []int
	for p := range s.young {
		young = append(young, p)
	}
	var t gc.Tally
	err := s.alone(ctx, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		if t, err = gc.SweepPacks(ctx, tx, s.sp.ID); err != nil {
			return err
		}
		return gc.Finish(ctx, tx, s.sp.ID, young, s.s.cfg.Grace)
	})
	if err != nil {
		return err
	}
	s.report.Swept, s.report.SweptBytes = t.N, t.Bytes
	return nil
}
