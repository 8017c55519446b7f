package replica

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/selfbackup"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// records lists the records of a space in a store.
func (p *pass) records(ctx context.Context, in blob.Store, space id.Space) ([]blob.Info, error) {
	var list []blob.Info
	switch info, err := in.Stat(ctx, catalog.SpaceName(space)); {
	case err == nil:
		list = append(list, info)
	case !errors.Is(err, fault.NotFound):
		return nil, err
	}
	err := in.List(ctx, catalog.SnapshotsPrefix(space), func(info blob.Info) error {
		if _, _, ok := catalog.ParseSnapshotName(info.Name); ok {
			list = append(list, info)
		}
		return nil
	})
	return list, err
}

// compare copies the records that a replica lacks, those of deletions last. Records of deletions that were taken back leave it.
func (p *pass) compare(ctx context.Context, d due, records []blob.Info) error {
	there, err := p.records(ctx, p.to, d.Space)
	if err != nil {
		return err
	}
	sizes := make(map[string]int64, len(there))
	for _, info := range there {
		sizes[info.Name] = info.Size
	}
	sound := true
	for _, info := range records {
		size, ok := sizes[info.Name]
		delete(sizes, info.Name)
		if ok && size == info.Size {
			continue
		}
		err := p.record(ctx, info.Name, ok)
		switch {
		case errors.Is(err, errUnreadable):
			// The scrub writes it again from its row, if there is one; or it was deleted since it was listed.
			p.add(func(r *Report) { r.Unreadable++ })
			sound = sound && !p.still(ctx, info.Name)
		case err != nil:
			return err
		default:
			p.did(func(r *Report) { r.Records++ })
		}
	}
	var only []id.Snapshot // whose deletions are in the replica only
	for name := range sizes {
		if sn, deletion, ok := catalog.ParseSnapshotName(name); ok && deletion {
			only = append(only, sn)
		}
	}
	back, err := live(ctx, p.s.cfg.DB, only)
	if err != nil {
		return err
	}
	for _, sn := range back {
		name := catalog.DeletionName(d.Space, sn)
		// Asked again: it may have been deleted since.
		switch _, err := p.s.cfg.Store.Stat(ctx, name); {
		case err == nil:
			continue
		case !errors.Is(err, fault.NotFound):
			return err
		}
		if err := p.to.Delete(ctx, name); err != nil {
			return err
		}
		p.did(func(r *Report) { r.Deleted++ })
	}
	if !sound {
		return nil
	}
	return compared(ctx, p.s.cfg.DB, p.r.ID, d.ID, *d.Stamp)
}

// still reports whether a blob is in the store, as far as that can be said.
func (p *pass) still(ctx context.Context, name string) bool {
	_, err := p.s.cfg.Store.Stat(ctx, name)
	return !errors.Is(err, fault.NotFound)
}

// record copies one record: each holds a checksum of itself.
func (p *pass) record(ctx context.Context, name string, replace bool) error {
	r, err := p.s.cfg.Store.Open(ctx, name, 0, record.MaxSize+1)
	if errors.Is(err, fault.NotFound) {
		return errUnreadable
	}
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		return broken(ctx, p.s.cfg.Store, name, err)
	}
	sn, deletion, ok := catalog.ParseSnapshotName(name)
	switch {
	case !ok:
		_, err = record.ParseSpace(b)
	case deletion:
		var d *record.Deletion
		if d, err = record.ParseDeletion(b); err == nil && d.ID != sn {
			err = errUnreadable
		}
	default:
		var s *record.Snapshot
		if s, err = record.ParseSnapshot(b); err == nil && s.ID != sn {
			err = errUnreadable
		}
	}
	if err != nil {
		return errUnreadable
	}
	spool, err := p.to.Create(ctx)
	if err != nil {
		return err
	}
	defer spool.Abort()
	if _, err := spool.Write(b); err != nil {
		return err
	}
	if replace {
		if err := p.to.Delete(ctx, name); err != nil {
			return err
		}
	}
	return spool.Commit(ctx, name)
}

// metadata copies the copies of the database. One that has left the store leaves the replica when it is old enough and the replica has all that the store has.
func (p *pass) metadata(ctx context.Context) error {
	here, err := copies(ctx, p.s.cfg.Store)
	if err != nil {
		return err
	}
	there, err := copies(ctx, p.to)
	if err != nil {
		return err
	}
	whole := true
	for _, name := range here {
		if slices.Contains(there, name) {
			continue
		}
		err := p.carry(ctx, name, false, func(_ int64, sum []byte) bool { return selfbackup.Fits(name, sum) })
		switch {
		case errors.Is(err, errUnreadable):
			whole = false
			p.add(func(r *Report) { r.Unreadable++ })
		case err != nil:
			return err
		default:
			p.did(func(r *Report) { r.Records++ })
		}
	}
	if !whole || len(here) == 0 {
		return nil
	}
	days, err := p.s.cfg.KeepDays(ctx)
	if err != nil {
		return err
	}
	now, err := pg.Clock(ctx, p.s.cfg.DB)
	if err != nil {
		return err
	}
	for _, name := range there {
		at, _ := selfbackup.ParseName(name)
		if slices.Contains(here, name) || name > slices.Max(here) || now.Sub(at) < time.Duration(days)*24*time.Hour {
			continue
		}
		if err := p.to.Delete(ctx, name); err != nil {
			return err
		}
		p.did(func(r *Report) { r.Deleted++ })
	}
	return nil
}

// copies lists the copies of the database in a store.
func copies(ctx context.Context, in blob.Store) (names []string, err error) {
	err = in.List(ctx, selfbackup.Prefix, func(info blob.Info) error {
		if _, ok := selfbackup.ParseName(info.Name); ok {
			names = append(names, info.Name)
		}
		return nil
	})
	return names, err
}

// leave deletes what has left the store for long enough.
func (p *pass) leave(ctx context.Context) error {
	days, err := p.s.cfg.KeepDays(ctx)
	if err != nil {
		return err
	}
	for {
		list, err := goneFor(ctx, p.s.cfg.DB, p.r.ID, days, p.s.batch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, g := range list {
			if !g.Known {
				if err := p.remove(ctx, g); err != nil {
					return err
				}
			}
			if err := settled(ctx, p.s.cfg.DB, p.r.ID, g); err != nil {
				return err
			}
		}
	}
}

// remove deletes one thing from the replica, unless the store has it: then its leaving was withdrawn, or the database is older than the store.
func (p *pass) remove(ctx context.Context, g gone) error {
	var name id.Pack
	var names []string
	if len(g.What) == len(name) {
		names = []string{catalog.PackName(g.Space, id.Pack(g.What))}
	} else {
		// The deletion goes last: a crash in between leaves one of nothing.
		sn := id.Snapshot(g.What)
		names = []string{catalog.SnapshotName(g.Space, sn), catalog.DeletionName(g.Space, sn)}
	}
	switch _, err := p.s.cfg.Store.Stat(ctx, names[0]); {
	case err == nil:
		return nil
	case !errors.Is(err, fault.NotFound):
		return err
	}
	for _, n := range names {
		if err := p.to.Delete(ctx, n); err != nil {
			return err
		}
	}
	p.did(func(r *Report) { r.Deleted++ })
	return nil
}
