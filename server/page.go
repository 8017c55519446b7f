package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

//go:embed page/index.html
var indexHTML string

//go:embed page/style.css
var styleCSS []byte

var (
	index    = template.Must(template.New("index").Parse(indexHTML))
	styleTag = func() string { sum := sha256.Sum256(styleCSS); return `"` + hex.EncodeToString(sum[:8]) + `"` }()
)

// pageData is what the page shows.
type pageData struct {
	URL         string // of this server, as the reader knows it
	Invited     bool   // the reader followed an invitation; its token is behind the #, which no browser sends
	Setup       bool   // … to set the server up
	Missing     bool   // there is no such page
	Version     string
	Fingerprint string
}

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if s.app(w, r) {
		return
	}
	d := pageData{URL: s.cfg.PublicURL, Setup: r.URL.Path == "/setup", Invited: r.URL.Path != "/"}
	if d.URL == "" {
		scheme := "http://"
		if s.https() {
			scheme = "https://"
		}
		d.URL = scheme + r.Host
	}
	s.render(w, http.StatusOK, d)
}

func (s *Server) render(w http.ResponseWriter, code int, d pageData) {
	d.Version = proto.Version
	if s.cfg.TLS != nil {
		d.Fingerprint = s.cfg.TLS.Fingerprint
	}
	var b bytes.Buffer
	if err := index.Execute(&b, d); err != nil {
		panic(err) // the template is ours: a test renders all of it
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	w.WriteHeader(code)
	w.Write(b.Bytes()) //nolint:errcheck // the client went away
}

func (s *Server) style(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", styleTag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(styleCSS))
}

// ca hands out the local CA's certificate, for browsers and for the careful.
func (s *Server) ca(w http.ResponseWriter, r *http.Request) {
	if s.cfg.TLS == nil || s.cfg.TLS.CA == nil {
		writeError(w, r, fault.New(fault.NotFound, "this server has no CA of its own"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Content-Disposition", `attachment; filename="holdfast-ca.pem"`)
	w.Write(s.cfg.TLS.CA) //nolint:errcheck
}

// healthz says that the process lives.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte(`{"ok":true}` + "\n")) //nolint:errcheck
}

// probeTime is how long one probe may take.
const probeTime = 5 * time.Second

// readyz says whether the server can serve, and what is amiss if not: by name only, the cause is in the log.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTime)
	defer cancel()
	var mu sync.Mutex
	var wait sync.WaitGroup
	checks, ok := map[string]bool{}, true
	for _, p := range s.cfg.Probes {
		wait.Go(func() {
			err := p.Check(ctx)
			mu.Lock()
			defer mu.Unlock()
			checks[p.Name] = err == nil
			if err != nil {
				ok = false
				s.log.WarnContext(ctx, "not ready", "probe", p.Name, "error", err)
			}
		})
	}
	wait.Wait()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(map[string]any{"ok": ok, "checks": checks}) //nolint:errcheck
}
