package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// Portable streams the tables, at a moment of their own.
func (s *session) Portable(ctx context.Context) (io.ReadCloser, error) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(s.export(ctx, w)) // nil is io.EOF
	}()
	return &exporting{r, cancel, done}, nil
}

// exporting is an export that is being read. Close ends it.
type exporting struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close implements [io.Closer].
func (e *exporting) Close() error {
	e.cancel()
	e.PipeReader.Close()
	<-e.done
	return nil
}

func (s *session) export(ctx context.Context, out io.Writer) error {
	d := s.d
	c, done, err := d.connect(ctx, d.at.name)
	if err != nil {
		return err
	}
	defer done()
	for _, set := range []string{"SET NAMES utf8mb4", "SET SESSION sql_mode = ''", "SET SESSION time_zone = '+00:00'", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"} {
		if _, err := c.ExecContext(ctx, set); err != nil {
			return d.failed(ctx, err, "begin to read")
		}
	}
	w, err := portable.NewWriter(out, portable.Header{Engine: dump.MySQL, Server: s.server.version, TakenAt: time.Now().UTC()})
	if err != nil {
		return err
	}
	tables, err := d.tables(ctx, d.at.name, false)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := d.rows(ctx, c, s.server, w, t); err != nil {
			return err
		}
	}
	return w.Close()
}

const sqlColumns = "SELECT column_name, data_type, column_type, is_nullable, COALESCE(CONCAT(' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name), '')" +
	" FROM information_schema.columns WHERE table_schema = ? AND table_name = ? AND COALESCE(generation_expression, '') = '' ORDER BY ordinal_position"

// columns describes a table. Columns that are computed are not among them. MariaDB's json is a longtext that is checked.
func (d *Database) columns(ctx context.Context, c *sql.Conn, s server, name string) (t portable.Table, err error) {
	t.Name = name
	isJSON, err := d.jsonColumns(ctx, c, s, name)
	if err != nil {
		return t, err
	}
	rows, err := c.QueryContext(ctx, sqlColumns, d.at.name, name)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() {
		var col portable.Column
		var kind, nullable, set string
		if err := rows.Scan(&col.Name, &kind, &col.Native, &nullable, &set); err != nil {
			return t, err
		}
		if isJSON[col.Name] {
			kind, col.Native = "json", "json"
		} else if set != "" && kind != "json" {
			col.Native += set
		}
		col.Nullable = nullable == "YES"
		if col.Type = wordOf[strings.ToLower(kind)]; col.Type == "" {
			col.Type = portable.Other
		}
		t.Columns = append(t.Columns, col)
	}
	if err := rows.Err(); err != nil {
		return t, err
	}
	keys, err := c.QueryContext(ctx, "SELECT column_name FROM information_schema.key_column_usage WHERE table_schema = ? AND table_name = ? AND constraint_name = 'PRIMARY' ORDER BY ordinal_position", d.at.name, name)
	if err != nil {
		return t, err
	}
	t.PrimaryKey, err = names(keys)
	return t, err
}

// jsonColumns are those that MariaDB checks to hold JSON.
func (d *Database) jsonColumns(ctx context.Context, c *sql.Conn, s server, name string) (map[string]bool, error) {
	if !s.maria {
		return nil, nil
	}
	rows, err := c.QueryContext(ctx, "SELECT constraint_name FROM information_schema.check_constraints WHERE constraint_schema = ? AND table_name = ?"+
		" AND check_clause = CONCAT('json_valid(`', REPLACE(constraint_name, '`', '``'), '`)')", d.at.name, name)
	if err != nil {
		return nil, err
	}
	list, err := names(rows)
	is := map[string]bool{}
	for _, n := range list {
		is[n] = true
	}
	return is, err
}

// rows writes a table, in the order of its primary key.
func (d *Database) rows(ctx context.Context, c *sql.Conn, s server, w *portable.Writer, name string) error {
	t, err := d.columns(ctx, c, s, name)
	if err != nil {
		return d.failed(ctx, err, "describe "+name)
	}
	if err := w.Table(t); err != nil {
		return err
	}
	quoted := func(list []string) string {
		out := make([]string, len(list))
		for i, n := range list {
			out[i] = quote(n)
		}
		return strings.Join(out, ", ")
	}
	cols := make([]string, len(t.Columns))
	for i, col := range t.Columns {
		if cols[i] = quote(col.Name); isFloat(col) { // which the server shows with six digits
			cols[i] += " + 0e0"
		}
	}
	query := "SELECT " + strings.Join(append(cols, "1"), ", ") + " FROM " + in(d.at.name, name) // 1: all columns may be computed ones
	if len(t.PrimaryKey) > 0 {
		query += " ORDER BY " + quoted(t.PrimaryKey)
	}
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return d.failed(ctx, err, "read "+name)
	}
	defer rows.Close()
	raw := make([]sql.RawBytes, len(cols)+1)
	into, values := make([]any, len(raw)), make([]portable.Value, len(cols))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return d.failed(ctx, err, "read "+name)
		}
		for i := range values {
			values[i] = value(t.Columns[i], raw[i])
		}
		if err := w.Row(values); err != nil {
			return err
		}
	}
	return d.failed(ctx, rows.Err(), "read "+name)
}

// isFloat reports whether a column has numbers of 32 bits.
func isFloat(c portable.Column) bool { return strings.HasPrefix(c.Native, "float") }

// value is a column's text in the portable form.
func value(c portable.Column, v sql.RawBytes) portable.Value {
	kind := c.Type
	switch {
	case v == nil:
		return nil
	case isFloat(c):
		f, err := strconv.ParseFloat(string(v), 64)
		short := strconv.AppendFloat(nil, f, 'g', -1, 32)
		if back, e := strconv.ParseFloat(string(short), 64); err != nil || e != nil || float64(float32(back)) != f || math.Abs(back) > math.MaxFloat32 {
			return portable.Value(v)
		}
		return short
	case kind == portable.Timestamp || kind == portable.TimestampTZ:
		out := bytes.Replace(v, []byte(" "), []byte("T"), 1)
		if bytes.IndexByte(out, '.') >= 0 {
			out = bytes.TrimRight(bytes.TrimRight(out, "0"), ".")
		}
		if kind == portable.TimestampTZ {
			out = append(out, 'Z')
		}
		return out
	case kind == portable.Time && bytes.IndexByte(v, '.') >= 0:
		return portable.Value(bytes.TrimRight(bytes.TrimRight(v, "0"), "."))
	}
	return portable.Value(v)
}
