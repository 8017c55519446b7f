package remote_test

import (
	"context"

	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/remote/remotetest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

var quiet = log.New(io.Discard, "", 0)

func dial(t *testing.T, url string, o remote.Options) *remote.Client {
	t.Helper()
	c, err := remote.Dial(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// want checks an error's kind and that its message holds some words.
func want(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got %v (%s), want %s", err, fault.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestDialRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		url  string
		opts remote.Options
		word string
	}{
		{"", remote.Options{}, "empty"},
		{"ftp://x", remote.Options{}, "https://"},
		{"https://", remote.Options{}, "not a server's address"},
		{"https://h/?q", remote.Options{}, "no user, query or fragment"},
		{"https://u@h", remote.Options{}, "no user, query or fragment"},
		{"http://backup.example.org", remote.Options{}, "not encrypted"},
		{"https://h", remote.Options{Fingerprint: "12"}, "not a fingerprint"},
	}
	for _, c := range cases {
		_, err := remote.Dial(c.url, c.opts)
		want(t, err, fault.Invalid, c.word)
	}
	for url, opts := range map[string]remote.Options{
		"http://127.0.0.1:1": {}, "http://localhost": {}, "http://[::1]:3": {}, "backup.example.org": {},
		"http://backup.example.org": {PlainHTTP: true}, "https://h/": {Fingerprint: strings.Repeat("AB:", 31) + "ab"},
	} {
		if _, err := remote.Dial(url, opts); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	s.Skew = -time.Hour
	info, err := dial(t, s.URL, remote.Options{}).Server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Version == "" || (info.Skew+time.Hour).Abs() > 2*time.Second {
		t.Errorf("server: %+v", info)
	}
	s.Set(func(s *remotetest.Server) { s.MinProtocol = 99 })
	_, err = dial(t, s.URL, remote.Options{}).Server(t.Context())
	want(t, err, fault.ClientTooOld, "too old", "install")
}

func TestPinning(t *testing.T) {
	t.Parallel()
	s := remotetest.NewTLS(t)
	pinned := dial(t, s.URL, remote.Options{Fingerprint: strings.ToUpper(s.Fingerprint)})
	if _, err := pinned.Server(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pin, err := pinned.Pin(t.Context()); err != nil || pin != s.Fingerprint {
		t.Errorf("pin %q, %v", pin, err)
	}

	_, err := dial(t, s.URL, remote.Options{RetryFor: time.Minute}).Server(t.Context())
	want(t, err, fault.Unavailable, "does not know", "--fingerprint "+s.Fingerprint)
	var cert *remote.CertificateError
	if !errors.As(err, &cert) || cert.Fingerprint != s.Fingerprint || cert.Pinned {
		t.Errorf("certificate error: %+v", cert)
	}

	_, err = dial(t, s.URL, remote.Options{Fingerprint: strings.Repeat("ab", 32)}).Server(t.Context())
	want(t, err, fault.Unavailable, "another certificate authority", s.Fingerprint)
	if !errors.As(err, &cert) || !cert.Pinned {
		t.Errorf("certificate error: %+v", cert)
	}

	open := dial(t, s.URL, remote.Options{Unverified: true})
	if _, err := open.Server(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := open.Presented(); len(p) != 2 || p[1] != s.Fingerprint {
		t.Errorf("presented %v", p)
	}

	// The wrong scheme, both ways.
	_, err = dial(t, "http"+strings.TrimPrefix(s.URL, "https"), remote.Options{}).Server(t.Context())
	want(t, err, fault.Invalid, "https://")
	plain := remotetest.New(t)
	_, err = dial(t, "https"+strings.TrimPrefix(plain.URL, "http"), remote.Options{}).Server(t.Context())
	want(t, err, fault.Unavailable, "does not speak TLS")
}

func TestBadCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cases := []struct {
		name     string
		from, to time.Time
		host     string
		words    []string
	}{
		{"expired", now.Add(-2 * time.Hour), now.Add(-time.Hour), "127.0.0.1", []string{"has expired", "clock"}},
		{"future", now.Add(time.Hour), now.Add(2 * time.Hour), "127.0.0.1", []string{"not valid yet", "clock"}},
		{"name", now.Add(-time.Hour), now.Add(time.Hour), "other.example.org", []string{"not made for 127.0.0.1", "other.example.org"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, fingerprint := remotetest.Authority(t, c.from, c.to, c.host)
			ts := httptest.NewUnstartedServer(http.NotFoundHandler())
			ts.TLS = cfg
			ts.Config.ErrorLog = quiet
			ts.StartTLS()
			t.Cleanup(ts.Close)
			_, err := dial(t, ts.URL, remote.Options{Fingerprint: fingerprint, RetryFor: time.Minute}).Server(t.Context())
			want(t, err, fault.Unavailable, c.words...)
		})
	}
	// An authority that signed nothing of the sort: pinned, presented, and still not enough.
	_, other := remotetest.Authority(t, now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1")
	cfg, _ := remotetest.Authority(t, now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1")
	ts := httptest.NewUnstartedServer(http.NotFoundHandler())
	ts.TLS = &tls.Config{Certificates: cfg.Certificates}
	ts.Config.ErrorLog = quiet
	ts.StartTLS()
	t.Cleanup(ts.Close)
	_, err := dial(t, ts.URL, remote.Options{Fingerprint: other}).Server(t.Context())
	want(t, err, fault.Unavailable, "another certificate authority")
}

func TestErrorsOfTheServer(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Invalid, fault.NotFound, fault.Unauthenticated, fault.WrongPassword, fault.SecondFactor, fault.Forbidden,
		fault.Conflict, fault.SessionExpired, fault.TooLarge, fault.TooMany, fault.HashMismatch, fault.BadPack, fault.StorageFull,
		fault.Unavailable, fault.ClientTooOld, fault.Internal} {
		s := remotetest.New(t)
		s.Fail("Server", fault.New(kind, "the words of %s", kind))
		_, err := dial(t, s.URL, remote.Options{}).Server(t.Context())
		want(t, err, kind, "the words of "+string(kind))
	}
	s := remotetest.New(t)
	s.Fail("Server", fault.New("SOMETHING_NEW", "new"), fault.New("GRAPHQL_VALIDATION_FAILED", "no such field"),
		&fault.Error{Kind: fault.ObjectsMissing, Message: "some", Data: make([]byte, 32)}, &fault.Error{Kind: fault.ObjectsMissing, Message: "some", Data: make([]byte, 31)})
	c := dial(t, s.URL, remote.Options{})
	_, err := c.Server(t.Context())
	want(t, err, fault.Internal, "new")
	_, err = c.Server(t.Context())
	want(t, err, fault.ClientTooOld, "another version")
	_, err = c.Server(t.Context())
	var f *fault.Error
	if want(t, err, fault.ObjectsMissing); !errors.As(err, &f) || len(f.Data) != 32 {
		t.Errorf("missing: %+v", f)
	}
	_, err = c.Server(t.Context())
	want(t, err, fault.Internal, "does not say which")
}

func TestErrorsOfOthers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		status int
		header http.Header
		body   string
		kind   fault.Kind
		word   string
	}{
		{200, nil, "<html>hello</html>", fault.Invalid, "not a Holdfast server"},
		{200, http.Header{"Content-Type": {"application/json"}}, `{"data":{"server":{"product":"other"}}}`, fault.Invalid, "other"},
		{200, http.Header{"Content-Type": {"application/json"}}, `{"data":{"server":{"product":7}}}`, fault.Internal, "not what this version"},
		{200, http.Header{"Content-Type": {"application/json"}}, `{`, fault.Invalid, "not a Holdfast server"},
		{404, nil, "no", fault.Invalid, "check the address"},
		{301, http.Header{"Location": {"https://elsewhere.example.org/"}}, "", fault.Invalid, "elsewhere"},
		{401, nil, "no", fault.Unauthenticated, "login"},
		{403, nil, "keep out", fault.Forbidden, "keep out"},
		{413, nil, "", fault.TooLarge, "48 MiB"},
		{429, nil, "", fault.TooMany, "too often"},
		{502, nil, "bad gateway", fault.Unavailable, "502"},
		{507, nil, "", fault.StorageFull, "no room"},
	}
	for _, k := range cases {
		t.Run(fmt.Sprint(k.status, k.word), func(t *testing.T) {
			t.Parallel()
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for name, v := range k.header {
					w.Header()[name] = v
				}
				w.WriteHeader(k.status)
				io.WriteString(w, k.body)
			}))
			t.Cleanup(ts.Close)
			_, err := dial(t, ts.URL, remote.Options{}).Server(t.Context())
			want(t, err, k.kind, k.word)
		})
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	l.Close()
	_, err = dial(t, address, remote.Options{}).Server(t.Context())
	want(t, err, fault.Unavailable, "cannot reach "+l.Addr().String(), "nothing listens there")

	_, err = dial(t, "https://no-such-host.invalid", remote.Options{}).Server(t.Context())
	want(t, err, fault.Unavailable, "cannot reach no-such-host.invalid")

	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does it notice that the client hangs up
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	begun := time.Now()
	_, err = dial(t, silent.URL, remote.Options{Idle: 100 * time.Millisecond}).Server(t.Context())
	want(t, err, fault.Unavailable, "went silent")
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("gave up after %v", d)
	}

	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"data":`)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(cut.Close)
	_, err = dial(t, cut.URL, remote.Options{}).Server(t.Context())
	want(t, err, fault.Unavailable, "cut the connection")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = dial(t, silent.URL, remote.Options{RetryFor: time.Minute}).Server(ctx); !errors.Is(err, context.Canceled) || errors.As(err, new(*fault.Error)) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	s.Fail("Server", fault.New(fault.Unavailable, "not now"), fault.New(fault.HashMismatch, "damaged"), fault.New(fault.TooMany, "slowly"))
	var told atomic.Int32
	c := dial(t, s.URL, remote.Options{RetryFor: time.Minute, OnRetry: func(error, time.Duration) { told.Add(1) }})
	if _, err := c.Server(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Calls("Server"); n != 4 || told.Load() != 3 {
		t.Errorf("%d calls, told %d times", n, told.Load())
	}

	// What will not get better is not repeated, and neither is what must wait longer than anyone wants to.
	s.Fail("Server", fault.New(fault.StorageFull, "full"))
	_, err := c.Server(t.Context())
	want(t, err, fault.StorageFull)
	s.Fail("Server", &fault.Error{Kind: fault.TooMany, Message: "in an hour", RetryAfter: 3600})
	_, err = c.Server(t.Context())
	want(t, err, fault.TooMany)

	// RetryAfter is honoured.
	s.Fail("Server", &fault.Error{Kind: fault.TooMany, Message: "in a second", RetryAfter: 1})
	begun := time.Now()
	if _, err := c.Server(t.Context()); err != nil || time.Since(begun) < time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
}

// What uses something up is not repeated once it may have arrived.
func TestOnce(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	token := s.Invite(remotetest.Invite{Email: "ada@example.org", Name: "Ada"})
	hook := func(op string, w http.ResponseWriter, r *http.Request) bool {
		if op == "Join" {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	s.Set(func(s *remotetest.Server) { s.Hook = hook })
	c := dial(t, s.URL, remote.Options{RetryFor: time.Minute})
	_, err := c.Join(t.Context(), remote.JoinInput{Token: token, Name: "Ada"})
	want(t, err, fault.Unavailable, "cut the connection")
	if n := s.Calls("Join"); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A server that starts late is found by what was never sent, too.
func TestUnsent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var server atomic.Pointer[http.Server]
	c := dial(t, "http://"+address, remote.Options{RetryFor: time.Minute, OnRetry: func(error, time.Duration) {
		if server.Load() != nil {
			return
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"errors":[{"message":"used","extensions":{"code":"NOT_FOUND"}}]}`)
		})}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return // somebody else took the port meanwhile; the next retry tries again
		}
		server.Store(srv)
		go srv.Serve(l)
	}})
	_, err = c.Join(t.Context(), remote.JoinInput{})
	if srv := server.Load(); srv != nil {
		srv.Close()
	}
	want(t, err, fault.NotFound, "used")
}
