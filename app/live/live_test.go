package live

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// wire is a connection whose other end is a test.
type wire struct {
	ready, gone chan struct{}
	in          chan string
	out         chan map[string]any
	close       func()
}

func newWire() *wire {
	w := &wire{ready: make(chan struct{}), gone: make(chan struct{}), in: make(chan string, 16), out: make(chan map[string]any, 16)}
	w.close = sync.OnceFunc(func() { close(w.gone) })
	return w
}

func (w *wire) Ready() <-chan struct{}  { return w.ready }
func (w *wire) Gone() <-chan struct{}   { return w.gone }
func (w *wire) Messages() <-chan string { return w.in }
func (w *wire) Close()                  { w.close() }
func (w *wire) Send(text string) error {
	select {
	case <-w.gone:
		return errors.New("gone")
	default:
	}
	m := map[string]any{}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return err
	}
	w.out <- m
	return nil
}

// desk is a client, the connections that it makes, and what it is told.
type desk struct {
	t     *testing.T
	wires chan *wire
	ups   chan bool
	*Client
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, wires: make(chan *wire, 16), ups: make(chan bool, 16)}
	d.Client = New(func() Conn {
		w := newWire()
		d.wires <- w
		return w
	}, func(up bool) { d.ups <- up })
	go d.Run(t.Context())
	return d
}

func next[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("never: %s", what)
		panic("")
	}
}

// connect lets the next connection stand, and acknowledges it.
func (d *desk) connect() *wire {
	d.t.Helper()
	w := next(d.t, "a connection", d.wires)
	close(w.ready)
	if m := next(d.t, "the first word", w.out); m["type"] != "connection_init" {
		d.t.Fatalf("%v", m)
	}
	w.in <- `{"type":"connection_ack"}`
	if !next(d.t, "up", d.ups) {
		d.t.Error("it is down")
	}
	return w
}

type event struct {
	data string
	err  error
}

func (d *desk) subscribe(query string) (<-chan event, func()) {
	c := make(chan event, 16)
	return c, d.Subscribe(query, map[string]any{"n": 1}, func(data json.RawMessage, err error) { c <- event{string(data), err} })
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	events, stop := d.subscribe("subscription { a }")
	w := d.connect()
	m := next(t, "subscribe", w.out)
	payload, _ := m["payload"].(map[string]any)
	if m["type"] != "subscribe" || payload["query"] != "subscription { a }" {
		t.Fatalf("%v", m)
	}
	id := m["id"].(string)
	w.in <- `{"type":"ping"}`
	if m := next(t, "pong", w.out); m["type"] != "pong" {
		t.Errorf("%v", m)
	}
	w.in <- `{"id":"` + id + `","type":"next","payload":{"data":{"a":1}}}`
	if e := next(t, "an event", events); e.data != `{"a":1}` || e.err != nil {
		t.Errorf("%+v", e)
	}
	w.in <- `{"id":"` + id + `","type":"next","payload":{"errors":[{"message":"no such thing","extensions":{"code":"NOT_FOUND"}}]}}`
	if e := next(t, "an error", events); fault.KindOf(e.err) != fault.NotFound {
		t.Errorf("%+v", e)
	}
	w.in <- `{"id":"99","type":"next","payload":{"data":{}}}` // of nobody's
	// A second one begins on the same connection.
	other, _ := d.subscribe("subscription { b }")
	m = next(t, "the second", w.out)
	w.in <- `{"id":"` + m["id"].(string) + `","type":"error","payload":[{"message":"not you","extensions":{"code":"FORBIDDEN"}}]}`
	if e := next(t, "its refusal", other); fault.KindOf(e.err) != fault.Forbidden {
		t.Errorf("%+v", e)
	}
	stop()
	if m := next(t, "complete", w.out); m["type"] != "complete" || m["id"] != id {
		t.Errorf("%v", m)
	}
}

// TestReconnect: when the connection is lost, everybody is subscribed again on the next one; who stopped meanwhile is not.
func TestReconnect(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	events, _ := d.subscribe("subscription { a }")
	_, stop := d.subscribe("subscription { b }")
	w := d.connect()
	next(t, "a", w.out)
	next(t, "b", w.out)
	w.Close()
	if next(t, "down", d.ups) {
		t.Error("it is up")
	}
	stop()
	d.Retry() // does not wait for the pause
	w = d.connect()
	m := next(t, "a again", w.out)
	if p := m["payload"].(map[string]any); p["query"] != "subscription { a }" {
		t.Errorf("%v", m)
	}
	w.in <- `{"id":"` + m["id"].(string) + `","type":"complete"}` // the server ended it
	w.in <- `{"id":"` + m["id"].(string) + `","type":"next","payload":{"data":{}}}`
	// Rubbish ends a connection, and a connection that never stands is given up.
	w.in <- `rubbish`
	next(t, "down", d.ups)
	if len(events) != 0 {
		t.Error("an event after the end")
	}
	again, _ := d.subscribe("subscription { c }")
	d.Retry()
	lost := next(t, "a connection", d.wires)
	lost.Close()
	d.Retry()
	w = d.connect()
	m = next(t, "c", w.out)
	w.in <- `{"id":"` + m["id"].(string) + `","type":"next","payload":[]}`
	next(t, "down", d.ups)
	if len(again) != 0 {
		t.Error("rubbish became an event")
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for n := range 100 {
		if p := Pause(n); p < firstPause/4 || p > lastPause {
			t.Errorf("%d: %v", n, p)
		}
	}
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[Pause(10)] = true
	}
	if len(seen) < 10 {
		t.Error("all browsers come back at once")
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	defer func() {
		if p := recover(); p == nil || !strings.Contains(p.(error).Error(), "unsupported") {
			t.Errorf("%v", p)
		}
	}()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subs["x"] = &sub{variables: make(chan int)}
	d.begin(newWire(), "x")
}
