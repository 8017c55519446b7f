package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

type openFile struct{ *bytes.Reader }

func (openFile) Close() error { return nil }

func TestPackAddresses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := NewSigner(bytes.Repeat([]byte{1}, 32))
	s.now = func() time.Time { return now }
	space, pack := id.Space{}.New(), id.Pack{7}
	address, expires := s.Sign(space, pack, 0)
	if d := expires.Sub(now); d > packTTL || d < packTTL-2*time.Second {
		t.Errorf("expires in %v", d)
	}
	body := bytes.Repeat([]byte("0123456789"), 1000)
	opened := 0
	h := &packs{signer: s, open: func(_ context.Context, sp id.Space, p id.Pack) (packFile, error) {
		opened++
		if sp != space || p != pack {
			return nil, fault.New(fault.NotFound, "there is no such pack")
		}
		return openFile{bytes.NewReader(body)}, nil
	}}
	mux := http.NewServeMux()
	mux.Handle("/packs/{name}", h)
	ask := func(method, target string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, nil)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}

	w := ask("GET", address)
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), body) || w.Header().Get("Accept-Ranges") != "bytes" || !strings.HasPrefix(w.Header().Get("Cache-Control"), "private") {
		t.Errorf("whole: %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
	if w := ask("HEAD", address); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "10000" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	for rng, want := range map[string]struct {
		code int
		body string
	}{
		"bytes=0-4":       {206, "01234"},
		"bytes=9995-":     {206, "56789"},
		"bytes=-3":        {206, "789"},
		"bytes=9999-9999": {206, "9"},
		"bytes=10000-":    {416, ""},
		"bytes=x":         {416, ""},
	} {
		if w := ask("GET", address, "Range", rng); w.Code != want.code || want.code == 206 && w.Body.String() != want.body {
			t.Errorf("%s: %d %q", rng, w.Code, w.Body)
		}
	}
	if w := ask("POST", address); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}

	// Addresses that are not as they were made: one answer, and nobody looks for the pack.
	u, _ := url.Parse(address)
	change := func(key, value string) string {
		q := u.Query()
		q.Set(key, value)
		return u.Path + "?" + q.Encode()
	}
	opened = 0
	answers := map[string]bool{}
	for name, target := range map[string]string{
		"no query":    u.Path,
		"other space": change("space", id.Space{}.New().String()),
		"no space":    change("space", ""),
		"longer":      change("expires", "99999999999"),
		"no number":   change("expires", "soon"),
		"empty":       change("sig", ""),
		"cut":         change("sig", u.Query().Get("sig")[:20]),
		"other key":   func() string { a, _ := NewSigner(bytes.Repeat([]byte{2}, 32)).Sign(space, pack, 0); return a }(),
		"other pack":  strings.Replace(address, pack.String(), id.Pack{8}.String(), 1),
		"capitals":    strings.Replace(address, pack.String(), strings.ToUpper(pack.String()[:1])+"A"+pack.String()[2:], 1),
		"not a name":  "/packs/..%2f..%2fetc?" + u.RawQuery,
	} {
		w := ask("GET", target)
		if w.Code != 403 || !strings.Contains(w.Header().Get("Content-Type"), "json") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		answers[w.Body.String()] = true
	}
	if len(answers) != 1 || opened != 0 {
		t.Errorf("%d different answers to bad addresses, %d looks into the store", len(answers), opened)
	}

	// A good address of a pack that is gone, and one that has expired.
	gone, _ := s.Sign(space, id.Pack{9}, 0)
	if w := ask("GET", gone); w.Code != 404 || w.Header().Get("ETag") != "" {
		t.Errorf("gone: %d %s", w.Code, w.Body)
	}
	now = now.Add(packTTL)
	if w := ask("GET", address); w.Code != 403 || !strings.Contains(w.Body.String(), "expired") {
		t.Errorf("expired: %d %s", w.Code, w.Body)
	}
}

// brokenFile fails in the middle.
type brokenFile struct {
	*bytes.Reader
	n int
}

func (b *brokenFile) Read(p []byte) (int, error) {
	if b.n -= len(p); b.n < 0 {
		return 0, fault.New(fault.Unavailable, "the store is away")
	}
	return b.Reader.Read(p)
}
func (b *brokenFile) Close() error { return nil }

// TestPackThatBreaksOff must not look like a whole one.
func TestPackThatBreaksOff(t *testing.T) {
	t.Parallel()
	s := NewSigner(bytes.Repeat([]byte{1}, 32))
	mux := http.NewServeMux()
	mux.Handle("/packs/{name}", &packs{signer: s, open: func(context.Context, id.Space, id.Pack) (packFile, error) {
		return &brokenFile{bytes.NewReader(make([]byte, 1<<20)), 300_000}, nil
	}})
	web := httptest.NewServer(mux)
	defer web.Close()
	address, _ := s.Sign(id.Space{}.New(), id.Pack{1}, 0)
	resp, err := http.Get(web.URL + address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Fatalf("%d of %d bytes came, and no error", n, resp.ContentLength)
	}
}
