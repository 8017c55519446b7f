package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Scrub compares the store with the index and reads every pack again whose hash was not seen to be right for
// olderThan, and every one that is flagged. Wrong and lost packs are flagged, repaired ones un-flagged, sound packs
// that the index does not know are adopted, and missing or wrong records of snapshots are written again. Nothing is
// deleted. It may run at any time, beside anything, and may be broken off: the next one continues from what was
// verified. Only superusers and the system may start it. progress, if not nil, is called now and then.
func (s *Service) Scrub(ctx context.Context, a actor.Actor, olderThan time.Duration, progress func(Report)) (Report, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return Report{}, err
	}
	v := s.newSurvey(progress)
	err := v.scrub(ctx, olderThan)
	return v.report, err
}

func (v *survey) scrub(ctx context.Context, olderThan time.Duration) error {
	last, expected, err := packState(ctx, v.s.cfg.DB)
	if err != nil {
		return pg.Fault(err)
	}
	resized := map[int]bool{}
	err = v.packs(ctx, expected, func(ctx context.Context, p parsed, info blob.Info) error {
		row, err := readPack(ctx, v.s.cfg.DB, p.space, p.pack)
		if err != nil {
			return pg.Fault(err)
		}
		if row == nil {
			return v.take(ctx, p, info)
		}
		v.see(row.ID)
		if row.Size != info.Size {
			v.mu.Lock()
			defer v.mu.Unlock()
			resized[row.ID] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := v.rows(ctx, olderThan, last, func(r packRow) bool { return r.Due || resized[r.ID] }); err != nil {
		return err
	}
	spaces, err := listSpaces(ctx, v.s.cfg.DB)
	if err != nil {
		return pg.Fault(err)
	}
	for _, sp := range spaces {
		if err := v.records(ctx, sp, false); err != nil {
			return err
		}
		// Asked of the rows, not remembered from above: an earlier scrub may have been broken off before it came here.
		doubt, err := inDoubt(ctx, v.s.cfg.DB, sp.ID)
		if err != nil {
			return pg.Fault(err)
		}
		if !doubt {
			continue
		}
		if err := v.relink(ctx, sp.ID); err != nil {
			return err
		}
		if err := v.complete(ctx, sp.ID); err != nil {
			return err
		}
	}
	return nil
}

// RebuildIndex restores packs, objects, tree nodes and snapshots from what the store alone says. It adds what the
// index lacks and flags what the store lacks, so it may run on a live server as well as on an empty database. A pack
// whose bytes are wrong is reported and not indexed. A space whose owner is not, or no more, among the users
// is restored without one; a later run attaches it if the user is there by then. Only superusers and the system may start it. progress, if not
// nil, is called now and then.
func (s *Service) RebuildIndex(ctx context.Context, a actor.Actor, progress func(Report)) (Report, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return Report{}, err
	}
	v := s.newSurvey(progress)
	err := v.rebuild(ctx)
	return v.report, err
}

func (v *survey) rebuild(ctx context.Context) error {
	last, expected, err := packState(ctx, v.s.cfg.DB)
	if err != nil {
		return pg.Fault(err)
	}
	if err := v.packs(ctx, expected, v.take); err != nil {
		return err
	}
	if err := v.rows(ctx, 0, last, func(packRow) bool { return false }); err != nil {
		return err
	}
	spaces, err := listSpaces(ctx, v.s.cfg.DB)
	if err != nil {
		return pg.Fault(err)
	}
	for _, sp := range spaces {
		if err := v.records(ctx, sp, true); err != nil {
			return err
		}
		if err := v.reattach(ctx, sp); err != nil {
			return err
		}
		if err := v.s.inTx(ctx, func(tx *sqlx.Tx) error { return insertLostDevices(ctx, tx, sp.ID) }); err != nil {
			return err
		}
		if err := v.relink(ctx, sp.ID); err != nil {
			return err
		}
		if err := v.complete(ctx, sp.ID); err != nil {
			return err
		}
	}
	return nil
}

// reattach gives an ownerless space to whom its record names or, failing that, to the owner of the devices that wrote to it.
func (v *survey) reattach(ctx context.Context, sp spaceRow) error {
	if sp.OwnerID != nil {
		return nil
	}
	if _, err := v.space(ctx, sp.PublicID); err != nil {
		return err
	}
	owned := false
	err := v.s.inTx(ctx, func(tx *sqlx.Tx) error {
		now, err := spaceNamed(ctx, tx, sp.PublicID)
		if err != nil || now == nil {
			return err
		}
		if owned = now.OwnerID != nil; owned {
			return nil
		}
		owner, err := ownerByDevices(ctx, tx, sp.ID)
		if err != nil || owner == nil {
			return err
		}
		owned, err = attachSpace(ctx, tx, sp.ID, *owner)
		return err
	})
	if err == nil && !owned {
		v.problem(&v.report.Ownerless, spaceName(sp.PublicID), "the space has no owner: its user is not known here, or has another space by now")
	}
	return err
}

// records compares the records of a space with the rows. A record without a row becomes one if restore says so; a row
// whose record is missing or wrong gets a new one.
func (v *survey) records(ctx context.Context, sp spaceRow, restore bool) error {
	sound := map[id.Snapshot]bool{}
	err := v.s.cfg.Store.List(ctx, snapshotsPrefix(sp.PublicID), func(info blob.Info) error {
		p := parseName(info.Name)
		if p.kind != snapshotBlob {
			return nil // foreign blobs were noted with the packs
		}
		v.note(func(r *Report) { r.Snapshots++ })
		ok, err := v.record(ctx, sp, p.snapshot, restore)
		if ok {
			sound[p.snapshot] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	for after := (id.Snapshot{}); ; {
		rows, err := snapshotsAfter(ctx, v.s.cfg.DB, sp.ID, after, portion)
		if err != nil {
			return pg.Fault(err)
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID
		for _, row := range rows {
			if sound[row.ID] || row.DeletedAt != nil {
				continue
			}
			// A listing may overlook what came while it ran. Only the direct question counts.
			if ok, err := v.record(ctx, sp, row.ID, false); err != nil {
				return err
			} else if ok {
				continue
			}
			if err := v.rewrite(ctx, sp, row.ID); err != nil {
				return err
			}
		}
	}
	return v.spaceRecord(ctx, sp)
}

// record reads one record and reports whether it is sound.
func (v *survey) record(ctx context.Context, sp spaceRow, snapshot id.Snapshot, restore bool) (bool, error) {
	name := snapshotName(sp.PublicID, snapshot)
	row, err := snapshotFull(ctx, v.s.cfg.DB, snapshot)
	if err != nil {
		return false, pg.Fault(err)
	}
	b, err := v.s.get(ctx, name, record.MaxSize)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := record.ParseSnapshot(b)
	if err == nil && (r.ID != snapshot || r.Space != sp.PublicID) {
		err = fmt.Errorf("%w: it is about another snapshot", record.ErrCorrupt)
	}
	switch {
	case err != nil && row != nil:
		return false, nil // it will be written again
	case err != nil:
		v.problem(&v.report.Foreign, name, "%v: the snapshot cannot be restored from it", err)
		return false, nil
	case row != nil:
		return true, nil
	case !restore:
		v.problem(&v.report.Foreign, name, "the index does not know this snapshot: rebuild-index restores it")
		return true, nil
	}
	known, err := index.Known(ctx, v.s.cfg.DB, sp.ID, r.Root)
	if err != nil {
		return true, pg.Fault(err)
	}
	if !known {
		// Nothing of it could be opened. Such a record is also what a commit leaves whose transaction failed, once
		// the space was cleaned.
		v.problem(&v.report.Incomplete, name, "the root of its tree is not stored: the snapshot was not restored")
		return true, nil
	}
	var deleted *time.Time
	switch b, err := v.s.get(ctx, deletionName(sp.PublicID, snapshot), record.MaxSize); {
	case errors.Is(err, fault.NotFound):
	case err != nil:
		return true, err
	default:
		d, err := record.ParseDeletion(b)
		if err != nil || d.ID != snapshot {
			v.problem(&v.report.Foreign, name+deletedSuffix, "this is not a sound record: the snapshot is restored as not deleted")
			break
		}
		deleted = &d.At
	}
	undo, err := v.s.undoWindow(ctx)
	if err != nil {
		return true, err
	}
	return true, v.s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := lockShared(ctx, tx, sp.ID); err != nil {
			return err
		}
		if err := insertLostDevice(ctx, tx, sp.ID, r); err != nil {
			return err
		}
		if r.Application != nil {
			// After a loss of the database: its device will tell of it again, by the same name.
			if err := insertApplication(ctx, tx, r); err != nil {
				return err
			}
		}
		fresh, err := insertSnapshot(ctx, tx, sp.ID, r, deleted, undo)
		if fresh {
			v.note(func(r *Report) { r.Restored++ })
		}
		return err
	})
}

// rewrite writes the record of a snapshot from its row.
func (v *survey) rewrite(ctx context.Context, sp spaceRow, snapshot id.Snapshot) error {
	row, err := snapshotFull(ctx, v.s.cfg.DB, snapshot)
	if err != nil || row == nil || row.BackupID == nil {
		return pg.Fault(err)
	}
	r := record.Snapshot{ID: row.ID, Space: sp.PublicID, Device: row.DeviceID, Backup: *row.BackupID, Root: row.Root, Created: row.CreatedAt,
		Files: row.Files, Bytes: row.Bytes, Problems: row.Problems, UploadedBytes: row.UploadedBytes, Manifest: row.Manifest}
	if l := row.label(); l != nil {
		app, err := applicationOf(ctx, v.s.cfg.DB, l.Application)
		if err != nil {
			return pg.Fault(err)
		}
		name := ""
		if app != nil {
			name = app.Name
		}
		r.Application = l.record(name)
	}
	name := snapshotName(sp.PublicID, row.ID)
	// A store may keep what it has when a name is committed again. What is there says nothing that is not in the row.
	if err := v.s.cfg.Store.Delete(ctx, name); err != nil {
		return err
	}
	if err := v.s.put(ctx, name, r.Append(nil)); err != nil {
		return err
	}
	v.problem(&v.report.Rewritten, name, "the snapshot's record was missing or wrong in the store: it was written again")
	return nil
}

// spaceRecord writes the record of a space again if the store has none.
func (v *survey) spaceRecord(ctx context.Context, sp spaceRow) error {
	_, err := v.s.cfg.Store.Stat(ctx, spaceName(sp.PublicID))
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	if sp.OwnerID == nil {
		return nil // nothing to say in it
	}
	r := record.Space{ID: sp.PublicID, Owner: *sp.OwnerID, ChunkMin: sp.ChunkMin, ChunkAvg: sp.ChunkAvg, ChunkMax: sp.ChunkMax, Created: time.Now()}
	if err := v.s.put(ctx, spaceName(sp.PublicID), r.Append(nil)); err != nil {
		return err
	}
	v.problem(&v.report.Rewritten, spaceName(sp.PublicID), "the space's record was missing in the store: it was written again")
	return nil
}

// Doctor looks at the catalog's state, without reading packs. Administrators and the system may ask.
func (s *Service) Doctor(ctx context.Context, a actor.Actor) ([]Check, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	r, err := readDoctor(ctx, s.cfg.DB)
	if err != nil {
		return nil, pg.Fault(err)
	}
	store := Check{"store", true, "the store can be read and written"}
	if err := s.tryStore(ctx); err != nil {
		store.OK, store.Text = false, err.Error()
	}
	packs := Check{"packs", r.Damaged+r.Lost == 0, fmt.Sprintf("%d packs are known, all believed sound", r.Packs)}
	if !packs.OK {
		packs.Text = fmt.Sprintf("of %d packs %d are damaged and %d lost: the next backup of each device sends again what it still has", r.Packs, r.Damaged, r.Lost)
	}
	scrubbed := Check{"scrub", true, "nothing is stored yet"}
	if r.Oldest != nil {
		age := time.Since(*r.Oldest).Truncate(time.Hour)
		scrubbed.OK, scrubbed.Text = age < 60*24*time.Hour, fmt.Sprintf("every pack was verified within the last %d days", int(age.Hours())/24+1)
		if !scrubbed.OK {
			scrubbed.Text = fmt.Sprintf("some pack was last verified %d days ago: run holdfast scrub", int(age.Hours())/24)
		}
	}
	spaces := Check{"spaces", true, fmt.Sprintf("%d spaces, each with its owner", r.Spaces)}
	if r.Ownerless > 0 {
		spaces.Text = fmt.Sprintf("%d of %d spaces have no owner any more", r.Ownerless, r.Spaces)
	}
	return []Check{store, packs, scrubbed, spaces}, nil
}

// tryStore opens the spool and asks for a blob that is not there: both need a store that answers.
func (s *Service) tryStore(ctx context.Context) error {
	p, err := s.cfg.Store.Create(ctx)
	if err != nil {
		return err
	}
	defer p.Abort()
	if _, err := p.Write(make([]byte, 4096)); err != nil {
		return err
	}
	if _, err := s.cfg.Store.Stat(ctx, spaceName(id.Space{}.New())); !errors.Is(err, fault.NotFound) {
		return err
	}
	return nil
}
