package catalog

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/catalog/gc"
)

// unlinkBatch is the number of packs that are unlinked under one lock.
const unlinkBatch = 50

// unlink deletes packs from the store that were in quarantine for long enough, and then what is known of them. A crash in
// between leaves a row in quarantine without a blob, which the next call finds again.
//
// It happens alone in the space: an upload of the same pack would find the blob, leave it, and lose it a moment later.
func (c *collection) unlink(ctx context.Context) error {
	rows, err := gc.Unlinkable(ctx, c.s.cfg.DB, c.sp.ID, c.s.cfg.Quarantine)
	if err != nil || len(rows) == 0 {
		return err
	}
	if c.o.DryRun {
		for _, p := range rows {
			c.unlinked(p)
		}
		return nil
	}
	if c.epoch, err = epochOf(ctx, c.s.cfg.DB, c.sp.ID); err != nil {
		return err
	}
	ids := make([]int, len(rows))
	for i, p := range rows {
		ids[i] = p.ID
	}
	// The books say that nothing points to them. Before the only copy goes, the objects themselves are asked.
	pointed, err := gc.Pointed(ctx, c.s.cfg.DB, c.sp.ID, ids)
	if err != nil {
		return err
	}
	if len(pointed) > 0 {
		if err := c.release(ctx, rows, pointed); err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(p int) bool { return slices.Contains(pointed, p) })
	}
	for part := range slices.Chunk(ids, unlinkBatch) {
		var gone []gc.Swept
		err := c.alone(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
			// Again under the lock: an upload may have brought some of them back.
			var err error
			if gone, err = gc.LockUnlinkable(ctx, tx, part, c.s.cfg.Quarantine); err != nil {
				return err
			}
			rows := make([]int, len(gone))
			for i, p := range gone {
				rows[i] = p.ID
				if err := c.s.cfg.Store.Delete(ctx, packName(c.sp.PublicID, p.Name)); err != nil {
					return err
				}
			}
			return gc.Forget(ctx, tx, rows)
		})
		if err != nil {
			return err
		}
		for _, p := range gone {
			c.unlinked(p)
		}
	}
	return nil
}

func (c *collection) unlinked(p gc.Swept) {
	c.report.Unlinked++
	c.report.UnlinkedBytes += p.Size
}

// release takes packs out of quarantine that should not be there.
func (c *collection) release(ctx context.Context, rows []gc.Swept, packs []int) error {
	for _, p := range rows {
		if slices.Contains(packs, p.ID) {
			c.report.problem(packName(c.sp.PublicID, p.Name), "objects lie in this pack though it was in quarantine: it was kept. Please report this")
		}
	}
	return c.s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := lockShared(ctx, tx, c.sp.ID); err != nil {
			return err
		}
		if err := gc.LockPacks(ctx, tx, packs); err != nil {
			return err
		}
		return gc.Release(ctx, tx, c.sp.ID, packs)
	})
}
