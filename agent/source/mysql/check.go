package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
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
	l := &look{source.Check{Engine: dump.MySQL}}
	s, ok, err := d.connection(ctx, l)
	if err != nil || !ok {
		return l.Check, err
	}
	switch t, err := d.find(ctx, dumpers(s)); {
	case err != nil:
		l.wrong("dump program", "%s", sentence(err))
	case s.maria && !t.maria:
		l.Tool = t.version
		l.wrong("dump program", "%s does not know sequences of MariaDB: install the package mariadb-client", t.version)
	case t.maria != s.maria:
		l.Tool = t.version
		l.ok("dump program", "%s is of MariaDB, and the server of MySQL: mysqldump, where it can be had, knows the server better", t.version)
	default:
		l.Tool = t.version
		l.ok("dump program", "%s", t.version)
	}
	exists, err := d.exists(ctx, d.at.name)
	if err != nil {
		return l.Check, err
	}
	if !exists {
		l.wrong("database", "there is no database %s, or %s may not see it", d.at.name, d.at.user)
		return l.Check, nil
	}
	if err := d.size(ctx, l); err != nil {
		return l.Check, err
	}
	r, err := d.rights(ctx)
	if err != nil {
		return l.Check, err
	}
	if m := r.missing(rightsToRead, d.at.name); len(m) > 0 {
		l.wrong("rights to read", "%s. Without them the dump would silently lack things", d.please(m, pattern(d.at.name)))
	} else {
		l.ok("rights to read", "%s may read tables, views, triggers and events", d.at.user)
	}
	if err := d.routines(ctx, l); err != nil {
		return l.Check, err
	}
	broken, err := d.broken(ctx, d.at.name)
	if err == nil && len(broken) > 0 {
		l.ok("views", "these views stand on something that is gone, and are left out of dumps: %s", strings.Join(broken, ", "))
	}
	return l.Check, err
}

// connection connects.
func (d *Database) connection(ctx context.Context, l *look) (s server, ok bool, err error) {
	s, err = d.server(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return s, false, err
		}
		l.wrong("connection", "%s", sentence(err))
		return s, false, nil
	}
	l.Version = s.version
	l.ok("connection", "%s", s.version)
	return s, true, nil
}

// size counts tables and bytes, and names what a dump cannot read at one moment.
func (d *Database) size(ctx context.Context, l *look) error {
	var bytes sql.NullInt64
	var loose sql.NullString
	err := d.db.QueryRowContext(ctx, "SELECT COUNT(*), SUM(data_length + index_length),"+
		" GROUP_CONCAT(CASE WHEN engine NOT IN ('InnoDB', 'ROCKSDB') THEN table_name END ORDER BY table_name SEPARATOR ', ')"+
		" FROM information_schema.tables WHERE table_schema = ? AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')", d.at.name).Scan(&l.Tables, &bytes, &loose)
	if err != nil {
		return d.failed(ctx, err, "tell the tables' sizes")
	}
	l.Bytes = bytes.Int64
	if l.ok("database", "%s has %d tables", d.at.name, l.Tables); loose.String != "" {
		l.ok("one moment", "these tables know no transactions, so what is written to them during a dump may or may not be in it: %s", loose.String)
	}
	return nil
}

// routines looks whether the texts of all routines can be read: a dump fails otherwise.
func (d *Database) routines(ctx context.Context, l *look) error {
	defs, err := d.definitions(ctx, d.at.name)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Forbidden {
		l.wrong("rights to read", "%s", f.Message)
		return nil
	} else if err != nil {
		return err
	}
	l.ok("definitions", "%d views, %d triggers, %d routines and %d events", len(defs.Views), len(defs.Triggers), len(defs.Routines), len(defs.Events))
	return nil
}

// Preflight looks at what a restore needs.
func (d *Database) Preflight(ctx context.Context, o source.Restore) (source.Check, error) {
	l := &look{source.Check{Engine: dump.MySQL}}
	s, ok, err := d.connection(ctx, l)
	if err != nil || !ok {
		return l.Check, err
	}
	if !o.Portable && o.Format != dump.MySQLSQL {
		l.wrong("format", "a dump of the kind %q cannot be loaded into MySQL or MariaDB", o.Format)
	}
	if o.Portable {
		l.ok("portable form", "it is loaded over the connection")
	} else if t, err := d.find(ctx, clients(s)); err != nil {
		l.wrong("client program", "%s", sentence(err))
	} else {
		l.Tool = t.version
		l.ok("client program", "%s", t.version)
	}
	target, err := d.target(o)
	if err != nil {
		l.wrong("target", "%s", sentence(err))
		return l.Check, nil
	}
	exists, err := d.exists(ctx, target)
	if err != nil {
		return l.Check, err
	}
	switch {
	case o.As != "" && exists:
		l.wrong("target", "there is a database %s already: choose another name", target)
	case o.As != "":
		l.ok("target", "%s will be a new database", target)
	case !exists:
		l.ok("target", "there is no database %s: it will be made", target)
	default:
		if err := d.size(ctx, l); err != nil {
			return l.Check, err
		}
		if err := d.others(ctx, l); err != nil {
			return l.Check, err
		}
		if text, err := d.referrers(ctx, target); err != nil {
			return l.Check, err
		} else if text != "" {
			l.wrong("foreign keys", "%s", text)
		}
	}
	if !s.atomic() {
		l.ok("atomic", "this server's RENAME TABLE is not atomic if the server itself is killed in that moment: what was begun is then finished when the agent looks again")
	}
	return l.Check, d.mayLoad(ctx, l, target)
}

// others counts the sessions that a swap will wait for.
func (d *Database) others(ctx context.Context, l *look) error {
	var n int
	err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()", d.at.name).Scan(&n)
	if err != nil {
		return d.failed(ctx, err, "tell its sessions")
	}
	if n > 0 {
		l.ok("sessions", "%d other sessions use the database: the swap waits for their transactions, and they for the swap", n)
	}
	return nil
}

// mayLoad looks at the rights on the target, and on what is built beside it.
func (d *Database) mayLoad(ctx context.Context, l *look, target string) error {
	r, err := d.rights(ctx)
	if err != nil {
		return err
	}
	wanting := d.wanting(r, target)
	for _, w := range wanting {
		l.wrong("rights to restore", "%s", w)
	}
	if len(wanting) == 0 {
		l.ok("rights to restore", "%s may build a database beside %s and swap", d.at.user, target)
	}
	return nil
}

// wanting returns a sentence for each right that a restore lacks.
func (d *Database) wanting(r rights, target string) (wanting []string) {
	for _, p := range []struct{ name, pattern string }{{target, pattern(target)}, {target + mark + "00000000", pattern(target+mark) + "%"}} {
		if m := r.missing(rightsToLoad, p.name); len(m) > 0 {
			wanting = append(wanting, d.please(m, p.pattern))
		}
	}
	return wanting
}

// please is the GRANT that is missing.
func (d *Database) please(missing []string, pattern string) string {
	return fmt.Sprintf("GRANT %s ON %s.* TO %s; is missing", strings.Join(missing, ", "), quote(pattern), d.account())
}

// account is how the server knows us; what the owner wrote, if it cannot be asked.
func (d *Database) account() string {
	var who string
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := d.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&who); err != nil {
		return quote(d.at.user)
	}
	at := strings.LastIndexByte(who, '@')
	if at < 0 {
		return quote(who)
	}
	return quote(who[:at]) + "@" + quote(who[at+1:])
}

// exists reports whether there is a database of that name that we may see.
func (d *Database) exists(ctx context.Context, name string) (bool, error) {
	var n int
	err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&n)
	return n > 0, d.failed(ctx, err, "tell its databases")
}

// target is where a restore goes.
func (d *Database) target(o source.Restore) (string, error) {
	if o.As == "" {
		return d.at.name, nil
	}
	if o.As == d.at.name {
		return "", fault.New(fault.Invalid, "%s is the database itself: choose another name for a copy", o.As)
	}
	return o.As, checkName(o.As)
}

// sentence is an error's text for people, without its cause.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
