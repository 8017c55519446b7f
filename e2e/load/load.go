//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/e2e/stack"
	"github.com/holdfast-backup/holdfast/e2e/usage"
)

// config is how much.
type config struct {
	Programs stack.Programs
	Dir      string // to work in; another user must be able to pass through it
	Idle     int    // subscriptions of devices that do nothing
	Backups  int    // that begin together, of other devices
	Log      func(string)
}

// perPerson is how many devices one person gets: the server takes a hundred.
const perPerson = 80

// report is what was measured.
type report struct {
	config
	when time.Time
	load string // of the machine, before: what others did meanwhile

	bare, idle, rung, busy usage.Usage // without a device; with all subscriptions; after they were rung; after the backups
	busiest                int64       // the most that the processes together took while backups ran, bytes
	connect                time.Duration

	one  times // from a run's row to the ring, one device after the other
	all  times // likewise, when all devices are rung together
	took times // backups
	wall time.Duration
	cpu  time.Duration // of the server and its children while backups ran
	sent int64         // bytes of packs
}

// run measures. It ends by itself, or with ctx.
func run(ctx context.Context, c config) (*report, error) {
	s, err := stack.Up(ctx, c.Programs, filepath.Join(c.Dir, "server"))
	if err != nil {
		return nil, err
	}
	r, err := c.on(ctx, s)
	if err != nil {
		err = fmt.Errorf("%w\nthe server said:\n%s", err, s.Log())
	}
	return r, errors.Join(err, s.Stop())
}

// on measures a server that runs.
func (c config) on(ctx context.Context, s *stack.Server) (r *report, err error) {
	r = &report{config: c, when: time.Now(), load: usage.Load()}
	cost := func() usage.Usage {
		u, e := usage.Of(s.Cmd.Process.Pid)
		err = errors.Join(err, e)
		return u
	}
	f := &fleet{config: c, server: s}
	if err := f.staff(ctx); err != nil {
		return r, err
	}
	r.bare = cost()
	c.Log(fmt.Sprintf("enrolling %d devices …", c.Idle+c.Backups))
	if err := f.enroll(ctx); err != nil {
		return r, err
	}
	if err := f.policy(ctx); err != nil {
		return r, err
	}

	c.Log("opening subscriptions …")
	began := time.Now()
	ears, err := f.listen(ctx)
	if err != nil {
		return r, err
	}
	defer ears.close()
	r.connect = time.Since(began)
	if err := settle(ctx, func() int64 { return cost().RSS }); err != nil {
		return r, err
	}
	r.idle = cost()

	c.Log("ringing …")
	if r.one, err = f.ringOne(ctx, ears); err != nil {
		return r, err
	}
	if r.all, err = f.ringAll(ctx, ears); err != nil {
		return r, err
	}
	r.rung = cost()

	c.Log(fmt.Sprintf("%d backups at once …", c.Backups))
	if err := f.folders(); err != nil {
		return r, err
	}
	before := cost()
	watching, stop := context.WithCancel(ctx)
	var watch errgroup.Group
	watch.Go(func() error {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			u, err := usage.Of(s.Cmd.Process.Pid)
			r.busiest = max(r.busiest, u.RSS+u.Children)
			select {
			case <-watching.Done():
				return err
			case <-tick.C:
			}
		}
	})
	began = time.Now()
	r.took, r.sent, err = f.backUp(ctx)
	r.wall = time.Since(began)
	stop()
	if err := errors.Join(err, watch.Wait()); err != nil {
		return r, err
	}
	r.busy = cost()
	r.cpu = r.busy.CPU - before.CPU
	if lost := ears.lost(); lost != nil {
		return r, fmt.Errorf("subscriptions ended while nobody ended them: %w", lost)
	}
	return r, err
}

// settle waits until a figure does not grow any more: for two seconds by less than a per cent.
func settle(ctx context.Context, figure func() int64) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	last, calm := figure(), 0
	for range 60 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now := figure()
		if calm++; now > last+last/100 {
			calm = 0
		}
		if last = now; calm == 4 {
			break
		}
	}
	return nil
}
