package server

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// authTime bounds the look-up of a credential.
const authTime = 10 * time.Second

// cookieName names the session's cookie. With TLS the prefix makes browsers hold that it is Secure, of this
// host and of no other path.
func (s *Server) cookieName() string {
	if s.https() {
		return "__Host-holdfast"
	}
	return "holdfast"
}

// https reports whether browsers reach the server over TLS, its own or a proxy's.
func (s *Server) https() bool {
	return s.cfg.TLS != nil || strings.HasPrefix(s.cfg.PublicURL, "https://")
}

// credentials are what a request shows.
type credentials struct {
	token  string // "" if there is none
	cookie bool   // it came in a cookie, which browsers send along whoever made the page
}

// shown reads the credentials of a request. A header goes before a cookie.
func (s *Server) shown(r *http.Request) (credentials, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		token, err := bearer(h)
		return credentials{token: token}, err
	}
	if c, err := r.Cookie(s.cookieName()); err == nil && c.Value != "" {
		if !strings.HasPrefix(c.Value, proto.TokenSession) {
			return credentials{}, fault.New(fault.Unauthenticated, "log in again: this cookie holds no session")
		}
		return credentials{token: c.Value, cookie: true}, nil
	}
	return credentials{}, nil
}

// bearer reads "Bearer" and a token.
func bearer(header string) (string, error) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", fault.New(fault.Unauthenticated, "write the credential as Authorization: Bearer and a token")
	}
	return token, nil
}

// ownPage reports whether a request was made by a page of this server, as far as browsers tell: they set
// Origin and Sec-Fetch-Site themselves. One of the two must be there, and none may say otherwise.
func (s *Server) ownPage(r *http.Request) bool {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site == "" && origin == "" {
		return false
	}
	return (site == "" || site == "same-origin") && (origin == "" || s.ownOrigin(r, origin))
}

// ownOrigin reports whether an Origin is this server's: the host that the request was sent to, or the public one.
func (s *Server) ownOrigin(r *http.Request, origin string) bool {
	if s.cfg.PublicURL != "" && strings.EqualFold(origin, s.cfg.PublicURL) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	scheme := "http"
	if s.https() {
		scheme = "https"
	}
	return u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}

// mayCookie reports whether a request may use, get or lose a cookie: it comes from one of our pages and
// has a header that a form on another site cannot set. A WebSocket cannot set headers, but has an Origin.
func (s *Server) mayCookie(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" {
		origin := r.Header.Get("Origin")
		return origin != "" && s.ownOrigin(r, origin)
	}
	return r.Header.Get(proto.HeaderRequest) == "1" && s.ownPage(r)
}

// identify finds out who asks and puts it into the request's context: the actor, and what graph wants to
// know. A credential that is no good is not an error yet: public fields, such as login, work with it.
func (s *Server) identify(w http.ResponseWriter, r *http.Request, via graph.Via) (*http.Request, error) {
	req := graph.RequestFrom(r.Context())
	req.Via = via
	req.TooOld = tooOld(r.Header.Get(proto.HeaderAgent))
	req.Throttle = func(mutation bool) error { return s.throttle.ask(req.Address, mutation) }
	if via == graph.ViaPost && s.mayCookie(r) {
		req.SetCookie = func(token string, expires time.Time) { s.setCookie(w, token, expires) }
	}
	shown, err := s.shown(r)
	if err == nil && shown.cookie && !s.mayCookie(r) {
		return r, fault.New(fault.Forbidden, "requests with a cookie need the header %s: 1 and must come from this server's own pages", proto.HeaderRequest)
	}
	if err == nil && shown.cookie && via == graph.ViaUpload {
		return r, fault.New(fault.Unauthenticated, "uploads take a token in the header Authorization, not a cookie")
	}
	var a actor.Actor
	if err == nil && shown.token != "" {
		a, err = s.authenticate(r.Context(), shown.token)
	}
	req.Refused = err
	if err == nil && a.IsDevice() {
		s.seen(r, a.Device)
	}
	who, _ := r.Context().Value(callerKey{}).(*caller)
	if who != nil {
		who.actor = a
	}
	return r.WithContext(actor.NewContext(context.WithValue(r.Context(), tokenKey{}, shown.token), a)), nil
}

// tokenKey is where a WebSocket finds the token of its upgrade request, to look at it again.
type tokenKey struct{}

func (s *Server) authenticate(ctx context.Context, token string) (actor.Actor, error) {
	ctx, cancel := context.WithTimeout(ctx, authTime)
	defer cancel()
	return s.cfg.Authenticate(ctx, token)
}

// tooOld reports whether an agent's header names a protocol that was given up. Whoever sends none is no agent;
// whoever sends one that cannot be read is none of ours.
func tooOld(header string) bool {
	if header == "" {
		return false
	}
	_, protocol, ok := strings.Cut(header, "/")
	n, err := strconv.Atoi(protocol)
	return !ok || err != nil || n < proto.MinProtocol
}

// seen notes that a device was here. Failing at that is no reason to refuse it.
func (s *Server) seen(r *http.Request, dev id.Device) {
	version, _, ok := strings.Cut(r.Header.Get(proto.HeaderAgent), "/")
	if !ok {
		return
	}
	if err := s.cfg.Seen(r.Context(), dev, version); err != nil {
		s.log.WarnContext(r.Context(), "a device's last visit was not noted", "request", graph.RequestFrom(r.Context()).ID, "error", err)
	}
}

// setCookie hands a session to a browser, or takes it away.
func (s *Server) setCookie(w http.ResponseWriter, token string, expires time.Time) {
	c := &http.Cookie{
		Name: s.cookieName(), Value: token, Path: "/", Expires: expires,
		HttpOnly: true, Secure: s.https(), SameSite: http.SameSiteStrictMode,
	}
	if token == "" {
		c.MaxAge, c.Expires = -1, time.Time{}
	}
	http.SetCookie(w, c)
}

// caller is who asks, and what for, for the access log.
type caller struct {
	actor     actor.Actor
	operation string // as the client calls it
}

type callerKey struct{}

func (c *caller) String() string {
	switch a := c.actor; {
	case a.IsDevice():
		return a.Device.String()
	case a.IsNobody():
		return ""
	case a.IsImport():
		return a.Import.String()
	default:
		return a.User.String()
	}
}
