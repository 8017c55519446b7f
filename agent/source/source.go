// Package source reads and writes the databases of applications: it dumps one through its engine's own tool into a
// stream, without a file in between, and puts one back so that, whatever happens, the live database is either the old
// one or the new one.
package source

import (
	"context"
	"io"
	"net/url"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/dump"
)

// Options are what is not in an address.
type Options struct {
	Journal string   // an existing folder, private to us, for what a restore must remember
	Tools   []string // folders in which programs are looked for before all others
}

// A Database is the database of an application, reached as its owner configured it. One goroutine at a time uses it.
type Database interface {
	Engine() dump.Engine

	// Name is what people call it: the database's name, or its file's path. Never a password.
	Name() string

	// Check connects, and looks at tools, versions, rights and sizes. It changes nothing. What is wrong is in the
	// Check; an error means that not even that could be found out.
	Check(ctx context.Context) (Check, error)

	// Begin begins reading the database as it is at this moment. Whatever is read through the Session is of that
	// moment, where the engine can do that for more than one reader: docs say where it cannot.
	Begin(ctx context.Context) (Session, error)

	// Preflight is Check for a restore, beside it: rights, room and versions at the place where it goes.
	// With o.Portable it is for an Import.
	Preflight(ctx context.Context, o Restore) (Check, error)

	// Restore reads a dump to its end and puts it in place. Nothing changes at the target before the dump was loaded
	// beside it and its rows were counted; then the new takes the place of the old at once. Progress counts bytes of
	// the dump. When ctx ends, what was built beside is removed.
	Restore(ctx context.Context, in io.Reader, o Restore, progress func(bytes int64)) error

	// Import is Restore for what Session.Portable wrote, of this engine or another: it makes tables with their own types, or the
	// nearest, their primary keys and rows, and nothing else. o.Format, o.From and o.Want mean nothing; the rows are compared with those that
	// were read, and returned. A value that the engine cannot hold is fault.Invalid: none is ever changed to fit.
	Import(ctx context.Context, in io.Reader, o Restore, progress func(bytes int64)) ([]dump.Table, error)

	// Mend finishes or removes what a Restore left behind that was killed. It is called before anything else is done
	// with the database, and says what it did: "" if there was nothing.
	Mend(ctx context.Context) (string, error)

	Close() error
}

// A Session reads a database as it was at one moment.
type Session interface {
	// Dump streams the native dump: SQL text, in a stable order. Read returns io.EOF only when the tool exited with
	// success and the dump is whole; otherwise an error with the tool's exit code and the end of what it complained
	// about.
	Dump(ctx context.Context) (Dump, error)

	// Portable streams database_dump.json.
	Portable(ctx context.Context) (io.ReadCloser, error)

	Close() error
}

// A Dump is a dump that is being read.
type Dump interface {
	io.ReadCloser

	// Tables returns the rows of every table, by name, once Read has returned io.EOF.
	Tables() []dump.Table
}

// A Check is what a look at a database found.
type Check struct {
	Engine  dump.Engine `json:"engine"`
	Version string      `json:"version"` // of the server or library
	Tool    string      `json:"tool"`    // that dumps, with its version
	Bytes   int64       `json:"bytes"`   // the database's size, about
	Tables  int         `json:"tables"`
	Points  []Point     `json:"points"` // one a thing looked at, the ones that are wrong included
}

// A Point is one thing that was looked at.
type Point struct {
	OK   bool   `json:"ok"`
	What string `json:"what"` // the thing, such as "connection", "pg_dump", "rights to read", "room"
	Text string `json:"text"` // what was found; if it is not OK, what to do
}

// OK reports whether nothing is wrong.
func (c Check) OK() bool {
	for _, p := range c.Points {
		if !p.OK {
			return false
		}
	}
	return true
}

// Restore says what a restore is to do.
type Restore struct {
	Format   dump.Format
	Portable bool         // it is no native dump but database_dump.json, for Import
	From     string       // version of the server that the dump is of, such as 15.4; "" if unknown
	Bytes    int64        // of the dump, as it is read
	As       string       // the name, or path, of another database that does not exist yet; "": in place
	Want     []dump.Table // what must be there afterwards; nil: what the dump itself holds, as it is counted while read
}

// Redact returns an address as it may be shown: without a password.
func Redact(address string) string {
	u, err := url.Parse(address)
	if err != nil { // its password may be what is wrong with it
		scheme, rest, ok := strings.Cut(address, "://")
		if !ok {
			return "…"
		}
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			return scheme + "://…@" + rest[i+1:]
		}
		return scheme + "://…"
	}
	if _, has := u.User.Password(); has {
		u.User = url.User(u.User.Username())
	}
	if q := u.Query(); q.Has("password") || q.Has("sslpassword") {
		q.Del("password")
		q.Del("sslpassword")
		u.RawQuery = q.Encode()
	}
	return u.String()
}
