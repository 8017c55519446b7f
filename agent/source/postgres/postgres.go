// Package postgres reads and writes databases of PostgreSQL, through its own programs: pg_dump, psql, pg_restore.
//
// Session.Dump and Session.Portable are of one moment: the session exports a snapshot, and pg_dump reads that. The dump is
// plain text in pg_dump's own order; rows come as they lie in their tables, so a table that is not written to gives the same bytes again.
//
// A restore builds a database beside the live one, NAME__holdfast_ID: with its encoding, collation, owner, tablespace, rights,
// settings and comment. The dump is loaded there, the rows are counted, and one transaction gives the two
// databases each other's place: ALTER DATABASE … RENAME, twice. Sessions of the live database are ended for that; they
// cannot come back before it is over, because the rename holds the lock that a new session needs. The old database is then dropped.
// Whoever is killed at whatever moment (the agent, psql, the server) leaves the old database under the name or the
// new one; Mend drops the other, which it finds by its name alone, so no journal is kept.
//
// Who may not do that (no CREATEDB, not the owner, no other database to connect to) restores in place, in one transaction of
// psql's: it drops what is in the schemas, loads, compares the rows and commits. It takes locks on every table for as
// long as it lasts, and the old and the new rows both have to find room. Extensions stay as they are.
//
// Dumps are programs. What would reach beyond the database is refused: commands of psql, and CREATE, ALTER or DROP of databases and
// roles. Owners and grantees that the server does not know are left out, and so are owners whom we may not name. But functions and default
// values of a dump run with our rights on the server: restore dumps of whom you trust, and not as a superuser.
//
// What is not promised: subscriptions and replication slots, which are bound to a database's number: Preflight refuses where there
// are any. Security labels of the database itself. Statistics of usage begin anew. Histories of sequences are not undone.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A Database is a database of PostgreSQL. It implements source.Database.
type Database struct {
	at     address
	o      source.Options
	places []string
	db     *sql.DB // the database itself

	stop func(step string) // tests die here
}

var (
	_ source.Database = (*Database)(nil)
)

// Open returns the database at an address. Nothing is connected yet.
func Open(url string, o source.Options) (*Database, error) {
	a, err := parse(url)
	if err != nil {
		return nil, err
	}
	d := &Database{at: a, o: o, places: places, stop: func(string) {}}
	if d.db, err = d.open(a.name); err != nil {
		return nil, err
	}
	return d, nil
}

// open returns another database of the server. It keeps no connection that nobody uses: one would stand in the way of a rename.
func (d *Database) open(name string) (*sql.DB, error) {
	con, err := pq.NewConnector(d.at.dsn(name))
	if err != nil {
		var f *fs.PathError
		if errors.As(err, &f) {
			return nil, fault.Wrap(err, fault.Invalid, "cannot read %s, which the address of the database names", f.Path)
		}
		return nil, fault.New(fault.Invalid, "the address of the database cannot be used: %s", strings.ReplaceAll(err.Error(), "pq: ", ""))
	}
	db := sql.OpenDB(con)
	db.SetMaxIdleConns(0)
	return db, nil
}

// Engine returns Postgres.
func (d *Database) Engine() dump.Engine { return dump.Postgres }

// Name returns the database's name.
func (d *Database) Name() string { return d.at.name }

// Close ends the connections.
func (d *Database) Close() error { return d.db.Close() }

// connect returns a connection for one thing at a time, on which no setting of role or database plays tricks.
func (d *Database) connect(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, d.reach(ctx, err)
	}
	if _, err := c.ExecContext(ctx, sqlCalm); err != nil {
		c.Close()
		return nil, d.failed(ctx, err, "begin a session")
	}
	return c, nil
}

// A server is what is known of a server and of us.
type server struct {
	major int
	words string // 15.4 (Debian …)
	super bool
	user  string
}

func (d *Database) server(ctx context.Context, c *sql.Conn) (server, error) {
	var s server
	var num int
	if err := c.QueryRowContext(ctx, sqlServer).Scan(&num, &s.words, &s.super, &s.user); err != nil {
		return s, d.failed(ctx, err, "tell its version")
	}
	if s.major = num / 10000; s.major < 10 {
		return s, fault.New(fault.Invalid, "the server is PostgreSQL %s; 10 and later can be backed up", s.words)
	}
	return s, nil
}

// reach turns what kept us from connecting into a sentence.
func (d *Database) reach(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	where := net.JoinHostPort(d.at.host, d.at.port)
	if d.at.socket() {
		where = d.at.host
	}
	var e *pq.Error
	if errors.As(err, &e) {
		switch e.Code {
		case "28000", "28P01":
			return fault.Wrap(err, fault.Unauthenticated, "the database server at %s does not let %s in: %s", where, d.at.user, e.Message)
		case "3D000":
			return fault.Wrap(err, fault.NotFound, "the database server at %s says: %s", where, e.Message)
		case "53300":
			return fault.Wrap(err, fault.Unavailable, "the database server at %s takes no more connections now: try again later", where)
		}
		return fault.Wrap(err, fault.Unavailable, "the database server at %s says: %s", where, e.Message)
	}
	return fault.Wrap(err, fault.Unavailable, "the database server at %s does not answer: check that it runs, and the address", where)
}

// failed turns an error of a statement into one for people.
func (d *Database) failed(ctx context.Context, err error, what string, args ...any) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	what = fmt.Sprintf(what, args...)
	var e *pq.Error
	if !errors.As(err, &e) {
		return fault.Wrap(err, fault.Unavailable, "the database server went away while it was to %s", what)
	}
	switch e.Code {
	case "42501":
		return fault.Wrap(err, fault.Forbidden, "%s may not %s: %s", d.at.user, what, e.Message)
	case "53100":
		return fault.Wrap(err, fault.StorageFull, "the database server has no room left to %s", what)
	case "42P04":
		return fault.Wrap(err, fault.Conflict, "could not %s: %s", what, e.Message)
	}
	return fault.Wrap(err, fault.Unavailable, "the database server could not %s: %s", what, e.Message)
}

// sentence is an error's text for people, without its cause.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}

// cleanUp is for removing what was built, after the context ended.
const cleanUp = 2 * time.Minute

// quote writes a name in SQL.
func quote(name string) string { return pq.QuoteIdentifier(name) }

// literal writes a text in SQL.
func literal(text string) string { return pq.QuoteLiteral(text) }

// majorOf returns the first number of a version, or 0.
func majorOf(version string) int {
	n, _ := strconv.Atoi(firstNumber.FindString(version))
	return n
}

var firstNumber = regexp.MustCompile(`\d+`)
