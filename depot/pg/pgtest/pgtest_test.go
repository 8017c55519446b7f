package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for range 3 {
		began := time.Now()
		db := pgtest.New(t)
		t.Log(time.Since(began))
		var n int
		if err := db.Get(&n, `SELECT count(*) FROM users`); err != nil || n != 0 {
			t.Fatal(n, err)
		}
	}
}

func TestNewShifted(t *testing.T) {
	t.Parallel()
	db, url, shift := pgtest.NewShifted(t)
	other, err := pg.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	times := func() (all []time.Time) {
		t.Helper()
		// A default, a function of the session, and the clock: each on two connections.
		for _, c := range []*sqlx.DB{db, other} {
			for _, q := range []string{
				`INSERT INTO groups (id, name, name_key) VALUES (gen_random_uuid(), '', gen_random_uuid()) RETURNING created_at`,
				`SELECT now()`, `SELECT clock_timestamp()`,
			} {
				var at time.Time
				if err := c.Get(&at, q); err != nil {
					t.Fatal(err)
				}
				all = append(all, at)
			}
		}
		return all
	}
	near := func(when time.Time) {
		t.Helper()
		for i, at := range times() {
			if d := at.Sub(when).Abs(); d > time.Minute {
				t.Errorf("time %d is off by %s", i, d)
			}
		}
	}
	near(time.Now())
	shift(48 * time.Hour)
	near(time.Now().Add(48 * time.Hour))
	shift(-72 * time.Hour)
	near(time.Now().Add(-24 * time.Hour))

	var schema string
	if err := db.Get(&schema, `SELECT schemaname FROM pg_tables WHERE tablename = 'users'`); err != nil || schema != "public" {
		t.Error(schema, err)
	}
}
