// Package worker does what nobody waits for: the periodic care of an installation, and tasks that are rung for one id. Task name,
// period, one depot method, one line each: see [ticks] and [tasks].
//
// Any number of workers may run. Each has a clock that announces every slot of every task; the queue lets the first
// announcement through, so that a slot is run once, by any of them. Slots that went by while no worker ran, or Redis was away, are not
// caught up: every task looks for whatever is due, however long it has been due.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/queue"
)

// Depot is what the worker needs of the depot. Each method may be called at any time, by several workers at once, and again after a
// failure; it returns soon after its context is over.
type Depot interface {
	ExpireSessions(ctx context.Context) error  // marks backup sessions void whose heartbeat has lapsed
	SweepAccounts(ctx context.Context) error   // deletes what has run out: logins, invitations, enrolment codes
	TickPolicies(ctx context.Context) error    // writes a run for every slot of every policy and device, and rings
	TickSchedules(ctx context.Context) error   // likewise, of every slot of every schedule of an application
	SweepRuns(ctx context.Context) error       // ends what is overdue or abandoned, rings again what was not heard
	PruneRuns(ctx context.Context) error       // deletes runs that are history
	AlarmStale(ctx context.Context) error      // tells of devices without a backup for days
	RetainSnapshots(ctx context.Context) error // deletes what no policy keeps
	CollectSpaces(ctx context.Context) error   // rings for spaces that are due for cleaning
	ScrubPacks(ctx context.Context) error      // re-hashes a bounded portion of the packs that were not verified for longest
	SampleStorage(ctx context.Context) error   // notes what is stored, and tells if room is short
	BackUpMetadata(ctx context.Context) error  // stores the database, sealed, if a day has passed
	CopyToReplicas(ctx context.Context) error  // brings replicas of the store up to date
	CheckReplicas(ctx context.Context) error   // lists replicas now and then, and reads a slice of what is in them
	SendNotices(ctx context.Context) error     // makes mails of notifications, and sends those that wait
	SendDigests(ctx context.Context) error     // writes the digests that are due
	SweepNotices(ctx context.Context) error    // deletes old notifications and mails

	CollectSpace(ctx context.Context, space string) error // cleans one space
	CopyNow(ctx context.Context, why string) error        // brings replicas of the store up to date, because there is something new
	RunCare(ctx context.Context, kind string) error       // does a kind of care now, because somebody asked
}

// tick is one periodic task. Its failure is logged, and its next slot is the repeat.
type tick struct {
	name  string
	every time.Duration // slots begin at multiples of it since the epoch; also the longest a run may take
	do    func(Depot, context.Context) error
}

var ticks = []tick{
	{"sessions.expire", time.Minute, Depot.ExpireSessions},
	{"accounts.sweep", time.Hour, Depot.SweepAccounts},
	{"policies.tick", time.Minute, Depot.TickPolicies},
	{"schedules.tick", time.Minute, Depot.TickSchedules},
	{"runs.sweep", 30 * time.Second, Depot.SweepRuns},
	{"runs.prune", 24 * time.Hour, Depot.PruneRuns},
	{"devices.stale", time.Hour, Depot.AlarmStale},
	{"snapshots.retain", time.Hour, Depot.RetainSnapshots},
	{"spaces.collect", 10 * time.Minute, Depot.CollectSpaces},
	{"packs.scrub", 10 * time.Minute, Depot.ScrubPacks},
	{"storage.sample", time.Hour, Depot.SampleStorage},
	{"metadata.backup", time.Hour, Depot.BackUpMetadata},
	{"replicas.sweep", 5 * time.Minute, Depot.CopyToReplicas},
	{"replicas.check", time.Hour, Depot.CheckReplicas},
	{"notices.send", 15 * time.Second, Depot.SendNotices},
	{"notices.digest", 10 * time.Minute, Depot.SendDigests},
	{"notices.sweep", 24 * time.Hour, Depot.SweepNotices},
}

// task is one that is rung for an id. Its failure is retried by the queue, later and later; in the end it is dead, which administrators
// see and can undo.
type task struct {
	name string
	do   func(Depot, context.Context, string) error
}

var tasks = []task{
	{depot.TaskCollect, Depot.CollectSpace},
	{depot.TaskCare, Depot.RunCare},
	{depot.TaskCopy, Depot.CopyNow},
}

// Metrics counts tasks.
type Metrics interface {
	Task(name string, took time.Duration, err error)
}

// Config is what a worker stands on.
type Config struct {
	Depot   Depot
	Redis   bus.Client // stays the caller's: see bus.Connect
	Metrics Metrics    // nil: nothing is counted
	Log     *slog.Logger
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
	for _, t := range tasks {
		handlers[t.name] = rung(cfg, t)
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
	<-ctx.Done() // with no periodic task there is no clock to wait for
	return nil
}

// handler runs a periodic task. Its failure is logged and is no failure for the queue: the next slot is the repeat.
func handler(cfg Config, t tick) queue.Handler {
	return func(ctx context.Context, slot string) error {
		// A run that takes longer than a slot would meet its successor.
		ctx, cancel := context.WithTimeout(ctx, t.every)
		defer cancel()
		perform(cfg, t.name, "slot", slot, func() error { return t.do(cfg.Depot, ctx) })
		return nil
	}
}

// rung runs a task for an id. Its failure is the queue's to repeat.
func rung(cfg Config, t task) queue.Handler {
	return func(ctx context.Context, id string) error {
		return perform(cfg, t.name, "id", id, func() error { return t.do(cfg.Depot, ctx, id) })
	}
}

// perform runs a task, counts it and logs how it ended. A panic is an error.
func perform(cfg Config, name, key, value string, do func() error) (err error) {
	log := cfg.Log.With("task", name, key, value)
	began := time.Now()
	defer func() {
		took := time.Since(began)
		if p := recover(); p != nil {
			err = fmt.Errorf("task %s panicked: %v", name, p)
			log.Error("a task panicked", "panic", p, "stack", string(debug.Stack()))
		} else if err != nil {
			log.Error("a task failed and will be repeated", "err", err, "took", took)
		} else {
			log.Debug("a task is done", "took", took)
		}
		if cfg.Metrics != nil {
			cfg.Metrics.Task(name, took, err)
		}
	}()
	return do()
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
