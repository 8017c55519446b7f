//go:build unix

package local

import (
	"context"
	"database/sql"
	"net/url"

	_ "github.com/lib/pq" // the driver

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// ensureDatabase makes the database in a fresh cluster.
func ensureDatabase(ctx context.Context, databaseURL string) error {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return err
	}
	u.Path = "/postgres"
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		return err
	}
	defer db.Close()
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&exists); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the private PostgreSQL does not answer")
	}
	if exists {
		return nil
	}
	if _, err := db.ExecContext(ctx, `CREATE DATABASE `+database); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot make the database in the private PostgreSQL")
	}
	return nil
}
