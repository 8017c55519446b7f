package agent

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// OrderLife is how long a device may take to begin a restore that was ordered.
const OrderLife = 7 * 24 * time.Hour

// OrderInput says what a device is to put back.
type OrderInput struct {
	Paths      []string // as a person writes them; none: everything
	Extensions []string
	To         string // an absolute path of the device; "": where each file was
	Conflict   order.Conflict
}

// OrderRestore seals an order for a device and hands it to the server. A device that nobody enrolled who could open this
// account is a fault.Forbidden: it would get the keys of the files; a backup of an application that is to go to where it was, a fault.Invalid: that
// is [Account.OrderApplication]. The order's id is what its report has to name.
func (a *Account) OrderRestore(ctx context.Context, d Device, s *Snapshot, in OrderInput) (*remote.Run, order.ID, error) {
	none := order.ID{}
	if err := mayRestore(d, s); err != nil {
		return nil, none, err
	}
	if s.Label != nil && in.To == "" {
		short := ShortID(s.ID, 10)
		return nil, none, fault.New(fault.Invalid, "%s is a backup of the application %q: holdfast-agent app restore %q %s has its machine put it back, and --to DIR puts what it holds into a folder",
			short, s.Label.Name, s.Label.Name, short)
	}
	windows := d.OS == "windows"
	paths := make([]string, len(in.Paths))
	for i, p := range in.Paths {
		paths[i] = treePath(p, windows)
	}
	now := time.Now().UTC()
	o := order.Order{ID: order.NewID(), Device: d.ID, Snapshot: s.ID, Root: s.Manifest.Root, Paths: paths, Extensions: in.Extensions,
		To: in.To, Conflict: in.Conflict, Issued: now, Expires: now.Add(OrderLife)}
	sealed, err := o.Seal(a.Keys.Space(), d.PublicKey)
	if err != nil {
		return nil, none, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	r, err := a.Client.OrderRestore(ctx, d.ID, s.ID, sealed)
	return r, o.ID, err
}

// mayRestore refuses devices that get no keys, and snapshots that cannot be read.
func mayRestore(d Device, s *Snapshot) error {
	switch {
	case d.Foreign():
		return fault.New(fault.Forbidden, "the device %q was not enrolled by anybody who could open this account: it gets no keys. Revoke it, and ask the server's administrator how it came there", d.Name)
	case !d.RevokedAt.IsZero() || !d.Genuine:
		return fault.New(fault.Conflict, "the device %q was revoked: enrol it again, or name another one", d.Name)
	}
	return s.Err
}

// Report opens what a device said of a restore, and makes sure that it is about this run: that it names its device and
// snapshot, and the order, unless that is zero because nobody knows it any more. It is nil if the device said nothing.
func (a *Account) Report(r *remote.Run, o order.ID) (*order.Report, error) {
	if len(r.Report) == 0 || r.Kind != remote.KindRestore {
		return nil, nil
	}
	v, err := order.OpenReport(a.Keys, r.Report)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the report of this restore was not made by this account's devices, or is damaged")
	}
	if v.Device != r.Device || !r.Snapshot.IsZero() && v.Snapshot != r.Snapshot || o != (order.ID{}) && v.Order != o {
		return nil, fault.New(fault.Internal, "the server shows the report of another restore for this one")
	}
	return v, nil
}

// Note opens what a device said of why a backup failed, or what a look at an application found; "" if it said nothing.
func (a *Account) Note(r *remote.Run) (string, error) {
	if len(r.Report) == 0 || r.Kind == remote.KindRestore {
		return "", nil
	}
	v, err := order.OpenNote(a.Keys, r.Report)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the note on this backup was not made by this account's devices, or is damaged")
	}
	if v.Device != r.Device || v.Run != [16]byte(r.ID) {
		return "", fault.New(fault.Internal, "the server shows the note on another backup for this one")
	}
	return v.Text, nil
}

// FindRun returns the run that ref names: an id, or the beginning of one that no other of the account's runs shares.
func (a *Account) FindRun(ctx context.Context, ref string) (*remote.Run, error) {
	var full id.Run
	if full.UnmarshalText([]byte(ref)) == nil {
		return a.Client.Run(ctx, full)
	}
	var found []*remote.Run
	err := a.Client.Runs(ctx, id.Device{}, func(r *remote.Run) (bool, error) {
		if hasIDPrefix(r.ID.String(), ref) {
			found = append(found, r)
		}
		return len(found) < 2, nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "there is no run %q: holdfast-agent runs lists them", ref)
	case len(found) > 1:
		return nil, fault.New(fault.Invalid, "more than one run begins with %q: give more of its id", ref)
	}
	return found[0], nil
}

// FindDeleted returns the deleted snapshot that ref names, as FindRun does.
func (a *Account) FindDeleted(ctx context.Context, ref string) (*Snapshot, error) {
	list, err := a.Client.DeletedSnapshots(ctx)
	if err != nil {
		return nil, err
	}
	var found []*remote.Snapshot
	for _, s := range list {
		if hasIDPrefix(s.ID.String(), ref) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "no deleted snapshot %q can be taken back: holdfast-agent undelete lists those that can", ref)
	}
	one, err := only("deleted snapshot", ref, found)
	if err != nil {
		return nil, err
	}
	return a.open(one), nil
}

// Deleted returns the snapshots whose deletion can be taken back, the last deleted first.
func (a *Account) Deleted(ctx context.Context) ([]*Snapshot, error) {
	list, err := a.Client.DeletedSnapshots(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*Snapshot, len(list))
	for i, s := range list {
		out[i] = a.open(s)
	}
	return out, nil
}
