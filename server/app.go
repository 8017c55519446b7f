package server

import (
	"net/http"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// appPolicy is the Content-Security-Policy of the web app: its own files and nothing else. WebAssembly needs a word of its own; data: is for
// the small pictures in Bootstrap's styles, blob: for previews of files, which exist in the browser only.
const appPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset serves a file of the web app.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", appPolicy) // for workers: theirs is that of their script
	if s.cfg.App == nil || !s.cfg.App(w, r, strings.TrimPrefix(r.URL.Path, "/")) {
		w.Header().Del("Content-Security-Policy")
		writeError(w, r, fault.New(fault.NotFound, "there is nothing at this address"))
	}
}

// downloads serves the service worker that makes downloads of what the app decrypts. Its scope is /dl/, where nothing else is: an address
// there that comes as far as this server belongs to no download under way.
func (s *Server) downloads(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/dl/download.js" {
		writeError(w, r, fault.New(fault.NotFound, "this download is over, or was begun in another window: begin it again"))
		return
	}
	w.Header().Set("Service-Worker-Allowed", "/dl/") // nothing above it, whatever proxies make of the address
	if s.cfg.App == nil || !s.cfg.App(w, r, "download.js") {
		w.Header().Del("Service-Worker-Allowed")
		writeError(w, r, fault.New(fault.NotFound, "there is nothing at this address"))
	}
}

// app serves the web app's page, which finds out by itself what its address means. It reports false if there is no app.
func (s *Server) app(w http.ResponseWriter, r *http.Request) bool {
	if s.cfg.App == nil {
		return false
	}
	w.Header().Set("Content-Security-Policy", appPolicy)
	return s.cfg.App(w, r, "index.html")
}
