package agent

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// ApplicationSnapshots calls fn for the snapshots of an application, newest first, until it returns false.
func (a *Account) ApplicationSnapshots(ctx context.Context, app id.Application, fn func(*Snapshot) (bool, error)) error {
	return a.Client.ApplicationSnapshots(ctx, app, func(s *remote.Snapshot) (bool, error) { return fn(a.open(s)) })
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
