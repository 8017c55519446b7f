package mysql

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Import makes tables of the portable form beside the live ones and swaps.
func (d *Database) Import(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) (have []dump.Table, err error) {
	err = d.build(ctx, o, func(s server, j *journal) (*filter, error) {
		if err := d.makeDatabase(ctx, j, j.Fresh); err != nil {
			return nil, err
		}
		c, done, err := d.connect(ctx, j.Fresh)
		if err != nil {
			return nil, err
		}
		defer done()
		m := &importer{d: d, conn: c, server: s, like: j, collations: map[string]bool{}}
		if have, err = portable.Load(ctx, portable.Progress(in, progress, func() { d.stop("loading") }), m); err != nil {
			return nil, err
		}
		for i := range have {
			have[i].Name = portable.TableName(have[i].Name)
		}
		return &filter{}, d.compare(ctx, j.Fresh, have)
	})
	return have, err
}

// An importer makes tables of the portable form. It implements portable.Target. Rows are put together to statements; one that the
// server refuses is repeated row by row, which finds the row.
type importer struct {
	d          *Database
	conn       *sql.Conn
	server     server
	like       *journal
	own        bool // what comes is of MySQL, so native types mean something
	plain      string
	exact      string // character set and collation of texts, and of those that are compared byte by byte
	collations map[string]bool
	room       int // bytes of a statement

	table   portable.Table
	columns []typed
	head    string // of INSERT
	rows    int64  // of the table
	batch   []byte
	ends    []int // of the rows in batch
}

const batchBytes = 1 << 20

// Begin sets what the statements need.
func (m *importer) Begin(ctx context.Context, h portable.Header) error {
	m.own = h.Engine == dump.MySQL
	m.plain, m.exact = " CHARACTER SET utf8mb4", " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	if m.like.Charset == "utf8mb4" {
		m.plain += " COLLATE " + word(m.like.Collation)
	}
	for _, c := range []string{"utf8mb4_nopad_bin", "utf8mb4_0900_bin"} { // with these, blanks at the end count
		if known, err := m.knows(ctx, "utf8mb4", c); err != nil {
			return err
		} else if known {
			m.exact = " CHARACTER SET utf8mb4 COLLATE " + c
			break
		}
	}
	for _, s := range []string{"SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'", "SET SESSION time_zone = '+00:00'", "SET SESSION foreign_key_checks = 0"} {
		if _, err := m.conn.ExecContext(ctx, s); err != nil {
			return m.d.failed(ctx, err, "prepare to load")
		}
	}
	if err := m.conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&m.room); err != nil {
		return m.d.failed(ctx, err, "tell the size of statements")
	}
	m.room = min(m.room, maxPacket) - 64
	return nil
}

// Table makes a table.
func (m *importer) Table(ctx context.Context, t portable.Table) (err error) {
	if err := m.flush(ctx); err != nil {
		return err
	}
	if err := checkNames(t); err != nil {
		return err
	}
	if m.columns, err = m.types(ctx, t); err != nil {
		return err
	}
	var parts, list, key []string
	for _, k := range t.PrimaryKey {
		key = append(key, quote(k))
	}
	for _, c := range m.columns {
		quoted := quote(c.Name)
		list = append(list, quoted)
		inKey := false
		for _, k := range key {
			inKey = inKey || k == quoted
		}
		parts = append(parts, c.sql(inKey))
	}
	if len(key) > 0 {
		parts = append(parts, "PRIMARY KEY ("+strings.Join(key, ", ")+")")
	}
	at := quote(portable.TableName(t.Name))
	m.table, m.rows, m.head = t, 0, "INSERT INTO "+at+" ("+strings.Join(list, ", ")+") VALUES "
	_, err = m.conn.ExecContext(ctx, "CREATE TABLE "+at+" ("+strings.Join(parts, ", ")+") ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4")
	var e *mysql.MySQLError
	if errors.As(err, &e) && fault.KindOf(m.d.failed(ctx, err, "")) != fault.Forbidden {
		return fault.Wrap(err, fault.Invalid, "the table %s cannot be made here: %s. Change it where it comes from and make the export again, or restore into another kind of database", t.Name, m.words(e))
	}
	if err == nil {
		_, err = m.conn.ExecContext(ctx, "START TRANSACTION")
	}
	return m.d.failed(ctx, err, "make the table "+t.Name)
}

// checkNames refuses what the server would take for another name.
func checkNames(t portable.Table) error {
	bad := func(what, name, why string) error {
		return fault.New(fault.Invalid, "%s %q of the table %s %s: rename it where it comes from and make the export again", what, name, t.Name, why)
	}
	if len(t.Columns) == 0 {
		return fault.New(fault.Invalid, "the table %s has no columns, which MySQL cannot hold: remove it where it comes from and make the export again", t.Name)
	}
	if why := wrongName(portable.TableName(t.Name)); why != "" {
		return bad("the name", portable.TableName(t.Name), why)
	}
	seen := map[string]bool{}
	for _, c := range t.Columns {
		if why := wrongName(c.Name); why != "" {
			return bad("the column", c.Name, why)
		}
		if lower := strings.ToLower(c.Name); seen[lower] {
			return bad("the column", c.Name, "has the name of another one for MySQL, which does not tell capitals apart in them")
		} else {
			seen[lower] = true
		}
	}
	return nil
}

// wrongName says why a name cannot be one here, or "".
func wrongName(name string) string {
	if utf8.RuneCountInString(name) > maxIdentifier {
		return "is longer than the 64 characters that MySQL allows"
	}
	if strings.HasSuffix(name, " ") {
		return "ends with a blank, which MySQL does not allow"
	}
	for _, r := range name {
		if r == 0 || r > 0xffff {
			return "has a character that MySQL does not allow in names"
		}
	}
	return ""
}

// Row adds a row.
func (m *importer) Row(ctx context.Context, values []portable.Value) error {
	m.rows++
	at := len(m.batch)
	if at > 0 {
		m.batch = append(m.batch, ',')
		at++
	}
	m.batch = append(m.batch, '(')
	for i, v := range values {
		if i > 0 {
			m.batch = append(m.batch, ',')
		}
		if v == nil {
			m.batch = append(m.batch, "NULL"...)
			continue
		}
		var why string
		if m.batch, why = m.columns[i].write(m.batch, v); why != "" {
			if err := m.before(ctx, at); err != nil { // which comes first
				return err
			}
			return portable.Unfit(m.table, m.rows, i, v, why)
		}
	}
	m.batch = append(m.batch, ')')
	if n := len(m.head) + len(m.batch) - at; n > m.room {
		return fault.New(fault.Invalid, "row %d of the table %s has %d bytes as a statement, and the server takes %d at most: let its administrator raise max_allowed_packet, at least to %d",
			m.rows, m.table.Name, n, m.room, n+1024)
	}
	if len(m.head)+len(m.batch) > m.room { // the one before it went together, this one goes alone
		row := append([]byte{}, m.batch[at:]...)
		if err := m.before(ctx, at); err != nil {
			return err
		}
		m.batch = append(m.batch, row...)
	}
	m.ends = append(m.ends, len(m.batch))
	if len(m.batch) < batchBytes {
		return nil
	}
	return m.flush(ctx)
}

// before sends the rows that lie in the batch before the last one, which begins at a byte.
func (m *importer) before(ctx context.Context, at int) error {
	m.batch = m.batch[:max(at-1, 0)]
	m.rows--
	err := m.flush(ctx)
	m.rows++
	return err
}

// flush sends the batch.
func (m *importer) flush(ctx context.Context) error {
	if len(m.ends) == 0 {
		m.batch = m.batch[:0]
		return nil
	}
	first := m.rows - int64(len(m.ends)) + 1
	err := m.insert(ctx, m.batch)
	if err != nil && answered(err) {
		at := 0
		for i, end := range m.ends {
			if e := m.insert(ctx, m.batch[at:end]); e != nil {
				return m.refused(ctx, e, first+int64(i))
			}
			at = end + 1 // a comma
		}
	}
	m.batch, m.ends = m.batch[:0], m.ends[:0]
	return m.d.failed(ctx, err, "fill the table "+m.table.Name)
}

func (m *importer) insert(ctx context.Context, rows []byte) error {
	_, err := m.conn.ExecContext(ctx, m.head+string(rows))
	return err
}

// refused turns the server's answer to one row into a sentence.
func (m *importer) refused(ctx context.Context, err error, row int64) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return m.d.failed(ctx, err, "fill the table "+m.table.Name)
	}
	switch e.Number {
	case 1021, 1114, 1041, 1037, 1030: // no room, no memory
		return fault.Wrap(err, fault.StorageFull, "the table %s cannot be filled: %s", m.table.Name, e.Message)
	case 1044, 1142, 1205, 1213, 1290:
		return m.d.failed(ctx, err, "fill the table "+m.table.Name)
	}
	return fault.Wrap(err, fault.Invalid, "row %d of the table %s cannot be kept: %s. Change it where it comes from and make the export again", row, m.table.Name, m.words(e))
}

// words are what the server said, without what means nothing to people: the database that is being built, and the row of a statement.
func (m *importer) words(e *mysql.MySQLError) string {
	return strings.NewReplacer(quote(m.like.Fresh)+".", "", " at row 1", "").Replace(e.Message)
}

// End commits.
func (m *importer) End(ctx context.Context) error {
	if err := m.flush(ctx); err != nil {
		return err
	}
	_, err := m.conn.ExecContext(ctx, "COMMIT")
	return m.d.failed(ctx, err, "commit")
}
