package pg

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/jmoiron/sqlx"
)

// migrationLock is any number that nobody else uses in our database.
const migrationLock = 0x686f6c6466617374 // "holdfast"

// lockMigrations takes an advisory lock on a connection of its own. The lock belongs to that connection, so it
// cannot outlive its holder. (A pooler in front of PostgreSQL must therefore not switch connections within a session.)
func lockMigrations(ctx context.Context, db *sqlx.DB) (unlock func(), err error) {
	conn, err := db.Connx(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		conn.Close()
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock)); err != nil {
			// Never back into the pool with the lock still held.
			conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		conn.Close()
	}, nil
}
