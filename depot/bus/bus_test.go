package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func client(t *testing.T, at string) redis.UniversalClient {
	t.Helper()
	c, err := Connect(t.Context(), at, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// subscribe subscribes and waits until messages would arrive.
func subscribe(t *testing.T, b *Bus, topics ...string) *Sub {
	t.Helper()
	s := b.Subscribe(t.Context(), topics...)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Live(ctx); err != nil {
		t.Fatalf("the subscription to %q never came alive", topics)
	}
	return s
}

func next(t *testing.T, s *Sub) Message {
	t.Helper()
	select {
	case m, ok := <-s.C:
		if !ok {
			t.Fatal("the subscription is closed")
		}
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		panic("unreachable")
	}
}

func quiet(t *testing.T, s *Sub) {
	t.Helper()
	select {
	case m, ok := <-s.C:
		t.Fatalf("unexpected: %q %q (open: %v)", m.Topic, m.Data, ok)
	case <-time.After(50 * time.Millisecond):
	}
}

// worlds are two buses that should hear each other: two processes on one Redis, or one process without.
func worlds(t *testing.T, test func(t *testing.T, a, b *Bus)) {
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		at := pgtest.Redis(t)
		a, b := New(client(t, at)), New(client(t, at))
		t.Cleanup(a.Close)
		t.Cleanup(b.Close)
		test(t, a, b)
	})
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		b := New(nil)
		t.Cleanup(b.Close)
		test(t, b, b)
	})
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	worlds(t, func(t *testing.T, a, b *Bus) {
		topic := func(s string) string { return t.Name() + s }
		one := subscribe(t, a, topic("x"))
		both := subscribe(t, a, topic("x"), topic("y"))
		far := subscribe(t, b, topic("y"))
		b.Publish(t.Context(), topic("x"), []byte("1"))
		for _, s := range []*Sub{one, both} {
			if m := next(t, s); m.Topic != topic("x") || string(m.Data) != "1" {
				t.Errorf("got %+v", m)
			}
		}
		quiet(t, far)
		a.Publish(t.Context(), topic("y"), nil)
		for _, s := range []*Sub{far, both} {
			if m := next(t, s); m.Topic != topic("y") || len(m.Data) != 0 {
				t.Errorf("got %+v", m)
			}
		}
		one.Close()
		one.Close()
		if _, open := <-one.C; open {
			t.Error("C is open after Close")
		}
		b.Publish(t.Context(), topic("x"), []byte("2"))
		if m := next(t, both); string(m.Data) != "2" {
			t.Errorf("got %+v", m)
		}
		// Unsubscribed and subscribed again.
		both.Close()
		again := subscribe(t, a, topic("x"))
		b.Publish(t.Context(), topic("x"), []byte("3"))
		if m := next(t, again); string(m.Data) != "3" {
			t.Errorf("got %+v", m)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	worlds(t, func(t *testing.T, a, _ *Bus) {
		ctx, cancel := context.WithCancel(t.Context())
		byContext := a.Subscribe(ctx, t.Name())
		byBus := a.Subscribe(t.Context(), t.Name())
		cancel()
		if _, open := <-byContext.C; open {
			t.Error("a message instead of the end")
		}
		a.Close()
		if _, open := <-byBus.C; open {
			t.Error("a message instead of the end")
		}
		late := a.Subscribe(t.Context(), t.Name())
		if _, open := <-late.C; open {
			t.Error("a closed bus took a subscriber")
		}
		late.Close()
	})
}

// TestSlowReader: one that never reads costs the others nothing.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	worlds(t, func(t *testing.T, a, b *Bus) {
		slow, fast := subscribe(t, a, t.Name()), subscribe(t, a, t.Name())
		for i := range 200 {
			b.Publish(t.Context(), t.Name(), []byte{byte(i)})
			if m := next(t, fast); m.Data[0] != byte(i) {
				t.Fatalf("message %d: got %v", i, m.Data)
			}
		}
		if n := len(slow.C); n != buffer {
			t.Errorf("the slow reader has %d messages, want %d", n, buffer)
		}
		if m := next(t, slow); m.Data[0] != 0 {
			t.Errorf("the slow reader's first: %v", m.Data)
		}
	})
}

func TestNil(t *testing.T) {
	t.Parallel()
	var b *Bus
	b.Publish(t.Context(), "x", nil)
	s := b.Subscribe(t.Context(), "x")
	quiet(t, s)
	s.Close()
	b.Close()
}

// TestOneConnection: however many subscribe, Redis sees one subscriber connection, and none after the last has gone.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	c := private(t)
	b := New(c.client)
	t.Cleanup(b.Close)
	count := func() int {
		list, err := c.client.Do(t.Context(), "CLIENT", "LIST", "TYPE", "PUBSUB").Text()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, ch := range list {
			if ch == '\n' {
				n++
			}
		}
		return n
	}
	var subs []*Sub
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			s := b.Subscribe(t.Context(), fmt.Sprint("topic", i%20), "shared")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := s.Live(ctx); err != nil {
				t.Error(err)
			}
			mu.Lock()
			subs = append(subs, s)
			mu.Unlock()
		})
	}
	wg.Wait()
	if n := count(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	for _, s := range subs {
		s.Close()
	}
	for limit := time.Now().Add(5 * time.Second); count() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the connection stays open without subscribers")
		}
	}
	subscribe(t, b, "again")
}

type privateRedis struct {
	local  *local.Local
	client redis.UniversalClient
}

// private starts a Redis that the test may kill.
func private(t *testing.T) privateRedis {
	t.Helper()
	l, err := local.Start(t.Context(), local.Config{Dir: t.TempDir(), NoPostgres: true, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return privateRedis{l, client(t, l.RedisURL())}
}

// TestRedisKilled: after kill -9 of Redis subscribers are told to look, and hear again.
func TestRedisKilled(t *testing.T) {
	t.Parallel()
	r := private(t)
	b := New(r.client)
	t.Cleanup(b.Close)
	subs := []*Sub{subscribe(t, b, "x"), subscribe(t, b, "x", "y")}
	for round := range 2 {
		info, err := r.client.Info(t.Context(), "server").Result()
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		for line := range strings.Lines(info) {
			fmt.Sscanf(line, "process_id:%d", &pid)
		}
		if pid <= 0 || pid == os.Getpid() {
			t.Fatalf("pid %d", pid)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.Publish(t.Context(), "x", []byte("lost, perhaps")) // must not fail or hang
		for _, s := range subs {
			for m := next(t, s); m.Topic != ""; m = next(t, s) {
			}
		}
		// Both topics are confirmed by now or soon; the hint may come twice for two topics.
		for limit := time.Now().Add(10 * time.Second); ; {
			b.Publish(t.Context(), "y", []byte("back"))
			if m := next(t, subs[1]); string(m.Data) == "back" {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("round %d: nothing is heard after the restart", round)
			}
		}
		for len(subs[1].C) > 0 {
			<-subs[1].C
		}
	}
}

// TestRedisAway: subscribing while Redis is away works as soon as it is there.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := local.Start(t.Context(), local.Config{Dir: dir, NoPostgres: true, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	b := New(client(t, l.RedisURL()))
	t.Cleanup(b.Close)
	l.Close()
	s := b.Subscribe(t.Context(), "x")
	b.Publish(t.Context(), "x", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Live(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("live without Redis: %v", err)
	}
	l, err = local.Start(t.Context(), local.Config{Dir: dir, NoPostgres: true, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Live(ctx); err != nil {
		t.Fatal(err)
	}
	b.Publish(t.Context(), "x", []byte("1"))
	for m := next(t, s); string(m.Data) != "1"; m = next(t, s) {
	}
}

// TestNobodyWaitsForRedis: with many to ring, a Redis that is away costs a moment and not a moment each.
func TestNobodyWaitsForRedis(t *testing.T) {
	t.Parallel()
	r := private(t)
	b := New(r.client)
	t.Cleanup(b.Close)
	r.local.Close()
	began := time.Now()
	for range 200 {
		b.Publish(t.Context(), "x", nil)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("200 hints took %v", took)
	}
}

// TestResubscribe: a subscription that is called live hears, however quickly the one before it went.
func TestResubscribe(t *testing.T) {
	t.Parallel()
	at := pgtest.Redis(t)
	a, b := New(client(t, at)), New(client(t, at))
	t.Cleanup(a.Close)
	for i := range 200 {
		s := subscribe(t, a, t.Name())
		b.Publish(t.Context(), t.Name(), []byte{byte(i)})
		for m := next(t, s); len(m.Data) == 0 || m.Data[0] != byte(i); m = next(t, s) {
		}
		s.Close()
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		url  string
		kind fault.Kind
		says string
	}{
		{"unix://" + dir + "/nobody.sock", fault.Unavailable, "nobody.sock"},
		{"redis://:secret@127.0.0.1:1/0", fault.Unavailable, "127.0.0.1:1"},
		{"http://:secret@host", fault.Invalid, "want redis://"},
		{"redis://:secret@%zz", fault.Invalid, "want redis://"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := Connect(ctx, c.url, slog.New(slog.DiscardHandler))
		cancel()
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}
