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

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Event is the state of a device's backup.
type Event struct {
	Device    id.Device
	Backup    id.Backup
	State     string // ACTIVE, COMMITTED, ABORTED, VOID
	StartedAt time.Time
	EndedAt   time.Time // zero while it runs
	Progress  Progress
	Snapshot  id.Snapshot // zero unless it is committed
}

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

// Watch calls fn, from one goroutine, for every change of the devices' backups until ctx ends, fn fails or
// the server refuses for good. It needs a session. Whenever the connection is lost it connects again, and
// the first event of each subscription is the present state: fn may miss steps, never the newest one for long.
func (c *Client) Watch(ctx context.Context, devices []id.Device, fn func(Event) error) error {
	wait := firstWait
	for {
		begun := time.Now()
		err := c.watchOnce(ctx, devices, fn)
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

// stopped marks an error of fn.
type stopped struct{ error }

func (c *Client) watchOnce(ctx context.Context, devices []id.Device, fn func(Event) error) error {
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
	if err := c.subscribe(ctx, conn, devices); err != nil {
		return c.lost(ctx, w, err)
	}
	// From here on silence is no failure as long as pings are answered.
	w.timer.Stop()
	w.idle = 3 * pingEvery
	w.touch()
	go ping(ctx, conn, w)
	for open := len(devices); open > 0; {
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
			e, err := event(m, devices)
			if err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return stopped{err}
			}
		}
	}
	// The server ended every subscription: it does so when it shuts down.
	return fault.New(fault.Unavailable, "%s ended the subscription", c.base.Host)
}

// subscribe makes the protocol's handshake and asks for every device, under the index in devices as id.
func (c *Client) subscribe(ctx context.Context, conn *websocket.Conn, devices []id.Device) error {
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
	for i, d := range devices {
		payload, err := json.Marshal(map[string]any{
			"operationName": "DeviceProgress", "query": api.DeviceProgress_Operation, "variables": map[string]string{"device": d.String()},
		})
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

func event(m message, devices []id.Device) (Event, error) {
	var p struct {
		Data   *api.DeviceProgressResponse `json:"data"`
		Errors []gqlError                  `json:"errors"`
	}
	i, err := strconv.Atoi(m.ID)
	if err != nil || i < 0 || i >= len(devices) || json.Unmarshal(m.Payload, &p) != nil {
		return Event{}, fault.New(fault.Internal, "the server sent an event that makes no sense")
	}
	if len(p.Errors) > 0 || p.Data == nil {
		return Event{}, fault.New(fault.Unavailable, "the server could not read the device's progress")
	}
	b := p.Data.DeviceProgress
	e := Event{Device: devices[i], State: string(b.State), StartedAt: b.StartedAt, EndedAt: deref(b.EndedAt),
		Progress: Progress{b.Progress.Phase, b.Progress.Files, b.Progress.Bytes, b.Progress.TotalFiles,
			b.Progress.TotalBytes, b.Progress.UploadedBytes, b.Progress.Problems}}
	if e.Backup, err = parse[id.Backup](b.Id); err == nil && b.Snapshot != nil {
		e.Snapshot, err = parse[id.Snapshot](b.Snapshot.Id)
	}
	return e, err
}
