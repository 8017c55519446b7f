//go:build unix

// Package s3test runs a real S3 server for tests: versitygw, on a free loopback port, over a temporary folder.
//
// The program has a hundred dependencies that ours shall not have, so it is a tool of a module of its own, in the folder
// gateway beside this file, at an exact version. It is built once, into the user's cache folder.
package s3test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The keys of the server's owner.
const (
	AccessKey = "holdfast-test"
	SecretKey = "holdfast-test-secret"
)

// Server is a running S3 server.
type Server struct {
	Endpoint string // http://127.0.0.1:port
	Root     string // its folder; a bucket is a folder in it
}

// Start starts a server that ends with the test. Buckets are made with [Server.Bucket].
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := Build(context.Background())
	if err != nil {
		t.Fatalf("the S3 server for tests: %v", err)
	}
	s := &Server{Root: filepath.Join(t.TempDir(), "buckets")}
	if err := os.Mkdir(s.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	// Somebody may take the port between our look and the server's: try again then.
	for range 5 {
		if err = s.start(t, program); err == nil {
			return s
		}
	}
	t.Fatalf("the S3 server for tests: %v", err)
	return nil
}

// Bucket makes a bucket.
func (s *Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.Root, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) start(t testing.TB, program string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	s.Endpoint = "http://" + addr

	var said bytes.Buffer
	cmd := exec.Command(program, "--access", AccessKey, "--secret", SecretKey, "--port", addr, "--quiet", "posix", s.Root)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = procAttr()

	gone := make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// The death signal of Linux is tied to the thread that forks.
		runtime.LockOSThread()
		defer close(gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	stop := func() {
		cmd.Process.Kill()
		<-gone
	}
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		select {
		case <-gone:
			return fmt.Errorf("it ended at once: %s", said.String())
		default:
		}
		if resp, err := http.Get(s.Endpoint + "/"); err == nil {
			resp.Body.Close()
			t.Cleanup(stop)
			return nil
		}
	}
	stop()
	return fmt.Errorf("it does not answer: %s", said.String())
}

// Build returns the path of the server program and builds it if need be, which takes a minute or two, once.
func Build(ctx context.Context) (string, error) { return build(ctx) }

var build = func() func(context.Context) (string, error) {
	var mu sync.Mutex
	var path string
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if path != "" {
			return path, nil
		}
		p, err := buildOnce(ctx)
		if err == nil {
			path = p
		}
		return p, err
	}
}()

func buildOnce(ctx context.Context) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(here), "gateway")
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	// The name says what is in it: another version is another file.
	dir := filepath.Join(cache, "holdfast-tools")
	path := filepath.Join(dir, fmt.Sprintf("versitygw-%s-%s-%s", runtime.GOOS, runtime.GOARCH, hex.EncodeToString(h.Sum(nil)[:6])))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path+".new", "github.com/versity/versitygw/cmd/versitygw")
	cmd.Dir = module
	// Not the flags and workspace of the module under test.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build versitygw: %w\n%s", err, out)
	}
	return path, os.Rename(path+".new", path)
}
