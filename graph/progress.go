package graph

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// follower watches the backups of one device for deviceProgress. The table is the truth: a message on the bus,
// and the sweep that makes up for lost ones, only say when to look, and perhaps at which backup.
type follower struct {
	Config
	actor  actor.Actor
	device id.Device
	last   *catalog.Backup // what was sent last; nil: nothing yet
}

// progress begins to follow a device, if the actor may see it. The channel is closed when ctx ends.
func (c Config) progress(ctx context.Context, a actor.Actor, dev id.Device) (<-chan *catalog.Backup, error) {
	if _, err := c.Fleet.Device(ctx, a, dev); err != nil {
		return nil, err
	}
	f := &follower{Config: c, actor: a, device: dev}
	sub := c.Bus.Subscribe(ctx, catalog.Topic(dev)) // before the first look, so that nothing falls between
	first, err := f.look(ctx, id.Backup{})
	if err != nil {
		sub.Close()
		return nil, err
	}
	out := make(chan *catalog.Backup)
	go func() {
		defer close(out)
		defer sub.Close()
		f.run(ctx, sub, first, out)
	}()
	return out, nil
}

func (f *follower) run(ctx context.Context, sub *bus.Sub, now *catalog.Backup, out chan<- *catalog.Backup) {
	sweep := time.NewTicker(f.Sweep)
	defer sweep.Stop()
	var hint id.Backup
	for {
		ended := false
		if now != nil && changed(f.last, now) {
			select {
			case out <- now:
			case <-ctx.Done():
				return
			}
			ended = f.last != nil && f.last.State == catalog.Active && now.State != catalog.Active
			f.last = now
		}
		if !ended { // otherwise the next backup may be under way, or over, already: look again at once
			select {
			case <-ctx.Done():
				return
			case <-sweep.C:
				hint = id.Backup{}
			case m, ok := <-sub.C:
				if !ok {
					return
				}
				if hint.UnmarshalText(m.Data) != nil {
					hint = id.Backup{}
				}
			}
		}
		next, err := f.look(ctx, hint)
		if err != nil {
			if ctx.Err() == nil {
				logger(ctx).WarnContext(ctx, "deviceProgress: the table cannot be read, trying again", "error", err)
			}
			next = nil
		}
		now = next
	}
}

// look reads what there is to say: the end of the backup that was followed, before anything about the next; the
// backup that is running; or one that began and ended since the last look, which only the hint tells of.
func (f *follower) look(ctx context.Context, hint id.Backup) (*catalog.Backup, error) {
	now, err := optional(f.Catalog.ActiveBackup(ctx, f.actor, f.device))
	if err != nil {
		return nil, err
	}
	if f.last != nil && f.last.State == catalog.Active && (now == nil || now.ID != f.last.ID) {
		b, err := optional(f.Catalog.Backup(ctx, f.actor, f.last.ID))
		if err == nil && b == nil {
			f.last = nil // it is gone, and so is what there was to say of it
		}
		return b, err
	}
	if now != nil || hint.IsZero() || f.last != nil && hint == f.last.ID {
		return now, nil
	}
	b, err := optional(f.Catalog.Backup(ctx, f.actor, hint))
	if err != nil || b == nil || b.DeviceID != f.device || f.last != nil && !b.StartedAt.After(f.last.StartedAt) {
		return nil, err
	}
	return b, nil
}

// changed reports whether now is worth sending after last.
func changed(last, now *catalog.Backup) bool {
	if last == nil || last.ID != now.ID || last.State != now.State {
		return true
	}
	return last.Progress == nil != (now.Progress == nil) || now.Progress != nil && *last.Progress != *now.Progress
}
