package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog/gc"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

const (
	readers     = 4    // packs that are read at once
	portion     = 1000 // rows that are held at once
	maxProblems = 1000
)

// survey is one comparison of the store with the index. It adds and flags; it never deletes. Whatever keeps it from
// seeing the truth, such as a store that does not answer, ends it with an error: doubt is no finding.
type survey struct {
	s        *Service
	progress func(Report)

	mu     sync.Mutex
	report Report
	told   time.Time
	seen   map[int]uint64   // a bit for each number of a pack that the store has, 64 to an entry
	spaces map[id.Space]int // that have a row
}

func (s *Service) newSurvey(progress func(Report)) *survey {
	return &survey{s: s, progress: progress, told: time.Now(), seen: map[int]uint64{}, spaces: map[id.Space]int{}}
}

// note changes the report and tells about it now and then.
func (v *survey) note(change func(*Report)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.report)
	if v.progress != nil && time.Since(v.told) > 200*time.Millisecond {
		v.told = time.Now()
		v.progress(v.report)
	}
}

func (v *survey) problem(count *int64, name, format string, args ...any) {
	v.note(func(r *Report) {
		*count++
		if len(r.Problems) < maxProblems {
			r.Problems = append(r.Problems, Problem{name, fmt.Sprintf(format, args...)})
		}
	})
}

func (v *survey) see(packID int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[packID/64] |= 1 << (packID % 64)
}

func (v *survey) saw(packID int) bool { return v.seen[packID/64]&(1<<(packID%64)) != 0 }

// packs calls visit for every pack in the store, a few at once. A store without any, where the index knows some, is
// taken for one that is not mounted.
func (v *survey) packs(ctx context.Context, expected int, visit func(context.Context, parsed, blob.Info) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	err := v.s.cfg.Store.List(gctx, spacesPrefix, func(info blob.Info) error {
		p := parseName(info.Name)
		switch p.kind {
		case packBlob:
			v.note(func(r *Report) { r.Packs++ })
			g.Go(func() error { return visit(gctx, p, info) })
		case foreignBlob:
			v.problem(&v.report.Foreign, info.Name, "this is nothing of Holdfast's: it was left alone")
		}
		return gctx.Err()
	})
	if werr := g.Wait(); werr != nil {
		return werr
	}
	if err != nil {
		return err
	}
	if v.report.Packs == 0 && expected > 0 {
		return fault.New(fault.Unavailable, "the store holds no pack at all, but the index knows %d: is the right store mounted? Nothing was changed", expected)
	}
	return nil
}

// take reads a pack and makes it known with all that it holds, or flags it. One that was swept is taken, too: after a loss of
// the database it may have been swept before a snapshot came that needs it. What nothing needs the next cleaning sweeps again.
func (v *survey) take(ctx context.Context, p parsed, info blob.Info) error {
	row, err := readPack(ctx, v.s.cfg.DB, p.space, p.pack)
	if err != nil {
		return pg.Fault(err)
	}
	entries, size, err := v.s.inspect(ctx, p.space, p.pack)
	switch {
	case errors.Is(err, fault.NotFound):
		return nil // deleted since it was listed
	case errors.Is(err, errWrong) && row == nil:
		v.problem(&v.report.Damaged, info.Name, "%v, and the index does not know it: it was left alone", err)
		return nil
	case errors.Is(err, errWrong):
		v.see(row.ID)
		return v.mendOrFlag(ctx, *row, false, err)
	case err != nil:
		return err
	}
	space, err := v.space(ctx, p.space)
	if err != nil {
		return err
	}
	var added index.Added
	err = v.s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := v.s.lockPresent(ctx, tx, space, info.Name); err != nil {
			return err
		}
		if added, err = index.Add(ctx, tx, space, index.Pack{Name: p.pack, Size: size, Created: info.ModTime}, entries, true); err != nil {
			return err
		}
		if _, err = markSound(ctx, tx, added.ID); err != nil || added.Objects == 0 {
			return err
		}
		return gc.Soil(ctx, tx, space) // whoever left it here may have left it for good
	})
	if errors.Is(err, fault.NotFound) {
		return nil // unlinked since it was read
	}
	if err != nil {
		return err
	}
	v.see(added.ID)
	v.note(func(r *Report) {
		r.Verified++
		r.BytesRead += size
		r.Objects += added.Objects
		switch {
		case added.Healed:
			r.Healed++
		case !added.Existed && !added.Revived:
			r.Adopted++
		}
	})
	return nil
}

// lockPresent takes the space's lock, shared, and fails with fault.NotFound if a pack is no longer in the store: under the lock no
// cleaning can unlink it.
func (s *Service) lockPresent(ctx context.Context, tx *sqlx.Tx, space int, name string) error {
	if err := lockShared(ctx, tx, space); err != nil {
		return err
	}
	_, err := s.cfg.Store.Stat(ctx, name)
	return err
}

// recheck reads a known pack again.
func (v *survey) recheck(ctx context.Context, row packRow) error {
	size, err := v.s.hash(ctx, row.Space, row.Name)
	switch {
	case errors.Is(err, fault.NotFound):
		return v.mendOrFlag(ctx, row, true, err)
	case errors.Is(err, errWrong):
		return v.mendOrFlag(ctx, row, false, err)
	case err != nil:
		return err
	}
	healed, err := markSound(ctx, v.s.cfg.DB, row.ID)
	if err != nil {
		return pg.Fault(err)
	}
	v.note(func(r *Report) {
		r.Verified++
		r.BytesRead += size
		if healed {
			r.Healed++
		}
	})
	return nil
}

// flag marks a pack damaged or lost. From then on its objects count as missing, and no tree of the space counts as
// complete before it was shown to be: under the exclusive lock, or a commit in flight could mark one
// that it looked at a moment ago.
func (v *survey) flag(ctx context.Context, row packRow, lost bool, cause error) error {
	var fresh *bool
	err := v.s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := lockExclusive(ctx, tx, row.SpaceID); err != nil {
			return err
		}
		var err error
		if fresh, err = markDamaged(ctx, tx, row, lost); err != nil || fresh == nil || !*fresh {
			return err
		}
		return index.Doubt(ctx, tx, row.SpaceID)
	})
	if err != nil || fresh == nil {
		return err
	}
	name := packName(row.Space, row.Name)
	if lost {
		v.problem(&v.report.Missing, name, "the store has no such pack: what it held will be sent again by the next backups")
	} else {
		v.problem(&v.report.Damaged, name, "%v: what it holds will be sent again by the next backups", cause)
	}
	return nil
}

// rows visits every pack that the index knew when the survey began: one that the store does not have is flagged;
// recheck says which others are read again.
func (v *survey) rows(ctx context.Context, olderThan time.Duration, last int, recheck func(packRow) bool) error {
	for after := 0; ; {
		rows, err := packsAfter(ctx, v.s.cfg.DB, olderThan, after, last, portion)
		if err != nil {
			return pg.Fault(err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(readers)
		for _, row := range rows {
			g.Go(func() error {
				if !v.saw(row.ID) {
					// A listing may overlook what came while it ran. Only the direct question counts.
					switch _, err := v.s.cfg.Store.Stat(gctx, packName(row.Space, row.Name)); {
					case errors.Is(err, fault.NotFound):
						return v.mendOrFlag(gctx, row, true, err)
					case err != nil:
						return err
					}
				}
				if recheck(row) {
					return v.recheck(gctx, row)
				}
				return gctx.Err()
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// space returns the number of a space and makes its row if there is none. Its record says whose it is and how files
// are cut in it; without the record nobody owns it and new backups do not reach it, but its packs are kept.
func (v *survey) space(ctx context.Context, space id.Space) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.spaces[space]; n != 0 {
		return n, nil
	}
	c := v.s.cfg.Chunk
	r := &record.Space{ID: space, ChunkMin: c.Min, ChunkAvg: c.Avg, ChunkMax: c.Max, Created: time.Now()}
	b, err := v.s.get(ctx, spaceName(space), record.MaxSize)
	switch {
	case errors.Is(err, fault.NotFound):
	case err != nil:
		return 0, err
	default:
		if got, err := record.ParseSpace(b); err == nil && got.ID == space {
			r = got
		}
	}
	err = v.s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := insertSpace(ctx, tx, *r, nil); err != nil {
			return err
		}
		row, err := spaceNamed(ctx, tx, space)
		if err != nil {
			return err
		}
		v.spaces[space] = row.ID
		if r.Owner.IsZero() {
			return nil
		}
		_, err = attachSpace(ctx, tx, row.ID, r.Owner)
		return err
	})
	return v.spaces[space], err
}

// relink lets spare copies stand in for objects of damaged packs.
func (v *survey) relink(ctx context.Context, space int) error {
	rows, err := spares(ctx, v.s.cfg.DB, space)
	if err != nil {
		return pg.Fault(err)
	}
	for _, row := range rows {
		entries, err := pack.ReadIndex(&storeReader{ctx, v.s.cfg.Store, packName(row.Space, row.Name)}, row.Size)
		if errors.Is(err, pack.ErrCorrupt) || errors.Is(err, fault.NotFound) {
			continue // it will be flagged when its turn comes
		}
		if err != nil {
			return err
		}
		err = v.s.inTx(ctx, func(tx *sqlx.Tx) error {
			if err := v.s.lockPresent(ctx, tx, space, packName(row.Space, row.Name)); err != nil {
				return err
			}
			_, err := index.Add(ctx, tx, space, index.Pack{Name: row.Name, Size: row.Size}, entries, true)
			return err
		})
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// complete finds out which snapshots of a space are complete.
func (v *survey) complete(ctx context.Context, space int) error {
	for after := (id.Snapshot{}); ; {
		rows, err := snapshotsAfter(ctx, v.s.cfg.DB, space, after, portion)
		if err != nil {
			return pg.Fault(err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID
		for _, row := range rows {
			var missing []id.Object
			err := v.s.inTx(ctx, func(tx *sqlx.Tx) error {
				err := lockShared(ctx, tx, space)
				if err == nil {
					missing, err = index.Verify(ctx, tx, space, row.Root, 1)
				}
				return err
			})
			if err != nil {
				return err
			}
			if len(missing) > 0 && row.DeletedAt == nil {
				v.problem(&v.report.Incomplete, row.ID.String(), "the snapshot refers to objects that are not stored: some of its files cannot be restored")
			}
		}
	}
}
