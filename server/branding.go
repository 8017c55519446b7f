package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// logo serves the installation's logo at the address that its hash is in, which is another one when the logo changes.
func (s *Server) logo(w http.ResponseWriter, r *http.Request) {
	b, err := s.cfg.API.Settings.Logo(r.Context(), r.PathValue("hash"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	s.sendLogo(w, r, r.PathValue("hash"), b, "public, max-age=31536000, immutable")
}

// currentLogo serves the logo at an address that stays.
func (s *Server) currentLogo(w http.ResponseWriter, r *http.Request) {
	hash, b, err := s.readLogo(r.Context())
	if err != nil {
		writeError(w, r, err)
		return
	}
	s.sendLogo(w, r, hash, b, "no-cache")
}

func (s *Server) readLogo(ctx context.Context) (hash string, b []byte, err error) {
	brand, err := s.cfg.API.Settings.Brand(ctx)
	if err == nil && brand.Logo == "" {
		err = fault.New(fault.NotFound, "this installation has no logo of its own")
	}
	if err != nil {
		return "", nil, err
	}
	b, err = s.cfg.API.Settings.Logo(ctx, brand.Logo)
	return brand.Logo, b, err
}

func (s *Server) sendLogo(w http.ResponseWriter, r *http.Request, hash string, b []byte, cache string) {
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Cache-Control", cache)
	h.Set("ETag", `"`+hash+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// manifest serves the web app's manifest with the installation's name: what the app is called where it is installed. Without the database it has the
// app's own.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", appPolicy)
	plain := r.Clone(r.Context())
	plain.Header.Del("Accept-Encoding")
	plain.Method = http.MethodGet
	var file kept
	if s.cfg.App == nil || !s.cfg.App(&file, plain, "manifest.webmanifest") {
		w.Header().Del("Content-Security-Policy")
		writeError(w, r, fault.New(fault.NotFound, "there is nothing at this address"))
		return
	}
	body := file.body.Bytes()
	brand, err := s.cfg.API.Settings.Brand(r.Context())
	if err != nil {
		s.log.WarnContext(r.Context(), "the manifest has the app's own name", "error", err)
	} else if named, err := rename(body, brand.Name); err != nil {
		s.log.ErrorContext(r.Context(), "the app's manifest is not understood", "error", err)
	} else {
		body = named
	}
	h := w.Header()
	h.Set("Content-Type", "application/manifest+json")
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// rename gives a manifest a name.
func rename(manifest []byte, name string) ([]byte, error) {
	var m map[string]any
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("it is no object")
	}
	m["name"], m["short_name"] = name, name
	return json.MarshalIndent(m, "", "  ")
}

// kept keeps an answer.
type kept struct {
	header http.Header
	body   bytes.Buffer
}

func (k *kept) Header() http.Header {
	if k.header == nil {
		k.header = http.Header{}
	}
	return k.header
}

func (k *kept) WriteHeader(int) {}

func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }

// logoRoutes are where logos are served.
func (s *Server) logoRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+graph.LogoPath+"{hash}", s.logo)
	mux.HandleFunc("GET /branding/logo", s.currentLogo)
	mux.HandleFunc("GET /manifest.webmanifest", s.manifest)
}
