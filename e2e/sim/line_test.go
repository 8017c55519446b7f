//go:build linux

package sim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// line is what lies between one device and the server: a proxy that knows the operations that go through it. It can lose a request, or
// the answer to one, and be cut from then on, as if one of the two had been killed at that point.
type line struct {
	*httptest.Server

	mu    sync.Mutex
	plan  trouble
	cut   bool // nothing gets through any more
	seen  map[string]int
	named bool // the server was told which session works for the runs
}

// trouble is what happens to a line at one operation, once.
type trouble struct {
	at     string // the operation, such as CommitSnapshot; "": no trouble
	before func() // is done when its request comes, before it goes on
	lost   bool   // the request does not arrive
	unsaid bool   // it does, but its answer is lost
	dead   bool   // nothing gets through afterwards: the device, or the line, is gone
}

func newLine(t testing.TB, server func() string) *line {
	t.Helper()
	l := &line{seen: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: server()})
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // as if the connection broke
		ErrorLog:     nil,
	}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := operation(r)
		now, dead := l.meet(op)
		if dead || now.lost {
			panic(http.ErrAbortHandler)
		}
		if now.before != nil {
			now.before()
		}
		if now.unsaid {
			w = &deaf{header: http.Header{}}
			defer panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	l.Config.ErrorLog = nil
	t.Cleanup(l.Close)
	return l
}

// meet notes an operation and returns the trouble that it meets, and whether the line is cut.
func (l *line) meet(op string) (now trouble, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return now, true
	}
	l.seen[op]++
	if op == "KeepRuns with session" {
		l.named = true
	}
	if l.plan.at == op {
		now, l.plan = l.plan, trouble{}
		l.cut = now.dead
	}
	return now, false
}

// prepare mends the line and says what will happen to it next.
func (l *line) prepare(p trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plan, l.cut, l.named = p, false, false
	clear(l.seen)
}

// met reports whether the trouble that was prepared has happened, whether the server knows the session, and how often a commit was tried.
func (l *line) met(p trouble) (happened, named bool, commits int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.at != "" && l.plan.at == "", l.named, l.seen["CommitSnapshot"]
}

// operation names what a request asks for.
func operation(r *http.Request) string {
	switch {
	case r.URL.Path == "/graphql/upload":
		return "UploadPack"
	case r.URL.Path != "/graphql" || r.Method != http.MethodPost || r.Body == nil:
		return r.URL.Path
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "broken"
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		OperationName string
		Variables     struct{ Input struct{ Backup *string } }
	}
	if json.Unmarshal(body, &in) != nil {
		return "broken"
	}
	if in.OperationName == "KeepRuns" && in.Variables.Input.Backup != nil {
		return "KeepRuns with session"
	}
	return in.OperationName
}

// deaf is an answer that nobody hears.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}
