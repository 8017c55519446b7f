package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

var discard = slog.New(slog.DiscardHandler)

// private returns a client of a Redis of the test's own: all tests use one queue.
func private(t *testing.T) (*local.Local, redis.UniversalClient) {
	t.Helper()
	l, err := local.Start(t.Context(), local.Config{Dir: t.TempDir(), NoPostgres: true, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	c, err := bus.Connect(t.Context(), l.RedisURL(), discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return l, c
}

func serve(t *testing.T, r redis.UniversalClient, handlers map[string]Handler) *Server {
	t.Helper()
	s, err := Serve(r, discard, handlers)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ring(t *testing.T, c *Client, name, id string) {
	t.Helper()
	if err := c.Ring(t.Context(), name, id); err != nil {
		t.Fatal(err)
	}
}

func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(15 * time.Second):
		t.Fatal("it did not happen")
		panic("unreachable")
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	c := NewClient(r)
	// Rung three times before anybody works: one run for each id.
	for range 3 {
		ring(t, c, "look", "a")
	}
	ring(t, c, "look", "b")
	runs := make(chan string, 10)
	hold := make(chan struct{})
	s := serve(t, r, map[string]Handler{"look": func(_ context.Context, id string) error {
		runs <- id
		if id == "a" {
			<-hold
		}
		return nil
	}})
	defer s.Stop()
	seen := map[string]int{}
	seen[wait(t, runs)]++
	seen[wait(t, runs)]++
	if seen["a"] != 1 || seen["b"] != 1 {
		t.Fatalf("runs: %v", seen)
	}
	// "a" is running: a ring now must not be swallowed, and two are one.
	ring(t, c, "look", "a")
	if got := wait(t, runs); got != "a" {
		t.Errorf("got %s", got)
	}
	close(hold)
	time.Sleep(50 * time.Millisecond) // until both have ended
	ring(t, c, "look", "a")
	if got := wait(t, runs); got != "a" {
		t.Errorf("after it was done: got %s", got)
	}
}

// TestRingAfterFailure: an id whose task failed, for now or for good, can be rung again.
func TestRingAfterFailure(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	c := NewClient(r)
	runs := make(chan struct{}, 10)
	var answer atomic.Value
	answer.Store(errors.New("not now"))
	s := serve(t, r, map[string]Handler{"look": func(context.Context, string) error {
		defer func() { runs <- struct{}{} }()
		return answer.Load().(error)
	}})
	defer s.Stop()
	until := func(state asynq.TaskState) {
		t.Helper()
		for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if info, err := c.inspector.GetTaskInfo(queueName, "look:a"); err == nil && info.State == state {
				return
			}
			if time.Now().After(limit) {
				t.Fatalf("the task never came to be %v", state)
			}
		}
	}
	ring(t, c, "look", "a")
	wait(t, runs)
	until(asynq.TaskStateRetry)
	answer.Store(error(asynq.SkipRetry))
	ring(t, c, "look", "a")
	wait(t, runs)
	until(asynq.TaskStateArchived)
	ring(t, c, "look", "a")
	wait(t, runs)
}

func TestTick(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	clocks := []*Client{NewClient(r), NewClient(r)}
	slots := make(chan string, 10)
	s := serve(t, r, map[string]Handler{"tick": func(_ context.Context, slot string) error {
		slots <- slot
		return nil
	}})
	defer s.Stop()
	first := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		slot := first.Add(time.Duration(i) * time.Second)
		made := 0
		for range 2 {
			for _, c := range clocks {
				ok, err := c.Tick(t.Context(), "tick", slot, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					made++
				}
			}
		}
		if got := wait(t, slots); made != 1 || got != slot.Format(time.RFC3339) {
			t.Errorf("slot %v: made %d tasks, ran for %s", slot, made, got)
		}
		// Also after it is done.
		time.Sleep(20 * time.Millisecond)
		if ok, err := clocks[1].Tick(t.Context(), "tick", slot, time.Second); ok || err != nil {
			t.Errorf("slot %v after it was done: %v, %v", slot, ok, err)
		}
	}
}

// TestStop: a handler hears of the stop, and its task is not run again.
func TestStop(t *testing.T) {
	t.Parallel()
	_, r := private(t)
	began, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	h := map[string]Handler{"long": func(ctx context.Context, _ string) error {
		began <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return nil
	}}
	s := serve(t, r, h)
	ring(t, NewClient(r), "long", "x")
	wait(t, began)
	at := time.Now()
	s.Stop()
	if d := time.Since(at); d > 3*time.Second || len(ended) != 1 {
		t.Errorf("stopping took %v, %d handlers ended", d, len(ended))
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	l, r := private(t)
	c := NewClient(r)
	l.Close()
	if err := c.Ring(t.Context(), "x", "y"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("ring: %v", err)
	}
	if _, err := c.Tick(t.Context(), "x", time.Now(), time.Minute); !errors.Is(err, fault.Unavailable) {
		t.Errorf("tick: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ring(ctx, "x", "y"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
