package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// wordOf are the portable words for PostgreSQL's types, by their internal names.
var wordOf = map[string]portable.Type{
	"int2": portable.Int, "int4": portable.Int, "int8": portable.Int, "oid": portable.Int, "numeric": portable.Decimal,
	"float4": portable.Float, "float8": portable.Float, "bool": portable.Bool,
	"text": portable.Text, "varchar": portable.Text, "bpchar": portable.Text, "name": portable.Text, "char": portable.Text, "citext": portable.Text, "xml": portable.Text,
	"bytea": portable.Bytes, "date": portable.Date, "time": portable.Time, "timestamp": portable.Timestamp, "timestamptz": portable.TimestampTZ,
	"json": portable.JSON, "jsonb": portable.JSON, "uuid": portable.UUID, "interval": portable.Interval,
}

// typeOf are PostgreSQL's types for the portable words.
var typeOf = map[portable.Type]string{
	portable.Int: "bigint", portable.Decimal: "numeric", portable.Float: "double precision", portable.Bool: "boolean", portable.Text: "text", portable.Bytes: "bytea",
	portable.Date: "date", portable.Time: "time", portable.Timestamp: "timestamp", portable.TimestampTZ: "timestamptz", portable.JSON: "json", portable.UUID: "uuid",
	portable.Interval: "interval", portable.Other: "text",
}

// A column of a table that is read.
type column struct {
	portable.Column
	key int // its place in the primary key, or -1
}

// A table that is read.
type table struct {
	oid         int64
	name, at    string // at: as SQL writes it
	partitioned bool
	columns     []column
}

// Portable streams the tables.
func (s *session) Portable(ctx context.Context) (io.ReadCloser, error) {
	tables, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(s.export(ctx, w, tables)) // nil is io.EOF
	}()
	return &export{r, cancel, done}, nil
}

// An export is what is being exported. Close ends that.
type export struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

func (e *export) Close() error {
	e.cancel()
	e.PipeReader.Close()
	<-e.done // the transaction is the session's again
	return nil
}

func (s *session) export(ctx context.Context, out io.Writer, tables []table) error {
	w, err := portable.NewWriter(out, portable.Header{Engine: s.d.Engine(), Server: s.server.words, TakenAt: s.at})
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := s.rows(ctx, w, t); err != nil {
			return err
		}
	}
	return w.Close()
}

// tables returns the tables of the snapshot.
func (s *session) tables(ctx context.Context) (tables []table, err error) {
	rows, err := s.tx.QueryContext(ctx, sqlTables)
	if err != nil {
		return nil, s.d.failed(ctx, err, "list its tables")
	}
	defer rows.Close()
	for rows.Next() {
		var t table
		if err := rows.Scan(&t.oid, &t.name, &t.at, &t.partitioned); err != nil {
			return nil, s.d.failed(ctx, err, "list its tables")
		}
		tables = append(tables, t)
	}
	if err := rows.Err(); err != nil {
		return nil, s.d.failed(ctx, err, "list its tables")
	}
	for i := range tables {
		if tables[i].columns, err = s.columns(ctx, tables[i].oid); err != nil {
			return nil, s.d.failed(ctx, err, "list the columns of %s", tables[i].name)
		}
	}
	return tables, nil
}

func (s *session) columns(ctx context.Context, oid int64) (columns []column, err error) {
	rows, err := s.tx.QueryContext(ctx, sqlColumns, oid)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c column
		var internal, kind string
		if err := rows.Scan(&c.Name, &c.Native, &internal, &kind, &c.Nullable, &c.key); err != nil {
			return nil, err
		}
		if c.Type = wordOf[internal]; c.Type == "" {
			if c.Type = portable.Other; kind == "e" { // an enum's value is a word
				c.Type = portable.Text
			}
		}
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// rows exports a table.
func (s *session) rows(ctx context.Context, w *portable.Writer, t table) error {
	p := portable.Table{Name: t.name, Columns: []portable.Column{}}
	var list, order []string
	keys := map[int]string{}
	for _, c := range t.columns {
		p.Columns = append(p.Columns, c.Column)
		switch at := quote(c.Name); c.Type {
		case portable.Bytes, portable.Bool:
			list = append(list, at)
		default:
			list = append(list, at+"::text")
		}
		if c.key >= 0 {
			keys[c.key] = c.Name
		}
	}
	for i := range len(keys) {
		p.PrimaryKey = append(p.PrimaryKey, keys[i])
		order = append(order, quote(keys[i]))
	}
	if err := w.Table(p); err != nil {
		return err
	}
	only := "ONLY " // the rows of heirs are theirs
	if t.partitioned {
		only = ""
	}
	query := fmt.Sprintf("SELECT %s FROM %s%s", strings.Join(list, ", "), only, t.at)
	if len(order) > 0 {
		query += " ORDER BY " + strings.Join(order, ", ")
	}
	rows, err := s.tx.QueryContext(ctx, query)
	if err != nil {
		return s.d.failed(ctx, err, "read %s", t.name)
	}
	defer rows.Close()
	raw := make([][]byte, len(t.columns)) // a RawBytes of an empty text is nil, like null
	into := make([]any, len(raw))
	for i := range raw {
		into[i] = &raw[i]
	}
	values := make([]portable.Value, len(raw))
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return s.d.failed(ctx, err, "read %s", t.name)
		}
		for i, c := range t.columns {
			values[i] = export1(c.Type, raw[i])
		}
		if err := w.Row(values); err != nil {
			return err
		}
	}
	return s.d.failed(ctx, rows.Err(), "read %s", t.name)
}

// export1 writes a value as the portable form does.
func export1(t portable.Type, v []byte) portable.Value {
	if v == nil {
		return nil
	}
	if t != portable.Timestamp && t != portable.TimestampTZ || len(v) < len("2006-01-02 15:04:05") || v[10] != ' ' || bytes.HasSuffix(v, []byte("BC")) {
		return v
	}
	v = bytes.Clone(v)
	v[10] = 'T'
	if t == portable.TimestampTZ {
		if rest, ok := bytes.CutSuffix(v, []byte("+00")); ok { // always, as the session's zone is UTC
			v = append(rest, 'Z')
		}
	}
	return v
}

// Import makes a database of the portable form and puts it in place.
func (d *Database) Import(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) (have []dump.Table, err error) {
	err = d.build(ctx, o, func(p *plan) error {
		if p.inPlace {
			return noRoomBeside(p)
		}
		db, err := d.open(p.fresh)
		if err != nil {
			return err
		}
		defer db.Close()
		c, err := d.connect(ctx, db)
		if err != nil {
			return err
		}
		defer c.Close()
		l := &loader{in: in, progress: progress}
		to := &importer{d: d, conn: c}
		defer to.abandon()
		if have, err = portable.Load(ctx, l, to); err != nil {
			return err
		}
		for i := range have {
			have[i].Name = qualified(have[i].Name)
		}
		return d.check(ctx, p, have)
	})
	return have, err
}

// noRoomBeside refuses an import in one transaction.
func noRoomBeside(p *plan) error {
	return fault.New(fault.Forbidden, "the portable form needs a database beside %s, and %s", p.target, p.why)
}
