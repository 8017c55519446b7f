// Package servertest is the whole server in the process of a test: for tests of what talks to it. It is the real one, on a
// PostgreSQL of its own whose clock can be moved, a Redis, and a store on disk; it answers over HTTP on one address of the
// loopback interface for all of its life, and can go away and come back.
//
// There is no worker: a test calls what a worker would.
package servertest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/server"
)

// World is a server and what it stands on.
type World struct {
	*depot.Depot
	URL   string
	Shift func(time.Duration) // moves the clock of the database

	t      testing.TB
	signer *server.Signer

	mu   sync.Mutex
	stop func()
}

// New starts a server. It ends with the test. adjust, which may be nil, changes what it stands on before it answers.
func New(t testing.TB, adjust func(*World)) *World {
	t.Helper()
	_, at, shift := pgtest.NewShifted(t)
	secret := make([]byte, depot.MinSecret)
	rand.Read(secret)
	w := &World{t: t, Shift: shift, signer: server.NewSigner(secret)}
	store := &url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(t.TempDir(), "store"))}
	d, err := depot.Open(context.Background(), depot.Config{
		DatabaseURL: at, RedisURL: pgtest.Redis(t), StoreURL: store.String(), Secret: secret, PublicURL: "http://127.0.0.1",
		Prepare: true, Sign: w.signer.Sign,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	w.Depot = d
	if adjust != nil {
		adjust(w)
	}
	w.start("127.0.0.1:0")
	t.Cleanup(w.Down)
	return w
}

// start serves on an address.
func (w *World) start(addr string) {
	w.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.URL = "http://" + ln.Addr().String()
	d := w.Depot
	s := server.New(server.Config{
		API:          graph.Over(d),
		Authenticate: d.Authenticate, Seen: d.Fleet.Seen, Signer: w.signer,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the server: %v", err)
		}
	}
}

// Down ends the server politely, as its operators would: requests under way are answered, subscriptions ended.
func (w *World) Down() {
	w.mu.Lock()
	stop := w.stop
	w.stop = nil
	w.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Up starts it again at the same address.
func (w *World) Up() {
	w.t.Helper()
	at, err := url.Parse(w.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	w.start(at.Host)
}

// Invite returns the token of an invitation.
func (w *World) Invite(email, name string, role actor.Role) string {
	w.t.Helper()
	_, token, _, err := w.Accounts.Invite(context.Background(), actor.System(), account.InviteInput{Email: email, Name: name, Role: role})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// Policy makes a policy for everyone that saves the roots by night, or as adjust says.
func (w *World) Policy(name string, roots []string, adjust func(*policy.Input)) *policy.Policy {
	w.t.Helper()
	two, err := plan.ParseClock("02:00")
	if err != nil {
		w.t.Fatal(err)
	}
	in := policy.Input{Name: name, Enabled: true, Targets: policy.Targets{Everyone: true}, Roots: roots,
		Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{two}}, Zone: "UTC", Level: policy.Default}
	if adjust != nil {
		adjust(&in)
	}
	p, err := w.Policies.Create(context.Background(), actor.System(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// Tick does what workers do about runs: makes those that are due, finds those that went silent, rings devices.
func (w *World) Tick() {
	w.t.Helper()
	if err := w.Runs.Tick(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Runs.Sweep(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}
