package graph

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
)

// notices follows the caller's notifications for notificationChanges. The first event gives the number of unread ones alone; so does an event
// whenever it changed without a new one: they were read in another tab. The channel is closed when ctx ends.
func (c Config) notices(ctx context.Context, a actor.Actor) (<-chan *exec.NotificationEvent, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	sub := c.Bus.Subscribe(ctx, notice.Topic(me)) // before the first look, so that nothing falls between
	f, err := c.Notices.Follow(ctx, a)
	if err != nil {
		sub.Close()
		return nil, err
	}
	out := make(chan *exec.NotificationEvent)
	go func() {
		defer close(out)
		defer sub.Close()
		c.tellNotices(ctx, f, sub, out)
	}()
	return out, nil
}

func (c Config) tellNotices(ctx context.Context, f *notice.Follower, sub *bus.Sub, out chan<- *exec.NotificationEvent) {
	sweep := time.NewTicker(c.Sweep)
	defer sweep.Stop()
	told := -1 // unread ones, by the last event
	for {
		rows, unread, err := f.Look(ctx)
		if err != nil && ctx.Err() == nil {
			logger(ctx).WarnContext(ctx, "notificationChanges: the table cannot be read, trying again", "error", err)
		}
		var events []*exec.NotificationEvent
		switch {
		case err != nil:
		case told < 0, len(rows) == 0 && unread != told:
			events = append(events, &exec.NotificationEvent{UnreadCount: unread})
		}
		for _, n := range rows {
			events = append(events, &exec.NotificationEvent{UnreadCount: unread, Notification: n})
		}
		for _, e := range events {
			select {
			case out <- e:
				told = e.UnreadCount
			case <-ctx.Done():
				return
			}
		}
		if len(rows) > 0 {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
		case _, ok := <-sub.C:
			if !ok {
				return
			}
		}
	}
}
