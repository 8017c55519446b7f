package catalog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// What the operator at the command line may do to backups of applications, which belong to the institution more than to one person. Everybody
// else goes through their owner.

func operatorOnly(a actor.Actor) error {
	if !a.IsSystem() {
		return fault.New(fault.Forbidden, "only the operator can do this, at the command line")
	}
	return nil
}

// ApplicationSnapshots returns the live snapshots of an application, or of all if app is nil, newest first and without their manifests; at most n.
func (s *Service) ApplicationSnapshots(ctx context.Context, a actor.Actor, app *id.Application, n int) ([]*Snapshot, error) {
	if err := operatorOnly(a); err != nil {
		return nil, err
	}
	rows, err := ofApplications(ctx, s.cfg.DB, app, n)
	if err != nil {
		return nil, pg.Fault(err)
	}
	list := make([]*Snapshot, len(rows))
	for i := range rows {
		list[i] = rows[i].noun()
	}
	return list, nil
}

// DeleteApplicationSnapshot deletes a snapshot of an application as [Service.DeleteSnapshot] does, and returns until when its owner can take that back.
func (s *Service) DeleteApplicationSnapshot(ctx context.Context, a actor.Actor, snapshot id.Snapshot) (until time.Time, err error) {
	if err := operatorOnly(a); err != nil {
		return until, err
	}
	undo, err := s.undoWindow(ctx)
	if err != nil {
		return until, err
	}
	var d deletion
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		row, err := lockOfApplication(ctx, tx, snapshot)
		if err != nil {
			return err
		}
		switch {
		case row == nil:
			return fault.New(fault.NotFound, "there is no such backup of an application: holdfast backup list shows all")
		case row.PinnedAt != nil:
			return fault.New(fault.Conflict, "this backup is pinned: its owner has to unpin it first")
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "snapshot.deleted", Actor: a, Owner: row.Owner,
			Text: "The snapshot " + row.title() + " was deleted by the operator."}); err != nil {
			return err
		}
		if _, err := d.run(ctx, tx, s, row.Space, []id.Snapshot{snapshot}, byOperator, undo); err != nil {
			return err
		}
		gone, err := snapshotFull(ctx, tx, snapshot)
		if err == nil {
			until = gone.PurgeAfter.UTC()
		}
		return err
	})
	return until, d.settle(ctx, s, err)
}
