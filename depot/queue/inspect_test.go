package queue

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// tasks returns the tasks in a state.
func tasks(t *testing.T, i *Inspector, s State) []TaskInfo {
	t.Helper()
	list, err := i.Tasks(t.Context(), actor.System(), s, 1, MaxTasks)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// until waits for one task in a state.
func until(t *testing.T, i *Inspector, s State) TaskInfo {
	t.Helper()
	for limit := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if list := tasks(t, i, s); len(list) == 1 {
			return list[0]
		}
		if time.Now().After(limit) {
			t.Fatalf("no task came to be %s", s)
		}
	}
}

func counts(t *testing.T, i *Inspector) QueueInfo {
	t.Helper()
	q, err := i.Queues(t.Context(), actor.System())
	if err != nil || len(q) != 1 {
		t.Fatalf("%v, %v", q, err)
	}
	return q[0]
}

// TestInspectLife follows a task that dies, is run again, dies again and is deleted.
func TestInspectLife(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	c, i := NewClient(r), NewInspector(r)

	// Nothing was ever queued: nothing is wrong.
	if q, err := i.Queues(t.Context(), actor.System()); err != nil || len(q) != 0 {
		t.Errorf("%v, %v", q, err)
	}
	if list := tasks(t, i, Pending); len(list) != 0 {
		t.Errorf("%v", list)
	}
	for _, err := range []error{i.Retry(t.Context(), actor.System(), "look:a"), i.Delete(t.Context(), actor.System(), "look:a")} {
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	}

	ring(t, c, "look", "a")
	if got := until(t, i, Pending); got.ID != "look:a" || got.Name != "look" || got.Payload != "a" || got.State != Pending || got.MaxRetry != ringRetries || !got.LastFailedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if q := counts(t, i); q.Name != queueName || q.Pending != 1 || q.Latency <= 0 || q.MemoryBytes <= 0 || q.Processed != 0 || q.Paused {
		t.Errorf("%+v", q)
	}
	if err := i.Delete(t.Context(), actor.System(), "look:a"); !errors.Is(err, fault.Conflict) {
		t.Errorf("deleting a task that waits: %v", err)
	}
	if err := i.Retry(t.Context(), actor.System(), "look:a"); err != nil {
		t.Errorf("running a task that waits: %v", err)
	}

	runs, hold := make(chan struct{}, 10), make(chan struct{})
	var answer atomic.Value
	answer.Store(error(asynq.SkipRetry))
	s := serve(t, r, map[string]Handler{"look": func(context.Context, string) error {
		runs <- struct{}{}
		<-hold
		return answer.Load().(error)
	}})
	defer s.Stop()
	wait(t, runs)
	until(t, i, Active)
	if err := i.Retry(t.Context(), actor.System(), "look:a"); err != nil {
		t.Errorf("running a task that runs: %v", err)
	}
	if err := i.Delete(t.Context(), actor.System(), "look:a"); !errors.Is(err, fault.Conflict) {
		t.Errorf("deleting a task that runs: %v", err)
	}
	close(hold)

	dead := until(t, i, Archived)
	if dead.LastError != asynq.SkipRetry.Error() || time.Since(dead.LastFailedAt).Abs() > time.Minute || dead.State != Archived {
		t.Errorf("%+v", dead)
	}
	if q := counts(t, i); q.Archived != 1 || q.Processed != 1 || q.Failed != 1 || q.Pending != 0 {
		t.Errorf("%+v", q)
	}

	// Run again: it fails for now this time.
	answer.Store(error(errors.New("not now")))
	if err := i.Retry(t.Context(), actor.System(), dead.ID); err != nil {
		t.Fatal(err)
	}
	wait(t, runs)
	again := until(t, i, Retry)
	if again.Retried != 1 || again.LastError != "not now" || !again.NextAt.After(time.Now()) {
		t.Errorf("%+v", again)
	}
	if err := i.Retry(t.Context(), actor.System(), dead.ID); err != nil {
		t.Fatal(err)
	}
	wait(t, runs)
	until(t, i, Retry)
	if err := i.Delete(t.Context(), actor.System(), dead.ID); err != nil {
		t.Fatal(err)
	}
	if list := tasks(t, i, Retry); len(list) != 0 {
		t.Errorf("deleted, and still there: %+v", list)
	}
	if err := i.Delete(t.Context(), actor.System(), dead.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("twice: %v", err)
	}
	ring(t, c, "look", "a") // its id is free again
	wait(t, runs)
}

func TestInspectCompleted(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	c, i := NewClient(r), NewInspector(r)
	s := serve(t, r, map[string]Handler{"tick": func(context.Context, string) error { return nil }})
	defer s.Stop()
	if _, err := c.Tick(t.Context(), "tick", time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	done := until(t, i, Completed)
	if time.Since(done.CompletedAt).Abs() > time.Minute {
		t.Errorf("%+v", done)
	}
	if err := i.Retry(t.Context(), actor.System(), done.ID); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	if err := i.Delete(t.Context(), actor.System(), done.ID); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
}

func TestInspectPages(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	c, i := NewClient(r), NewInspector(r)
	for _, n := range []string{"a", "b", "c"} {
		ring(t, c, "look", n)
	}
	seen := map[string]bool{}
	for page := 1; page <= 3; page++ {
		list, err := i.Tasks(t.Context(), actor.System(), Pending, page, 2)
		if err != nil || len(list) != []int{2, 1, 0}[page-1] {
			t.Errorf("page %d: %v, %v", page, list, err)
		}
		for _, task := range list {
			seen[task.Payload] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("%v", seen)
	}
	for _, bad := range []struct {
		state      State
		page, size int
	}{{"", 1, 1}, {"dead", 1, 1}, {Pending, 0, 1}, {Pending, 1, 0}, {Pending, 1, MaxTasks + 1}} {
		if _, err := i.Tasks(t.Context(), actor.System(), bad.state, bad.page, bad.size); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := r.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if list := tasks(t, i, Pending); len(list) != 0 {
		t.Errorf("after a flush: %v", list)
	}
}

func TestInspectServers(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	i := NewInspector(r)
	if list, err := i.Servers(t.Context(), actor.System()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	began, hold := make(chan struct{}, 1), make(chan struct{})
	s := serve(t, r, map[string]Handler{"long": func(context.Context, string) error {
		began <- struct{}{}
		<-hold
		return nil
	}})
	defer s.Stop()
	defer close(hold)
	ring(t, NewClient(r), "long", "x")
	wait(t, began)
	for limit := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until its next heartbeat
		list, err := i.Servers(t.Context(), actor.System())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 && len(list[0].Running) == 1 {
			host, _ := os.Hostname()
			if w := list[0]; w.Host != host || w.PID != os.Getpid() || time.Since(w.Started).Abs() > time.Minute || w.Running[0].ID != "long:x" || w.Running[0].Name != "long" {
				t.Errorf("%+v", w)
			}
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%+v", list)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	l, r := private(t)
	i := NewInspector(r)
	all := func(ctx context.Context, a actor.Actor) []error {
		ask := []func() error{
			func() error { _, err := i.Queues(ctx, a); return err },
			func() error { _, err := i.Tasks(ctx, a, Pending, 1, 1); return err },
			func() error { _, err := i.Servers(ctx, a); return err },
			func() error { return i.Retry(ctx, a, "x") },
			func() error { return i.Delete(ctx, a, "x") },
		}
		errs := make([]error, len(ask))
		var wg sync.WaitGroup
		for n, f := range ask { // side by side: each waits for a Redis that is away
			wg.Go(func() { errs[n] = f() })
		}
		wg.Wait()
		return errs
	}
	for _, err := range all(t.Context(), actor.Actor{User: id.User{1}, Role: actor.Staff}) {
		if !errors.Is(err, fault.Forbidden) {
			t.Errorf("staff: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range all(ctx, actor.System()) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	l.Close()
	for _, err := range all(t.Context(), actor.System()) {
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("Redis away: %v", err)
		}
	}
}
