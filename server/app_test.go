package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What makes downloads is served where its scope is, and nothing else is there: not the app's page, which would otherwise show in the hidden
// frame of a download that is over.
func TestDownloadsWorker(t *testing.T) {
	t.Parallel()
	app := func(w http.ResponseWriter, r *http.Request, name string) bool {
		if name != "download.js" && name != "index.html" {
			return false
		}
		io.WriteString(w, name) //nolint:errcheck
		return true
	}
	for _, c := range []struct {
		path   string
		app    App
		status int
		body   string
		scope  string
	}{
		{"/dl/download.js", app, 200, "download.js", "/dl/"},
		{"/dl/download.js", func(http.ResponseWriter, *http.Request, string) bool { return false }, 404, "nothing at this address", ""},
		{"/dl/download.js", nil, 404, "nothing at this address", ""},
		{"/dl/XYZ", app, 404, "this download is over", ""},
		{"/dl/", app, 404, "this download is over", ""},
	} {
		s := &Server{cfg: Config{App: c.app}}
		rec, r := httptest.NewRecorder(), httptest.NewRequest("GET", c.path, nil)
		r.Header.Set("Accept", "text/html")
		s.downloads(rec, r)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.body) || rec.Header().Get("Service-Worker-Allowed") != c.scope {
			t.Errorf("%s: %d %s %v", c.path, rec.Code, rec.Body, rec.Header())
		}
	}
}
