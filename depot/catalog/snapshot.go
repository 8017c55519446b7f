package catalog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/keyset"
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
	from, err := keyset.Parse[id.Snapshot](after, "a list of snapshots")
	if err != nil {
		return nil, err
	}
	page := &SnapshotPage{}
	space, err := spaceOf(ctx, s.cfg.DB, user)
	if err != nil || space == nil {
		return page, pg.Fault(err)
	}
	rows, err := snapshotsBefore(ctx, s.cfg.DB, space.ID, f, from, first+1)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if len(rows) > first {
		rows, page.HasNext = rows[:first], true
	}
	for _, r := range rows {
		page.Snapshots = append(page.Snapshots, r.noun())
	}
	page.TotalCount, err = countSnapshots(ctx, s.cfg.DB, space.ID, f)
	return page, pg.Fault(err)
}

// Snapshot reads a live snapshot of the caller's. Only a person may ask.
func (s *Service) Snapshot(ctx context.Context, a actor.Actor, snapshot id.Snapshot) (*Snapshot, error) {
	user, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	row, _, err := s.owned(ctx, s.cfg.DB, user, snapshot, false)
	if err != nil {
		return nil, pg.Fault(err)
	}
	return row.noun(), nil
}

// SnapshotsByID returns those of the snapshots that are live and the caller's; for a device, those that it has made itself.
func (s *Service) SnapshotsByID(ctx context.Context, a actor.Actor, snapshots []id.Snapshot) (map[id.Snapshot]*Snapshot, error) {
	owner := a.User
	if !a.IsDevice() {
		var err error
		if owner, err = a.SignedIn(); err != nil {
			return nil, err
		}
	}
	rows, err := snapshotsByID(ctx, s.cfg.DB, owner, snapshots)
	if err != nil {
		return nil, pg.Fault(err)
	}
	m := make(map[id.Snapshot]*Snapshot, len(rows))
	for _, r := range rows {
		if !a.IsDevice() || a.Device == r.DeviceID {
			m[r.ID] = r.noun()
		}
	}
	return m, nil
}

// owned reads a live snapshot of a user's, with its space; with lock, nobody else changes it until the transaction ends.
func (s *Service) owned(ctx context.Context, q sqlx.QueryerContext, user id.User, snapshot id.Snapshot, lock bool) (*snapshotRow, *spaceRow, error) {
	space, err := spaceOf(ctx, q, user)
	if err != nil {
		return nil, nil, err
	}
	var row *snapshotRow
	if space != nil {
		if row, err = snapshotIn(ctx, q, space.ID, snapshot, lock); err != nil {
			return nil, nil, err
		}
	}
	if row == nil {
		return nil, nil, fault.New(fault.NotFound, "there is no such snapshot")
	}
	return row, space, nil
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
		Files: r.Files, Bytes: r.Bytes, Problems: r.Problems, UploadedBytes: r.UploadedBytes,
		Scheduled: r.Scheduled, PinnedAt: utc(r.PinnedAt), DeletedAt: utc(r.DeletedAt), PurgeAfter: utc(r.PurgeAfter), Label: r.label()}
}

func (r *snapshotRow) label() *Label {
	if r.Application == nil {
		return nil
	}
	return &Label{Application: *r.Application, Part: *r.Part, Origin: *r.Origin, Title: r.Title, Schedule: r.Schedule}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// Cursor returns where sn stands in [Service.Snapshots].
func (sn *Snapshot) Cursor() string {
	return keyset.Position[id.Snapshot]{At: sn.CreatedAt, ID: sn.ID}.Cursor()
}
