// Package live holds one socket to the server for everything on the page that is live, by the protocol graphql-transport-ws, and keeps it
// open: when the connection is lost it waits a little, longer each time and never all at once with other browsers, connects again and
// subscribes again.
//
// A subscription of this API begins with the present state, so whoever subscribes misses steps while the connection is away, and never the
// newest one for long. Events of one subscription come in order, from the client's one goroutine: a callback must not wait.
package live

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/app/api"
)

// Protocol is what the socket speaks.
const Protocol = "graphql-transport-ws"

// Conn is a socket: see browser.Socket.
type Conn interface {
	Ready() <-chan struct{}
	Gone() <-chan struct{}
	Messages() <-chan string
	Send(text string) error
	Close()
}

// Client is the page's one connection. Make it with [New].
type Client struct {
	dial    func() Conn
	onState func(up bool)

	mu   sync.Mutex
	subs map[string]*sub
	next int
	conn Conn          // nil while there is none that was acknowledged
	wake chan struct{} // somebody subscribed

	retry chan struct{} // try now
}

type sub struct {
	query     string
	variables any
	fn        func(json.RawMessage, error)
}

// New returns a client. dial begins a connection; onState, which may be nil, is told when it stands and when it is lost.
func New(dial func() Conn, onState func(up bool)) *Client {
	if onState == nil {
		onState = func(bool) {}
	}
	return &Client{dial: dial, onState: onState, subs: map[string]*sub{}, wake: make(chan struct{}, 1), retry: make(chan struct{}, 1)}
}

// Subscribe asks for events until stop is called. fn gets the data of each; an error ends the subscription, unless the connection
// is lost, which it does not hear of.
func (c *Client) Subscribe(query string, variables any, fn func(data json.RawMessage, err error)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := strconv.Itoa(c.next)
	c.subs[id] = &sub{query, variables, fn}
	if c.conn != nil {
		c.begin(c.conn, id)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.subs[id] != nil && c.conn != nil {
			c.send(c.conn, message{ID: id, Type: "complete"})
		}
		delete(c.subs, id)
	}
}

type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func (c *Client) send(conn Conn, m message) {
	text, err := json.Marshal(m)
	if err == nil {
		err = conn.Send(string(text))
	}
	if err != nil {
		conn.Close()
	}
}

func (c *Client) begin(conn Conn, id string) {
	s := c.subs[id]
	payload, err := json.Marshal(map[string]any{"query": s.query, "variables": s.variables})
	if err != nil {
		panic(err) // variables are ours
	}
	c.send(conn, message{ID: id, Type: "subscribe", Payload: payload})
}

// Pauses between tries: the first is short, since servers are restarted.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	patience   = 20 * time.Second // for a connection to stand
)

// Pause is how long to wait before the n-th try in a row, n from 0 on: at random up to a bound that doubles.
func Pause(n int) time.Duration {
	bound := lastPause
	if n < 6 {
		bound = min(bound, firstPause<<n)
	}
	return bound/4 + rand.N(bound*3/4)
}

// Run keeps the connection until ctx is over. While nobody subscribes there is none.
func (c *Client) Run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; {
		if !c.wanted() {
			select {
			case <-ctx.Done():
			case <-c.wake:
			}
			continue
		}
		began := time.Now()
		c.session(ctx)
		if time.Since(began) > time.Minute {
			n = 0
		}
		select {
		case <-ctx.Done():
		case <-c.retry:
			n = 0
		case <-time.After(Pause(n)):
		}
		n++
	}
}

// Retry ends a pause or a connection that may be dead: the network is back, or the machine woke up.
func (c *Client) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
	select {
	case c.retry <- struct{}{}:
	default:
	}
}

func (c *Client) wanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.subs) > 0
}

// session is one connection, from its beginning to its end.
func (c *Client) session(ctx context.Context) {
	conn := c.dial()
	defer conn.Close()
	defer c.lost()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-conn.Ready():
	case <-conn.Gone():
		return
	case <-limit.C:
		return
	case <-ctx.Done():
		return
	}
	c.send(conn, message{Type: "connection_init"})
	for {
		select {
		case text := <-conn.Messages():
			c.receive(conn, text)
		case <-conn.Gone():
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *Client) lost() {
	c.mu.Lock()
	was := c.conn != nil
	c.conn = nil
	c.mu.Unlock()
	if was {
		c.onState(false)
	}
}

func (c *Client) receive(conn Conn, text string) {
	var m message
	if json.Unmarshal([]byte(text), &m) != nil {
		conn.Close()
		return
	}
	switch m.Type {
	case "connection_ack":
		c.mu.Lock()
		c.conn = conn
		for id := range c.subs {
			c.begin(conn, id)
		}
		c.mu.Unlock()
		c.onState(true)
	case "ping":
		c.send(conn, message{Type: "pong"})
	case "next":
		var p struct {
			Data   json.RawMessage `json:"data"`
			Errors gqlerror.List   `json:"errors"`
		}
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			conn.Close()
			return
		}
		if s := c.sub(m.ID, false); s != nil {
			if len(p.Errors) > 0 {
				s.fn(nil, api.Fault(p.Errors))
			} else {
				s.fn(p.Data, nil)
			}
		}
	case "error":
		var list gqlerror.List
		if json.Unmarshal(m.Payload, &list) != nil || len(list) == 0 {
			list = gqlerror.List{{Message: "the server ended a subscription"}}
		}
		if s := c.sub(m.ID, true); s != nil {
			s.fn(nil, api.Fault(list))
		}
	case "complete":
		c.sub(m.ID, true)
	}
}

func (c *Client) sub(id string, end bool) *sub {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[id]
	if end {
		delete(c.subs, id)
	}
	return s
}
