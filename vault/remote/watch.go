package remote

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Event is the state of a device's backup.
type Event struct {
	Device    id.Device
	Backup    id.Backup
	State     string // ACTIVE, COMMITTED, ABORTED, VOID
	StartedAt time.Time
	EndedAt   time.Time // zero while it runs
	Progress  Progress
	Snapshot  id.Snapshot // zero unless it is committed
}

// Watch calls fn, from one goroutine, for every change of the devices' backups until ctx ends, fn fails or
// the server refuses for good. It needs a session. Whenever the connection is lost it connects again, and
// the first event of each subscription is the present state: fn may miss steps, never the newest one for long.
func (c *Client) Watch(ctx context.Context, devices []id.Device, fn func(Event) error) error {
	subs := make([]subscription, len(devices))
	for i, d := range devices {
		subs[i] = subscription{"DeviceProgress", api.DeviceProgress_Operation, map[string]string{"device": d.String()}}
	}
	return c.follow(ctx, subs, func(i int, data json.RawMessage) error {
		e, err := event(devices[i], data)
		if err != nil {
			return err
		}
		return ended(fn(e))
	})
}

func event(device id.Device, data json.RawMessage) (Event, error) {
	var p api.DeviceProgressResponse
	if json.Unmarshal(data, &p) != nil {
		return Event{}, senseless()
	}
	b := p.DeviceProgress
	e := Event{Device: device, State: string(b.State), StartedAt: b.StartedAt, EndedAt: deref(b.EndedAt),
		Progress: Progress{b.Progress.Phase, b.Progress.Files, b.Progress.Bytes, b.Progress.TotalFiles,
			b.Progress.TotalBytes, b.Progress.UploadedBytes, b.Progress.Problems}}
	var err error
	if e.Backup, err = parse[id.Backup](b.Id); err == nil && b.Snapshot != nil {
		e.Snapshot, err = parse[id.Snapshot](b.Snapshot.Id)
	}
	return e, err
}
