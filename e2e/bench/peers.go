//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/usage"
)

// A peer is one backup program with its server, on an empty repository.
type peer interface {
	Start(ctx context.Context, dir string) error
	Backup(ctx context.Context, src string) (cost, error)
	Restore(ctx context.Context, src, dst string) (cost, error)
	Stored() (int64, error)       // bytes in the repository
	Server() (usage.Usage, error) // of the server's processes since Start; zero without a server
	Stop() error
}

// cost is what one command took on the client's side.
type cost struct {
	wall time.Duration
	cpu  time.Duration
	rss  int64 // peak, bytes
}

// programs are where the peers' binaries are.
type programs struct{ restic, restServer, kopia string }

// build makes the programs of the peers that are asked for at their exact versions, once, in the user's cache.
func build(ctx context.Context, who string) (programs, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return programs{}, err
	}
	cache = filepath.Join(cache, "holdfast-tools")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return programs{}, err
	}
	var p programs
	for _, t := range []struct {
		peer, dir, pkg, name string
		to                   *string
	}{
		{"restic", "restic", "github.com/restic/restic/cmd/restic", "restic-0.19.1", &p.restic},
		{"restic", "restserver", "github.com/restic/rest-server/cmd/rest-server", "rest-server-0.14.0", &p.restServer},
		{"kopia", "kopia", "github.com/kopia/kopia", "kopia-0.22.3", &p.kopia},
	} {
		*t.to = filepath.Join(cache, t.name)
		if _, err := os.Stat(*t.to); err == nil || !strings.Contains(who, t.peer) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: building %s …\n", t.name)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", *t.to, t.pkg)
		cmd.Dir = filepath.Join("e2e", "bench", "peers", t.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", t.name, err, out)
		}
	}
	return p, nil
}

// run measures one command of a client.
func run(ctx context.Context, env []string, name string, args ...string) (cost, string, error) {
	return runFrom(ctx, nil, env, name, args...)
}

// runFrom is run with a standard input, which may be nil.
func runFrom(ctx context.Context, in *os.File, env []string, name string, args ...string) (cost, string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	if in != nil {
		cmd.Stdin = in
	}
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(began)}
	if err != nil {
		return c, out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out.String())
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	c.rss = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * 1024
	return c, out.String(), nil
}

// daemon is a server process of a peer.
type daemon struct {
	cmd *exec.Cmd
	out output
}

// output collects what a daemon prints while we read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (d *daemon) start(env []string, ready func() bool, name string, args ...string) error {
	d.cmd = exec.Command(name, args...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	if err := d.cmd.Start(); err != nil {
		return err
	}
	for range 600 {
		if ready() {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.stop()
	return fmt.Errorf("%s is not ready after 30 s\n%s", filepath.Base(name), d.out.String())
}

func (d *daemon) stop() error {
	if d.cmd == nil || d.cmd.Process == nil {
		return nil
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	err := d.cmd.Wait()
	d.cmd = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // ended by our signal
	}
	return err
}

func (d *daemon) usage() (usage.Usage, error) {
	if d.cmd == nil {
		return usage.Usage{}, nil
	}
	return usage.Of(d.cmd.Process.Pid)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func listening(addr string) func() bool {
	return func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
}

func folderSize(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// restic encrypts on the client and speaks HTTP to rest-server.
type restic struct {
	p    programs
	repo string
	env  []string
	srv  daemon
}

func (r *restic) Start(ctx context.Context, dir string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	r.repo = filepath.Join(dir, "repo")
	r.env = []string{
		"RESTIC_REPOSITORY=rest:http://" + addr + "/", "RESTIC_PASSWORD=correct horse battery",
		"RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache"), "RESTIC_PROGRESS_FPS=0.1",
	}
	if err := r.srv.start(nil, listening(addr), r.p.restServer, "--path", r.repo, "--listen", addr, "--no-auth"); err != nil {
		return err
	}
	_, _, err = run(ctx, r.env, r.p.restic, "init", "--quiet")
	return err
}

func (r *restic) Backup(ctx context.Context, src string) (cost, error) {
	c, _, err := run(ctx, r.env, r.p.restic, "backup", "--quiet", src)
	return c, err
}

func (r *restic) Restore(ctx context.Context, _, dst string) (cost, error) {
	c, _, err := run(ctx, r.env, r.p.restic, "restore", "latest", "--quiet", "--target", dst)
	return c, err
}

func (r *restic) Stored() (int64, error)       { return folderSize(r.repo) }
func (r *restic) Server() (usage.Usage, error) { return r.srv.usage() }
func (r *restic) Stop() error                  { return r.srv.stop() }

// kopia runs straight to disk, or through its repository server, which then does the encryption.
type kopia struct {
	p      programs
	server bool
	repo   string
	env    []string
	srv    daemon
}

var fingerprint = regexp.MustCompile(`(?i)CERT SHA256: ([0-9a-f]{64})`)

func (k *kopia) Start(ctx context.Context, dir string) error {
	k.repo = filepath.Join(dir, "repo")
	if err := os.MkdirAll(k.repo, 0o755); err != nil {
		return err
	}
	const password = "correct horse battery"
	env := func(who string) []string {
		return []string{
			"KOPIA_PASSWORD=" + password, "KOPIA_CONFIG_PATH=" + filepath.Join(dir, who+".config"), "KOPIA_CHECK_FOR_UPDATES=false",
			"KOPIA_CACHE_DIRECTORY=" + filepath.Join(dir, who+"-cache"), "KOPIA_LOG_DIR=" + filepath.Join(dir, who+"-log"),
		}
	}
	host := env("host")
	for _, args := range [][]string{
		{"repository", "create", "filesystem", "--path", k.repo, "--override-username", "ada", "--override-hostname", "bench"},
		{"policy", "set", "--global", "--compression", "zstd-fastest"},
	} {
		if _, _, err := run(ctx, host, k.p.kopia, args...); err != nil {
			return err
		}
	}
	k.env = host
	if !k.server {
		return nil
	}
	if _, _, err := run(ctx, host, k.p.kopia, "server", "user", "add", "ada@bench", "--user-password", password); err != nil {
		return err
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	announced := func() bool { return fingerprint.MatchString(k.srv.out.String()) && listening(addr)() }
	err = k.srv.start(host, announced, k.p.kopia, "server", "start", "--address", "https://"+addr, "--tls-generate-cert",
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--server-username", "admin", "--server-password", password, "--server-control-username", "control", "--server-control-password", password, "--no-ui")
	if err != nil {
		return err
	}
	m := fingerprint.FindStringSubmatch(k.srv.out.String())
	k.env = env("client")
	_, _, err = run(ctx, k.env, k.p.kopia, "repository", "connect", "server", "--url", "https://"+addr,
		"--server-cert-fingerprint", strings.ToLower(m[1]), "--override-username", "ada", "--override-hostname", "bench", "--password", password)
	return err
}

func (k *kopia) Backup(ctx context.Context, src string) (cost, error) {
	c, _, err := run(ctx, k.env, k.p.kopia, "snapshot", "create", "--no-progress", src)
	return c, err
}

var kopiaRoot = regexp.MustCompile(`\bk[0-9a-f]{32,}`)

func (k *kopia) Restore(ctx context.Context, src, dst string) (cost, error) {
	_, out, err := run(ctx, k.env, k.p.kopia, "snapshot", "list", src, "--max-results", "1")
	if err != nil {
		return cost{}, err
	}
	root := kopiaRoot.FindString(out)
	if root == "" {
		return cost{}, fmt.Errorf("kopia lists no snapshot:\n%s", out)
	}
	c, _, err := run(ctx, k.env, k.p.kopia, "restore", root, dst, "--no-progress")
	return c, err
}

func (k *kopia) Stored() (int64, error)       { return folderSize(k.repo) }
func (k *kopia) Server() (usage.Usage, error) { return k.srv.usage() }
func (k *kopia) Stop() error                  { return k.srv.stop() }
