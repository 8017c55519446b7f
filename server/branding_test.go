package server_test

import (
	"encoding/json"
	"image"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"bytes"
	"image/png"
	"io"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/server/web"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// onePixel is the smallest picture, in base64.
var onePixel = b64(pictureOf(1))

func pictureOf(side int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, side, side))); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestBranding: the name and the logo are there for strangers, for ever at an address with a hash, and the manifest has the name.
func TestBranding(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"index.html": {Data: []byte("the app")}, "manifest.webmanifest": {Data: []byte(`{"name": "Holdfast", "short_name": "Holdfast", "start_url": "/"}`)}}
	files["manifest.webmanifest.gz"] = &fstest.MapFile{Data: []byte("packed")}
	w := newWorldOn(t, pgtest.New(t), mem.New(), func(c *server.Config) { c.App = web.New(files).Serve })
	boss := w.person("boss", actor.Admin)
	branding := func() (b struct{ Name, Logo string }) {
		t.Helper()
		r := w.gql("", `{ branding { name logo } }`, nil)
		got, _ := r.Data["branding"].(map[string]any)
		b.Name, _ = got["name"].(string)
		b.Logo, _ = got["logo"].(string)
		return b
	}
	if b := branding(); b.Name != "Holdfast" || b.Logo != "" {
		t.Errorf("%+v", b)
	}
	if r := w.get("/branding/logo"); r.code() != fault.NotFound {
		t.Errorf("%s", r.Raw)
	}
	w.gql(boss.Token, `mutation { updateSettings(input: {productName: "Vault of the \"Faculty\" <b>", replicaKeepDays: 60, retentionDays: 0}) { settings { replicaKeepDays retentionDays } } }`, nil)
	w.gql(boss.Token, `mutation($p: Bytes!) { setLogo(input: {picture: $p}) { branding { logo } } }`, map[string]any{"p": b64(pictureOf(40))})
	b := branding()
	if b.Name != `Vault of the "Faculty" <b>` || !strings.HasPrefix(b.Logo, "/branding/logo/") {
		t.Fatalf("%+v", b)
	}
	for path, cache := range map[string]string{b.Logo: "immutable", "/branding/logo": "no-cache"} {
		r := w.get(path)
		if img, err := png.Decode(strings.NewReader(r.Raw)); err != nil || img.Bounds().Dx() != 40 || r.Header.Get("Content-Type") != "image/png" || !strings.Contains(r.Header.Get("Cache-Control"), cache) ||
			r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v, %v", path, err, r.Header)
		}
		if r := w.get(path, header{"If-None-Match": r.Header.Get("ETag")}); r.Status != http.StatusNotModified {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
	r := w.get("/manifest.webmanifest", header{"Accept-Encoding": "gzip"})
	var m struct {
		Name      string
		ShortName string `json:"short_name"`
		Start     string `json:"start_url"`
	}
	if err := json.Unmarshal([]byte(r.Raw), &m); err != nil || m.Name != b.Name || m.ShortName != b.Name || m.Start != "/" || r.Header.Get("Content-Type") != "application/manifest+json" {
		t.Errorf("%+v, %v, %v", m, err, r.Header)
	}
	w.gql(boss.Token, `mutation { removeLogo { branding { logo } } }`, nil)
	if r := w.get(b.Logo); r.code() != fault.NotFound || strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%d %s %v", r.Status, r.Raw, r.Header)
	}
	// Without the database the manifest has the app's own name; without one that is understood, or an app, likewise.
	for _, odd := range []string{`{"name": [`, `null`} {
		files["manifest.webmanifest"] = &fstest.MapFile{Data: []byte(odd)}
		r, err := w.web.Client().Get(w.web.URL + "/manifest.webmanifest")
		w.ok(err)
		body, err := io.ReadAll(r.Body)
		w.ok(err)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || string(body) != odd {
			t.Errorf("%d %s", r.StatusCode, body)
		}
	}
	files["manifest.webmanifest"] = &fstest.MapFile{Data: []byte(`{"name": "own"}`)}
	w.db.MustExec(`ALTER TABLE logo RENAME TO elsewhere`)
	if r := w.get("/manifest.webmanifest"); r.Status != http.StatusOK || r.Raw != `{"name": "own"}` {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	if r := w.get("/branding/logo"); r.code() != fault.Internal {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
	delete(files, "manifest.webmanifest")
	if r := w.get("/manifest.webmanifest"); r.code() != fault.NotFound {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
}
