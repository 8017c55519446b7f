package catalog

import (
	"context"
	"encoding/base64"
	"encoding/binary"
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

// Snapshots lists the caller's snapshots, newest first: up to first (at most [MaxPage]) that follow the cursor
// after; empty: from the newest on. Only a person may ask.
func (s *Service) Snapshots(ctx context.Context, a actor.Actor, f SnapshotFilter, first int, after string) (*SnapshotPage, error) {
	user, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	var from *position
	if after != "" {
		if from, err = parseCursor(after); err != nil {
			return nil, err
		}
	}
	page := &SnapshotPage{}
	space, err := spaceOf(ctx, s.cfg.DB, user)
	if err != nil || space == nil {
		return page, pg.Fault(err)
	}
	rows, err := snapshotsBefore(ctx, s.cfg.DB, space.ID, f.Device, from, first+1)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if len(rows) > first {
		rows, page.HasNext = rows[:first], true
	}
	for _, r := range rows {
		page.Snapshots = append(page.Snapshots, r.noun())
	}
	page.TotalCount, err = countSnapshots(ctx, s.cfg.DB, space.ID, f.Device)
	return page, pg.Fault(err)
}

// Snapshot reads a live snapshot of the caller's. Only a person may ask.
func (s *Service) Snapshot(ctx context.Context, a actor.Actor, snapshot id.Snapshot) (*Snapshot, error) {
	user, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	row, err := s.owned(ctx, s.cfg.DB, user, snapshot, false)
	if err != nil {
		return nil, pg.Fault(err)
	}
	return row.noun(), nil
}

// owned reads a live snapshot of a user's.
func (s *Service) owned(ctx context.Context, q sqlx.QueryerContext, user id.User, snapshot id.Snapshot, lock bool) (*snapshotRow, error) {
	space, err := spaceOf(ctx, q, user)
	if err != nil {
		return nil, err
	}
	var row *snapshotRow
	if space != nil {
		if row, err = snapshotIn(ctx, q, space.ID, snapshot, lock); err != nil {
			return nil, err
		}
	}
	if row == nil {
		return nil, fault.New(fault.NotFound, "there is no such snapshot")
	}
	return row, nil
}

// LatestSnapshots gives the newest live snapshot of each of the devices that has one: of the caller's own devices;
// for a device, its own.
func (s *Service) LatestSnapshots(ctx context.Context, a actor.Actor, devices []id.Device) (map[id.Device]*Snapshot, error) {
	owner := a.User
	if a.IsDevice() {
		devices = only(devices, a.Device)
	} else {
		var err error
		if owner, err = a.SignedIn(); err != nil {
			return nil, err
		}
	}
	rows, err := latest(ctx, s.cfg.DB, owner, devices)
	if err != nil {
		return nil, pg.Fault(err)
	}
	m := make(map[id.Device]*Snapshot, len(rows))
	for _, r := range rows {
		m[r.DeviceID] = r.noun()
	}
	return m, nil
}

func only(devices []id.Device, d id.Device) []id.Device {
	for _, have := range devices {
		if have == d {
			return []id.Device{d}
		}
	}
	return nil
}

// DeleteSnapshot deletes a snapshot of the caller's. Only a person may. Its space is freed by a later cleaning.
//
// The deletion is in the store, as a record of its own, before it is visible, or a rebuild of the index would bring
// the snapshot back; with it a rebuild brings it back as deleted, so that nothing is lost that could still be
// taken back. If the transaction fails after that, the record is withdrawn.
func (s *Service) DeleteSnapshot(ctx context.Context, a actor.Actor, snapshot id.Snapshot) error {
	user, err := a.Person()
	if err != nil {
		return err
	}
	wrote := ""
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		row, err := s.owned(ctx, tx, user, snapshot, true)
		if err != nil {
			return err
		}
		space, err := spaceOf(ctx, tx, user)
		if err != nil {
			return err
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		if err := markDeleted(ctx, tx, snapshot, now); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "snapshot.deleted", Actor: a, Owner: user,
			Text: "The snapshot " + snapshot.String() + " of " + row.CreatedAt.UTC().Format(time.RFC3339) + " was deleted."}); err != nil {
			return err
		}
		d := record.Deletion{ID: snapshot, Space: space.PublicID, At: now}
		name := deletionName(space.PublicID, snapshot)
		switch _, err := s.cfg.Store.Stat(ctx, name); {
		case errors.Is(err, fault.NotFound):
			wrote = name
			return s.put(ctx, name, d.Append(nil))
		default:
			return err // a record is there: an earlier try left it
		}
	})
	// An error of kind Unavailable may hide a commit that did happen: then the record must stay.
	if err != nil && wrote != "" && fault.KindOf(err) != fault.Unavailable && ctx.Err() == nil {
		return errors.Join(err, s.cfg.Store.Delete(ctx, wrote))
	}
	return err
}

// Usage says what a user's space holds, to the user and to administrators.
func (s *Service) Usage(ctx context.Context, a actor.Actor, user id.User) (*Usage, error) {
	if !a.MayRead(user) {
		if err := a.Require(actor.Admin); err != nil {
			return nil, err
		}
	}
	space, err := spaceOf(ctx, s.cfg.DB, user)
	if err != nil || space == nil {
		return &Usage{}, pg.Fault(err)
	}
	u, err := readUsage(ctx, s.cfg.DB, space.ID)
	return u, pg.Fault(err)
}

func (r *snapshotRow) noun() *Snapshot {
	return &Snapshot{ID: r.ID, DeviceID: r.DeviceID, CreatedAt: r.CreatedAt.UTC(), Root: r.Root[:], Manifest: r.Manifest,
		Files: r.Files, Bytes: r.Bytes, Problems: r.Problems, UploadedBytes: r.UploadedBytes}
}

// position is a place between two snapshots: time first, because that is what people read by; id makes it unique.
type position struct {
	at time.Time
	id id.Snapshot
}

// Cursor returns where sn stands in [Service.Snapshots].
func (sn *Snapshot) Cursor() string {
	b := binary.BigEndian.AppendUint64(nil, uint64(sn.CreatedAt.UnixMicro())) // what PostgreSQL keeps
	return base64.RawURLEncoding.EncodeToString(append(b, sn.ID[:]...))
}

func parseCursor(s string) (*position, error) {
	var p position
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 8+len(p.id) || b[0] != 0 { // before the year 4253
		return nil, fault.New(fault.Invalid, "after: this is not a cursor of a list of snapshots")
	}
	p.at = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
	copy(p.id[:], b[8:])
	return &p, nil
}
