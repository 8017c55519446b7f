package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Limits of WebSockets.
const (
	socketsInAll      = 4096
	socketsPerUser    = 32 // of a person, not counting those of their devices
	socketsPerDevice  = 4
	streamsPerSocket  = 32               // subscriptions
	socketInitTime    = 10 * time.Second // until connection_init
	socketPing        = 20 * time.Second // a client that does not answer within two of them is gone
	socketReauth      = time.Minute      // how often a credential is looked at without a hint
	socketReauthSoon  = 50 * time.Millisecond
	socketConfirm     = 2 * time.Second // how long the first look waits for the bus
	socketMessage     = 64 << 10
	socketSubprotocol = "graphql-transport-ws"
)

// Close codes of the protocol, and ours in its spirit.
const (
	closeGoingAway    = 1001
	closeUnauthorized = 4401
	closeTooMany      = 4429
)

// sockets knows the open connections.
type sockets struct {
	mu      sync.Mutex
	all     map[*socket]struct{}
	callers map[actor.Actor]int // by what claim takes for one caller
	closed  bool
}

// socket is one connection. Its context ends when its client goes away, when its credential does, or when the
// server shuts down; the cause says which.
type socket struct {
	end     context.CancelCauseFunc
	cause   func() error
	caller  actor.Actor // zero: none yet
	streams atomic.Int32
}

type socketKey struct{}

// closing is a cause that the client is told.
type closing struct {
	code   int
	reason string
}

func (c *closing) Error() string { return c.reason }

// enter adds a connection; leave takes it away.
func (s *sockets) enter(k *socket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the server is shutting down")
	}
	if len(s.all) >= socketsInAll {
		return fault.New(fault.TooMany, "the server has too many open connections")
	}
	if s.all == nil {
		s.all, s.callers = map[*socket]struct{}{}, map[actor.Actor]int{}
	}
	s.all[k] = struct{}{}
	return nil
}

func (s *sockets) leave(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, k)
	if s.callers[k.caller]--; s.callers[k.caller] <= 0 {
		delete(s.callers, k.caller)
	}
}

// claim counts a connection for its caller: a device for itself, and everything else for its person.
func (s *sockets) claim(k *socket, a actor.Actor) error {
	caller, most := actor.Actor{User: a.User}, socketsPerUser
	if a.IsDevice() {
		caller, most = actor.Actor{Device: a.Device}, socketsPerDevice
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.callers[caller] >= most {
		return fault.New(fault.TooMany, "at most %d connections of one user or device at a time", most)
	}
	s.callers[caller]++
	k.caller = caller
	return nil
}

// close ends all connections.
func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for k := range s.all {
		k.end(&closing{closeGoingAway, "the server is shutting down"})
	}
}

func (s *sockets) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// socketTransport is the transport of subscriptions: graphql-transport-ws over gqlgen's own, with who may
// connect, for how long and how often decided here.
type socketTransport struct{ server *Server }

var _ graphql.Transport = socketTransport{}

// Supports implements graphql.Transport.
func (socketTransport) Supports(r *http.Request) bool {
	return r.URL.Path == "/graphql" && r.Header.Get("Upgrade") != ""
}

// Do implements graphql.Transport. It returns when the connection is closed.
func (t socketTransport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	s := t.server
	if origin := r.Header.Get("Origin"); origin != "" && !s.ownOrigin(r, origin) {
		writeError(w, r, fault.New(fault.Forbidden, "pages of another origin may not open a connection"))
		return
	}
	offered := strings.FieldsFunc(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), func(c rune) bool { return c == ',' || c == ' ' })
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !slices.Contains(offered, socketSubprotocol) {
		writeError(w, r, fault.New(fault.Invalid, "subscriptions need a WebSocket with the subprotocol %s", socketSubprotocol))
		return
	}
	r.Header.Set("Sec-WebSocket-Protocol", socketSubprotocol) // of several, take the one that we speak

	ctx, cancel := context.WithCancelCause(r.Context())
	k := &socket{end: cancel, cause: func() error { return context.Cause(ctx) }}
	defer cancel(nil)
	if err := s.sockets.enter(k); err != nil {
		writeError(w, r, err)
		return
	}
	defer s.sockets.leave(k)
	readLimit := int64(socketMessage)
	ws := transport.Websocket{
		Implementation: socketAccept{k},
		InitFunc: func(ctx context.Context, p transport.InitPayload) (context.Context, *transport.InitPayload, error) {
			return s.initSocket(ctx, k, p)
		},
		InitTimeout:      socketInitTime,
		PingPongInterval: socketPing,
		PayloadReadLimit: &readLimit,
	}
	ws.Do(w, r.WithContext(context.WithValue(ctx, socketKey{}, k)), exec)
}

// initSocket authenticates a connection by its connection_init, or by what its upgrade request showed.
func (s *Server) initSocket(ctx context.Context, k *socket, p transport.InitPayload) (context.Context, *transport.InitPayload, error) {
	refuse := func(code int, err error) (context.Context, *transport.InitPayload, error) {
		reason := graph.Present(ctx, err).Message
		ctx = transport.WithWebsocketCloseCode(ctx, code)
		return transport.AppendCloseReason(ctx, clipReason(reason)), nil, err
	}
	token, _ := ctx.Value(tokenKey{}).(string)
	if header := p.Authorization(); header != "" {
		var err error
		if token, err = bearer(header); err != nil {
			return refuse(closeUnauthorized, err)
		}
	}
	if token == "" {
		return refuse(closeUnauthorized, fault.New(fault.Unauthenticated, `send {"authorization":"Bearer …"} with connection_init`))
	}
	a, err := s.authenticate(ctx, token)
	if err != nil {
		return refuse(closeUnauthorized, err)
	}
	if err := s.sockets.claim(k, a); err != nil {
		return refuse(closeTooMany, err)
	}
	graph.RequestFrom(ctx).Refused = nil
	if who, _ := ctx.Value(callerKey{}).(*caller); who != nil {
		who.actor = a
	}
	ctx = actor.NewContext(ctx, a)
	go s.watchSocket(ctx, k, token, a)
	return ctx, nil, nil
}

// watchSocket looks at a connection's credential every minute, and whenever the depot rings for its user or
// device, and closes the connection once the credential is no longer good or means something else.
func (s *Server) watchSocket(ctx context.Context, k *socket, token string, a actor.Actor) {
	topics := []string{"user:" + a.User.String()}
	if a.IsDevice() {
		topics = append(topics, "device:"+a.Device.String())
	}
	sub := s.cfg.API.Bus.Subscribe(ctx, topics...)
	defer sub.Close()
	// What is rung before Redis has confirmed the subscription is lost, so the first look must come after. Without
	// Redis there is nothing to wait for.
	confirmed, cancel := context.WithTimeout(ctx, socketConfirm)
	sub.Live(confirmed)
	cancel()
	rings := sub.C
	tick := time.NewTicker(socketReauth)
	defer tick.Stop()
	for { // the first look makes up for what happened before we subscribed
		now, err := s.authenticate(ctx, token)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, fault.Unauthenticated), errors.Is(err, fault.Forbidden):
			k.end(&closing{closeUnauthorized, graph.Present(ctx, err).Message})
			return
		case err == nil && now != a:
			k.end(&closing{closeUnauthorized, "your rights have changed: connect again"})
			return
		}
		// Any other error is ours: the connection may stay, and is looked at again.
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case _, ok := <-rings:
			if !ok {
				rings = nil // the bus is closed; the clock goes on
				continue
			}
			// A burst of hints is one look. A device's own progress rings here, too.
			select {
			case <-ctx.Done():
				return
			case <-time.After(socketReauthSoon):
			}
			for drained := false; !drained; {
				select {
				case _, ok := <-rings:
					drained = !ok
				default:
					drained = true
				}
			}
		}
	}
}

// streams bounds the subscriptions of a connection, and makes a refusal to begin one an "error" message, as the
// protocol wants it: gqlgen would send a result that has errors.
func streams(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	k, ok := ctx.Value(socketKey{}).(*socket)
	if !ok {
		return next(ctx)
	}
	var begin graphql.ResponseHandler
	if k.streams.Add(1) > streamsPerSocket {
		err := graph.Present(ctx, fault.New(fault.TooMany, "at most %d subscriptions on one connection", streamsPerSocket))
		begin = graphql.OneShot(&graphql.Response{Errors: gqlerror.List{err}})
	} else {
		begin = next(ctx)
	}
	context.AfterFunc(ctx, func() { k.streams.Add(-1) })
	return func(ctx context.Context) *graphql.Response {
		resp := begin(ctx)
		if resp == nil || len(resp.Data) > 0 || len(resp.Errors) == 0 {
			return resp
		}
		for _, err := range resp.Errors {
			transport.AddSubscriptionError(ctx, err)
		}
		return nil
	}
}

// socketAccept upgrades a request. The Origin was checked before.
type socketAccept struct{ socket *socket }

func (a socketAccept) Accept(w http.ResponseWriter, r *http.Request, o transport.WebsocketAcceptOptions) (transport.WebsocketConn, error) {
	conn, err := transport.CoderWebsocketImplementation{AcceptOptions: websocket.AcceptOptions{
		InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	}}.Accept(w, r, o)
	if err != nil {
		return nil, err
	}
	return &socketConn{WebsocketConn: conn, socket: a.socket}, nil
}

// socketConn closes a connection with the code and the words of its cause: gqlgen knows only a normal end.
type socketConn struct {
	transport.WebsocketConn
	socket *socket
}

func (c *socketConn) WriteClose(code int, reason string) error {
	if why, ok := errors.AsType[*closing](c.socket.cause()); ok {
		code, reason = why.code, why.reason
	}
	return c.WebsocketConn.WriteClose(code, clipReason(reason))
}

// SetReadLimit implements transport.WebsocketReadLimiter.
func (c *socketConn) SetReadLimit(n int64) {
	if l, ok := c.WebsocketConn.(transport.WebsocketReadLimiter); ok {
		l.SetReadLimit(n)
	}
}

// SetReadDeadline implements transport.WebsocketReadDeadliner.
func (c *socketConn) SetReadDeadline(t time.Time) error {
	if d, ok := c.WebsocketConn.(transport.WebsocketReadDeadliner); ok {
		return d.SetReadDeadline(t)
	}
	return nil
}

// clipReason cuts a sentence to what a close frame holds.
func clipReason(s string) string {
	const most = 120
	for len(s) > most {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	return s
}
