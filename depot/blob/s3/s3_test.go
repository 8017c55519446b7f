//go:build unix

package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/s3/s3test"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// config is a fresh bucket on the server.
func config(t *testing.T, server *s3test.Server) Config {
	t.Helper()
	bucket := fmt.Sprintf("bucket-%d", serial.Add(1))
	server.Bucket(t, bucket)
	return Config{Endpoint: server.Endpoint, Bucket: bucket, Prefix: "some/prefix", AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey}
}

var serial atomic.Int64

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	if err := Init(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	t.Run("Law", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, config(t, server)) })
	})
	t.Run("WithoutPrefix", func(t *testing.T) {
		cfg := config(t, server)
		cfg.Prefix = ""
		s := open(t, cfg)
		blobtest.Put(t, s, "a/b", []byte("x"))
		if got := blobtest.Names(t, s, ""); len(got) != 1 || got[0] != "a/b" {
			t.Errorf("names: %q", got)
		}
	})
	t.Run("Init", func(t *testing.T) {
		cfg := config(t, server)
		_, err := Open(t.Context(), cfg)
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "prefix") {
			t.Errorf("opening what was never made: %v", err)
		}
		s := open(t, cfg)
		blobtest.Put(t, s, "a", []byte("x"))
		if err := Init(t.Context(), cfg); err != nil {
			t.Errorf("a second Init: %v", err)
		}
		later := "holdfast store, format 2\n"
		if _, err := s.core.Client.PutObject(t.Context(), cfg.Bucket, s.prefix+mark, strings.NewReader(later), int64(len(later)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), cfg); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "in format 2") {
			t.Errorf("a store that a later program has made: %v", err)
		}
		above := cfg
		above.Prefix = "some"
		if err := Init(t.Context(), above); !errors.Is(err, fault.Conflict) {
			t.Errorf("a place with other things: %v", err)
		}
	})
	t.Run("EmptiedBucket", func(t *testing.T) {
		cfg := config(t, server)
		s := open(t, cfg)
		blobtest.Put(t, s, "a", []byte("x"))
		if err := errors.Join(os.RemoveAll(filepath.Join(server.Root, cfg.Bucket)), os.Mkdir(filepath.Join(server.Root, cfg.Bucket), 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := s.List(t.Context(), "", func(blob.Info) error { return nil }); !errors.Is(err, fault.Unavailable) {
			t.Errorf("list: %v", err)
		}
	})
	t.Run("Refusals", func(t *testing.T) { testRefusals(t, server) })
	t.Run("NothingLeftBehind", func(t *testing.T) {
		s := open(t, config(t, server))
		before, _ := filepath.Glob(filepath.Join(os.TempDir(), "holdfast-spool-*"))
		p, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Abort()
		p.Write([]byte("x"))
		if after, _ := filepath.Glob(filepath.Join(os.TempDir(), "holdfast-spool-*")); len(after) > len(before) {
			t.Errorf("a crash now would leave %q", after)
		}
	})
}

// testRefusals: each operation says what is wrong with keys, bucket and network, and never "not found" or "empty".
func testRefusals(t *testing.T, server *s3test.Server) {
	good := config(t, server)
	open(t, good)
	gone := good
	gone.Bucket = "no-such-bucket"
	wrongSecret := good
	wrongSecret.SecretKey = "wrong"
	wrongKey := good
	wrongKey.AccessKey = "nobody"
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	nowhere := good
	nowhere.Endpoint = closed.URL
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotImplemented) }))
	t.Cleanup(broken.Close)
	sick := good
	sick.Endpoint = broken.URL
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, c := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"no bucket", gone, "does not exist"},
		{"wrong secret", wrongSecret, "AWS_SECRET_ACCESS_KEY"},
		{"wrong key", wrongKey, "AWS_ACCESS_KEY_ID"},
		{"nobody there", nowhere, "cannot be reached"},
		{"sick", sick, "cannot"},
	} {
		wg.Go(func() {
			s, err := connect(c.cfg)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			put := func() error {
				p, err := s.Create(ctx)
				if err != nil {
					return err
				}
				p.Write([]byte("x"))
				return p.Commit(ctx, "a")
			}
			_, readErr := s.Open(ctx, "a", 0, -1)
			_, statErr := s.Stat(ctx, "a")
			for what, err := range map[string]error{
				"init": Init(ctx, c.cfg), "read": readErr, "stat": statErr, "commit": put(), "delete": s.Delete(ctx, "a"),
				"list": s.List(ctx, "", func(blob.Info) error { return nil }),
			} {
				// A HEAD answer has no body, so it cannot say which of the keys is wrong.
				if !errors.Is(err, fault.Unavailable) || what != "stat" && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s, %s: %v", c.name, what, err)
				}
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := Config{Endpoint: "https://example.org", Bucket: "b", AccessKey: "k", SecretKey: "s"}
	if _, err := connect(good); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Endpoint = "example.org" },
		func(c *Config) { c.Endpoint = "ftp://example.org" },
		func(c *Config) { c.Endpoint = "https://example.org/path" },
		func(c *Config) { c.AccessKey = "" },
		func(c *Config) { c.SecretKey = "" },
		func(c *Config) { c.Prefix = "Ünicode" },
	} {
		cfg := good
		change(&cfg)
		if _, err := connect(cfg); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestCutOff: a connection that breaks in the middle of a blob is an error, never an early end.
func TestCutOff(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"x"`)
		w.Write(make([]byte, 500))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	s, err := connect(Config{Endpoint: server.URL, Bucket: "bucket", AccessKey: "k", SecretKey: "s"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	b := make([]byte, 100)
	for err == nil {
		var k int
		k, err = r.Read(b)
		n += k
	}
	if n != 500 || !errors.Is(err, fault.Unavailable) {
		t.Errorf("after %d bytes: %v", n, err)
	}
}
