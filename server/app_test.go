package server_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/server/web"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// TestApp: every address that is not the API's leads to the app's page, and nothing on it may come from elsewhere.
func TestApp(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html><p>the app")}, "sw.js": {Data: []byte("// worker")},
		"assets/app.0123.js": {Data: []byte("// app")}, "manifest.webmanifest": {Data: []byte("{}")}, "offline.html": {Data: []byte("offline")},
	}
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.App = web.New(files).Serve })
	html := header{"Accept": "text/html,*/*"}
	for _, path := range []string{"/", "/setup", "/join", "/devices/dev_1", "/admin/policies"} {
		r := w.get(path, html)
		if r.Status != http.StatusOK || !strings.Contains(r.Raw, "the app") {
			t.Errorf("%s: %d %s", path, r.Status, r.Raw)
		}
		policy := r.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe-inline") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
			t.Errorf("%s: the policy %q lets others in", path, policy)
		}
	}
	for path, want := range map[string]string{"/sw.js": "// worker", "/assets/app.0123.js": "// app", "/offline.html": "offline"} {
		if r := w.get(path); r.Status != http.StatusOK || r.Raw != want {
			t.Errorf("%s: %d %s", path, r.Status, r.Raw)
		}
	}
	for _, path := range []string{"/assets/none.js", "/assets/../index.html", "/assets/"} {
		if r := w.get(path); r.Status == http.StatusOK && strings.Contains(r.Raw, "the app") {
			t.Errorf("%s: %d %s", path, r.Status, r.Raw)
		}
	}
	if r := w.get("/assets/none.js"); r.code() != fault.NotFound {
		t.Errorf("a file that is not there: %s", r.Raw)
	}
	// Programs get errors, not pages.
	if r := w.get("/no/where"); r.Status != http.StatusNotFound || r.code() != fault.NotFound {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	// Without an app its addresses are not there.
	if r := newWorld(t).get("/sw.js"); r.code() != fault.NotFound {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
}
