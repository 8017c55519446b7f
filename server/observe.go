package server

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// observe times operations, and remembers their names for the access log. Subscriptions last as long as their clients like, and are
// counted as connections instead.
func (s *Server) observe(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	if op.Operation == nil || op.Operation.Operation == ast.Subscription {
		return next(ctx)
	}
	if who, ok := ctx.Value(callerKey{}).(*caller); ok {
		who.operation = op.Operation.Name
	}
	if s.cfg.Metrics == nil {
		return next(ctx)
	}
	respond := next(ctx)
	start, done := time.Now(), false
	return func(ctx context.Context) *graphql.Response {
		resp := respond(ctx)
		if resp != nil && !done {
			done = true
			code := ""
			if len(resp.Errors) > 0 {
				if code, _ = resp.Errors[0].Extensions["code"].(string); code == "" {
					code = string(fault.Internal)
				}
			}
			known := !actor.FromContext(ctx).IsNobody()
			s.cfg.Metrics.Operation(string(op.Operation.Operation), op.Operation.Name, known, time.Since(start), code)
		}
		return resp
	}
}

// count notes an answer. The route is the pattern that the request met, so that it is one of ours.
func (s *Server) count(r *http.Request, rec *recorder) {
	if s.cfg.Metrics == nil {
		return
	}
	route := r.Pattern
	if at := strings.IndexByte(route, '/'); at > 0 {
		route = route[at:] // without the method
	}
	status := rec.status
	if status == 0 {
		status = http.StatusOK // a WebSocket that was taken over says nothing by itself
	}
	s.cfg.Metrics.Request(route, strconv.Itoa(status), rec.bytes)
}

// metrics answers Prometheus: on this machine without a credential, unless a proxy stands between, and elsewhere with the API token of an
// administrator. The numbers say how many people and devices there are, and how they are doing.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Metrics == nil {
		s.notFound(w, r)
		return
	}
	if !direct(r) {
		shown, err := s.shown(r)
		if err == nil && (shown.cookie || shown.token == "") {
			err = fault.New(fault.Unauthenticated, "show an administrator's API token in the header Authorization, or ask from this machine")
		}
		var a actor.Actor
		if err == nil {
			a, err = s.authenticate(r.Context(), shown.token)
		}
		if err == nil {
			err = a.Require(actor.Admin)
		}
		if err != nil {
			writeError(w, r, err)
			return
		}
	}
	s.cfg.Metrics.Handler().ServeHTTP(w, r)
}

// direct reports whether a request was made on this machine, by somebody who is no proxy.
func direct(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return Loopback(r.RemoteAddr) && Loopback(r.Host)
}

// Loopback reports whether an address, with a port or without one, is of this machine and no other's.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
