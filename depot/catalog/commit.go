package catalog

import (
	"bytes"
	"context"
	"errors"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Commit makes the snapshot of a session, if everything reachable from its root is stored in sound packs.
// Otherwise the answer is fault.ObjectsMissing with up to [MaxListed] of the ids that are not, and nothing has
// happened. Repeating the commit of a committed session gives the same snapshot.
//
// The snapshot's record is in the store before the snapshot is visible. If the transaction fails after that, the
// record stays: deleting it would be wrong in the one case where the commit did happen and only its answer was
// lost. The snapshot's id is the session's own number, so that the repeat finds the record and does not write a second one.
func (s *Service) Commit(ctx context.Context, a actor.Actor, in CommitInput) (*Snapshot, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var done *snapshotRow
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		// Read without a lock only to learn the space: its lock comes before the session's.
		row, err := readSession(ctx, tx, s.cfg.SessionTTL, in.Backup, device)
		if err != nil {
			return err
		}
		if row == nil {
			return row.check(in.Fence)
		}
		if err := lockShared(ctx, tx, row.SpaceID); err != nil {
			return err
		}
		if row, err = lockSession(ctx, tx, s.cfg.SessionTTL, in.Backup, device); err != nil {
			return err
		}
		if row != nil && row.State == Committed && row.Fence == in.Fence {
			done, err = snapshotOfBackup(ctx, tx, in.Backup)
			if err != nil || done != nil {
				return err
			}
		}
		if err := row.check(in.Fence); err != nil {
			return err
		}
		missing, err := index.Verify(ctx, tx, row.SpaceID, in.Root, MaxListed)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return objectsMissing(missing)
		}
		r, err := s.writeRecord(ctx, tx, row, in)
		if err != nil {
			return err
		}
		// There is a row only if a rebuild found the record that an earlier try of this commit left.
		if _, err := insertSnapshot(ctx, tx, row.SpaceID, r, nil, 0); err != nil {
			return err
		}
		if done, err = snapshotOfBackup(ctx, tx, in.Backup); err != nil {
			return err
		}
		if done == nil || done.ID != r.ID {
			return fault.New(fault.Conflict, "this session has made another snapshot already: begin a new backup")
		}
		return commitSession(ctx, tx, in)
	})
	if err != nil {
		return nil, s.settle(ctx, device, in.Backup, err)
	}
	s.tell(ctx, device, in.Backup)
	if s.cfg.Committed != nil {
		s.cfg.Committed(ctx)
	}
	return done.noun(), nil
}

func (in *CommitInput) check() error {
	switch {
	case in.Root == id.Object{}:
		return fault.New(fault.Invalid, "root: the id of the tree's root is missing")
	case len(in.Manifest) == 0:
		return fault.New(fault.Invalid, "manifest: it is missing")
	case len(in.Manifest) > MaxManifest:
		return fault.New(fault.TooLarge, "a manifest has at most %d bytes, not %d", MaxManifest, len(in.Manifest))
	case min(in.Files, in.Bytes, in.Problems, in.UploadedBytes) < 0:
		return fault.New(fault.Invalid, "a count cannot be negative")
	}
	return nil
}

func objectsMissing(ids []id.Object) error {
	f := fault.New(fault.ObjectsMissing, "%d objects of this snapshot are not stored: send them and commit again", len(ids))
	if len(ids) >= MaxListed {
		f.Message = "at least " + f.Message
	}
	for i := range ids {
		f.Data = append(f.Data, ids[i][:]...)
	}
	return f
}

// writeRecord makes the snapshot's record durable and returns it. A record that an earlier try of the same commit
// left is taken as it is; one that says something else makes this one take a fresh id.
func (s *Service) writeRecord(ctx context.Context, tx *sqlx.Tx, row *sessionRow, in CommitInput) (*record.Snapshot, error) {
	now, err := clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &record.Snapshot{
		ID: id.Snapshot(row.ID), Space: row.Space, Device: row.Device, Backup: row.ID, Root: in.Root, Created: now.UTC(),
		Files: in.Files, Bytes: in.Bytes, Problems: in.Problems, UploadedBytes: in.UploadedBytes, Manifest: in.Manifest,
	}
	name := snapshotName(r.Space, r.ID)
	switch b, err := s.get(ctx, name, record.MaxSize); {
	case errors.Is(err, fault.NotFound):
	case err != nil:
		return nil, err
	default:
		if old, err := record.ParseSnapshot(b); err == nil {
			same := *r
			same.Created = old.Created
			if bytes.Equal(same.Append(nil), b) {
				return &same, nil
			}
		}
		r.ID = id.Snapshot{}.New()
		name = snapshotName(r.Space, r.ID)
	}
	return r, s.put(ctx, name, r.Append(nil))
}
