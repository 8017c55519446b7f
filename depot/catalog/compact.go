package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/catalog/gc"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// compact copies what is alive in packs that are mostly dead into new ones. It needs no key: bodies stay sealed as they are, and
// index entries go along. It holds one pack, and the one that it writes, in memory.
//
// A pack is read whole and its hash compared first, so that damage is never copied into a pack with a right name: a wrong
// pack is flagged instead. The new pack is durable before rows point to it. After a crash in between it is a pack that
// nothing points to, which a scrub makes known and the next sweep puts into quarantine. Rows are changed under the shared
// lock only, beside writers: an object that is moved is stored before, meanwhile and afterwards, and the old pack stays
// readable in quarantine for those who have its address.
func (c *collection) compact(ctx context.Context) error {
	work, win := c.o.Work, c.o.Win
	if work == 0 {
		work = gcWork
	}
	if win == 0 {
		win = gcWin
	}
	rows, err := gc.SparsePacks(ctx, c.s.cfg.DB, c.sp.ID, gcFill)
	if err != nil {
		return err
	}
	var some []gc.Sparse
	var won int64
	for _, row := range rows {
		if work -= row.Size; work < 0 {
			break
		}
		some, won = append(some, row), won+row.Dead
	}
	if len(some) == 0 || won < win {
		return nil
	}
	out := &compactor{collection: c}
	for _, row := range some {
		if err := out.copy(ctx, row); err != nil {
			return err
		}
	}
	return out.flush(ctx)
}

// compactor writes one new pack after the other.
type compactor struct {
	*collection
	buf     []byte
	w       *pack.Writer // nil: nothing was copied since the last flush
	from    []int        // for each of its entries the pack from which it came
	sources []int        // packs of which everything that is alive is in it, or in one before it
	created time.Time    // of the youngest
}

// copy copies what is alive in a pack.
func (o *compactor) copy(ctx context.Context, row gc.Sparse) error {
	b, entries, err := o.s.readWhole(ctx, o.sp.PublicID, row.Name)
	switch lost := errors.Is(err, fault.NotFound); {
	case lost, errors.Is(err, errWrong):
		return o.flag(ctx, row.Name, lost, err)
	case err != nil:
		return err
	}
	ids := make([]id.Object, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	own, err := gc.Own(ctx, o.s.cfg.DB, o.sp.ID, row.ID, ids)
	if err != nil {
		return err
	}
	alive := make(map[id.Object]bool, len(own))
	for _, e := range own {
		alive[e] = true
	}
	for _, e := range entries {
		if !alive[e.ID] {
			continue
		}
		delete(alive, e.ID) // a pack may hold an object twice: the first counts
		if o.w == nil {
			o.w = pack.NewWriter(o.buf)
		}
		seal := func(dst []byte) []byte { return append(dst, b[e.Offset:e.Offset+e.Length]...) }
		if e.Node {
			o.w.AddNode(e.ID, e.Nodes, e.Data, seal)
		} else {
			o.w.Add(e.ID, seal)
		}
		o.from = append(o.from, row.ID)
		if row.CreatedAt.After(o.created) {
			o.created = row.CreatedAt
		}
		if o.w.Full() {
			if err := o.flush(ctx); err != nil {
				return err
			}
		}
	}
	o.sources = append(o.sources, row.ID)
	o.report.Compacted++
	o.report.CompactedBytes += row.Size
	return nil
}

// flush makes the new pack durable and then known, and puts the packs that it has emptied into quarantine.
func (o *compactor) flush(ctx context.Context) error {
	if o.w == nil && len(o.sources) == 0 {
		return nil
	}
	var p index.Pack
	var entries []pack.Entry
	if o.w != nil {
		b, name := o.w.Finish()
		o.buf = b
		var err error
		if entries, err = pack.ReadIndex(bytes.NewReader(b), int64(len(b))); err != nil {
			return err
		}
		spool, err := o.s.cfg.Store.Create(ctx)
		if err != nil {
			return err
		}
		defer spool.Abort()
		if _, err := spool.Write(b); err != nil {
			return err
		}
		if err := o.s.keep(ctx, o.sp.PublicID, name, spool); err != nil {
			return err
		}
		// As old as what is in it: it is no part of a backup that may go on.
		p = index.Pack{Name: name, Size: int64(len(b)), Created: o.created}
	}
	var swept gc.Tally
	err := o.s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := lockShared(ctx, tx, o.sp.ID); err != nil {
			return err
		}
		if o.w != nil {
			added, err := index.Add(ctx, tx, o.sp.ID, p, entries, false)
			if err != nil {
				return err
			}
			// With these locks nobody counts anew what points to the old packs while rows are moved out of them.
			if err := gc.LockPacks(ctx, tx, append(o.sources, o.from...)); err != nil {
				return err
			}
			if _, err := gc.Repoint(ctx, tx, o.sp.ID, added.ID, entries, o.from); err != nil {
				return err
			}
		}
		var err error
		swept, err = gc.Retire(ctx, tx, o.sources)
		return err
	})
	if err != nil {
		return err
	}
	if o.w != nil {
		o.report.Written++
		o.report.WrittenBytes += p.Size
	}
	o.report.Swept, o.report.SweptBytes = o.report.Swept+swept.N, o.report.SweptBytes+swept.Bytes
	o.w, o.from, o.sources, o.created = nil, nil, nil, time.Time{}
	return nil
}

// flag flags a pack that was found wrong or lost.
func (o *compactor) flag(ctx context.Context, name id.Pack, lost bool, cause error) error {
	row, err := readPack(ctx, o.s.cfg.DB, o.sp.PublicID, name)
	if err != nil || row == nil {
		return err
	}
	v := o.s.newSurvey(nil)
	if err := v.flag(ctx, *row, lost, cause); err != nil {
		return err
	}
	o.report.Damaged += v.report.Damaged + v.report.Missing
	for _, p := range v.report.Problems {
		o.report.problem(p.Name, p.Text)
	}
	return nil
}

// readWhole reads a pack into memory and compares its hash. Its errors are those of [Service.inspect].
func (s *Service) readWhole(ctx context.Context, space id.Space, name id.Pack) ([]byte, []pack.Entry, error) {
	r, err := s.cfg.Store.Open(ctx, packName(space, name), 0, pack.MaxSize+1)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "the store broke off while %s was read", packName(space, name))
	}
	if sha256.Sum256(b) != name {
		return nil, nil, wrong("its SHA-256 is not its name")
	}
	entries, err := pack.ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, wrong(err.Error())
	}
	return b, entries, nil
}
