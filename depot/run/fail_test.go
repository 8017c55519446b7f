package run_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

var errBroken = errors.New("the connection broke")

// breaking is a connector whose statements work until left is used up, and then fail.
type breaking struct {
	driver.Connector
	left *atomic.Int64
}

func (c breaking) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &breakingConn{conn, c.left}, err
}

type breakingConn struct {
	driver.Conn
	left *atomic.Int64
}

func (c *breakingConn) spend() error {
	if c.left.Add(-1) < 0 {
		return errBroken
	}
	return nil
}

func (c *breakingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.spend(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c *breakingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.spend(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *breakingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c *breakingConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// everything is all that runs change.
func (w *world) everything() string {
	w.t.Helper()
	var parts []string
	for _, table := range []string{"runs", "notifications", "audit_events", "snapshots", "policies"} {
		parts = append(parts, `SELECT '`+table+` ' || to_jsonb(t)::text AS line FROM `+table+` t`)
	}
	return get[string](w, `SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (`+strings.Join(parts, " UNION ALL ")+`) l`)
}

// TestDatabaseBreaks has the database go away before each statement of every operation in turn: the error comes out, and nothing
// has happened; then the same works.
func TestDatabaseBreaks(t *testing.T) {
	t.Parallel()
	due := func(w *world) { // one waits, one is missed, one is stale
		w.snapshot(w.box)
		w.shift(8 * day)
		w.policy(hourly("Office"))
		w.nextHour()
		w.shift(deadline)
	}
	operations := map[string]func(w *world) func(*run.Service) error{
		"tick": func(w *world) func(*run.Service) error {
			due(w)
			return func(s *run.Service) error { return s.Tick(w.t.Context()) }
		},
		"stale": func(w *world) func(*run.Service) error {
			due(w)
			w.ok(w.Stale(w.t.Context()))
			w.snapshot(w.box)
			w.shift(8 * day)
			w.snapshot(w.desk)
			return func(s *run.Service) error { return s.Stale(w.t.Context()) }
		},
		"prune": func(w *world) func(*run.Service) error {
			due(w)
			w.tick()
			w.shift(500 * day)
			return func(s *run.Service) error { return s.Prune(w.t.Context()) }
		},
		"sweep": func(w *world) func(*run.Service) error {
			n, work := w.running()
			b := w.session(w.laptop)
			w.keep(w.laptop, work, b)
			w.commit(w.laptop, b, 0)
			w.is(run.Running, n)
			w.shift(deadline)
			return func(s *run.Service) error { return s.Sweep(w.t.Context()) }
		},
		"take": func(w *world) func(*run.Service) error {
			_, work := w.running()
			b := w.session(w.laptop)
			w.keep(w.laptop, work, b)
			w.commit(w.laptop, b, 0)
			w.nextHour()
			w.tick()
			return func(s *run.Service) error { _, err := s.Take(w.t.Context(), w.laptop.actor); return err }
		},
		"take without a policy": func(w *world) func(*run.Service) error {
			w.waiting()
			w.exec(`UPDATE policies SET enabled = false`)
			return func(s *run.Service) error { _, err := s.Take(w.t.Context(), w.laptop.actor); return err }
		},
		"take a restore": func(w *world) func(*run.Service) error {
			_, err := w.OrderRestore(w.t.Context(), w.ann, w.laptop.id, *w.snapshot(w.laptop), []byte("order"))
			w.ok(err)
			return func(s *run.Service) error { _, err := s.Take(w.t.Context(), w.laptop.actor); return err }
		},
		"keep": func(w *world) func(*run.Service) error {
			n, work := w.running()
			in := run.KeepInput{Runs: []id.Run{n}, Lease: work.Lease, Backup: w.session(w.laptop)}
			return func(s *run.Service) error { _, err := s.Keep(w.t.Context(), w.laptop.actor, in); return err }
		},
		"end": func(w *world) func(*run.Service) error {
			n, work := w.running()
			in := run.EndInput{Runs: []id.Run{n}, Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.laptop), Report: []byte("report")}
			return func(s *run.Service) error { _, err := s.End(w.t.Context(), w.laptop.actor, in); return err }
		},
		"cancel": func(w *world) func(*run.Service) error {
			n := w.waiting()
			return func(s *run.Service) error { _, err := s.Cancel(w.t.Context(), w.ann, n); return err }
		},
		"back up now": func(w *world) func(*run.Service) error {
			w.policy(hourly("Office"))
			return func(s *run.Service) error { _, err := s.BackUpNow(w.t.Context(), w.ann, w.laptop.id); return err }
		},
		"run a policy": func(w *world) func(*run.Service) error {
			p := w.policy(hourly("Office"))
			return func(s *run.Service) error { _, err := s.RunPolicy(w.t.Context(), w.boss, p.ID); return err }
		},
		"order a restore": func(w *world) func(*run.Service) error {
			sn := w.snapshot(w.laptop)
			return func(s *run.Service) error {
				_, err := s.OrderRestore(w.t.Context(), w.ann, w.laptop.id, *sn, []byte("order"))
				return err
			}
		},
		"read": func(w *world) func(*run.Service) error {
			n := w.waiting()
			return func(s *run.Service) error {
				ctx := w.t.Context()
				_, err := s.Run(ctx, w.ann, n)
				for _, next := range []func() error{
					func() error { _, err := s.Runs(ctx, w.ann, run.Filter{}, false, 1, ""); return err },
					func() error { _, err := s.Latest(ctx, w.ann, []id.Device{w.laptop.id}, 1); return err },
					func() error { _, err := s.Health(ctx, w.ann, []id.Device{w.laptop.id}); return err },
					func() error { _, _, err := s.Changes(ctx, w.ann, false, w.now()); return err },
					func() error { _, err := s.SealedReport(ctx, w.ann, n); return err },
					func() error {
						err := s.LocationsAllowed(ctx, w.laptop.actor, n, 1)
						if errors.Is(err, errBroken) {
							return err
						}
						return nil
					},
				} {
					if err == nil {
						err = next()
					}
				}
				return err
			}
		},
	}
	inOneWorld(t, slices.Sorted(maps.Keys(operations)), func(w *world, name string) {
		do := operations[name](w)
		connector, err := pq.NewConnector(w.url)
		w.ok(err)
		left := new(atomic.Int64)
		db := sqlx.NewDb(sql.OpenDB(breaking{connector, left}), "postgres")
		defer db.Close()
		before := w.everything()
		for statements := int64(0); ; statements++ {
			left.Store(statements)
			s, _, _ := w.serviceOn(db) // a fresh one: settings are remembered
			err := do(s)
			if left.Load() >= 0 {
				w.ok(err)
				if statements == 0 {
					w.t.Error("it asked nothing")
				}
				break
			}
			if !errors.Is(err, errBroken) {
				w.t.Fatalf("after %d statements: %v", statements, err)
			}
			// A sweep is several transactions; each is whole.
			if after := w.everything(); after != before && name != "sweep" {
				w.t.Fatalf("after %d statements, and an error, something has changed:\n%s\n\n%s", statements, before, after)
			}
		}
		if name != "read" && w.everything() == before {
			w.t.Error("at last it worked, and nothing has changed")
		}
	})
}
