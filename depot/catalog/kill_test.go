package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// A cleaning is killed before every single statement and every single operation of the store, and that is after the one before.
// Whenever it is, all live snapshots can be read as they were, the books are right, a rebuild would bring nothing back to life, and
// the next cleaning ends where an undisturbed one would have.
func TestCollectSurvivesKills(t *testing.T) {
	t.Parallel()
	db, url := pgtest.NewURL(t)
	w := &world{t: t, ctx: t.Context(), db: db, mem: mem.New(), bus: &recorder{}}
	w.store = &faulty{Store: w.mem}
	cfg := Config{DB: db, Store: w.store, Bus: w.bus, Sign: func(id.Space, id.Pack, int64) (string, time.Time) { return "/", time.Now() }}
	atOnce(&cfg)
	w.Service = New(cfg)
	owner := w.user()
	dev := w.device(owner)
	kept, _, tree := w.half(dev, owner, 30, 40)
	live := append(slices.Clone(tree.data), tree.id)
	w.collect(owner, all)
	space := w.spaceOf(owner)

	death := &death{}
	connector := must(pq.NewConnector(url))(t)
	mortal := sqlx.NewDb(sql.OpenDB(&mortalConnector{connector, death}), "postgres")
	t.Cleanup(func() { mortal.Close() })
	killed := cfg
	killed.DB = mortal
	killed.Store = &mortalStore{w.mem, death}

	var dying []id.Snapshot // deleted, and not yet purged
	for step, died := 1, true; died; step++ {
		// A snapshot that is kept on a pack that is mostly dead, one whose commit failed at its end, and one to purge.
		next, _, tree := w.half(dev, owner, 30, 40)
		live = append(append(live, tree.data...), tree.id)
		lost, _ := w.backup(dev, 2)
		w.exec(`DELETE FROM snapshots WHERE id = $1`, lost.ID)

		death.at(step)
		_, err := New(killed).Collect(w.ctx, system, space, all)
		died = death.came()
		death.at(0)
		if err != nil && !errors.Is(err, errKilled) {
			t.Fatalf("step %d (died: %v): %v", step, died, err)
		}
		// The server lets go of a dead process's lock when it has noticed.
		w.exec(`SELECT pg_advisory_xact_lock($1, id) FROM spaces`, cleanerClass)
		w.sound()
		names := w.names()
		for _, sn := range dying {
			if slices.Contains(names, snapshotName(space, sn)) && !slices.Contains(names, deletionName(space, sn)) {
				t.Fatalf("killed at step %d: a rebuild would bring a deleted snapshot back to life", step)
			}
		}
		if !w.check(owner, live) {
			t.Fatalf("killed at step %d: an object of a live snapshot is gone", step)
		}
		w.collect(owner, all)
		w.collect(owner, all) // what a kill has left in quarantine, or adopted
		w.sound()
		if !w.check(owner, live) || t.Failed() {
			t.Fatalf("after step %d: an object of a live snapshot is gone", step)
		}
		must(w.Snapshot(w.ctx, owner, lost.ID))(t)
		dying = dying[:0]
		for _, sn := range []*Snapshot{kept, lost} {
			dying = append(dying, sn.ID)
			if err := w.DeleteSnapshot(w.ctx, owner, sn.ID); err != nil {
				t.Fatal(err)
			}
		}
		kept, live = next, append(slices.Clone(tree.data), tree.id)
		if !died && step < 60 {
			t.Errorf("only %d steps: the killer does not see them", step)
		}
	}
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Damaged+r.Missing+r.Incomplete+r.Foreign != 0 {
		t.Errorf("%+v", r)
	}
	if err := w.DeleteSnapshot(w.ctx, owner, kept.ID); err != nil {
		t.Fatal(err)
	}
	w.collect(owner, all)
	w.collect(owner, all)
	if names := w.names(); len(names) != 1 || names[0] != spaceName(space) {
		t.Errorf("everything was deleted, and the store has %d blobs: %v", len(names), names)
	}
	if n := get[int](w, `SELECT (SELECT count(*) FROM packs) + (SELECT count(*) FROM objects) + (SELECT count(*) FROM nodes) + (SELECT count(*) FROM snapshots)`); n != 0 {
		t.Errorf("everything was deleted, and %d rows are left", n)
	}
}

var errKilled = errors.New("killed")

// death comes to a process before one of its steps. From then on nothing it does happens.
type death struct {
	mu   sync.Mutex
	n    int // steps to go; 0: never
	dead bool
}

func (d *death) at(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n, d.dead = n, false
}

func (d *death) came() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// step does one thing, or dies.
func (d *death) step(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errKilled
	}
	if d.n > 0 {
		if d.n--; d.n == 0 {
			d.dead = true
			return errKilled
		}
	}
	return do()
}

// mortalConnector makes connections whose every statement is a step. What rolls back is none: the server does that for the dead.
type mortalConnector struct {
	driver.Connector
	d *death
}

func (c *mortalConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &mortalConn{conn, c.d}, nil
}

type mortalConn struct {
	driver.Conn
	d *death
}

func (c *mortalConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.d.step(func() error {
		rows, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
		return err
	})
	return rows, err
}

func (c *mortalConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (res driver.Result, err error) {
	err = c.d.step(func() error {
		res, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	})
	return res, err
}

func (c *mortalConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return &mortalTx{tx, c.d}, err
}

func (c *mortalConn) CheckNamedValue(v *driver.NamedValue) error {
	return c.Conn.(driver.NamedValueChecker).CheckNamedValue(v)
}

type mortalTx struct {
	driver.Tx
	d *death
}

func (t *mortalTx) Commit() error {
	err := t.d.step(t.Tx.Commit)
	if errors.Is(err, errKilled) {
		t.Tx.Rollback()
	}
	return err
}

// mortalStore is a store whose every operation is a step.
type mortalStore struct {
	blob.Store
	d *death
}

func (s *mortalStore) Create(ctx context.Context) (p blob.Pending, err error) {
	err = s.d.step(func() error { p, err = s.Store.Create(ctx); return err })
	return &mortalPending{p, s.d}, err
}

func (s *mortalStore) Open(ctx context.Context, name string, off, n int64) (r io.ReadCloser, err error) {
	err = s.d.step(func() error { r, err = s.Store.Open(ctx, name, off, n); return err })
	return r, err
}

func (s *mortalStore) Stat(ctx context.Context, name string) (info blob.Info, err error) {
	err = s.d.step(func() error { info, err = s.Store.Stat(ctx, name); return err })
	return info, err
}

func (s *mortalStore) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	var infos []blob.Info
	err := s.d.step(func() error {
		return s.Store.List(ctx, prefix, func(i blob.Info) error { infos = append(infos, i); return nil })
	})
	if err != nil {
		return err
	}
	for _, i := range infos {
		if err := fn(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *mortalStore) Delete(ctx context.Context, name string) error {
	return s.d.step(func() error { return s.Store.Delete(ctx, name) })
}

type mortalPending struct {
	blob.Pending
	d *death
}

func (p *mortalPending) Write(b []byte) (n int, err error) {
	err = p.d.step(func() error { n, err = p.Pending.Write(b); return err })
	return n, err
}

func (p *mortalPending) Commit(ctx context.Context, name string) error {
	return p.d.step(func() error { return p.Pending.Commit(ctx, name) })
}

func (p *mortalPending) Abort() {
	if p.Pending != nil {
		p.Pending.Abort()
	}
}
