package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Times of a connection. Bodies and downloads have their own, which move along with the data.
const (
	headerTime  = 10 * time.Second // to send a request's headers
	idleTime    = 2 * time.Minute  // between requests
	bodyTime    = 30 * time.Second // to send an ordinary body
	stallTime   = 30 * time.Second // without a byte of an upload or a download
	requestTime = 2 * time.Minute  // to answer an operation
	lingerTime  = time.Second / 2  // after a refusal, for what is left of a body
)

// status is the HTTP status for a fault that refuses a whole request. What goes wrong inside an operation
// is answered with 200, as GraphQL does.
func status(kind fault.Kind) int {
	switch kind {
	case fault.Invalid, fault.ClientTooOld, fault.BadPack, fault.HashMismatch:
		return http.StatusBadRequest
	case fault.Unauthenticated, fault.WrongPassword, fault.SecondFactor:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.SessionExpired, fault.ObjectsMissing:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.StorageFull:
		return http.StatusInsufficientStorage
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// writeError answers a request with an error in the form of a GraphQL response: clients need one reader.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	writeStatus(w, r, status(fault.KindOf(err)), err)
}

func writeStatus(w http.ResponseWriter, r *http.Request, code int, err error) {
	e := graph.Present(r.Context(), err)
	body, _ := json.Marshal(map[string]any{"errors": gqlerror.List{e}})
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	retryAfter(h, e)
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		w.Write(append(body, '\n'))
	}
}

// retryAfter repeats an error's retryAfter in the header that proxies and plain HTTP clients know.
func retryAfter(h http.Header, e *gqlerror.Error) {
	if wait, ok := e.Extensions["retryAfter"].(int); ok {
		h.Set("Retry-After", strconv.Itoa(wait))
	}
}

// recorder sees what is answered, for the access log.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(code int) {
	if w.status == 0 || w.status < 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController, and whoever hijacks, reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// frame is around every route: a request id, headers that browsers heed, the access log, and the net for panics.
func (s *Server) frame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		req := &graph.Request{ID: newRequestID(), Address: s.address(r), Log: s.log}
		ctx := graph.NewContext(r.Context(), req)
		who := new(caller)
		r = r.WithContext(context.WithValue(ctx, callerKey{}, who))
		rec := &recorder{ResponseWriter: w}
		s.secure(rec.Header(), req.ID)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // documented to be compared
					panic(p)
				}
				s.log.ErrorContext(ctx, "panic", "request", req.ID, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					writeError(rec, r, errors.New("panic"))
				}
			}
			// The path is logged without its query: that of a pack is a credential, that of GraphQL may hold one.
			level := slog.LevelInfo
			if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics" {
				level = slog.LevelDebug
			}
			s.log.Log(ctx, level, "request", "request", req.ID, "method", r.Method, "path", clip(r.URL.Path), "operation", clip(who.operation),
				"status", rec.status, "bytes", rec.bytes, "took", time.Since(start).Round(time.Microsecond), "address", req.Address, "actor", who.String())
			s.count(r, rec)
		}()
		next.ServeHTTP(rec, r)
	})
}

// secure sets the headers that hold for everything. A page adds the styles that it needs.
func (s *Server) secure(h http.Header, requestID string) {
	h.Set("X-Request-Id", requestID)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	// Not with the local CA: a browser that does not trust it yet must be able to get its certificate.
	if s.cfg.TLS != nil && s.cfg.TLS.Fingerprint == "" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func newRequestID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// clip keeps a hostile path from filling a log line.
func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

// address is where a request comes from: the peer, or what trusted proxies say in X-Forwarded-For, read from
// the right until the first address that is none of theirs.
func (s *Server) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "local" // a unix socket
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusts(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr.String()
}

func (s *Server) trusts(addr netip.Addr) bool {
	for _, p := range s.cfg.TrustProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
