package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// A look collects what is found.
type look struct{ source.Check }

func (l *look) ok(what, text string, args ...any) {
	l.Points = append(l.Points, source.Point{OK: true, What: what, Text: fmt.Sprintf(text, args...)})
}

func (l *look) wrong(what, text string, args ...any) {
	l.Points = append(l.Points, source.Point{What: what, Text: fmt.Sprintf(text, args...)})
}

// Check looks at what a backup needs.
func (d *Database) Check(ctx context.Context) (source.Check, error) {
	l := &look{source.Check{Engine: dump.Postgres}}
	c, err := d.connect(ctx, d.db)
	if err != nil {
		return l.Check, l.unless(ctx, "connection", err)
	}
	defer c.Close()
	s, err := d.server(ctx, c)
	if err != nil {
		return l.Check, l.unless(ctx, "connection", err)
	}
	l.Version = s.words
	l.ok("connection", "PostgreSQL %s lets %s in", s.words, s.user)
	if err := d.program(ctx, l, "pg_dump", s); err != nil {
		return l.Check, err
	}
	if err := d.size(ctx, l, c); err != nil {
		return l.Check, err
	}
	for _, q := range []struct{ sql, wrong string }{
		{sqlUnreadable, "%s may not read %s: as the owner or a superuser, GRANT SELECT on tables and sequences and USAGE on their schemas or, from version 14 on, GRANT pg_read_all_data"},
		{sqlHidden, "%s does not see all rows of %s, because of row security policies: ALTER ROLE … BYPASSRLS"},
	} {
		list, err := d.some(ctx, c, q.sql)
		if err != nil {
			return l.Check, err
		}
		if list != "" {
			l.wrong("rights to read", q.wrong, s.user, list)
		}
	}
	if l.OK() {
		l.ok("rights to read", "%s may read every table and sequence", s.user)
	}
	l.ok("room", "a dump goes into the backup without a file in between, so it needs no room here")
	return l.Check, nil
}

// unless notes an error as a point, unless it is that the context has ended.
func (l *look) unless(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.wrong(what, "%s", sentence(err))
	return nil
}

// program looks for one of PostgreSQL's programs.
func (d *Database) program(ctx context.Context, l *look, name string, s server) error {
	t, err := d.find(ctx, name, s.major)
	if err != nil {
		return l.unless(ctx, name, err)
	}
	l.Tool = t.words
	l.ok(name, "%s, at %s", t.words, t.path)
	return nil
}

// size counts tables and bytes.
func (d *Database) size(ctx context.Context, l *look, c *sql.Conn) error {
	if err := c.QueryRowContext(ctx, sqlSize).Scan(&l.Bytes, &l.Tables); err != nil {
		return d.failed(ctx, err, "tell the database's size")
	}
	l.ok("database", "%s has %d tables and takes %d MiB on the server", d.at.name, l.Tables, (l.Bytes+1<<20-1)>>20)
	return nil
}

// some returns the names that a query lists, with the number of those that it leaves out.
func (d *Database) some(ctx context.Context, c *sql.Conn, query string) (string, error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return "", d.failed(ctx, err, "tell what %s may read", d.at.user)
	}
	defer rows.Close()
	var names []string
	var all int
	for rows.Next() {
		var name string
		if err := rows.Scan(&name, &all); err != nil {
			return "", d.failed(ctx, err, "tell what %s may read", d.at.user)
		}
		names = append(names, name)
	}
	list := strings.Join(names, ", ")
	if more := all - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list, d.failed(ctx, rows.Err(), "tell what %s may read", d.at.user)
}

// Preflight looks at what a restore needs.
func (d *Database) Preflight(ctx context.Context, o source.Restore) (source.Check, error) {
	l := &look{source.Check{Engine: dump.Postgres}}
	p, err := d.plan(ctx, o)
	if err != nil {
		return l.Check, l.unless(ctx, "target", err)
	}
	defer p.close()
	l.Version = p.server.words
	l.ok("connection", "PostgreSQL %s lets %s in", p.server.words, p.server.user)
	if !o.Portable {
		if err := d.native(ctx, l, o, p.server); err != nil {
			return l.Check, err
		}
	}
	switch {
	case p.inPlace && o.Portable:
		l.wrong("way", "%s", sentence(noRoomBeside(p)))
	case p.inPlace:
		l.ok("way", "the restore is one transaction in %s itself, which locks its tables for as long as it lasts, because %s", p.target, p.why)
	case !p.exists:
		l.ok("way", "%s will be a new database", p.target)
	default:
		l.ok("way", "a new database is built beside %s and takes its place", p.target)
	}
	if p.exists {
		c, err := d.connect(ctx, d.db)
		if err != nil {
			return l.Check, l.unless(ctx, "connection", err)
		}
		err = d.size(ctx, l, c)
		c.Close()
		if err != nil {
			return l.Check, err
		}
		if err := d.bound(ctx, l, p); err != nil {
			return l.Check, err
		}
	}
	l.ok("room", "how much room the server has cannot be asked; the restore needs about %d MiB, beside what is there", (max(o.Bytes, l.Bytes)+1<<20-1)>>20)
	return l.Check, nil
}

// native looks at what a native dump needs.
func (d *Database) native(ctx context.Context, l *look, o source.Restore, s server) error {
	if o.Format.Engine() != dump.Postgres {
		l.wrong("format", "a dump of the kind %q cannot be loaded into PostgreSQL", o.Format)
	}
	if o.Format == dump.PostgresCustom {
		if err := d.program(ctx, l, "pg_restore", s); err != nil {
			return err
		}
	}
	if err := d.program(ctx, l, "psql", s); err != nil {
		return err
	}
	if err := tooNew(o.From, s); err != nil {
		l.wrong("version", "%s", sentence(err))
	} else if o.From != "" {
		l.ok("version", "the dump is of PostgreSQL %s", o.From)
	}
	return nil
}

// bound looks for what stands in the way of a swap.
func (d *Database) bound(ctx context.Context, l *look, p *plan) error {
	var n int
	if err := p.conn.QueryRowContext(ctx, sqlSessions, p.target).Scan(&n); err != nil {
		return d.failed(ctx, err, "tell its sessions")
	}
	switch {
	case n > 0 && p.inPlace:
		l.ok("sessions", "%d other sessions use %s: the restore waits for their transactions, and they for the restore", n, p.target)
	case n > 0:
		l.ok("sessions", "%d other sessions of %s will be ended", n, p.target)
	}
	if p.inPlace {
		return nil
	}
	for _, b := range p.bound {
		l.wrong("bound", "%s belongs to the database %s and would be lost with it: drop it first, and make it again afterwards", b, p.target)
	}
	return nil
}
