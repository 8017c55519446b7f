package graph

import (
	"context"
	"log/slog"
	"time"
)

// Via is how an operation came in.
type Via uint8

// The ways.
const (
	ViaPost   Via = iota // queries and mutations
	ViaGet               // queries
	ViaSocket            // subscriptions
	ViaUpload            // the mutation uploadPack
)

// Request is what the server knows of a request beyond its actor, which travels as depot/actor says.
type Request struct {
	ID      string // for logs, and for the sentence that a client sees when something is our fault
	Via     Via
	Address string // where it comes from
	TooOld  bool   // an agent whose protocol was given up
	Log     *slog.Logger
	Refused error // why the credential that came along gives no actor; nil if there was none

	// Throttle is asked before an operation of nobody's is run. It returns a fault when there were too many
	// from this address. nil: no limit.
	Throttle func(mutation bool) error

	// SetCookie makes the client's cookie hold a session's token; "" removes it. nil: the client cannot take
	// cookies on this way.
	SetCookie func(token string, expires time.Time)
}

type requestKey struct{}

// NewContext returns a context that carries the request.
func NewContext(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom returns the request of a context: an empty one if there is none.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return new(Request)
}
