package remote

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Limits of a subscription's connection.
const (
	maxMessage   = 1 << 20
	pingEvery    = 20 * time.Second // also what keeps proxies from closing a silent connection
	reconnectMax = 30 * time.Second
)

// message is one message of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// subscription is one of those that share a connection.
type subscription struct {
	name, query string
	variables   any // nil: none
}

// follow listens until ctx ends, fn ends it or the server refuses for good. Whenever the connection is lost it connects
// again.
func (c *Client) follow(ctx context.Context, subs []subscription, fn func(i int, data json.RawMessage) error) error {
	wait := firstWait
	for {
		begun := time.Now()
		err := c.listen(ctx, subs, fn)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var stop stopped
		if errors.As(err, &stop) {
			return stop.error
		}
		if !repeatable(err, always) {
			return err
		}
		if time.Since(begun) > time.Minute {
			wait = firstWait // it worked for a while: this is a new outage
		}
		pause := time.Duration(float64(wait) * (0.5 + rand.Float64()))
		wait = min(2*wait, reconnectMax)
		if c.opts.OnRetry != nil {
			c.opts.OnRetry(err, pause)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// stopped marks an error of the caller's own function: it ends the listening, whatever its kind.
type stopped struct{ error }

// ended marks an error, if there is one.
func ended(err error) error {
	if err == nil {
		return nil
	}
	return stopped{err}
}

// listen calls fn, from one goroutine, for every event of the subscriptions, with the index of the one that it is of,
// until the connection is lost, the server ends the subscriptions, or fn fails.
func (c *Client) listen(ctx context.Context, subs []subscription, fn func(i int, data json.RawMessage) error) error {
	ctx, w := watch(ctx, c.opts.Connect)
	defer w.stop()
	header := http.Header{proto.HeaderAgent: {agentHeader()}, "User-Agent": {c.opts.UserAgent}}
	conn, reply, err := websocket.Dial(ctx, c.endpoint("/graphql"), &websocket.DialOptions{
		HTTPClient: c.api, HTTPHeader: header, Subprotocols: []string{"graphql-transport-ws"},
	})
	if err != nil {
		if reply != nil && reply.StatusCode != http.StatusSwitchingProtocols {
			return c.status(reply, nil)
		}
		return c.broken(ctx, w, err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	if err := c.subscribe(ctx, conn, subs); err != nil {
		return c.lost(ctx, w, err)
	}
	// From here on silence is no failure as long as pings are answered.
	w.timer.Stop()
	w.idle = 3 * pingEvery
	w.touch()
	go ping(ctx, conn, w)
	for open := len(subs); open > 0; {
		m, err := receive(ctx, conn)
		if err != nil {
			return c.lost(ctx, w, err)
		}
		w.touch()
		switch m.Type {
		case "ping":
			if err := send(ctx, conn, message{Type: "pong"}); err != nil {
				return c.lost(ctx, w, err)
			}
		case "complete":
			open--
		case "error":
			var list []gqlError
			if json.Unmarshal(m.Payload, &list) != nil || len(list) == 0 {
				list = []gqlError{{Message: "the server refused the subscription"}}
			}
			return c.refused(&http.Response{StatusCode: http.StatusOK}, list[0])
		case "next":
			i, data, err := next(m, len(subs))
			if err != nil {
				return err
			}
			if err := fn(i, data); err != nil {
				return err
			}
		}
	}
	// The server ended every subscription: it does so when it shuts down.
	return fault.New(fault.Unavailable, "%s ended the subscription", c.base.Host)
}

// next returns an event's data and the index of its subscription.
func next(m message, subs int) (int, json.RawMessage, error) {
	var e envelope
	i, err := strconv.Atoi(m.ID)
	if err != nil || i < 0 || i >= subs || json.Unmarshal(m.Payload, &e) != nil {
		return 0, nil, senseless()
	}
	if len(e.Errors) > 0 || len(e.Data) == 0 || string(e.Data) == "null" {
		return 0, nil, fault.New(fault.Unavailable, "the server could not read what is subscribed to")
	}
	return i, e.Data, nil
}

func senseless() error {
	return fault.New(fault.Internal, "the server sent an event that makes no sense")
}

// subscribe makes the protocol's handshake and asks for every subscription, under its index as id.
func (c *Client) subscribe(ctx context.Context, conn *websocket.Conn, subs []subscription) error {
	init, err := json.Marshal(map[string]string{"authorization": "Bearer " + c.opts.Token})
	if err != nil {
		return err
	}
	if err := send(ctx, conn, message{Type: "connection_init", Payload: init}); err != nil {
		return err
	}
	for {
		m, err := receive(ctx, conn)
		if err != nil {
			return err
		}
		if m.Type == "ping" {
			if err := send(ctx, conn, message{Type: "pong"}); err != nil {
				return err
			}
		} else if m.Type == "connection_ack" {
			break
		} else if m.Type == "connection_error" {
			return fault.New(fault.Unauthenticated, "the server does not accept this login")
		}
	}
	for i, s := range subs {
		payload, err := json.Marshal(map[string]any{"operationName": s.name, "query": s.query, "variables": s.variables})
		if err != nil {
			return err
		}
		if err := send(ctx, conn, message{ID: strconv.Itoa(i), Type: "subscribe", Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

// ping asks for signs of life at the protocol's lower level; a pong resets the watchdog.
func ping(ctx context.Context, conn *websocket.Conn, w *watchdog) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if conn.Ping(ctx) != nil {
			return
		}
		w.touch()
	}
}

// lost turns the end of a connection into a fault.
func (c *Client) lost(ctx context.Context, w *watchdog, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	switch websocket.CloseStatus(err) {
	case 4400, 4406:
		return fault.Wrap(err, fault.ClientTooOld, "%s speaks another subscription protocol than this agent (%s)", c.base.Host, proto.Version)
	case 4401, 4403:
		return fault.New(fault.Unauthenticated, "%s ended this login: it expired or was revoked", c.base.Host)
	}
	if code := websocket.CloseStatus(err); code == 4429 {
		return fault.New(fault.TooMany, "%s has too many open connections of this account", c.base.Host)
	} else if code != -1 {
		return fault.Wrap(err, fault.Unavailable, "%s closed the connection", c.base.Host)
	}
	return c.broken(ctx, w, err)
}

func send(ctx context.Context, conn *websocket.Conn, m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, b)
}

func receive(ctx context.Context, conn *websocket.Conn) (message, error) {
	var m message
	_, b, err := conn.Read(ctx)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fault.Wrap(err, fault.Internal, "the server sent what is no message of graphql-transport-ws")
	}
	return m, nil
}
