package chrome

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const secret = "Ägypten\\quokka lighthouse"

// TestFindForms writes a secret down in every way that counts, in the midst of other things, and has it found.
func TestFindForms(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":       "x" + secret + "y",
		"hexadecimal": "0" + hex.EncodeToString([]byte(secret)),
		"upper":       strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query":       "?q=" + url.QueryEscape(secret),
		"path":        "/" + url.PathEscape(secret),
		"JSON":        fmt.Sprintf("{%q: 1}", secret),
		"escaped":     `{"n":"\u00c4gypten\\quokka lighthouse"}`,
		"wide":        "\xc4\x00g\x00y\x00p\x00t\x00e\x00n\x00\\\x00q\x00u\x00o\x00k\x00k\x00a\x00 \x00l\x00i\x00g\x00h\x00t\x00h\x00o\x00u\x00s\x00e\x00",
	} {
		if found := Find([]Sent{{"it", []byte(text)}}, secret); len(found) == 0 {
			t.Errorf("as %s it is not found: %q", name, text)
		}
	}
	for before := range 4 {
		for after := range 4 {
			b := []byte(strings.Repeat("<", before) + secret + strings.Repeat(">", after))
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
				if found := Find([]Sent{{"it", []byte(e.EncodeToString(b))}}, secret); len(found) == 0 {
					t.Errorf("in base64, with %d bytes before and %d after, it is not found", before, after)
				}
			}
		}
	}
	if found := Find([]Sent{{"it", []byte("Ägypten/quokka lighthouse and others")}}, secret); len(found) > 0 {
		t.Errorf("what is not there is found: %q", found)
	}
}

// TestWireSees has pages and workers of a real browser give a secret away, over every way out, and catches each.
func TestWireSees(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<!doctype html><p>here") })
	mux.HandleFunc("/worker.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, `onmessage = async (e) => { await fetch("/of-worker", {method: "POST", body: e.data}); postMessage("done"); }`)
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			t.Error(err)
			return
		}
		c.SetReadLimit(1 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				t.Error(err)
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	wire := NewWire(strings.TrimPrefix(server.URL, "http://"))
	defer wire.Close()
	b, err := Start(t.Context(), wire, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, err := b.Person(Desk, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Go("/"); err != nil {
		t.Fatal(err)
	}
	for where, script := range map[string]string{
		"POST /of-page":     `fetch("/of-page", {method: "POST", body: JSON.stringify({q: s})})`,
		"GET /of-address":   `fetch("/of-address?q=" + encodeURIComponent(s))`,
		"GET /of-head":      `fetch("/of-head", {headers: {"X-Name": encodeURIComponent(s)}})`,
		"POST /of-worker":   `new Promise((done) => { const w = new Worker("/worker.js"); w.onmessage = done; w.postMessage(s); })`,
		"POST /of-beacon":   `navigator.sendBeacon("/of-beacon", s)`,
		"WebSocket message": `new Promise((done) => { const w = new WebSocket("ws://" + location.host + "/ws"); w.onopen = () => w.send("x".repeat(70000) + s); w.onmessage = done; })`,
	} {
		if err := p.Run(`(async (s) => { await `+script+`; })(`+quote(secret)+`)`, nil); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if !wire.saw(t, where) {
			t.Errorf("%s: it got away", where)
		}
	}
	if err := p.Run(`fetch("http://example.org/").then(() => {}, () => {})`, nil); err != nil {
		t.Error(err)
	}
	if other := wire.Refused(); !slices.Contains(other, "GET example.org/") {
		t.Errorf("of other hosts it refused %q", other)
	}
	troubles, err := p.Troubles()
	if err != nil || !slices.Contains(troubles, "asks somebody else: http://example.org/") {
		t.Errorf("of the page it is said %q (%v)", troubles, err)
	}
}

// saw waits until the secret was seen somewhere: a beacon is sent when the browser likes.
func (w *Wire) saw(t *testing.T, where string) bool {
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if slices.ContainsFunc(Find(w.Sent(), secret), func(s string) bool { return strings.HasPrefix(s, where+",") }) {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		case <-t.Context().Done():
			return false
		}
	}
}
