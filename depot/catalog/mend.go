package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// mendOrFlag fetches a pack that is wrong or lost back from a spare store, or else flags it.
func (v *survey) mendOrFlag(ctx context.Context, row packRow, lost bool, cause error) error {
	mended, err := v.s.mend(ctx, row)
	if err != nil {
		return err
	}
	if !mended {
		return v.flag(ctx, row, lost, cause)
	}
	v.problem(&v.report.Mended, packName(row.Space, row.Name), "the pack was damaged or lost in the store: it was fetched back from a replica")
	return nil
}

// mend puts the right bytes of a pack into the store, if a spare store has them, and reports whether it did. Until they were read to their end nothing is touched. A
// crash after the wrong blob is deleted leaves a pack that is lost, and is mended by the next scrub.
func (s *Service) mend(ctx context.Context, row packRow) (bool, error) {
	if s.cfg.Spares == nil {
		return false, nil
	}
	spool, err := s.fetch(ctx, row)
	if err != nil || spool == nil {
		return false, err
	}
	defer spool.Abort()
	name := packName(row.Space, row.Name)
	mended := false
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		// Under the lock nobody unlinks it.
		if err := lockShared(ctx, tx, row.SpaceID); err != nil {
			return err
		}
		now, err := readPack(ctx, tx, row.Space, row.Name)
		if err != nil {
			return pg.Fault(err)
		}
		if now == nil || now.ID != row.ID {
			return nil // it has been unlinked
		}
		// Somebody may have sent it again, or mended it, since it was read.
		switch _, err := s.hash(ctx, row.Space, row.Name); {
		case err == nil:
		case errors.Is(err, errWrong):
			if err := s.cfg.Store.Delete(ctx, name); err != nil {
				return err
			}
			fallthrough
		case errors.Is(err, fault.NotFound):
			if err := spool.Commit(ctx, name); err != nil {
				return err
			}
		default:
			return err
		}
		mended = true
		_, err = markSound(ctx, tx, row.ID)
		return pg.Fault(err)
	})
	return mended && err == nil, err
}

// fetch reads a pack from the first spare store that has the right bytes; nil: none has, or none answers.
func (s *Service) fetch(ctx context.Context, row packRow) (blob.Pending, error) {
	for _, spare := range s.cfg.Spares(ctx) {
		spool, err := s.cfg.Store.Create(ctx)
		if err != nil {
			return nil, err
		}
		ok, err := copyPack(ctx, spool, spare, packName(row.Space, row.Name), row.Name)
		if ok {
			return spool, nil
		}
		spool.Abort()
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// copyPack reads a pack from a spare store and reports whether its bytes are right. That the spare fails is no error.
func copyPack(ctx context.Context, to io.Writer, spare blob.Store, name string, want id.Pack) (bool, error) {
	r, err := spare.Open(ctx, name, 0, -1)
	if err != nil {
		return false, ctx.Err()
	}
	defer r.Close()
	from := &intake{Reader: r, hash: sha256.New(), every: math.MaxInt64}
	_, err = io.CopyBuffer(onlyWriter{to}, from, make([]byte, 256<<10))
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case from.err != nil:
		return false, nil
	case err != nil:
		return false, err // the store's
	}
	return id.Pack(from.hash.Sum(nil)) == want, nil
}

// spare opens a range of a pack in the first spare store that gives it; nil: none does.
func (s *Service) spare(ctx context.Context, name string, off, n int64) io.ReadCloser {
	if s.cfg.Spares == nil {
		return nil
	}
	for _, store := range s.cfg.Spares(ctx) {
		if r, err := store.Open(ctx, name, off, n); err == nil {
			return r
		}
	}
	return nil
}
