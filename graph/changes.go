package graph

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// changesMargin is how much earlier than its last look a sweep looks back: for runs that had ended by then in a transaction that had
// not been committed.
const changesMargin = time.Minute

// runFollower watches runs for runChanges. The table is the truth: a message on the bus names a run to look at, and the sweep, which makes
// up for lost messages, looks at all that are open or have ended since the last one.
//
// What is not sent yet is kept as a set of runs, of each the newest that was read: a reader that is slow misses steps, and no end.
type runFollower struct {
	Config
	actor actor.Actor
	fleet bool
	since time.Time             // of the last sweep
	sent  map[id.Run]run.Sketch // what the reader knows of runs that may change, or that the next sweep will find again
	queue []id.Run              // to be sent, in this order
	next  map[id.Run]*run.Run   // what of them
}

// runChanges begins to follow runs. The channel is closed when ctx ends.
func (c Config) runChanges(ctx context.Context, a actor.Actor, fleet bool) (<-chan *run.Run, error) {
	topic := run.Topic(a.User)
	if fleet {
		topic = run.FleetTopic
	}
	f := &runFollower{Config: c, actor: a, fleet: fleet, sent: map[id.Run]run.Sketch{}, next: map[id.Run]*run.Run{}}
	sub := c.Bus.Subscribe(ctx, topic) // before the first look, so that nothing falls between
	if err := f.sweep(ctx); err != nil {
		sub.Close()
		return nil, err
	}
	out := make(chan *run.Run)
	go func() {
		defer close(out)
		defer sub.Close()
		f.run(ctx, sub, out)
	}()
	return out, nil
}

func (f *runFollower) run(ctx context.Context, sub *bus.Sub, out chan<- *run.Run) {
	tick := time.NewTicker(f.Sweep)
	defer tick.Stop()
	hints := sub.C
	for {
		var to chan<- *run.Run
		var first *run.Run
		if len(f.queue) > 0 {
			to, first = out, f.next[f.queue[0]]
		}
		var err error
		select {
		case <-ctx.Done():
			return
		case to <- first:
			f.sent[first.ID] = first.Sketch()
			delete(f.next, first.ID)
			f.queue = f.queue[1:]
		case <-tick.C:
			err = f.sweep(ctx)
		case m, ok := <-hints:
			if !ok {
				return
			}
			err = f.heed(ctx, m, hints)
		}
		if err != nil && ctx.Err() == nil {
			logger(ctx).WarnContext(ctx, "runChanges: the table cannot be read, trying again", "error", err)
		}
	}
}

// heed looks at the runs that a message, and those that wait behind it, name.
func (f *runFollower) heed(ctx context.Context, m bus.Message, hints <-chan bus.Message) error {
	named := map[id.Run]bool{}
	for more := true; more; {
		var r id.Run
		if r.UnmarshalText(m.Data) != nil {
			return f.sweep(ctx) // there was too much to name, or something may have been missed
		}
		named[r] = true
		select {
		case m, more = <-hints:
		default:
			more = false
		}
	}
	ids := make([]id.Run, 0, len(named))
	for r := range named {
		ids = append(ids, r)
	}
	runs, err := f.Runs.RunsByID(ctx, f.actor, ids)
	for _, r := range runs {
		f.take(r)
	}
	return err
}

// sweep looks at everything, and forgets what will not come again.
func (f *runFollower) sweep(ctx context.Context) error {
	since := f.since
	if !since.IsZero() {
		since = since.Add(-changesMargin)
	}
	runs, now, err := f.Runs.Changes(ctx, f.actor, f.fleet, since)
	if err != nil {
		return err
	}
	f.since = now
	seen := make(map[id.Run]bool, len(runs))
	for _, r := range runs {
		seen[r.ID] = true
		f.take(r)
	}
	for r := range f.sent {
		if !seen[r] {
			delete(f.sent, r)
		}
	}
	return nil
}

// take queues a run if it has changed since it was sent.
func (f *runFollower) take(r *run.Run) {
	if last, ok := f.sent[r.ID]; ok && last == r.Sketch() {
		return
	}
	if f.next[r.ID] == nil {
		f.queue = append(f.queue, r.ID)
	}
	f.next[r.ID] = r
}
