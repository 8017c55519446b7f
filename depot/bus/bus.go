// Package bus carries hints between the processes of one installation, over Redis pub/sub.
//
// A message says "look": at a device whose progress changed, at a user whose credentials were revoked. It is never the
// news itself. PostgreSQL holds the truth, and any message may be lost: while Redis is away, while a connection is made anew,
// or because a subscriber reads too slowly. A subscriber that must not miss anything looks at the table now and then. After
// the bus had to reconnect it tells every subscriber so (an empty [Message]), because something may have been missed: then look, too.
//
// All subscriptions of a process share one connection to Redis, which exists while there are any. Nobody waits for a slow reader: its
// messages are dropped.
//
// A nil *Bus, and one made with [New] of nil, carries nothing beyond this process and needs no Redis: for tests and for tools.
package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Message is one hint.
type Message struct {
	Topic string // "" if the bus was cut off for a while: something may have been missed
	Data  []byte // shared with other subscribers: not to be changed
}

const (
	buffer         = 16 // messages that a subscriber may be behind
	prefix         = "holdfast:bus:"
	publishTimeout = 2 * time.Second
	publishPause   = time.Second // after a hint that could not be sent
	pingEvery      = 15 * time.Second
	minRetry       = 50 * time.Millisecond
	maxRetry       = 2 * time.Second
)

// Bus sends and receives hints. It is safe for concurrent use.
type Bus struct {
	client redis.UniversalClient // nil: this process only
	log    *slog.Logger
	away   atomic.Int64 // until then Redis counts as away, for Publish: nanoseconds since 1970

	mu      sync.Mutex
	topics  map[string]map[*Sub]struct{} // whom each topic interests; no empty sets
	heard   map[string]bool              // topics that Redis has confirmed on the present connection
	running context.CancelFunc           // of the goroutine that keeps the connection; nil if there is none
	changed chan struct{}                // of that goroutine: holds one token when topics may differ from what Redis was asked for
	done    sync.WaitGroup
	closed  bool
}

// New returns a bus over Redis. The client stays the caller's; it is used, never closed.
func New(client redis.UniversalClient) *Bus {
	return &Bus{client: client, log: slog.New(slog.DiscardHandler),
		topics: map[string]map[*Sub]struct{}{}, heard: map[string]bool{}}
}

// WithLog makes the bus log lost connections. It is called before the bus is used.
func (b *Bus) WithLog(log *slog.Logger) *Bus {
	b.log = log
	return b
}

// Publish sends a hint to the topic's subscribers in every process. It never fails: what cannot be sent within
// two seconds is lost, as any hint may be. So it is called after the transaction whose outcome it hints at, never within.
//
// After one that was lost, all others are lost for a second, unless the bus hears from Redis before. Whoever has thousands of devices to ring
// does not wait two seconds for each.
func (b *Bus) Publish(ctx context.Context, topic string, msg []byte) {
	if b == nil {
		return
	}
	if b.client == nil {
		b.deliver(Message{topic, msg})
		return
	}
	if time.Now().UnixNano() < b.away.Load() {
		return
	}
	// The hint is about something that has happened, whether or not the caller still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if err := b.client.Publish(ctx, prefix+topic, msg).Err(); err != nil {
		b.away.Store(time.Now().Add(publishPause).UnixNano())
		b.log.Warn("a hint is lost, and all others for a moment", "topic", topic, "err", err)
	}
}

// Sub is a subscription.
type Sub struct {
	C <-chan Message // closed by [Sub.Close], by the end of the context, and by [Bus.Close]

	bus    *Bus
	c      chan Message
	topics []string
	stop   func() bool // of the context's watch
	live   chan struct{}
	lived  bool
	closed bool
}

// Subscribe begins to listen to topics, until Close or the end of ctx. Messages that are published after Redis has confirmed the
// subscription arrive (unless lost, see above): [Sub.Live] waits for that. It does not fail when Redis is away: the messages begin when it is back.
func (b *Bus) Subscribe(ctx context.Context, topics ...string) *Sub {
	c := make(chan Message, buffer)
	s := &Sub{C: c, c: c, bus: b, topics: topics, live: make(chan struct{})}
	if b == nil {
		s.bus = New(nil)
		b = s.bus
	}
	b.mu.Lock()
	if b.closed {
		s.closed = true
		close(c)
		b.mu.Unlock()
		return s
	}
	for _, t := range topics {
		if b.topics[t] == nil {
			b.topics[t] = map[*Sub]struct{}{}
		}
		b.topics[t][s] = struct{}{}
	}
	s.stop = context.AfterFunc(ctx, s.Close)
	if b.client != nil && b.running == nil {
		// Its predecessor may still be on its way out: they share nothing that matters.
		ctx, cancel := context.WithCancel(context.Background())
		changed := make(chan struct{}, 1)
		b.running, b.changed = cancel, changed
		clear(b.heard)
		b.done.Go(func() { b.run(ctx, changed) })
	}
	b.confirm(s)
	kick(b.changed)
	b.mu.Unlock()
	return s
}

// Live waits until Redis has confirmed the subscription, so that what is published from now on arrives. It
// returns the context's error if that takes too long.
func (s *Sub) Live(ctx context.Context) error {
	select {
	case <-s.live:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the subscription and closes C. It may be called more than once.
func (s *Sub) Close() {
	b := s.bus
	b.mu.Lock()
	b.end(s)
	if len(b.topics) == 0 {
		b.disconnect()
	}
	kick(b.changed)
	b.mu.Unlock()
}

// end removes a subscription; b.mu is held.
func (b *Bus) end(s *Sub) {
	if s.closed {
		return
	}
	s.closed = true
	s.stop()
	close(s.c)
	for _, t := range s.topics {
		delete(b.topics[t], s)
		if len(b.topics[t]) == 0 {
			delete(b.topics, t)
		}
	}
}

// confirm marks a subscription as live if all its topics are; b.mu is held.
func (b *Bus) confirm(s *Sub) {
	if s.lived {
		return
	}
	for _, t := range s.topics {
		if b.client != nil && !b.heard[t] {
			return
		}
	}
	s.lived = true
	close(s.live)
}

// disconnect ends the connection and its goroutines; b.mu is held.
func (b *Bus) disconnect() {
	if b.running != nil {
		b.running()
		b.running, b.changed = nil, nil
	}
}

// kick makes a connection look at the topics again. Nil is no connection.
func kick(changed chan struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// Close ends all subscriptions and waits until the connection is gone.
func (b *Bus) Close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.closed = true
	for _, subs := range b.topics {
		for s := range subs {
			b.end(s)
		}
	}
	b.disconnect()
	b.mu.Unlock()
	b.done.Wait()
}

// run keeps the connection until ctx is over.
func (b *Bus) run(ctx context.Context, changed chan struct{}) {
	retry := minRetry
	for first := true; ctx.Err() == nil; first = false {
		began := time.Now()
		err := b.read(ctx, changed, !first)
		if ctx.Err() != nil {
			return
		}
		b.log.Warn("the connection for hints broke", "err", err, "again in", retry)
		if time.Since(began) > maxRetry {
			retry = minRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, maxRetry)
	}
}

// read makes a connection and delivers what comes until it breaks.
func (b *Bus) read(ctx context.Context, changed chan struct{}, again bool) error {
	conn := b.client.Subscribe(ctx) // connects with its first command
	defer conn.Close()
	// Closing is the only thing that wakes a blocked read.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.Ping(ctx); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	b.mu.Lock()
	if ctx.Err() == nil { // else what was heard is our successor's
		clear(b.heard)
	}
	b.mu.Unlock()
	asking.Go(func() { b.ask(ctx, conn, changed) })
	kick(changed)

	pinged := false
	for {
		got, err := conn.ReceiveTimeout(ctx, pingEvery)
		if err != nil {
			if !isTimeout(err) || pinged || ctx.Err() != nil {
				return err
			}
			// Silence: ask, and take a second silence for death.
			if err := conn.Ping(ctx); err != nil {
				return err
			}
			pinged = true
			continue
		}
		pinged = false
		switch m := got.(type) {
		case *redis.Message:
			b.deliver(Message{m.Channel[len(prefix):], []byte(m.Payload)})
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				b.hear(ctx, m.Channel[len(prefix):], again)
			}
		}
	}
}

// ask keeps what Redis was asked for equal to what the subscribers want, until ctx is over or the connection
// breaks, which its reader notices. It never holds the bus's mutex while it talks.
func (b *Bus) ask(ctx context.Context, conn *redis.PubSub, changed <-chan struct{}) {
	asked := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		var more, less []string
		b.mu.Lock()
		if ctx.Err() != nil {
			b.mu.Unlock()
			return
		}
		for t := range b.topics {
			if !asked[t] {
				asked[t] = true
				more = append(more, prefix+t)
			}
		}
		for t := range asked {
			if b.topics[t] == nil {
				delete(asked, t)
				delete(b.heard, t)
				less = append(less, prefix+t)
			}
		}
		b.mu.Unlock()
		if len(less) > 0 && conn.Unsubscribe(ctx, less...) != nil {
			return
		}
		if len(more) > 0 && conn.Subscribe(ctx, more...) != nil {
			return
		}
	}
}

// hear notes that Redis has confirmed a topic. After a reconnect its subscribers are told to look.
func (b *Bus) hear(ctx context.Context, topic string, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil || b.topics[topic] == nil {
		return // over, or unsubscribed meanwhile
	}
	b.heard[topic] = true
	b.away.Store(0)
	for s := range b.topics[topic] {
		if again && s.lived {
			s.offer(Message{})
		}
		b.confirm(s)
	}
}

// deliver hands a message to the topic's subscribers, and drops it for those whose buffers are full.
func (b *Bus) deliver(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.topics[m.Topic] {
		s.offer(m)
	}
}

// offer gives a message without waiting; the bus's mutex keeps c open meanwhile. A full buffer needs no more: whoever
// reads it later looks later.
func (s *Sub) offer(m Message) {
	select {
	case s.c <- m:
	default:
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
