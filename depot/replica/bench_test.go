package replica_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// full is a store that seems to hold many packs, without their bytes.
type full struct {
	*mem.Store
	space id.Space
	packs int
}

func packName(n int) id.Pack {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (f *full) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if prefix != catalog.Prefix {
		return f.Store.List(ctx, prefix, fn)
	}
	for n := range f.packs {
		if err := fn(blob.Info{Name: catalog.PackName(f.space, packName(n+1)), Size: 16 << 20}); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkMillion is what a million packs, 16 TB, cost besides their bytes: making them known, a replica that is new and holds them, its daily check, its state, and a
// pass without anything to do.
func BenchmarkMillion(b *testing.B) {
	const packs = 1_000_000
	db, ctx, system := pgtest.New(b), b.Context(), actor.System()
	var space id.Space
	space = space.New()
	db.MustExec(`INSERT INTO spaces (public_id, chunk_min, chunk_avg, chunk_max) VALUES ($1, 1, 1, 1)`, space)
	there := &full{mem.New(), space, packs}
	s, err := replica.New(replica.Config{
		DB: db, Store: mem.New(), StoreURL: "file:///store", URLs: []string{"file:///replica"},
		KeepDays: func(context.Context) (int, error) { return 30, nil },
		Open:     func(context.Context, string) (blob.Store, error) { return there, nil },
		Init:     func(context.Context, string) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	timed := func(name string, do func() error) {
		b.Helper()
		began := time.Now()
		if err := do(); err != nil {
			b.Fatal(name, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), name+"-s")
	}
	for b.Loop() {
		timed("insert", func() error { return insertPacks(ctx, db, packs) })
		db.MustExec(`ANALYZE packs`)
		timed("enrol", func() error { _, err := s.Scrub(ctx, system, 1, 1<<62); return err })
		timed("new", func() error { _, err := s.Check(ctx, system, 0); return err })
		db.MustExec(`VACUUM ANALYZE replica_packs`)
		timed("check", func() error { _, err := s.Check(ctx, system, 0); return err })
		timed("state", func() error { _, err := s.States(ctx, system); return err })
		if _, err := s.Copy(ctx, system); err != nil {
			b.Fatal(err)
		}
		timed("idle", func() error { _, err := s.Copy(ctx, system); return err })
		if st, err := s.States(ctx, system); err != nil || st[0].Packs != packs || st[0].LagPacks != 0 {
			b.Fatalf("%+v, %v", st, err)
		}
		db.MustExec(`DELETE FROM packs; DELETE FROM replicas`)
	}
}

func insertPacks(ctx context.Context, db *sqlx.DB, n int) error {
	_, err := db.ExecContext(ctx, `INSERT INTO packs (space_id, name, size, objects) SELECT s.id, sha256(int8send(n)), 16 << 20, 16 FROM spaces s, generate_series(1, $1::bigint) n`, n)
	return err
}
