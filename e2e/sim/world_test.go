//go:build linux

package sim

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/server"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// world is an installation: a database whose clock can be moved, a Redis that comes and goes, a store on disk, a server that
// is restarted, and two workers. Each of the three processes has a depot of its own, as it would have on machines of their own.
type world struct {
	t     testing.TB
	shift func(time.Duration)
	ahead atomic.Int64 // of the machine's clock, in nanoseconds
	dir   string

	config  depot.Config
	signer  *server.Signer
	depot   *depot.Depot    // the server's
	workers [2]*depot.Depot // the workers'

	addr  string // of the server
	stop  func()
	redis *local.Local // nil while it is away
}

func newWorld(t testing.TB) *world {
	t.Helper()
	_, at, shift := pgtest.NewShifted(t)
	secret := make([]byte, depot.MinSecret)
	rand.Read(secret)
	w := &world{t: t, shift: shift, dir: scratch(t), signer: server.NewSigner(secret)}
	w.redisUp()
	t.Cleanup(func() { w.redisDown() })
	w.config = depot.Config{
		DatabaseURL: at, RedisURL: w.redis.RedisURL(), Secret: secret, PublicURL: "http://127.0.0.1", Prepare: true, Sign: w.signer.Sign,
		StoreURL: (&url.URL{Scheme: "file", Path: filepath.Join(w.dir, "store")}).String(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	w.depot = w.open()
	for i := range w.workers {
		w.workers[i] = w.open()
	}
	w.serve("127.0.0.1:0")
	t.Cleanup(w.down)
	return w
}

func (w *world) open() *depot.Depot {
	w.t.Helper()
	d, err := depot.Open(context.Background(), w.config)
	w.ok(err)
	// Servers that go by a clock of their own have one that agrees with the database's.
	d.Fleet = fleet.New(fleet.Config{DB: d.DB, Bus: d.Bus, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	w.t.Cleanup(d.Close)
	return d
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// serve starts the server.
func (w *world) serve(addr string) {
	w.t.Helper()
	ln, err := net.Listen("tcp", addr)
	w.ok(err)
	w.addr = ln.Addr().String()
	d := w.depot
	s := server.New(server.Config{API: graph.Over(d), Authenticate: d.Authenticate, Seen: d.Fleet.Seen, Signer: w.signer,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the server: %v", err)
		}
	}
}

// down ends the server; up starts it again at its address.
func (w *world) down() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

func (w *world) up() {
	w.t.Helper()
	w.serve(w.addr)
}

// redisUp starts Redis where it was; what it kept is there again.
func (w *world) redisUp() {
	w.t.Helper()
	l, err := local.Start(context.Background(), local.Config{Dir: filepath.Join(w.dir, "redis"), NoPostgres: true, Throwaway: true})
	w.ok(err)
	w.redis = l
}

func (w *world) redisDown() {
	if w.redis != nil {
		w.redis.Close()
		w.redis = nil
	}
}

// wipe empties Redis, over a connection of its own: others may not have noticed yet that it is back.
func (w *world) wipe() {
	if w.redis == nil {
		return
	}
	c, err := bus.Connect(context.Background(), w.redis.RedisURL(), w.config.Log)
	if err == nil {
		err = errors.Join(c.FlushAll(context.Background()).Err(), c.Close())
	}
	if err != nil {
		w.t.Error(err)
	}
}

// now is the database's clock, the only one that counts.
func (w *world) now() time.Time {
	w.t.Helper()
	var at time.Time
	w.ok(w.depot.DB.Get(&at, `SELECT clock_timestamp()`))
	return at.UTC()
}

// jump moves the clock forward to a time. It runs on from there by itself.
func (w *world) jump(to time.Time) {
	w.t.Helper()
	by := to.Sub(w.now())
	w.shift(by)
	w.ahead.Add(int64(by))
}

// task is a periodic task of the worker: see package worker, which runs the same ones.
type task struct {
	name  string
	every time.Duration
	do    func(*depot.Depot, context.Context) error
}

// often is what every stop of the clock begins with; care, what comes now and then.
var (
	often = []task{
		{"policies.tick", 0, (*depot.Depot).TickPolicies},
		{"schedules.tick", 0, (*depot.Depot).TickSchedules},
		{"runs.sweep", 0, (*depot.Depot).SweepRuns},
		{"sessions.expire", 0, (*depot.Depot).ExpireSessions},
	}
	care = []task{
		{"devices.stale", time.Hour, (*depot.Depot).AlarmStale},
		{"notices.send", time.Hour, (*depot.Depot).SendNotices},
		{"notices.digest", 6 * time.Hour, (*depot.Depot).SendDigests},
		{"accounts.sweep", 12 * time.Hour, (*depot.Depot).SweepAccounts},
		{"storage.sample", 12 * time.Hour, (*depot.Depot).SampleStorage},
		{"notices.sweep", 24 * time.Hour, (*depot.Depot).SweepNotices},
		{"runs.prune", 24 * time.Hour, (*depot.Depot).PruneRuns},
		{"packs.scrub", 72 * time.Hour, (*depot.Depot).ScrubPacks},
	}
)

// collect cleans the spaces that are due, as a worker does that was rung for each: without a queue in between, which may be away.
func collect(ctx context.Context, d *depot.Depot) error {
	spaces, err := d.Catalog.DueSpaces(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range spaces {
		errs = append(errs, d.CollectSpace(ctx, s.String()))
	}
	return errors.Join(errs...)
}

// squeeze cleans all spaces and copies every pack that is mostly dead, however little that wins: what is stored here is small.
func squeeze(ctx context.Context, d *depot.Depot) error {
	spaces, err := d.Catalog.Spaces(ctx, actor.System())
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range spaces {
		if _, err := d.Catalog.Collect(ctx, actor.System(), s, catalog.GCOptions{Win: -1}); !errors.Is(err, fault.Conflict) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stored is the size of all that is in the store.
func (w *world) stored() (n int64) {
	w.t.Helper()
	w.ok(filepath.WalkDir(filepath.Join(w.dir, "store"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil // a pack may be unlinked while we look
		} else if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}))
	return n
}
