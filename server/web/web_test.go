package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
)

func TestServe(t *testing.T) {
	t.Parallel()
	a := New(fstest.MapFS{
		"index.html":            {Data: []byte("page")},
		"index.html.br":         {Data: []byte("br")},
		"index.html.gz":         {Data: []byte("gz")},
		"assets/app.0123.wasm":  {Data: []byte("wasm")},
		"assets/logo.svg":       {Data: []byte("<svg/>")},
		"manifest.webmanifest":  {Data: []byte("{}")},
		"sizes.json":            {Data: []byte("[]")},
		"assets/.hidden":        {Data: []byte("x")},
		"assets/font.woff2":     {Data: []byte("x")},
		"assets/unknown.abcdef": {Data: []byte("x")},
	})
	for _, c := range []struct{ name, accept, body, encoding, kind, cache string }{
		{"index.html", "", "page", "", "text/html; charset=utf-8", "no-cache"},
		{"index.html", "gzip, deflate, br", "br", "br", "text/html; charset=utf-8", "no-cache"},
		{"index.html", "gzip", "gz", "gzip", "text/html; charset=utf-8", "no-cache"},
		{"index.html", "br;q=0, gzip;q=0.5", "gz", "gzip", "text/html; charset=utf-8", "no-cache"},
		{"index.html", "br; q=0.1", "br", "br", "text/html; charset=utf-8", "no-cache"},
		{"index.html", "br;q=x", "page", "", "text/html; charset=utf-8", "no-cache"},
		{"assets/app.0123.wasm", "br", "wasm", "", "application/wasm", "public, max-age=31536000, immutable"},
		{"assets/logo.svg", "", "<svg/>", "", "image/svg+xml", "public, max-age=31536000, immutable"},
		{"manifest.webmanifest", "", "{}", "", "application/manifest+json", "no-cache"},
		{"assets/unknown.abcdef", "", "x", "", "application/octet-stream", "public, max-age=31536000, immutable"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		if c.accept != "" {
			r.Header.Set("Accept-Encoding", c.accept)
		}
		if !a.Serve(w, r, c.name) {
			t.Errorf("%s is not there", c.name)
			continue
		}
		h := w.Header()
		if w.Body.String() != c.body || h.Get("Content-Encoding") != c.encoding || h.Get("Content-Type") != c.kind || h.Get("Cache-Control") != c.cache || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s with %q: %q %v", c.name, c.accept, w.Body, h)
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/", nil)
	if !a.Serve(w, r, "index.html") || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "4" || w.Header().Get("X-Plain-Length") != "4" {
		t.Errorf("HEAD: %q %v", w.Body, w.Header())
	}
	for _, none := range []string{"", ".", "assets", "no.html", "../web.go", "/index.html", "sizes.json", "index.html.br", "assets/.hidden", "assets/../sizes.json"} {
		w := httptest.NewRecorder()
		if a.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), none) || w.Body.Len() > 0 {
			t.Errorf("%q is served: %s", none, w.Body)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if New(fstest.MapFS{".keep": {}}) != nil {
		t.Error("an empty folder is an app")
	}
}
