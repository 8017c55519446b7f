package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Who deleted a snapshot, as its row says.
const (
	byOwner     = "owner"
	byRetention = "retention"
	byOperator  = "operator"
)

// MaxDeleted is how many snapshots [Service.DeletedSnapshots] gives.
const MaxDeleted = 1000

// DeleteSnapshot deletes a snapshot of the caller's. Only a person may. Until the undo window is over
// [Service.RestoreDeleted] takes it back; the room that it took is freed by the cleaning after that. A pinned
// snapshot is refused with fault.Conflict.
//
// The deletion is in the store, as a record of its own, before it is visible, or a rebuild of the index would bring
// the snapshot back; with it a rebuild brings it back as deleted, so that nothing is lost that could still be
// taken back. If the transaction fails after that, the record is withdrawn.
func (s *Service) DeleteSnapshot(ctx context.Context, a actor.Actor, snapshot id.Snapshot) error {
	user, err := a.Person()
	if err != nil {
		return err
	}
	undo, err := s.undoWindow(ctx)
	if err != nil {
		return err
	}
	var d deletion
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		row, space, err := s.owned(ctx, tx, user, snapshot, true)
		if err != nil {
			return err
		}
		if row.PinnedAt != nil {
			return fault.New(fault.Conflict, "this snapshot is pinned: unpin it first")
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "snapshot.deleted", Actor: a, Owner: user,
			Text: "The snapshot " + row.title() + " was deleted."}); err != nil {
			return err
		}
		_, err = d.run(ctx, tx, s, space.PublicID, []id.Snapshot{snapshot}, byOwner, undo)
		return err
	})
	return d.settle(ctx, s, err)
}

// deletion deletes snapshots of one space, and remembers which records it wrote for it.
type deletion struct{ wrote []string }

// run is the part inside the transaction; it returns how many snapshots were live and not pinned, and are deleted now.
func (d *deletion) run(ctx context.Context, tx *sqlx.Tx, s *Service, space id.Space, snapshots []id.Snapshot, by string, undo time.Duration) (int64, error) {
	now, err := clock(ctx, tx)
	if err != nil {
		return 0, err
	}
	n, err := markDeleted(ctx, tx, snapshots, by, now, undo)
	if err != nil {
		return 0, err
	}
	for _, sn := range snapshots {
		r := record.Deletion{ID: sn, Space: space, At: now}
		name := deletionName(space, sn)
		switch _, err := s.cfg.Store.Stat(ctx, name); {
		case errors.Is(err, fault.NotFound):
			d.wrote = append(d.wrote, name)
			if err := s.put(ctx, name, r.Append(nil)); err != nil {
				return 0, err
			}
		case err != nil:
			return 0, err
		} // else a record is there: an earlier try left it
	}
	return n, nil
}

// settle withdraws the records if the transaction failed with err. An error of kind Unavailable, or a cancelled context, may
// hide a commit that did happen: then the records must stay.
func (d *deletion) settle(ctx context.Context, s *Service, err error) error {
	if err == nil || fault.KindOf(err) == fault.Unavailable || ctx.Err() != nil {
		return err
	}
	for _, name := range d.wrote {
		err = errors.Join(err, s.cfg.Store.Delete(ctx, name))
	}
	return err
}

// RestoreDeleted takes back the deletion of a snapshot of the caller's, by whomever it was made, while its undo window
// lasts. Only a person may. It is as complete as before: cleaning keeps all that it refers to until the window is over.
//
// Its deletion leaves the store before the row says that the snapshot is live. If the transaction fails after that, the
// snapshot is still deleted, and only a rebuild of the index would bring it back: as its owner wished. The other way
// about, a crash in between would leave a live snapshot that a rebuild deletes.
func (s *Service) RestoreDeleted(ctx context.Context, a actor.Actor, snapshot id.Snapshot) (*Snapshot, error) {
	user, err := a.Person()
	if err != nil {
		return nil, err
	}
	var row *snapshotRow
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		space, err := spaceOf(ctx, tx, user)
		if err != nil {
			return err
		}
		if space != nil {
			if row, err = lockDeleted(ctx, tx, space.ID, snapshot); err != nil {
				return err
			}
		}
		if row == nil {
			return fault.New(fault.NotFound, "there is no such deleted snapshot, or the time to take it back is over")
		}
		if err := markLive(ctx, tx, snapshot); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "snapshot.restored", Actor: a, Owner: user,
			Text: "The deletion of the snapshot " + row.title() + " was taken back."}); err != nil {
			return err
		}
		return s.cfg.Store.Delete(ctx, deletionName(space.PublicID, snapshot))
	})
	if err != nil {
		return nil, err
	}
	row.DeletedAt, row.PurgeAfter = nil, nil
	return row.noun(), nil
}

// PinSnapshot pins a live snapshot of the caller's, so that neither retention nor [Service.DeleteSnapshot] deletes
// it, or lets go of it. Only a person may. Repeating it is harmless.
func (s *Service) PinSnapshot(ctx context.Context, a actor.Actor, snapshot id.Snapshot, pinned bool) (*Snapshot, error) {
	user, err := a.Person()
	if err != nil {
		return nil, err
	}
	var row *snapshotRow
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		var space *spaceRow
		if row, space, err = s.owned(ctx, tx, user, snapshot, true); err != nil || (row.PinnedAt != nil) == pinned {
			return err
		}
		if err := setPinned(ctx, tx, snapshot, pinned); err != nil {
			return err
		}
		e := audit.Event{Kind: "snapshot.pinned", Actor: a, Owner: user, Text: "The snapshot " + row.title() + " was pinned."}
		if !pinned {
			e.Kind, e.Text = "snapshot.unpinned", "The snapshot "+row.title()+" is no longer pinned."
		}
		if err := audit.Write(ctx, tx, e); err != nil {
			return err
		}
		row, err = snapshotIn(ctx, tx, space.ID, snapshot, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	return row.noun(), nil
}

// DeletedSnapshots lists the caller's snapshots that [Service.RestoreDeleted] can take back, the last deleted first, at most
// [MaxDeleted]. Only a person may ask.
func (s *Service) DeletedSnapshots(ctx context.Context, a actor.Actor) ([]*Snapshot, error) {
	user, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	rows, err := deletedOf(ctx, s.cfg.DB, user, MaxDeleted)
	if err != nil {
		return nil, pg.Fault(err)
	}
	list := make([]*Snapshot, len(rows))
	for i := range rows {
		list[i] = rows[i].noun()
	}
	return list, nil
}

// MarkScheduled notes, as part of tx, that a policy made this snapshot of the device's: from then on it is subject to
// retention. It fails with fault.NotFound if the device has no such snapshot.
func MarkScheduled(ctx context.Context, tx *sqlx.Tx, device id.Device, snapshot id.Snapshot) error {
	ok, err := setScheduled(ctx, tx, device, snapshot)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "this device has no such snapshot")
	}
	return err
}

// MadeBySchedule notes, as part of tx, that a run of a schedule has made this snapshot of its application: from then on it is subject to the schedule's
// retention. Nothing changes if there is no such schedule any more, or the snapshot is no backup of its application.
func MadeBySchedule(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot, schedule id.ApplicationSchedule) error {
	return setMadeBy(ctx, tx, snapshot, schedule)
}

// title names a snapshot for people who read the audit log.
func (r *snapshotRow) title() string {
	return r.ID.String() + " of " + r.CreatedAt.UTC().Format(time.RFC3339)
}

// undoWindow is how long a deletion that is made now can be taken back.
func (s *Service) undoWindow(ctx context.Context) (time.Duration, error) {
	if s.cfg.Undo != nil {
		return s.cfg.Undo(ctx)
	}
	return s.cfg.UndoWindow, nil
}
