package remote

import (
	"context"
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
}

// snapshotPage is how many snapshots are asked for at once.
const snapshotPage = 50

// Snapshots calls fn for the account's snapshots, newest first, until it returns false. device is zero for
// those of all devices.
func (c *Client) Snapshots(ctx context.Context, device id.Device, fn func(*Snapshot) (bool, error)) error {
	var of, after *string
	if !device.IsZero() {
		s := device.String()
		of = &s
	}
	first := snapshotPage
	for {
		r, err := api.Snapshots(ctx, c.gql(always), of, &first, after)
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

func snapshot(f api.SnapshotFields) (*Snapshot, error) {
	s := &Snapshot{DeviceName: f.Device.Name, CreatedAt: f.CreatedAt, Manifest: f.Manifest,
		Files: f.Files, Bytes: f.Bytes, Problems: f.Problems, UploadedBytes: f.UploadedBytes}
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
	return s, nil
}
