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
	w, err := writerOf(a, in.Backup)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var done *snapshotRow
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		// Read without a lock only to learn the space: its lock comes before the session's.
		row, err := readSession(ctx, tx, s.cfg.SessionTTL, in.Backup, w)
		if err != nil {
			return err
		}
		if row == nil {
			return row.check(in.Fence)
		}
		if err := lockShared(ctx, tx, row.SpaceID); err != nil {
			return err
		}
		if row, err = lockSession(ctx, tx, s.cfg.SessionTTL, in.Backup, w); err != nil {
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
		label, err := s.label(ctx, tx, row, in.Label)
		if err != nil {
			return err
		}
		r, err := s.writeRecord(ctx, tx, row, in, label)
		if err != nil {
			return err
		}
		// There is a row only if a rebuild found the record that an earlier try of this commit left.
		if _, err := insertSnapshot(ctx, tx, row.SpaceID, unruled(r), nil, 0); err != nil {
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
		return nil, s.settle(ctx, w.device, in.Backup, err)
	}
	s.tell(ctx, w.device, in.Backup)
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

// label checks what a session says of an application, and returns it as the record keeps it; nil: the snapshot is of the device's files. The
// application must be the device's, and an import is of its own application and says that it is one. A schedule that is not there any more is left out.
func (s *Service) label(ctx context.Context, tx *sqlx.Tx, row *sessionRow, of *Label) (*record.Application, error) {
	switch {
	case of == nil && row.ImportOf == nil:
		return nil, nil
	case of == nil:
		return nil, fault.New(fault.Invalid, "application: an import is of one, name it")
	case row.ImportOf != nil && (of.Application != *row.ImportOf || of.Origin != Imported):
		return nil, fault.New(fault.Forbidden, "this session is for an import of its application, and for nothing else")
	}
	l, err := of.check()
	if err != nil {
		return nil, err
	}
	app, err := applicationOf(ctx, tx, l.Application)
	if err != nil {
		return nil, err
	}
	if app == nil || app.Device != row.Device {
		return nil, fault.New(fault.NotFound, "this device has no such application: register it first")
	}
	if l.Schedule != nil {
		ok, err := isScheduleOf(ctx, tx, l.Application, *l.Schedule)
		if err != nil {
			return nil, err
		}
		if !ok {
			l.Schedule = nil
		}
	}
	return l.record(app.Name), nil
}

// writeRecord makes the snapshot's record durable and returns it. A record that an earlier try of the same commit
// left is taken as it is; one that says something else makes this one take a fresh id.
func (s *Service) writeRecord(ctx context.Context, tx *sqlx.Tx, row *sessionRow, in CommitInput, label *record.Application) (*record.Snapshot, error) {
	now, err := clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &record.Snapshot{
		ID: id.Snapshot(row.ID), Space: row.Space, Device: row.Device, Backup: row.ID, Root: in.Root, Created: now.UTC(),
		Files: in.Files, Bytes: in.Bytes, Problems: in.Problems, UploadedBytes: in.UploadedBytes, Manifest: in.Manifest, Application: label,
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
