package agent

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// FindApplication returns the application of the account that ref names: its name, "device/name", or an id.
func (a *Account) FindApplication(ctx context.Context, ref string) (remote.Application, error) {
	var none remote.Application
	all, err := a.Client.Applications(ctx)
	if err != nil {
		return none, err
	}
	var found []remote.Application
	var names []string
	for _, v := range all {
		full := v.DeviceName + "/" + v.Name
		if v.ID.String() == ref {
			return v, nil
		}
		if strings.EqualFold(v.Name, ref) || strings.EqualFold(full, ref) {
			found, names = append(found, v), append(names, full)
		}
	}
	switch len(found) {
	case 0:
		return none, fault.New(fault.NotFound, "there is no application %q: holdfast-agent app list shows them", ref)
	case 1:
		return found[0], nil
	}
	return none, fault.New(fault.Invalid, "more than one application is called %q: name one of %s", ref, strings.Join(names, ", "))
}

// ApplicationSnapshots calls fn for the snapshots of an application, newest first, until it returns false.
func (a *Account) ApplicationSnapshots(ctx context.Context, app id.Application, fn func(*Snapshot) (bool, error)) error {
	return a.Client.ApplicationSnapshots(ctx, app, func(s *remote.Snapshot) (bool, error) { return fn(a.open(s)) })
}

// FindApplicationSnapshot returns the snapshot of an application that ref names: "latest", which is the newest that is
// neither a safety backup nor an import, an id, or the beginning of one.
func (a *Account) FindApplicationSnapshot(ctx context.Context, app id.Application, ref string) (*Snapshot, error) {
	var found []*Snapshot
	err := a.ApplicationSnapshots(ctx, app, func(s *Snapshot) (bool, error) {
		if ref == "latest" {
			if s.Label != nil && s.Label.Origin == "backup" {
				found = append(found, s)
			}
			return len(found) == 0, nil
		}
		if s.ID.String() == ref || hasIDPrefix(s.ID.String(), ref) {
			found = append(found, s)
		}
		return len(found) < 2, nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0 && ref == "latest":
		return nil, fault.New(fault.NotFound, "there is no backup of this application yet: holdfast-agent app backup makes one")
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "there is no backup %q of this application: holdfast-agent app backups lists them", ref)
	case len(found) > 1:
		return nil, fault.New(fault.Invalid, "more than one backup begins with %q: give more of its id", ref)
	}
	return found[0], found[0].Err
}

// ApplicationOrder says what of an application is to be put back, and where.
type ApplicationOrder struct {
	Part     order.Part
	Database string         // another one, that does not exist yet; "": in place
	Folder   string         // where the media go instead, an absolute path of the device; "": in place
	Conflict order.Conflict // of media that exist: order.Overwrite or order.Skip
	Bare     bool           // without a safety backup first
}

// OrderApplication seals an order for the device of an application and hands it to the server. What it returns, and refuses,
// is as with [Account.OrderRestore].
func (a *Account) OrderApplication(ctx context.Context, app remote.Application, s *Snapshot, in ApplicationOrder) (*remote.Run, order.ID, error) {
	none := order.ID{}
	d, err := a.FindDevice(ctx, app.Device.String())
	if err != nil {
		return nil, none, err
	}
	if err := mayRestore(d, s); err != nil {
		return nil, none, err
	}
	now := time.Now().UTC()
	o := order.Order{ID: order.NewID(), Device: d.ID, Snapshot: s.ID, Root: s.Manifest.Root, To: in.Folder, Conflict: in.Conflict, Issued: now, Expires: now.Add(OrderLife),
		Application: &order.Application{ID: app.ID, Part: in.Part, Database: in.Database, Bare: in.Bare}}
	sealed, err := o.Seal(a.Keys.Space(), d.PublicKey)
	if err != nil {
		return nil, none, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	r, err := a.Client.RestoreApplication(ctx, app.ID, s.ID, in.Part.String(), sealed)
	return r, o.ID, err
}
