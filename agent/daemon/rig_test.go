//go:build unix

package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/server/servertest"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const password = "correct horse battery"

// rig is a person with one device, on a whole server.
type rig struct {
	*testing.T
	w      *servertest.World
	a      *agent.Account // unlocked
	dir    *state.Dir
	device *state.Device
	home   string // the person's, as the system spells it
	log    *logBuffer
}

func newRig(t *testing.T) *rig { return newRigLease(t, 0) }

// newRigLease is one whose leases last so long.
func newRigLease(t *testing.T, ttl time.Duration) *rig {
	t.Helper()
	w := servertest.New(t, func(w *servertest.World) {
		w.Runs = run.New(run.Config{DB: w.DB, Bus: w.Bus, Policies: w.Policies, Applications: w.Applications, Settings: w.Settings, LeaseTTL: ttl})
	})
	r := &rig{T: t, w: w, log: new(logBuffer)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the service's log:\n%s", r.log)
		}
	})
	ctx := t.Context()
	s := agent.Server{URL: w.URL}
	_, err := agent.Join(ctx, s, agent.JoinInput{Token: w.Invite("ada@example.org", "Ada", actor.Staff),
		Password: func(string) ([]byte, error) { return []byte(password), nil },
		Recovery: func(string, keyring.RecoveryCode) error { return nil }})
	r.ok(err)
	r.a, err = agent.Unlock(ctx, s, "ada@example.org", agent.Secret{Password: []byte(password)})
	r.ok(err)
	t.Cleanup(func() { r.a.Close(context.Background()) })
	r.home, err = filepath.EvalSymlinks(t.TempDir())
	r.ok(err)
	r.dir, err = state.Open(filepath.Join(t.TempDir(), "state"))
	r.ok(err)
	code, _, err := r.a.Code(ctx)
	r.ok(err)
	r.device, err = agent.Enroll(ctx, s, r.dir, agent.EnrollInput{Name: "laptop", Code: code.String(), Home: r.home, User: "ada"})
	r.ok(err)
	return r
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) config() Config {
	return Config{Dir: r.dir, Spread: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// serve starts the service and returns what ends it and tells how it ended.
func (r *rig) serve(cfg Config) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	r.Cleanup(func() { stop() })
	return stop
}

// file writes a file below the home folder.
func (r *rig) file(path string, content []byte) {
	r.Helper()
	full := filepath.Join(r.home, path)
	r.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	r.ok(os.WriteFile(full, content, 0o644))
}

func (r *rig) now() *remote.Run {
	r.Helper()
	v, err := r.a.Client.BackUpNow(r.Context(), r.device.ID)
	r.ok(err)
	return v
}

// until waits until a run is as it should be.
func (r *rig) until(v id.Run, want func(*remote.Run) bool) *remote.Run {
	r.Helper()
	ctx, cancel := context.WithTimeoutCause(r.Context(), time.Minute, errors.New("a minute"))
	defer cancel()
	var last *remote.Run
	for {
		got, err := r.a.Client.Run(ctx, v)
		if err == nil {
			if last = got; want(got) {
				return got
			}
		} else if ctx.Err() != nil {
			r.Fatalf("after %v the run is %+v", context.Cause(ctx), last)
		} else if !errors.Is(err, fault.Unavailable) {
			r.Fatal(err)
		}
		pause := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

func (r *rig) ends(v id.Run, state string) *remote.Run {
	r.Helper()
	got := r.until(v, (*remote.Run).Over)
	if got.State != state {
		r.Fatalf("the run is %s (%s %s), want %s", got.State, got.Code, got.Text, state)
	}
	return got
}

// holds returns what a snapshot holds: names below the home folder, and sizes of files.
func (r *rig) holds(s id.Snapshot) map[string]int64 {
	r.Helper()
	snap, err := r.a.FindSnapshot(r.Context(), s.String(), id.Device{})
	r.ok(err)
	m := map[string]int64{}
	r.ok(r.a.List(r.Context(), snap, r.home, true, func(e *tree.Entry) error {
		if e.Type == tree.File {
			name, err := filepath.Rel(r.home, agent.LocalPath(e.Path))
			m[filepath.ToSlash(name)] = e.Size
			return err
		}
		return nil
	}))
	return m
}

// logBuffer is a buffer for several writers.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
