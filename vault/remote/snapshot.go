package remote

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Snapshot is a snapshot as the server knows it: what it holds is in the sealed manifest.
type Snapshot struct {
	ID                                    id.Snapshot
	Device                                id.Device
	DeviceName                            string // as the server has it now
	CreatedAt                             time.Time
	Root                                  id.Object
	Manifest                              []byte
	Files, Bytes, Problems, UploadedBytes int64
	Scheduled                             bool      // made for a policy: only such are deleted by rule
	PinnedAt                              time.Time // zero: not pinned
	DeletedAt, PurgeAfter                 time.Time // zero: live
	Label                                 *Label    // nil: files of the device
}

// snapshotPage is how many snapshots are asked for at once.
const snapshotPage = 50

// Snapshots calls fn for the account's snapshots of files, newest first, until it returns false. device is zero for
// those of all devices.
func (c *Client) Snapshots(ctx context.Context, device id.Device, fn func(*Snapshot) (bool, error)) error {
	return c.snapshots(ctx, text(device), nil, fn)
}

// ApplicationSnapshots calls fn for the snapshots of an application, newest first, until it returns false.
func (c *Client) ApplicationSnapshots(ctx context.Context, a id.Application, fn func(*Snapshot) (bool, error)) error {
	return c.snapshots(ctx, nil, text(a), fn)
}

// text writes an id; nil for the zero one.
func text[N id.Noun](v id.Of[N]) *string {
	if v.IsZero() {
		return nil
	}
	s := v.String()
	return &s
}

func (c *Client) snapshots(ctx context.Context, device, application *string, fn func(*Snapshot) (bool, error)) error {
	var after *string
	first := snapshotPage
	for {
		r, err := api.Snapshots(ctx, c.gql(always), device, application, &first, after)
		if err != nil {
			return err
		}
		for _, e := range r.Snapshots.Edges {
			s, err := snapshot(e.Node)
			if err != nil {
				return err
			}
			if more, err := fn(s); err != nil || !more {
				return err
			}
		}
		info := r.Snapshots.PageInfo
		if !info.HasNextPage {
			return nil
		}
		if info.EndCursor == nil || deref(after) == *info.EndCursor {
			return fault.New(fault.Internal, "the server's list of snapshots does not end")
		}
		after = info.EndCursor
	}
}

// Snapshot returns one snapshot of the account's, or fault.NotFound.
func (c *Client) Snapshot(ctx context.Context, s id.Snapshot) (*Snapshot, error) {
	r, err := api.Snapshot(ctx, c.gql(always), s.String())
	if err != nil {
		return nil, err
	}
	if r.Snapshot == nil {
		return nil, fault.New(fault.NotFound, "there is no snapshot %s", s)
	}
	return snapshot(*r.Snapshot)
}

// DeletedSnapshots returns the account's snapshots that were deleted and can still be taken back, the last deleted first.
func (c *Client) DeletedSnapshots(ctx context.Context) ([]*Snapshot, error) {
	r, err := api.DeletedSnapshots(ctx, c.gql(always))
	if err != nil {
		return nil, err
	}
	list := make([]*Snapshot, len(r.DeletedSnapshots))
	for i, f := range r.DeletedSnapshots {
		if list[i], err = snapshot(f); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// DeleteSnapshot deletes a snapshot. For some days it can be taken back.
func (c *Client) DeleteSnapshot(ctx context.Context, s id.Snapshot) error {
	_, err := api.DeleteSnapshot(ctx, c.gql(ifUnsent), api.DeleteSnapshotInput{Id: s.String()})
	return err
}

// RestoreDeletedSnapshot takes a deletion back.
func (c *Client) RestoreDeletedSnapshot(ctx context.Context, s id.Snapshot) (*Snapshot, error) {
	r, err := api.RestoreDeletedSnapshot(ctx, c.gql(ifUnsent), api.RestoreDeletedSnapshotInput{Id: s.String()})
	if err != nil {
		return nil, err
	}
	return snapshot(r.RestoreDeletedSnapshot.Snapshot)
}

// PinSnapshot keeps a snapshot from being deleted by rule, or lets go of it.
func (c *Client) PinSnapshot(ctx context.Context, s id.Snapshot, pinned bool) (*Snapshot, error) {
	r, err := api.PinSnapshot(ctx, c.gql(always), api.PinSnapshotInput{Id: s.String(), Pinned: pinned})
	if err != nil {
		return nil, err
	}
	return snapshot(r.PinSnapshot.Snapshot)
}

func snapshot(f api.SnapshotFields) (*Snapshot, error) {
	s := &Snapshot{DeviceName: f.Device.Name, CreatedAt: f.CreatedAt, Manifest: f.Manifest,
		Files: f.Files, Bytes: f.Bytes, Problems: f.Problems, UploadedBytes: f.UploadedBytes, Scheduled: f.Scheduled,
		PinnedAt: deref(f.PinnedAt), DeletedAt: deref(f.DeletedAt), PurgeAfter: deref(f.PurgeAfter)}
	var err error
	if s.ID, err = parse[id.Snapshot](f.Id); err != nil {
		return nil, err
	}
	if s.Device, err = parse[id.Device](f.Device.Id); err != nil {
		return nil, err
	}
	if copy(s.Root[:], f.Root) != len(s.Root) || len(f.Root) != len(s.Root) {
		return nil, fault.New(fault.Internal, "the server's reply makes no sense: a root of %d bytes", len(f.Root))
	}
	if l := f.Label; l != nil {
		s.Label = &Label{Name: l.Application.Name, Part: strings.ToLower(string(l.Part)), Origin: strings.ToLower(string(l.Origin)), Title: l.Title}
		s.Label.Application, err = parse[id.Application](l.Application.Id)
	}
	return s, err
}
