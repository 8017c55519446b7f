//go:build linux

package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server behind something that answers every third request with an error loses nothing and stores nothing
// twice.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	s := server(t)
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	var sick atomic.Bool
	var n, refused atomic.Int64
	proxy := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() && n.Add(1)%3 == 0 {
			refused.Add(1)
			http.Error(w, "no", []int{500, 502, 503}[n.Load()%9/3])
			return
		}
		forward.ServeHTTP(w, r)
	}))
	a := person(t, s.Via(proxy))
	files, back := filepath.Join(t.TempDir(), "files"), t.TempDir()
	grow(t, files, 31, 200, 200_000)
	sick.Store(true)
	b := mustBackup(t, a, files)
	if err := a.Unlocked(t.Context(), "restore", b.Snapshot, "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	sick.Store(false)
	mustMatch(t, files, back)
	if refused.Load() < 2 {
		t.Errorf("only %d requests were refused: the test tested nothing", refused.Load())
	}
}

// Connections that break in the middle of a body are repeated.
func TestConnectionsCutInMidBody(t *testing.T) {
	t.Parallel()
	s := server(t)
	var budget atomic.Int64 // bytes after which the next connections break; 0: never
	var cuts atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				c.Close()
				continue
			}
			limit := budget.Load()
			if cuts.Load() >= 8 {
				limit = 0
			}
			pipe := func(dst, src net.Conn) {
				if limit > 0 {
					if n, _ := io.CopyN(dst, src, limit); n == limit {
						cuts.Add(1)
					}
				} else {
					io.Copy(dst, src)
				}
				dst.Close()
				src.Close()
			}
			go pipe(up, c)
			go pipe(c, up)
		}
	}()
	a := person(t, s.Via("http://"+l.Addr().String()))
	files, back := filepath.Join(t.TempDir(), "files"), t.TempDir()
	grow(t, files, 37, 100, 900_000)
	budget.Store(700_000)
	b := mustBackup(t, a, files)
	if err := a.Unlocked(t.Context(), "restore", b.Snapshot, "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, files, back)
	if cuts.Load() < 3 {
		t.Errorf("only %d connections were cut: the test tested nothing", cuts.Load())
	}
}

// What a person reads when the server is not there.
func TestServerDown(t *testing.T) {
	t.Parallel()
	s := server(t)
	gate := make(chan struct{})
	target, _ := url.Parse(s.URL)
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			panic(http.ErrAbortHandler)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	a := person(t, s.Via(proxy))
	close(gate)
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 41, 3, 1000)
	began := time.Now()
	r := a.Run(t.Context(), "backup", files, "--retry-for", "2s")
	if r.Code != 1 || !strings.Contains(r.Stderr, strings.TrimPrefix(proxy, "http://")) || strings.Contains(r.Stderr, "goroutine") {
		t.Errorf("exit code %d after %v, and said:\n%s", r.Code, time.Since(began), r.Stderr)
	}
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String()
}
