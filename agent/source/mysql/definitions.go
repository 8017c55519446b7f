package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Definitions are what a database has beside tables: texts that create it again.
type definitions struct {
	Triggers []object `json:"triggers"` // in the order in which they fire
	Routines []object `json:"routines"`
	Views    []object `json:"views"`
	Events   []object `json:"events"`
}

// An object is a view, trigger, routine or event.
type object struct {
	Kind      string `json:"kind"` // as in DROP: VIEW, TRIGGER, PROCEDURE, FUNCTION, PACKAGE, PACKAGE BODY, EVENT
	Name      string `json:"name"`
	Table     string `json:"table,omitempty"` // of a trigger
	SQL       []byte `json:"sql"`             // in Charset
	Mode      string `json:"mode"`
	Zone      string `json:"zone,omitempty"`
	Charset   string `json:"charset"`
	Collation string `json:"collation"`
}

// connect returns a connection of its own, in a database. done drops it, with whatever was set in it.
func (d *Database) connect(ctx context.Context, database string) (c *sql.Conn, done func(), err error) {
	c, err = d.db.Conn(ctx)
	if err != nil {
		return nil, nil, d.reach(ctx, err)
	}
	done = func() {
		c.Raw(func(any) error { return driver.ErrBadConn })
		c.Close()
	}
	for _, s := range []string{"USE " + quote(database), "SET SESSION lock_wait_timeout = " + strconv.Itoa(d.lockWait)} {
		if _, err := c.ExecContext(ctx, s); err != nil {
			done()
			return nil, nil, d.failed(ctx, err, "use "+database)
		}
	}
	return c, done, nil
}

const sqlViews = "SELECT 'VIEW', table_name, '' FROM information_schema.views WHERE table_schema = ? ORDER BY table_name"

// kinds are how things are listed and shown: the columns of SHOW CREATE differ.
var kinds = []struct {
	list string
	text string // the column with the text
}{
	{"SELECT 'TRIGGER', trigger_name, event_object_table FROM information_schema.triggers WHERE trigger_schema = ? ORDER BY event_object_table, action_timing, event_manipulation, action_order, trigger_name", "SQL Original Statement"},
	{"SELECT routine_type, routine_name, '' FROM information_schema.routines WHERE routine_schema = ? ORDER BY routine_type, routine_name", "Create "},
	{sqlViews, "Create View"},
	{"SELECT 'EVENT', event_name, '' FROM information_schema.events WHERE event_schema = ? ORDER BY event_name", "Create Event"},
}

// definitions reads them all. It is Forbidden if one exists whose text we may not read.
func (d *Database) definitions(ctx context.Context, database string) (definitions, error) {
	var all definitions
	c, done, err := d.connect(ctx, database)
	if err != nil {
		return all, err
	}
	defer done()
	// Bodies are kept as they were written, in whatever character set that was.
	for i, into := range []*[]object{&all.Triggers, &all.Routines, &all.Views, &all.Events} {
		if err := d.list(ctx, c, kinds[i].list, database, into); err != nil {
			return all, d.failed(ctx, err, "list what "+database+" holds")
		}
	}
	for i, of := range [][]object{all.Triggers, all.Routines, all.Views, all.Events} {
		if kinds[i].text == "Create View" {
			_, err = c.ExecContext(ctx, "SET character_set_results = utf8mb4")
		} else {
			_, err = c.ExecContext(ctx, "SET character_set_results = binary")
		}
		if err != nil {
			return all, d.failed(ctx, err, "read definitions")
		}
		for j := range of {
			if err := d.show(ctx, c, &of[j], kinds[i].text, database); err != nil {
				return all, d.failed(ctx, err, "read the definition of "+of[j].Name)
			}
		}
	}
	return all, nil
}

func (d *Database) list(ctx context.Context, c *sql.Conn, query, database string, into *[]object) error {
	rows, err := c.QueryContext(ctx, query, database)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.Kind, &o.Name, &o.Table); err != nil {
			return err
		}
		*into = append(*into, o)
	}
	return rows.Err()
}

// show reads what creates an object.
func (d *Database) show(ctx context.Context, c *sql.Conn, o *object, text, database string) error {
	rows, err := c.QueryContext(ctx, "SHOW CREATE "+o.Kind+" "+quote(o.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]sql.RawBytes, len(columns))
	scan := make([]any, len(columns))
	for i := range values {
		scan[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(scan...); err != nil {
			return err
		}
		for i, name := range columns {
			switch v := values[i]; {
			case name == text || text == "Create " && strings.HasPrefix(name, text):
				if v == nil {
					return fault.New(fault.Forbidden, "%s may not read the text of the routine %s: GRANT SHOW CREATE ROUTINE, or SELECT ON mysql.proc (MariaDB), or SHOW_ROUTINE (MySQL), is missing", d.at.user, o.Name)
				}
				o.SQL = bytes.Clone(v)
			case name == "sql_mode":
				o.Mode = string(v)
			case name == "time_zone":
				o.Zone = string(v)
			case name == "character_set_client":
				o.Charset = string(v)
			case name == "collation_connection":
				o.Collation = string(v)
			}
		}
	}
	if o.Kind == "VIEW" { // a function of its own is written with the database's name
		o.SQL = unqualify(o.SQL, database)
		if !strings.HasPrefix(o.Charset, "utf8") { // its text is UTF-8 whatever it was
			o.Charset, o.Collation = "utf8mb4", "utf8mb4_general_ci"
		}
	}
	return rows.Err()
}

// create creates an object in the connection's database.
func (o object) create(ctx context.Context, c *sql.Conn) error {
	settings := []string{"character_set_client = " + word(o.Charset), "collation_connection = " + word(o.Collation)}
	if o.Kind != "VIEW" {
		settings = append(settings, "sql_mode = "+literal(o.Mode))
	}
	if o.Zone != "" {
		settings = append(settings, "time_zone = "+literal(o.Zone))
	}
	for _, s := range settings {
		if _, err := c.ExecContext(ctx, "SET SESSION "+s); err != nil {
			return err
		}
	}
	text := string(o.SQL)
	if rest, ok := strings.CutPrefix(text, "CREATE "); ok && o.Kind == "VIEW" && !strings.HasPrefix(rest, "OR ") {
		text = "CREATE OR REPLACE " + rest
	}
	_, err := c.ExecContext(ctx, text)
	if _, e := c.ExecContext(ctx, "SET NAMES utf8mb4"); err == nil {
		err = e
	}
	return err
}

// drop removes an object from a database, if it is there.
func (o object) drop(ctx context.Context, c *sql.Conn, database string) error {
	_, err := c.ExecContext(ctx, "DROP "+o.Kind+" IF EXISTS "+in(database, o.Name))
	return err
}

var notWord = regexp.MustCompile(`\W`)

// word is a character set's name, and nothing else.
func word(s string) string { return notWord.ReplaceAllString(s, "") }

// literal writes a string without special characters in SQL.
func literal(s string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(s) + "'"
}

// unqualify takes the database's name off all names in it, but not out of strings.
func unqualify(text []byte, database string) []byte {
	prefix := []byte(quote(database) + ".")
	if !bytes.Contains(text, prefix) {
		return text
	}
	var out []byte
	in := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case in == 0 && c == '`' && bytes.HasPrefix(text[i:], prefix):
			i += len(prefix) - 1
			continue
		case in == 0 && (c == '\'' || c == '"' || c == '`'):
			in = c
		case in != 0 && in != '`' && c == '\\' && i+1 < len(text):
			out = append(out, c)
			i++
			c = text[i]
		case c == in:
			in = 0
		}
		out = append(out, c)
	}
	return out
}
