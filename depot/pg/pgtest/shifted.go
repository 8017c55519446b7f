package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
)

// NewShifted is [NewURL] of a database whose clock a test can move, so that what happens after an hour is tested without
// waiting for it: after shift(time.Hour), now() and clock_timestamp() are an hour further, on every connection, from the next statement on.
//
// It works by functions of these names in a schema that comes before pg_catalog in the search path, which is part of the address. So it moves what
// asks for the time by exactly these names, unqualified: not current_timestamp, which is a word of the language, and not Go's clock.
func NewShifted(t testing.TB) (db *sqlx.DB, url string, shift func(time.Duration)) {
	t.Helper()
	server, err := postgres()
	if err != nil {
		t.Fatalf("a PostgreSQL for tests: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	template, err := server.shiftedTemplate(ctx)
	if err != nil {
		t.Fatalf("a database with a clock to shift: %v", err)
	}
	db, url = server.database(t, template, shiftedPath)
	return db, url, func(by time.Duration) {
		t.Helper()
		if err := shiftClock(context.Background(), db, by.Microseconds()); err != nil {
			t.Fatalf("shift the clock: %v", err)
		}
	}
}

// shiftedTemplate makes the template for NewShifted, unless it is there, and returns its name.
func (s *server) shiftedTemplate(ctx context.Context) (string, error) {
	name := s.template + "_shifted"
	return name, makeTemplate(ctx, s, name, true)
}
