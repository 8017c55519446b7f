// Package worker does what nobody asks for: the periodic care of an installation. Task name, period, one depot
// method, one line each: see [ticks].
//
// Any number of workers may run. Each has a clock that announces every slot of every task; the queue lets the first
// announcement through, so that a slot is run once, by any of them. Slots that went by while no worker ran, or Redis was away, are not
// caught up: every task looks for whatever is due, however long it has been due.
package worker

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/queue"
)

// Depot is what the worker needs of the depot. Each method may be called at any time, by several workers at once, and again after a
// failure; it returns soon after its context is over.
type Depot interface {
	// ExpireSessions marks backup sessions void whose heartbeat has lapsed.
	ExpireSessions(ctx context.Context) error

	// SweepAccounts deletes what has run out: logins, invitations, enrolment codes, old counts of failed logins.
	SweepAccounts(ctx context.Context) error

	// ScrubPacks re-hashes a bounded portion of the packs that were not verified for longest.
	ScrubPacks(ctx context.Context) error
}

// tick is one periodic task.
type tick struct {
	name  string
	every time.Duration // slots begin at multiples of it since the epoch; also the longest a run may take
	do    func(Depot, context.Context) error
}

var ticks = []tick{
	{"sessions.expire", time.Minute, Depot.ExpireSessions},
	{"accounts.sweep", time.Hour, Depot.SweepAccounts},
	{"packs.scrub", 10 * time.Minute, Depot.ScrubPacks},
}

// Config is what a worker stands on.
type Config struct {
	Depot Depot
	Redis bus.Client // stays the caller's: see bus.Connect
	Log   *slog.Logger
}

// Run works until ctx is over, then lets running tasks end and returns. It fails only if it cannot begin; Redis may
// be away at any time.
func Run(ctx context.Context, cfg Config) error {
	return run(ctx, cfg, ticks)
}

func run(ctx context.Context, cfg Config, ticks []tick) error {
	handlers := map[string]queue.Handler{}
	for _, t := range ticks {
		handlers[t.name] = handler(cfg, t)
	}
	server, err := queue.Serve(cfg.Redis, cfg.Log, handlers)
	if err != nil {
		return err
	}
	defer server.Stop()
	client := queue.NewClient(cfg.Redis)
	var clocks sync.WaitGroup
	for _, t := range ticks {
		clocks.Go(func() { clock(ctx, cfg.Log, client, t) })
	}
	clocks.Wait()
	return nil
}

// handler runs a task. Its failure is logged and is no failure for the queue: the next slot is the repeat.
func handler(cfg Config, t tick) queue.Handler {
	return func(ctx context.Context, slot string) error {
		// A run that takes longer than a slot would meet its successor.
		ctx, cancel := context.WithTimeout(ctx, t.every)
		defer cancel()
		log := cfg.Log.With("task", t.name, "slot", slot)
		defer func() {
			if p := recover(); p != nil {
				log.Error("a task panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		began := time.Now()
		if err := t.do(cfg.Depot, ctx); err != nil {
			log.Error("a task failed and is repeated at its next time", "err", err, "took", time.Since(began))
			return nil
		}
		log.Debug("a task is done", "took", time.Since(began))
		return nil
	}
}

// again is how soon a slot is announced again if the queue could not be reached.
const again = 2 * time.Second

// clock announces each slot as it begins, and the present one at once: an installation that runs only now and then gets its
// care, too.
func clock(ctx context.Context, log *slog.Logger, client *queue.Client, t tick) {
	failing := false
	for ctx.Err() == nil {
		slot := time.Now().Truncate(t.every)
		_, err := client.Tick(ctx, t.name, slot, t.every)
		next := time.Until(slot.Add(t.every))
		if err != nil && ctx.Err() == nil {
			if !failing {
				log.Warn("a periodic task cannot be queued", "task", t.name, "err", err)
			}
			next = min(next, again)
		}
		failing = err != nil
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
