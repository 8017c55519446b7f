package pg

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
)

// One reads one row. A row that is not there is a nil pointer, not an error. Errors are [Fault]s.
func One[T any](ctx context.Context, q sqlx.QueryerContext, query string, args ...any) (*T, error) {
	var row T
	switch err := sqlx.GetContext(ctx, q, &row, query, args...); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, Fault(err)
	}
	return &row, nil
}

// Many reads all rows; no rows are an empty list, not nil. Errors are [Fault]s.
func Many[T any](ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]T, error) {
	rows := []T{}
	return rows, Fault(sqlx.SelectContext(ctx, q, &rows, query, args...))
}

// Change runs a statement and returns how many rows it changed. Errors are [Fault]s.
func Change(ctx context.Context, q sqlx.ExecerContext, query string, args ...any) (int64, error) {
	r, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, Fault(err)
	}
	return r.RowsAffected()
}

// Clock returns the database's time at this instant, in UTC: the only clock that decides anything about rows.
func Clock(ctx context.Context, q sqlx.QueryerContext) (time.Time, error) {
	t, err := One[time.Time](ctx, q, `SELECT clock_timestamp()`)
	if err != nil {
		return time.Time{}, err
	}
	return t.UTC(), nil
}
