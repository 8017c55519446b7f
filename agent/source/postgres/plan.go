package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	mark   = "__holdfast_" // in the names of what a restore builds beside a database
	oldEnd = "_old"        // at the end of the name of what was replaced
	idLen  = 8             // hexadecimal digits
)

// beside is what the names of databases that are built beside one begin with.
func beside(name string) string {
	if most := maxName - len(mark) - idLen - len(oldEnd); len(name) > most {
		sum := sha256.Sum256([]byte(name))
		name = strings.ToValidUTF8(name[:most-idLen], "") + hex.EncodeToString(sum[:idLen/2])
	}
	return name + mark
}

// leftovers is a regular expression for all such names.
func leftovers(name string) string {
	return fmt.Sprintf("^%s[0-9a-f]{%d}(%s)?$", regexp.QuoteMeta(beside(name)), idLen, oldEnd)
}

// A plan is how a restore will go.
type plan struct {
	server server
	db     *sql.DB   // of conn; not of the database itself unless inPlace
	conn   *sql.Conn // where databases are made and renamed
	from   string    // the name of that database

	target  string
	exists  bool
	fresh   string // what is built beside
	traits  traits // of target, or of what it is a copy of
	bound   []string
	inPlace bool   // one transaction in target
	why     string // inPlace
}

// traits are what belongs to a database but not to its dump.
type traits struct {
	encoding, owner, tablespace, comment string
	limit                                int
	granted                              bool // rights were given or taken
	locale                               map[string]any
	like                                 string // the database that has them; "": none
}

func (p *plan) close() {
	if p.conn != nil {
		p.conn.Close()
	}
	if p.db != nil {
		p.db.Close()
	}
}

// plan looks where a restore would go and how, and refuses what cannot be.
func (d *Database) plan(ctx context.Context, o source.Restore) (_ *plan, err error) {
	p := &plan{target: d.at.name}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if o.As != "" {
		if err := checkName(o.As); err != nil {
			return nil, err
		}
		p.target = o.As
	}
	var id [idLen / 2]byte
	rand.Read(id[:])
	p.fresh = beside(d.at.name) + hex.EncodeToString(id[:])
	if err := d.neighbour(ctx, p); err != nil {
		return nil, err
	}
	if p.server, err = d.server(ctx, p.conn); err != nil {
		return nil, err
	}
	if err := p.conn.QueryRowContext(ctx, sqlExists, p.target).Scan(&p.exists); err != nil {
		return nil, d.failed(ctx, err, "tell its databases")
	}
	if o.As != "" && p.exists {
		return nil, fault.New(fault.Conflict, "there is a database %s already: choose another name for the copy, or drop that one", p.target)
	}
	if err := d.look(ctx, p); err != nil {
		return nil, err
	}
	if !p.inPlace {
		return p, nil
	}
	if !p.exists {
		return nil, fault.New(fault.Forbidden, "%s may not make the database %s: %s", p.server.user, p.target, p.why)
	}
	p.close()
	if p.db, err = d.open(p.target); err != nil {
		return nil, err
	}
	p.conn, err = d.connect(ctx, p.db)
	return p, err
}

// neighbour connects to a database of the server's that is not the target, because a database cannot be renamed from within. If there
// is none, the plan is to do without.
func (d *Database) neighbour(ctx context.Context, p *plan) error {
	var last error
	for i, name := range []string{"postgres", "template1", d.at.name} {
		own := i == 2
		if !own && (name == d.at.name || name == p.target) {
			continue
		}
		db, err := d.open(name)
		if err != nil {
			return err
		}
		c, err := d.connect(ctx, db)
		if err == nil {
			p.db, p.conn, p.from = db, c, name
			if name == p.target {
				p.inPlace, p.why = true, fmt.Sprintf("%s may connect to neither postgres nor template1, from where it could be replaced", d.at.user)
			}
			return nil
		}
		db.Close()
		if last = err; ctx.Err() != nil {
			break
		}
	}
	return last
}

// look finds out what the target is like, and whether we may replace it.
func (d *Database) look(ctx context.Context, p *plan) error {
	var mayCreate, owns bool
	if err := p.conn.QueryRowContext(ctx, sqlMayCreate).Scan(&mayCreate); err != nil {
		return d.failed(ctx, err, "tell our rights")
	}
	if !mayCreate && !p.inPlace {
		p.inPlace, p.why = true, fmt.Sprintf("%s may not make databases: ALTER ROLE %s CREATEDB", p.server.user, quote(p.server.user))
	}
	var locale string
	t := &p.traits
	err := p.conn.QueryRowContext(ctx, sqlTraits, d.at.name).Scan(&t.encoding, &t.owner, &t.tablespace, &t.limit, &t.comment, &t.granted, &owns, &locale)
	if err == sql.ErrNoRows { // nothing to be like
		*t = traits{encoding: "UTF8", owner: p.server.user, limit: -1}
		return nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(locale), &t.locale)
	}
	if err != nil {
		return d.failed(ctx, err, "tell what the database %s is like", d.at.name)
	}
	t.like = d.at.name
	if p.exists && !owns && !p.inPlace {
		p.inPlace, p.why = true, fmt.Sprintf("%s is not the database's owner: ALTER DATABASE %s OWNER TO %s", p.server.user, quote(p.target), quote(p.server.user))
	}
	if !owns { // a copy is ours, then
		t.owner = p.server.user
	}
	if !p.exists {
		return nil
	}
	var strangers int
	if err := p.conn.QueryRowContext(ctx, sqlStrangers, p.target).Scan(&strangers); err != nil {
		return d.failed(ctx, err, "tell the database's settings")
	}
	if strangers > 0 && !p.server.super && !p.inPlace {
		p.inPlace, p.why = true, "the database has settings of single roles, which only a superuser could give to another one"
	}
	if p.bound, err = d.names(ctx, p.conn, sqlBound, p.target); err != nil || p.inPlace {
		return err
	}
	c, err := d.connect(ctx, d.db)
	if err != nil {
		return err
	}
	defer c.Close()
	if !p.server.super { // who is none cannot have one either
		return nil
	}
	more, err := d.names(ctx, c, sqlSubscriptions)
	p.bound = append(p.bound, more...)
	return err
}

// names returns the names that a query lists.
func (d *Database) names(ctx context.Context, c *sql.Conn, query string, args ...any) (names []string, err error) {
	err = d.each(ctx, c, query, args, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	})
	return names, err
}

// each calls f with every row.
func (d *Database) each(ctx context.Context, c *sql.Conn, query string, args []any, f func(*sql.Rows) error) error {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return d.failed(ctx, err, "look into its catalog")
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return d.failed(ctx, err, "look into its catalog")
		}
	}
	return d.failed(ctx, rows.Err(), "look into its catalog")
}

// create makes the fresh database.
func (d *Database) create(ctx context.Context, p *plan) error {
	t := &p.traits
	b := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 OWNER %s ENCODING %s", quote(p.fresh), quote(t.owner), literal(t.encoding))
	set := func(word string, keys ...string) {
		for _, k := range keys {
			if v, ok := t.locale[k].(string); ok && v != "" {
				b += " " + word + " " + literal(v)
				return
			}
		}
	}
	if t.tablespace != "" {
		b += " TABLESPACE " + quote(t.tablespace)
	}
	set("LC_COLLATE", "datcollate")
	set("LC_CTYPE", "datctype")
	switch t.locale["datlocprovider"] {
	case "i":
		b += " LOCALE_PROVIDER icu"
		set("ICU_LOCALE", "datlocale", "daticulocale")
		set("ICU_RULES", "daticurules")
	case "b":
		b += " LOCALE_PROVIDER builtin"
		set("BUILTIN_LOCALE", "datlocale")
	}
	_, err := p.conn.ExecContext(ctx, b)
	return d.failed(ctx, err, "make the database %s", p.fresh)
}

// dress gives the fresh database the rights, settings and comment of the one that it is to replace. It comes after loading,
// which settings such as default_transaction_read_only would hinder.
func (d *Database) dress(ctx context.Context, p *plan) error {
	t := &p.traits
	at := quote(p.fresh)
	var todo []string
	if t.granted && t.like == p.target {
		todo = append(todo, "REVOKE ALL ON DATABASE "+at+" FROM PUBLIC")
		err := d.each(ctx, p.conn, sqlGrants, []any{t.like}, func(rows *sql.Rows) error {
			var who, what string
			var option bool
			err := rows.Scan(&who, &what, &option)
			if who = quote(who); who == `""` {
				who = "PUBLIC"
			}
			g := fmt.Sprintf("GRANT %s ON DATABASE %s TO %s", what, at, who)
			if option && who != quote(t.owner) {
				g += " WITH GRANT OPTION"
			}
			todo = append(todo, g)
			return err
		})
		if err != nil {
			return err
		}
	}
	if t.comment != "" {
		todo = append(todo, "COMMENT ON DATABASE "+at+" IS "+literal(t.comment))
	}
	if t.limit >= 0 {
		todo = append(todo, fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", at, t.limit))
	}
	for _, s := range todo {
		if _, err := p.conn.ExecContext(ctx, s); err != nil {
			return d.failed(ctx, err, "give the new database the rights and traits of %s", t.like)
		}
	}
	type setting struct{ role, name, value string }
	var settings []setting
	err := d.each(ctx, p.conn, sqlSettings, []any{t.like}, func(rows *sql.Rows) error {
		var s setting
		err := rows.Scan(&s.role, &s.name, &s.value)
		if s.role == "" || t.like == p.target {
			settings = append(settings, s)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range settings {
		if err := d.set(ctx, p, s.role, s.name, s.value); err != nil {
			return d.failed(ctx, err, "give the new database the setting %s of %s", s.name, t.like)
		}
	}
	return nil
}

// set makes a setting of the database, by way of one of a transaction's: so a list stays a list.
func (d *Database) set(ctx context.Context, p *plan, role, name, value string) error {
	tx, err := p.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // an error after a commit
	if _, err := tx.ExecContext(ctx, "SELECT set_config($1, $2, true)", name, value); err != nil {
		return err
	}
	who := "ALTER DATABASE " + quote(p.fresh)
	if role != "" {
		who = "ALTER ROLE " + quote(role) + " IN DATABASE " + quote(p.fresh)
	}
	parts := strings.Split(name, ".") // of an extension, or our own
	for i := range parts {
		parts[i] = pq.QuoteIdentifier(parts[i])
	}
	if _, err := tx.ExecContext(ctx, who+" SET "+strings.Join(parts, ".")+" FROM CURRENT"); err != nil {
		return err
	}
	return tx.Commit()
}
