// Package mysql reads and writes databases of MySQL and MariaDB, through their own programs: mariadb-dump or mysqldump,
// and mariadb or mysql.
//
// A dump is of one moment (--single-transaction) as far as its tables are transactional; Check names those that are
// not. What Session.Portable reads is of a moment of its own: neither server lends a snapshot to a second reader.
//
// A restore loads the dump into a database beside the live one, NAME__holdfast_ID, counts its rows, and then swaps:
//
//  1. A journal with everything that follows is written and synced.
//  2. NAME__holdfast_ID_old is created. Triggers of both sides and the live events are dropped, because a table
//     that has triggers cannot move. The journal has their texts.
//  3. One RENAME TABLE moves all tables of the live database out and all new ones in. It is atomic, also when the server is
//     killed, in MariaDB 10.6 and MySQL 8.0, and later. Foreign keys follow their tables.
//  4. Triggers, routines, views and events are created in the live database from their texts.
//  5. The two other databases are dropped, then the journal.
//
// Who stops before 3 is taken back by Mend, who stops after it is brought forward. So rows are either the old or the new
// at any moment.
//
// What is not promised: between 2 and 3, for milliseconds, writes to the old tables meet no triggers, which counts only if
// the swap then fails. After 3, for as long as 4 takes, writes to the new tables meet no triggers yet, and the database has the new rows with the old
// views and routines; if somebody was killed there, until Mend. Histories of system-versioned tables are not in a dump. Rights that were granted on single
// tables stay with the name. The server is not asked to be durable beyond its own settings.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	mark   = "__holdfast_" // in the names of what a restore builds beside a database
	oldEnd = "_old"        // at the end of the name of what holds the old tables

	connectTimeout = 15 * time.Second
	cleanUp        = 5 * time.Minute // for removing what was built, and for a swap, after the context ended
	maxPacket      = 1 << 30         // bytes of a statement that servers may be set to take
	lockWait       = 60              // seconds that a swap waits for others' transactions, each time
)

// A Database is a database of MySQL or MariaDB. It implements source.Database.
type Database struct {
	at address
	o  source.Options
	db *sql.DB

	stop     func(step string) // tests die here
	lockWait int
}

// Open returns the database at an address. Nothing is connected yet.
func Open(url string, o source.Options) (*Database, error) {
	a, err := parse(url)
	if err != nil {
		return nil, err
	}
	con, err := mysql.NewConnector(a.config())
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the address of the database cannot be used")
	}
	db := sql.OpenDB(con)
	db.SetMaxIdleConns(2)
	return &Database{at: a, o: o, db: db, stop: func(string) {}, lockWait: lockWait}, nil
}

// Engine returns MySQL, for MariaDB, too.
func (d *Database) Engine() dump.Engine { return dump.MySQL }

// Name returns the database's name.
func (d *Database) Name() string { return d.at.name }

// Close ends the connections.
func (d *Database) Close() error { return d.db.Close() }

// A server is what is known of a server's version.
type server struct {
	version string // as the server says it
	maria   bool
	major   int
	minor   int
}

// server asks for the server's version: the first thing that is asked, so it is what finds out that nobody can be reached.
func (d *Database) server(ctx context.Context) (server, error) {
	var s server
	if err := d.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&s.version); err != nil {
		return s, d.reach(ctx, err)
	}
	s.maria = strings.Contains(s.version, "MariaDB")
	v := strings.TrimPrefix(s.version, "5.5.5-") // some proxies
	parts := strings.SplitN(v, ".", 3)
	s.major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		s.minor, _ = strconv.Atoi(parts[1])
	}
	return s, nil
}

// atomic reports whether a RENAME of several tables survives a kill of the server as a whole.
func (s server) atomic() bool {
	if s.maria {
		return s.major > 10 || s.major == 10 && s.minor >= 6
	}
	return s.major >= 8
}

// reach turns what kept us from connecting into a sentence.
func (d *Database) reach(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	where := d.at.socket
	if where == "" {
		where = d.at.config().Addr
	}
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		switch e.Number {
		case 1044, 1045, 1698:
			return fault.Wrap(err, fault.Unauthenticated, "the database server at %s does not let %s in: check user and password", where, d.at.user)
		case 1040, 1203, 1226:
			return fault.Wrap(err, fault.Unavailable, "the database server at %s takes no more connections now: try again later", where)
		}
	}
	return fault.Wrap(err, fault.Unavailable, "the database server at %s does not answer: check that it runs, and the address", where)
}

// failed turns an error of a statement into one for people.
func (d *Database) failed(ctx context.Context, err error, what string) error {
	if err == nil || ctx.Err() != nil || fault.KindOf(err) != fault.Internal {
		return errors.Join(err, ctx.Err())
	}
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		switch e.Number {
		case 1044, 1142, 1227, 1370, 1419:
			return fault.Wrap(err, fault.Forbidden, "%s may not %s: %s", d.at.user, what, e.Message)
		case 1205:
			return fault.Wrap(err, fault.Conflict, "could not %s, because others hold its tables: end long transactions, or stop the application, and try again", what)
		}
		return fault.Wrap(err, fault.Unavailable, "the database server could not %s: %s", what, e.Message)
	}
	return fault.Wrap(err, fault.Unavailable, "the database server went away while it was to %s", what)
}

// quote writes a name in SQL.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// in writes the name of something in a database.
func in(database, name string) string { return quote(database) + "." + quote(name) }
