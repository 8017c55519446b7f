// Package pg opens PostgreSQL and runs transactions in it.
//
// The rule of the depot: the method of a noun owns the transaction ([InTx]), its helpers receive it. A
// transaction's function may run several times, because PostgreSQL may end one of two transactions that collide
// and that one is then repeated: it must have no effect outside the transaction.
//
// Errors that a caller can act on come out as faults: see [Fault].
package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"

	"github.com/holdfast-backup/holdfast/migrations"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	// openFor is how long Open waits for a server that is just starting.
	openFor = 15 * time.Second

	maxConns     = 40 // of one process; PostgreSQL itself allows 100 unless told otherwise
	maxIdleConns = 10
	connIdleTime = 5 * time.Minute

	txTries = 6
)

// Open connects to the PostgreSQL at a URL such as postgres://user:password@host/database and waits up to 15 s (or until ctx is over) for one
// that is just starting. It fails with fault.Unavailable, naming the server but never the password.
func Open(ctx context.Context, databaseURL string) (*sqlx.DB, error) {
	// Only URLs: of other forms the driver's errors would quote the whole, with the password.
	u, err := url.Parse(databaseURL)
	if err == nil && u.Scheme != "postgres" && u.Scheme != "postgresql" {
		err = errors.New("it does not begin with postgres://")
	}
	var connector *pq.Connector
	if err == nil {
		connector, err = pq.NewConnector(databaseURL)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the database's address is not understood (want postgres://user:password@host:5432/database): %s", withoutURL(err))
	}
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxIdleConns)
	db.SetConnMaxIdleTime(connIdleTime)

	limit := time.Now().Add(openFor)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := db.PingContext(ctx)
		if err == nil {
			return db, nil
		}
		if ctx.Err() == nil && canPass(err) && time.Now().Before(limit) {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
				continue
			}
		}
		db.Close()
		return nil, fault.Wrap(err, fault.Unavailable, "cannot reach PostgreSQL at %s", place(u))
	}
}

// withoutURL unwraps an error of url.Parse, which quotes the whole address with its password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// place names a server without its secrets.
func place(u *url.URL) string {
	host := u.Host
	if h := u.Query().Get("host"); h != "" {
		host = h
	}
	return host + " (database " + strings.TrimPrefix(u.Path, "/") + ")"
}

// InTx runs fn in a transaction of isolation level read committed and commits it if fn returns nil. When PostgreSQL ended the
// transaction because of a collision (deadlock, serialization), it is run again, a few times.
//
// An error of fn is returned as it is, unless it is one that [Fault] knows. If the connection breaks during the commit
// nobody knows whether it happened: the fault.Unavailable says so, and a repeat must be harmless.
func InTx(ctx context.Context, db *sqlx.DB, fn func(*sqlx.Tx) error) error {
	return InTxAs(ctx, db, nil, fn)
}

// InTxAs is [InTx] with other options than the default, such as a stricter isolation level.
func InTxAs(ctx context.Context, db *sqlx.DB, opts *sql.TxOptions, fn func(*sqlx.Tx) error) error {
	for try := 1; ; try++ {
		err := once(ctx, db, opts, fn)
		if err == nil || !isCollision(err) || try == txTries {
			return Fault(err)
		}
		// Half a breath, so that two that collided do not meet again.
		wait := time.Duration(rand.Int64N(int64(5*time.Millisecond) << try))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func once(ctx context.Context, db *sqlx.DB, opts *sql.TxOptions, fn func(*sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, opts)
	if err != nil {
		return err
	}
	// Does nothing after a commit; undoes everything if fn fails or panics.
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if IsConnection(err) {
			return fault.Wrap(err, fault.Unavailable, "the database went away while it was confirming: it is unknown whether the change was made; try again")
		}
		return err
	}
	return nil
}

// Migrate brings the schema up to this program's version. Any number of processes may call it at once: one works, the
// others wait for it. A database that a newer holdfast has changed is refused with fault.Conflict.
func Migrate(ctx context.Context, db *sqlx.DB) error {
	return migrate(ctx, db, migrations.FS)
}

func migrate(ctx context.Context, db *sqlx.DB, files fs.FS) error {
	unlock, err := lockMigrations(ctx, db)
	if err != nil {
		return Fault(err)
	}
	defer unlock()
	// goose reports through the provider's results; its own log would go to standard output.
	p, err := goose.NewProvider(goose.DialectPostgres, db.DB, files, goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return Fault(fmt.Errorf("migrations: %w", err))
	}
	if have > want {
		return fault.New(fault.Conflict, "the database has schema version %d, but this holdfast knows versions up to %d only: install the newer holdfast that was used before", have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return Fault(fmt.Errorf("migrations: %w", err))
	}
	return nil
}
