// Package server is HTTP: routes, limits, who is calling.
//
//	/graphql            queries and mutations by POST (queries also by GET), subscriptions by WebSocket
//	/graphql/upload     the mutation uploadPack as a streamed multipart request; device tokens only
//	/packs/{name}       a pack, whole or in ranges, by signed address
//	/healthz, /readyz   whether the process lives; whether it can serve
//	/, /setup, /join    a page that says what this is and what to type
//	/download/ca.pem    the local CA's certificate, where there is one
//
// What an operation means is graph's; what is allowed is the depot's. This package turns a connection into a
// request that they can judge, and keeps what is too large, too slow or too much from reaching them. docs/api.md
// is its contract with clients.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/server/metrics"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// shutdownTime is how long requests under way may take to end.
const shutdownTime = 20 * time.Second

// Config is what a server stands on.
type Config struct {
	API graph.Config // without Fingerprint: TLS has it

	Authenticate func(ctx context.Context, token string) (actor.Actor, error)           // any bearer token's
	Seen         func(ctx context.Context, device id.Device, agentVersion string) error // a device was here

	Signer  *Signer          // the same that the catalog signs with
	Metrics *metrics.Metrics // nil: nothing is counted, and there is no /metrics
	App     App              // nil: no web app, and a plain page in its place
	Agents  string           // folder with agents to hand out, named as AgentFile says; "": none
	Probes  []Probe          // what /readyz asks

	TLS          *TLS           // nil: plain HTTP
	PublicURL    string         // where browsers find the server, if it is not the host that they ask for; no slash at the end
	TrustProxies []netip.Prefix // whose X-Forwarded-For is believed
	Log          *slog.Logger   // nil: slog.Default()
}

// App answers with a file of the web app, and reports false, without having answered, if there is none of that name.
type App func(w http.ResponseWriter, r *http.Request, name string) bool

// Probe is a thing that the server needs to work.
type Probe struct {
	Name  string
	Check func(context.Context) error
}

// Server is an HTTP handler.
type Server struct {
	cfg      Config
	log      *slog.Logger
	api      *handler.Server
	handler  http.Handler
	throttle throttle
	uploads  uploads
	sockets  sockets
	large    chan struct{} // places for large bodies
}

// New returns a server. Close ends its WebSockets, which http.Server's Shutdown does not know.
func New(cfg Config) *Server {
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	if cfg.TLS != nil {
		cfg.API.Fingerprint = cfg.TLS.Fingerprint
	}
	s := &Server{cfg: cfg, log: cfg.Log, large: make(chan struct{}, largeBodies)}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.api = graph.New(cfg.API)
	s.api.AddTransport(upload{s})
	s.api.AddTransport(socketTransport{s})
	s.api.AddTransport(post{s})
	s.api.AddTransport(get{})
	s.api.AroundOperations(streams)
	s.api.AroundOperations(s.observe)

	mux := http.NewServeMux()
	mux.HandleFunc("/graphql", s.graphql)
	mux.HandleFunc("/graphql/upload", s.graphql)
	mux.Handle("/packs/{name}", &packs{signer: cfg.Signer, open: func(ctx context.Context, space id.Space, pack id.Pack) (packFile, error) {
		return cfg.API.Catalog.OpenPack(ctx, space, pack)
	}})
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /setup", s.page)
	mux.HandleFunc("GET /join", s.page)
	mux.HandleFunc("GET /style.css", s.style)
	for _, path := range []string{"/assets/", "/sw.js", "/offline.html"} {
		mux.HandleFunc("GET "+path, s.asset)
	}
	s.logoRoutes(mux)
	mux.HandleFunc("GET /dl/", s.downloads)
	mux.HandleFunc("GET /download/ca.pem", s.ca)
	mux.HandleFunc("GET /download/agent/{os}/{arch}", s.agent)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("/", s.notFound)
	s.handler = s.frame(mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends all WebSockets, telling their clients that the server goes away, and refuses new ones.
func (s *Server) Close() { s.sockets.close() }

// Serve answers on ln until ctx ends, then lets requests under way finish. With Config.TLS it speaks TLS.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// No ReadTimeout and no WriteTimeout: uploads and downloads take what they take, and set deadlines
		// of their own that move along with the data.
	}
	srv.RegisterOnShutdown(s.Close)
	serve := srv.Serve
	if s.cfg.TLS != nil {
		srv.TLSConfig = s.cfg.TLS.Config
		srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // see baseTLS
		serve = func(ln net.Listener) error { return srv.ServeTLS(ln, "", "") }
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := srv.Shutdown(stop)
	for s.sockets.count() > 0 && stop.Err() == nil { // their goodbyes are on the way
		time.Sleep(10 * time.Millisecond)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some requests did not end in time and were cut off")
		err = srv.Close()
	}
	return err
}

// notFound answers for paths that are none of ours, as a page to browsers and as JSON to programs.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		writeError(w, r, fault.New(fault.NotFound, "there is nothing at this address"))
		return
	}
	if s.app(w, r) {
		return
	}
	s.render(w, http.StatusNotFound, pageData{Missing: true})
}
