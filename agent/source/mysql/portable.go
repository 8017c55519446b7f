package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// wordOf are the portable words for MySQL's types.
var wordOf = map[string]portable.Type{
	"tinyint": portable.Int, "smallint": portable.Int, "mediumint": portable.Int, "int": portable.Int, "bigint": portable.Int, "year": portable.Int,
	"decimal": portable.Decimal, "float": portable.Float, "double": portable.Float,
	"char": portable.Text, "varchar": portable.Text, "tinytext": portable.Text, "text": portable.Text, "mediumtext": portable.Text, "longtext": portable.Text,
	"enum": portable.Text, "set": portable.Text, "inet6": portable.Text, "inet4": portable.Text,
	"binary": portable.Bytes, "varbinary": portable.Bytes, "tinyblob": portable.Bytes, "blob": portable.Bytes, "mediumblob": portable.Bytes, "longblob": portable.Bytes, "bit": portable.Bytes,
	"date": portable.Date, "time": portable.Time, "datetime": portable.Timestamp, "timestamp": portable.TimestampTZ, "json": portable.JSON, "uuid": portable.UUID,
}

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
	for _, set := range []string{"SET NAMES utf8mb4", "SET SESSION time_zone = '+00:00'", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"} {
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
		if err := d.rows(ctx, c, w, t); err != nil {
			return err
		}
	}
	return w.Close()
}

// columns describes a table. Columns that are computed are not among them.
func (d *Database) columns(ctx context.Context, c *sql.Conn, name string) (t portable.Table, err error) {
	t.Name = name
	rows, err := c.QueryContext(ctx, "SELECT column_name, data_type, column_type, is_nullable, column_key FROM information_schema.columns"+
		" WHERE table_schema = ? AND table_name = ? AND extra NOT LIKE '%GENERATED%' ORDER BY ordinal_position", d.at.name, name)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() {
		var col portable.Column
		var kind, nullable, key string
		if err := rows.Scan(&col.Name, &kind, &col.Native, &nullable, &key); err != nil {
			return t, err
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

// rows writes a table, in the order of its primary key.
func (d *Database) rows(ctx context.Context, c *sql.Conn, w *portable.Writer, name string) error {
	t, err := d.columns(ctx, c, name)
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
	var cols []string
	for _, col := range t.Columns {
		cols = append(cols, col.Name)
	}
	query := "SELECT " + quoted(cols) + " FROM " + in(d.at.name, name)
	if len(t.PrimaryKey) > 0 {
		query += " ORDER BY " + quoted(t.PrimaryKey)
	}
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return d.failed(ctx, err, "read "+name)
	}
	defer rows.Close()
	raw := make([]sql.RawBytes, len(cols))
	into, values := make([]any, len(cols)), make([]portable.Value, len(cols))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return d.failed(ctx, err, "read "+name)
		}
		for i, v := range raw {
			values[i] = value(t.Columns[i].Type, v)
		}
		if err := w.Row(values); err != nil {
			return err
		}
	}
	return d.failed(ctx, rows.Err(), "read "+name)
}

// value is a column's text in the portable form.
func value(kind portable.Type, v sql.RawBytes) portable.Value {
	switch {
	case v == nil:
		return nil
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
