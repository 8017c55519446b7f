package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
)

const progressQuery = `subscription($d: ID!) { deviceProgress(device: $d) { id state progress { phase bytes } snapshot { id } device { name owner { email } } } }`

// event is what a "next" message says of a backup.
func (s *socket) event(t *testing.T) map[string]any {
	t.Helper()
	m, err := s.receive()
	if err != nil {
		t.Fatal(err)
	}
	var r reply
	if m.Type != "next" || json.Unmarshal(m.Payload, &r) != nil || r.code() != "" {
		t.Fatalf("%s %s", m.Type, m.Payload)
	}
	return r.Data["deviceProgress"].(map[string]any)
}

// closed waits for the server to close the connection, and gives the code.
func (s *socket) closed(t *testing.T) websocket.StatusCode {
	t.Helper()
	for {
		if _, err := s.receive(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestDeviceProgress(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	ada, boss := w.person("ada", actor.Staff), w.person("boss", actor.Admin)
	d := w.device(ada, "laptop")
	b := w.session(d)
	var watchers []*socket
	for _, token := range []string{ada.Token, boss.Token} {
		s, err := w.connect(token)
		w.ok(err)
		w.ok(s.subscribe("a", progressQuery, map[string]any{"d": d.ID}))
		if e := s.event(t); e["id"] != b.ID.String() || e["state"] != "ACTIVE" || at(e, "device", "owner", "email") != ada.Email {
			t.Fatalf("the present state is %v", e)
		}
		watchers = append(watchers, s)
	}
	w.ok(w.catalog.Progress(ctx, d.Actor, b.ID, b.Fence, catalog.BackupProgress{Phase: "upload", Bytes: 7}))
	for _, s := range watchers {
		if e := s.event(t); at(e, "progress", "phase") != "upload" || at(e, "progress", "bytes") != 7.0 {
			t.Fatal(e)
		}
	}
	w.ok(w.catalog.Abort(ctx, d.Actor, b.ID, b.Fence))
	for _, s := range watchers {
		if e := s.event(t); e["state"] != "ABORTED" {
			t.Fatal(e)
		}
	}
	w.snapshot(d, 1000)
	for _, s := range watchers {
		// Steps may be missed, even that it began; the end may not.
		for e := s.event(t); e["state"] != "COMMITTED"; e = s.event(t) {
		}
		// complete ends the subscription, and the connection goes on.
		w.ok(s.send(message{ID: "a", Type: "complete"}))
		w.ok(s.subscribe("b", progressQuery, map[string]any{"d": d.ID}))
		w.ok(s.send(message{Type: "ping"}))
		for m, err := s.receive(); m.Type != "pong"; m, err = s.receive() {
			w.ok(err)
		}
	}
}

func TestSocketRefusals(t *testing.T) {
	t.Parallel()
	c := newCast(t)
	for who, want := range map[string]websocket.StatusCode{nobody: 4401, suspended: 4401, revoked: 4401} {
		if _, err := c.connect(c.tokens[who]); websocket.CloseStatus(err) != want {
			t.Errorf("as %s: %v", who, err)
		}
	}
	if _, resp, err := c.dial(http.Header{"Origin": {"https://evil.example"}}); err == nil || resp.StatusCode != 403 {
		t.Error("another origin:", err)
	}
	cookie := http.Header{"Cookie": {"holdfast=" + c.ada.Token}}
	if _, resp, err := c.dial(cookie); err == nil || resp.StatusCode != 403 {
		t.Error("a cookie without an origin:", err)
	}
	cookie.Set("Origin", c.web.URL)
	s, _, err := c.dial(cookie)
	c.ok(err)
	c.ok(s.send(message{Type: "connection_init"}))
	if m, err := s.receive(); err != nil || m.Type != "connection_ack" {
		t.Error("a cookie of our own page:", m, err)
	}

	// The old protocol, and none.
	for _, protocols := range [][]string{{"graphql-ws"}, nil} {
		_, resp, err := websocket.Dial(context.Background(), strings.Replace(c.web.URL, "http", "ws", 1)+"/graphql", &websocket.DialOptions{Subprotocols: protocols})
		if err == nil || resp.StatusCode != 400 {
			t.Error(protocols, err)
		}
	}

	s, err = c.connect(c.ada.Token)
	c.ok(err)
	for name, q := range map[string]string{"a query": `{ me { id } }`, "a mutation": `mutation { logout { ok } }`} {
		c.ok(s.subscribe(name, q, nil)) // and the connection goes on
		m, err := s.receive()
		for ; err == nil && m.ID != name; m, err = s.receive() {
		}
		if err != nil || m.Type != "error" || !strings.Contains(string(m.Payload), "BAD_INPUT") {
			t.Error(name, m.Type, string(m.Payload), err)
		}
	}
	theirs, err := c.connect(c.mallory.Token)
	c.ok(err)
	c.ok(theirs.subscribe("t", progressQuery, map[string]any{"d": c.laptop.ID}))
	if m, err := theirs.receive(); err != nil || m.Type != "error" || !strings.Contains(string(m.Payload), "NOT_FOUND") {
		t.Error("another's device:", m.Type, string(m.Payload), err)
	}
	c.ok(s.send(message{ID: "1", Type: "subscribe", Payload: json.RawMessage(`"` + strings.Repeat("x", 70_000) + `"`)}))
	if code := s.closed(t); code != websocket.StatusMessageTooBig && code != -1 {
		t.Error("a message of 70 kB:", code)
	}
}

func TestSocketCaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	d := w.device(ada, "laptop")
	w.session(d)
	s, err := w.connect(ada.Token)
	w.ok(err)
	for i := range 33 {
		w.ok(s.subscribe(fmt.Sprint(i), progressQuery, map[string]any{"d": d.ID}))
	}
	refused := 0
	for range 33 {
		m, err := s.receive()
		w.ok(err)
		if strings.Contains(string(m.Payload), "RATE_LIMITED") {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of 33 subscriptions refused, want 1", refused)
	}
	for range 31 {
		_, err := w.connect(ada.Token)
		w.ok(err)
	}
	if _, err := w.connect(ada.Token); websocket.CloseStatus(err) != 4429 {
		t.Error("connection 33:", err)
	}
	s.conn.Close(websocket.StatusNormalClosure, "")
	for range 100 { // its place comes free
		if _, err = w.connect(ada.Token); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.ok(err)
}

func TestSocketEndsWithItsCredential(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, end := range map[string]func(c *cast) error{
		"logout":     func(c *cast) error { return c.accounts.Logout(ctx, c.ada.Actor) },
		"suspension": func(c *cast) error { _, err := c.accounts.Suspend(ctx, c.root.Actor, c.ada.ID); return err },
		"a new role": func(c *cast) error {
			_, err := c.accounts.SetRole(ctx, c.root.Actor, c.ada.ID, actor.Admin)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCast(t)
			s, err := c.connect(c.ada.Token)
			c.ok(err)
			c.ok(s.subscribe("a", progressQuery, map[string]any{"d": c.laptop.ID}))
			c.ok(end(c))
			if code := s.closed(t); code != 4401 {
				t.Errorf("closed with %d", code)
			}
		})
	}
	t.Run("a revoked device", func(t *testing.T) {
		t.Parallel()
		c := newCast(t)
		s, err := c.connect(c.laptop.Token)
		c.ok(err)
		_, err = c.fleet.Revoke(ctx, c.ada.Actor, c.laptop.ID)
		c.ok(err)
		if code := s.closed(t); code != 4401 {
			t.Errorf("closed with %d", code)
		}
	})
	t.Run("another's logout does not", func(t *testing.T) {
		t.Parallel()
		c := newCast(t)
		s, err := c.connect(c.ada.Token)
		c.ok(err)
		c.ok(c.accounts.Logout(ctx, c.mallory.Actor))
		c.ok(s.send(message{Type: "ping"}))
		if m, err := s.receive(); err != nil || m.Type != "pong" {
			t.Error(m, err)
		}
	})
}

// TestServeEndsWell starts a server as the program does, and stops it under a subscription and a slow client.
func TestServeEndsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("ada", actor.Staff)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx, ln) }()
	w.web.URL = "http://" + ln.Addr().String()
	s, err := w.connect(ada.Token)
	w.ok(err)
	stop()
	if code := s.closed(t); code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not stop")
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

// TestHugeHeaders are refused before they are all there.
func TestHugeHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go w.server.Serve(ctx, ln) //nolint:errcheck
	conn, err := net.Dial("tcp", ln.Addr().String())
	w.ok(err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\nX-Filler: %s\r\n", strings.Repeat("x", 64<<10))
	conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Error(resp.Status)
		}
	}
}
