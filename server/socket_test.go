package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func enrolmentToken() (text string, hash []byte) { return token.New(proto.TokenEnrolment) }

// message is one of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// socket is a client's end of a WebSocket.
type socket struct {
	w    *world
	conn *websocket.Conn
}

func (w *world) dial(headers http.Header) (*socket, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, strings.Replace(w.web.URL, "http", "ws", 1)+"/graphql", &websocket.DialOptions{
		HTTPHeader: headers, Subprotocols: []string{"graphql-transport-ws"},
	})
	if err != nil {
		return nil, resp, err
	}
	w.t.Cleanup(func() { conn.CloseNow() })
	return &socket{w, conn}, resp, nil
}

func (s *socket) send(m message) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b, _ := json.Marshal(m)
	return s.conn.Write(ctx, websocket.MessageText, b)
}

// receive gives the next message that is no ping.
func (s *socket) receive() (message, error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, b, err := s.conn.Read(ctx)
		cancel()
		if err != nil {
			return message{}, err
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			return m, err
		}
		if m.Type != "ping" {
			return m, nil
		}
		if err := s.send(message{Type: "pong"}); err != nil {
			return m, err
		}
	}
}

// connect dials and authenticates.
func (w *world) connect(token string) (*socket, error) {
	s, _, err := w.dial(nil)
	if err != nil {
		return nil, err
	}
	payload := json.RawMessage(`{}`)
	if token != "" {
		payload = json.RawMessage(fmt.Sprintf(`{"authorization":"Bearer %s"}`, token))
	}
	if err := s.send(message{Type: "connection_init", Payload: payload}); err != nil {
		return nil, err
	}
	m, err := s.receive()
	if err != nil {
		return nil, err
	}
	if m.Type != "connection_ack" {
		return nil, fmt.Errorf("got %s instead of connection_ack", m.Type)
	}
	return s, nil
}

func (s *socket) subscribe(id, query string, vars map[string]any) error {
	payload, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
	return s.send(message{ID: id, Type: "subscribe", Payload: payload})
}

// subscribeOnce gives the first event of a subscription as a reply. A connection that is refused is one with
// the code of its close frame.
func (w *world) subscribeOnce(token, query string, vars map[string]any) *reply {
	s, err := w.connect(token)
	if websocket.CloseStatus(err) == 4401 {
		return &reply{Raw: fmt.Sprintf(`%q`, err.Error()), Errors: refused("UNAUTHENTICATED", err.Error())}
	}
	w.ok(err)
	defer s.conn.CloseNow()
	w.ok(s.subscribe("1", query, vars))
	m, err := s.receive()
	w.ok(err)
	out := &reply{Raw: string(m.Payload)}
	switch m.Type {
	case "next":
		w.ok(json.Unmarshal(m.Payload, out))
	case "error":
		w.ok(json.Unmarshal(m.Payload, &out.Errors))
	default:
		w.t.Fatalf("message %s", m.Type)
	}
	return out
}

func refused(code, message string) (errs []struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path"`
	Extensions map[string]any `json:"extensions"`
}) {
	b, _ := json.Marshal([]any{map[string]any{"message": message, "extensions": map[string]any{"code": code}}})
	json.Unmarshal(b, &errs)
	return errs
}
