package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/queue"
)

// diary is a depot that notes what it was asked for.
type diary struct {
	mu    sync.Mutex
	runs  map[string]int
	fails error
}

func (d *diary) note(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runs == nil {
		d.runs = map[string]int{}
	}
	d.runs[what]++
	return d.fails
}

func (d *diary) count(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.runs[what]
}

func (d *diary) ExpireSessions(context.Context) error  { return d.note("expire") }
func (d *diary) SweepAccounts(context.Context) error   { return d.note("sweep") }
func (d *diary) TickPolicies(context.Context) error    { return d.note("policies") }
func (d *diary) TickSchedules(context.Context) error   { return d.note("schedules") }
func (d *diary) SweepRuns(context.Context) error       { return d.note("runs") }
func (d *diary) PruneRuns(context.Context) error       { return d.note("prune") }
func (d *diary) AlarmStale(context.Context) error      { return d.note("stale") }
func (d *diary) RetainSnapshots(context.Context) error { return d.note("retain") }
func (d *diary) CollectSpaces(context.Context) error   { return d.note("spaces") }
func (d *diary) SampleStorage(context.Context) error   { return d.note("sample") }
func (d *diary) BackUpMetadata(context.Context) error  { return d.note("metadata") }
func (d *diary) CopyToReplicas(context.Context) error  { return d.note("replicas") }
func (d *diary) CheckReplicas(context.Context) error   { return d.note("replicas checked") }
func (d *diary) SendNotices(context.Context) error     { return d.note("notices") }
func (d *diary) SendDigests(context.Context) error     { return d.note("digests") }
func (d *diary) SweepNotices(context.Context) error    { return d.note("old notices") }

func (d *diary) CollectSpace(_ context.Context, space string) error { return d.note("space " + space) }
func (d *diary) CopyNow(_ context.Context, why string) error        { return d.note("copy " + why) }
func (d *diary) RunCare(_ context.Context, kind string) error       { return d.note("care " + kind) }

func (d *diary) ScrubPacks(context.Context) error {
	d.note("scrub")
	panic("out of paper")
}

func private(t *testing.T) (*local.Local, redis.UniversalClient) {
	t.Helper()
	l, err := local.Start(t.Context(), local.Config{Dir: t.TempDir(), NoPostgres: true, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, client(t, l)
}

func client(t *testing.T, l *local.Local) redis.UniversalClient {
	c, err := bus.Connect(t.Context(), l.RedisURL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// work runs a worker until the test ends.
func work(t *testing.T, cfg Config, ticks []tick) (stop func()) {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, cfg, ticks) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(15 * time.Second):
			t.Error("the worker does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestNames keeps the table complete: names and periods are what dashboards and docs refer to.
func TestNames(t *testing.T) {
	t.Parallel()
	var got []string
	for _, k := range ticks {
		got = append(got, fmt.Sprint(k.name, " ", k.every))
	}
	want := "sessions.expire 1m0s, accounts.sweep 1h0m0s, policies.tick 1m0s, schedules.tick 1m0s, runs.sweep 30s, runs.prune 24h0m0s, devices.stale 1h0m0s, " +
		"snapshots.retain 1h0m0s, spaces.collect 10m0s, packs.scrub 10m0s, storage.sample 1h0m0s, metadata.backup 1h0m0s, replicas.sweep 5m0s, replicas.check 1h0m0s, " +
		"notices.send 15s, notices.digest 10m0s, notices.sweep 24h0m0s"
	if s := strings.Join(got, ", "); s != want {
		t.Error(s)
	}
}

// counts notes what tasks came to.
type counts struct {
	mu   sync.Mutex
	well map[string]int
	bad  map[string]int
}

func (c *counts) Task(name string, _ time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.bad[name]++
	} else {
		c.well[name]++
	}
}

// TestRung: a task that is rung for an id is done for it, and one that fails is tried again until it is dead, which shows.
func TestRung(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	d, c := &diary{}, &counts{well: map[string]int{}, bad: map[string]int{}}
	work(t, Config{Depot: d, Redis: r, Metrics: c}, nil)
	client := queue.NewClient(r)
	if err := client.Ring(t.Context(), depot.TaskCollect, "spc_1"); err != nil {
		t.Fatal(err)
	}
	if err := client.Ring(t.Context(), depot.TaskCare, "gc"); err != nil {
		t.Fatal(err)
	}
	until(t, "both are done", func() bool { return d.count("space spc_1") == 1 && d.count("care gc") == 1 })
	d.mu.Lock()
	d.fails = errors.New("full moon")
	d.mu.Unlock()
	if err := client.Ring(t.Context(), depot.TaskCollect, "spc_2"); err != nil {
		t.Fatal(err)
	}
	until(t, "it failed", func() bool { return d.count("space spc_2") > 0 })
	inspector := queue.NewInspector(r)
	until(t, "it waits for its next try, and says why", func() bool {
		tasks, err := inspector.Tasks(t.Context(), actor.System(), queue.Retry, 1, 10)
		return err == nil && len(tasks) == 1 && strings.Contains(tasks[0].LastError, "full moon")
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.well[depot.TaskCollect] != 1 || c.well[depot.TaskCare] != 1 || c.bad[depot.TaskCollect] == 0 {
		t.Errorf("counted: %v, %v", c.well, c.bad)
	}
}

// TestOnce: with two workers each slot runs once, the present one at once; a task that fails or panics harms nobody.
func TestOnce(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	d := &diary{fails: errors.New("full moon")}
	began := time.Now()
	for range 2 {
		work(t, Config{Depot: d, Redis: r}, ticks)
	}
	until(t, "all three tasks ran", func() bool { return d.count("expire") > 0 && d.count("sweep") > 0 && d.count("scrub") > 0 })
	time.Sleep(1500 * time.Millisecond) // asynq looks for work every second
	// A slot may have begun while we looked.
	slots := func(every time.Duration) int {
		return int(time.Now().Truncate(every).Sub(began.Truncate(every))/every) + 1
	}
	for what, every := range map[string]time.Duration{"expire": time.Minute, "sweep": time.Hour, "scrub": 10 * time.Minute} {
		if n := d.count(what); n > slots(every) {
			t.Errorf("%s ran %d times in %d slots", what, n, slots(every))
		}
	}
	// A worker that comes later in the slot does not repeat it.
	before := d.count("sweep")
	work(t, Config{Depot: d, Redis: r}, ticks[1:2])
	time.Sleep(1200 * time.Millisecond)
	if n := d.count("sweep"); n > max(before, slots(time.Hour)) {
		t.Errorf("a late worker repeated the slot: %d runs", n)
	}
}

// TestRedisTrouble: kill -9 and FLUSHALL of Redis lose at most slots.
func TestRedisTrouble(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	d := &diary{}
	fast := []tick{{"fast", time.Second, Depot.ExpireSessions}}
	for range 2 {
		work(t, Config{Depot: d, Redis: r}, fast)
	}
	goesOn := func(after string) {
		t.Helper()
		n := d.count("expire")
		until(t, "two more runs after "+after, func() bool { return d.count("expire") >= n+2 })
	}
	goesOn("the start")
	var pid int
	info, err := r.Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		fmt.Sscanf(line, "process_id:%d", &pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	goesOn("kill -9")
	if err := r.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	goesOn("FLUSHALL")
}

// TestRedisAwayAtStart: a worker may be started before Redis.
func TestRedisAwayAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := local.Config{Dir: dir, NoPostgres: true, Throwaway: true}
	l, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := client(t, l)
	l.Close()
	d := &diary{}
	work(t, Config{Depot: d, Redis: r}, ticks)
	time.Sleep(100 * time.Millisecond)
	if l, err = local.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	until(t, "a run after Redis came", func() bool { return d.count("expire") > 0 })
}

type slow struct {
	diary
	began, ended chan struct{}
}

func (s *slow) SweepAccounts(ctx context.Context) error {
	close(s.began)
	<-ctx.Done()
	close(s.ended)
	return ctx.Err()
}

// TestStop: stopping ends running tasks by their contexts, and soon.
func TestStop(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	d := &slow{began: make(chan struct{}), ended: make(chan struct{})}
	stop := work(t, Config{Depot: d, Redis: r}, ticks[1:2])
	<-d.began
	at := time.Now()
	stop()
	select {
	case <-d.ended:
	default:
		t.Error("stopped before the task had ended")
	}
	if took := time.Since(at); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
