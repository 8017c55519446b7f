package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// An importer makes tables of the portable form, in one transaction. It implements portable.Target.
type importer struct {
	d       *Database
	conn    *sql.Conn
	tx      *sql.Tx
	own     bool // what comes is of PostgreSQL, so native types mean something
	schemas map[string]bool
	table   portable.Table
	copy    *sql.Stmt
	args    []any
	row     int64 // of the table
}

// Begin begins the transaction.
func (m *importer) Begin(ctx context.Context, h portable.Header) (err error) {
	m.own, m.schemas = h.Engine == dump.Postgres, map[string]bool{"public": true}
	m.tx, err = m.conn.BeginTx(ctx, nil)
	return m.d.failed(ctx, err, "begin a transaction")
}

// Table makes a table.
func (m *importer) Table(ctx context.Context, t portable.Table) error {
	if err := m.endTable(ctx); err != nil {
		return err
	}
	schema, name := split(t.Name)
	if err := m.names(t, schema, name); err != nil {
		return err
	}
	if !m.schemas[schema] {
		if _, err := m.tx.ExecContext(ctx, "CREATE SCHEMA "+quote(schema)); err != nil {
			return m.d.failed(ctx, err, "make the schema %s", schema)
		}
		m.schemas[schema] = true
	}
	var parts, columns []string
	for _, c := range t.Columns {
		kind, err := m.kind(ctx, c)
		if err != nil {
			return err
		}
		if !c.Nullable {
			kind += " NOT NULL"
		}
		parts, columns = append(parts, quote(c.Name)+" "+kind), append(columns, quote(c.Name))
	}
	if len(t.PrimaryKey) > 0 {
		key := make([]string, len(t.PrimaryKey))
		for i, k := range t.PrimaryKey {
			key[i] = quote(k)
		}
		parts = append(parts, "PRIMARY KEY ("+strings.Join(key, ", ")+")")
	}
	if _, err := m.tx.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s.%s (%s)", quote(schema), quote(name), strings.Join(parts, ", "))); err != nil {
		return m.d.failed(ctx, err, "make the table %s", t.Name)
	}
	m.table, m.row, m.args = t, 0, make([]any, len(columns))
	if len(columns) == 0 { // COPY knows no rows of nothing
		return nil
	}
	var err error
	m.copy, err = m.tx.PrepareContext(ctx, fmt.Sprintf("COPY %s.%s (%s) FROM STDIN", quote(schema), quote(name), strings.Join(columns, ", ")))
	return m.d.failed(ctx, err, "fill the table %s", t.Name)
}

// maxIdentifier is how many bytes of a name PostgreSQL keeps; it cuts off the rest.
const maxIdentifier = 63

// names refuses names that the server would change.
func (m *importer) names(t portable.Table, names ...string) error {
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	for _, n := range names {
		if len(n) > maxIdentifier || strings.IndexByte(n, 0) >= 0 {
			return fault.New(fault.Invalid, "the table %s has the name %q in it, and PostgreSQL holds names of at most %d bytes, without zero bytes: rename it where it comes from and make the export again", t.Name, n, maxIdentifier)
		}
	}
	return nil
}

// kind returns the type of a column here: its own, if it is one of the server's, else the nearest.
func (m *importer) kind(ctx context.Context, c portable.Column) (string, error) {
	if m.own {
		var is bool
		if err := m.tx.QueryRowContext(ctx, sqlIsType, c.Native).Scan(&is); err != nil {
			return "", m.d.failed(ctx, err, "look for the type %s", c.Native)
		}
		if is {
			return c.Native, nil
		}
	}
	return typeOf[c.Type], nil
}

// Row adds a row.
func (m *importer) Row(ctx context.Context, values []portable.Value) error {
	m.row++
	if m.copy == nil {
		_, err := m.tx.ExecContext(ctx, "INSERT INTO "+m.at()+" DEFAULT VALUES")
		return m.d.failed(ctx, err, "fill the table %s", m.table.Name)
	}
	for i, v := range values {
		switch {
		case v == nil:
			m.args[i] = nil
		case m.table.Columns[i].Type == portable.Bytes:
			m.args[i] = []byte(v)
		default:
			if strings.IndexByte(string(v), 0) >= 0 {
				return portable.Unfit(m.table, m.row, i, v, "has a zero byte, as no text of PostgreSQL can have")
			}
			m.args[i] = string(v)
		}
	}
	_, err := m.copy.ExecContext(ctx, m.args...)
	return m.filled(ctx, err)
}

func (m *importer) at() string {
	schema, name := split(m.table.Name)
	return quote(schema) + "." + quote(name)
}

// place is where COPY found fault: the row, and the column with what it holds.
var place = regexp.MustCompile(`(?s)^COPY .*?, line ([0-9]+), column (.{1,100})`)

// filled turns an error of COPY into one for people: mostly a value that the type does not take.
func (m *importer) filled(ctx context.Context, err error) error {
	var e *pq.Error
	if errors.As(err, &e) && (e.Code.Class() == "22" || e.Code.Class() == "23") {
		if at := place.FindStringSubmatch(e.Where); at != nil {
			return fault.New(fault.Invalid, "row %s of the table %s cannot be kept, because of %s: %s. Change it where it comes from and make the export again", at[1], m.table.Name, at[2], e.Message)
		}
		return fault.New(fault.Invalid, "the table %s cannot be filled: %s. Change it where it comes from and make the export again", m.table.Name, e.Message)
	}
	return m.d.failed(ctx, err, "fill the table %s", m.table.Name)
}

// endTable ends the rows of a table.
func (m *importer) endTable(ctx context.Context) error {
	if m.copy == nil {
		return nil
	}
	_, err := m.copy.ExecContext(ctx)
	if e := m.copy.Close(); err == nil {
		err = e
	}
	m.copy = nil
	return m.filled(ctx, err)
}

// End commits.
func (m *importer) End(ctx context.Context) error {
	if err := m.endTable(ctx); err != nil {
		return err
	}
	return m.d.failed(ctx, m.tx.Commit(), "commit")
}

// abandon rolls back what was not ended.
func (m *importer) abandon() {
	if m.copy != nil {
		m.copy.Close()
	}
	if m.tx != nil {
		m.tx.Rollback()
	}
}

// split cuts a table's name into schema and name.
func split(name string) (schema, table string) {
	if schema, table, ok := strings.Cut(name, "."); ok && schema != "" && table != "" {
		return schema, table
	}
	return "public", name
}

// qualified is a table's name with its schema.
func qualified(name string) string {
	schema, table := split(name)
	return schema + "." + table
}
