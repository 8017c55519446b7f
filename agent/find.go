package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// maxCandidates is how many snapshots are named when one was meant.
const maxCandidates = 8

// FindSnapshot returns the snapshot that ref names: "latest", an id, or the beginning of one that no other snapshot shares. "latest" is the
// newest of the files of device, or of all devices if it is zero, and never a backup of an application; an id may be that of one. It
// can be read: its manifest is genuine.
func (a *Account) FindSnapshot(ctx context.Context, ref string, device id.Device) (*Snapshot, error) {
	var one *remote.Snapshot
	var full id.Snapshot
	var err error
	switch {
	case ref == "latest":
		one, err = a.latest(ctx, device)
	case full.UnmarshalText([]byte(ref)) == nil:
		one, err = a.Client.Snapshot(ctx, full)
	default:
		one, err = a.beginning(ctx, ref)
	}
	if err != nil {
		return nil, err
	}
	s := a.open(one)
	return s, s.Err
}

// latest returns the newest snapshot of files.
func (a *Account) latest(ctx context.Context, device id.Device) (found *remote.Snapshot, err error) {
	err = a.Client.Snapshots(ctx, device, func(s *remote.Snapshot) (bool, error) {
		found = s
		return false, nil
	})
	switch {
	case err != nil || found != nil:
		return found, err
	case !device.IsZero():
		err = fault.New(fault.NotFound, "there is no snapshot of this device yet")
	default:
		err = fault.New(fault.NotFound, "there is no snapshot yet: holdfast-agent backup makes one")
	}
	if apps, e := a.Client.Applications(ctx); e == nil && len(apps) > 0 {
		err = fault.New(fault.NotFound, "%s. Of an application, --application NAME means its latest backup", Sentence(err))
	}
	return nil, err
}

// beginning returns the one snapshot, of files or of an application, whose id begins with ref.
func (a *Account) beginning(ctx context.Context, ref string) (*remote.Snapshot, error) {
	var found []*remote.Snapshot
	look := func(s *remote.Snapshot) (bool, error) {
		if hasIDPrefix(s.ID.String(), ref) {
			found = append(found, s)
		}
		return len(found) <= maxCandidates, nil
	}
	if err := a.Client.Snapshots(ctx, id.Device{}, look); err != nil {
		return nil, err
	}
	apps, err := a.Client.Applications(ctx)
	if err != nil {
		return nil, err
	}
	for _, app := range apps {
		if len(found) > maxCandidates {
			break
		}
		if err := a.Client.ApplicationSnapshots(ctx, app.ID, look); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "there is no snapshot %q: holdfast-agent snapshots lists them, and app backups those of an application", ref)
	}
	return only("snapshot", ref, found)
}

// only returns the one that was found; if there are more, its error names them.
func only(noun, ref string, found []*remote.Snapshot) (*remote.Snapshot, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	ids := make([]id.Snapshot, len(found))
	for i, s := range found {
		ids[i] = s.ID
	}
	n := ShortIDs(ids)
	names := make([]string, 0, maxCandidates+1)
	for _, s := range found[:min(len(found), maxCandidates)] {
		names = append(names, fmt.Sprintf("%s (%s, %s)", ShortID(s.ID, n), of(s), s.CreatedAt.Local().Format("2006-01-02 15:04")))
	}
	if len(found) > maxCandidates {
		names = append(names, "and more")
	}
	return nil, fault.New(fault.Invalid, "more than one %s begins with %q: give more of its id. There are %s", noun, ref, strings.Join(names, ", "))
}

// of says whose files, or which application, a snapshot holds.
func of(s *remote.Snapshot) string {
	if s.Label != nil {
		return fmt.Sprintf("application %q", s.Label.Name)
	}
	return fmt.Sprintf("files of %q", s.DeviceName)
}

// FindApplication returns the application of the account that ref names: its name, "device/name", or an id. One that its device still has
// goes before those that are gone.
func (a *Account) FindApplication(ctx context.Context, ref string) (remote.Application, error) {
	var none remote.Application
	all, err := a.Client.Applications(ctx)
	if err != nil {
		return none, err
	}
	var found, there []remote.Application
	var names []string
	for _, v := range all {
		full := v.DeviceName + "/" + v.Name
		names = append(names, fmt.Sprintf("%q", full))
		if v.ID.String() == ref {
			return v, nil
		}
		if strings.EqualFold(v.Name, ref) || strings.EqualFold(full, ref) {
			found = append(found, v)
			if v.RemovedAt.IsZero() {
				there = append(there, v)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(there) == 1:
		return there[0], nil
	case len(all) == 0:
		return none, fault.New(fault.NotFound, "there is no application %q: this account has none. holdfast-agent app add makes one", ref)
	case len(found) == 0:
		if len(names) > maxCandidates {
			names = append(names[:maxCandidates], "more")
		}
		return none, fault.New(fault.NotFound, "there is no application %q. There are %s", ref, strings.Join(names, ", "))
	}
	names = names[:0]
	for _, v := range found {
		names = append(names, fmt.Sprintf("%q (%s)", v.DeviceName+"/"+v.Name, v.ID))
	}
	return none, fault.New(fault.Invalid, "more than one application is called %q: name one of %s, or its id", ref, strings.Join(names, ", "))
}

// FindApplicationSnapshot returns the snapshot of an application that ref names: "latest", which is the newest that is
// neither a safety backup nor an import, an id, or the beginning of one.
func (a *Account) FindApplicationSnapshot(ctx context.Context, app remote.Application, ref string) (*Snapshot, error) {
	var found []*remote.Snapshot
	err := a.Client.ApplicationSnapshots(ctx, app.ID, func(s *remote.Snapshot) (bool, error) {
		if ref == "latest" {
			if s.Label != nil && s.Label.Origin == "backup" {
				found = append(found, s)
			}
			return len(found) == 0, nil
		}
		if s.ID.String() == ref || hasIDPrefix(s.ID.String(), ref) {
			found = append(found, s)
		}
		return len(found) <= maxCandidates, nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0 && ref == "latest":
		return nil, fault.New(fault.NotFound, "there is no backup of %q yet: holdfast-agent app backup makes one. Safety backups and imports are named by their ids", app.Name)
	case len(found) == 0:
		return nil, a.another(ctx, app, ref)
	}
	one, err := only("backup", ref, found)
	if err != nil {
		return nil, err
	}
	s := a.open(one)
	return s, s.Err
}

// another says what a snapshot is that was taken for a backup of an application.
func (a *Account) another(ctx context.Context, app remote.Application, ref string) error {
	s, err := a.FindSnapshot(ctx, ref, id.Device{})
	switch {
	case s == nil && errors.Is(err, fault.NotFound):
		return fault.New(fault.NotFound, "there is no backup %q of %q: holdfast-agent app backups %q lists them", ref, app.Name, app.Name)
	case s == nil:
		return err
	case s.Label == nil:
		return fault.New(fault.Invalid, "%s is a snapshot of the files of %q, and no backup of %q: holdfast-agent restore %s --to DIR brings them back",
			ShortID(s.ID, 10), s.DeviceName, app.Name, ShortID(s.ID, 10))
	}
	return fault.New(fault.Invalid, "%s is a backup of the application %q, and not of %q: holdfast-agent app restore %q %s puts it back",
		ShortID(s.ID, 10), s.Label.Name, app.Name, s.Label.Name, ShortID(s.ID, 10))
}
