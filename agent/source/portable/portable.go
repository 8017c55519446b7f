// Package portable is the form of a database that every engine can read: database_dump.json, with tables, columns, primary
// keys and rows. Views, triggers, indexes, foreign keys and whatever else only one engine knows is in its native dump.
//
//	{"format":"holdfast-portable","version":1,"engine":"postgres","server":"15.4","taken_at":"2026-05-06T07:08:09Z","tables":[
//	{"name":"public.orders","columns":[{"name":"id","type":"int","native":"bigint","nullable":false}],"primary_key":["id"],"rows":[
//	["1"],
//	["2"]]}]}
//
// Both sides stream: what is in memory is one row. The order of the members is as above. docs/applications.md has the
// table of types. A value is null or, by its column's type:
//
//	int, decimal    a string of digits, so that no reader rounds; decimal may be NaN, Infinity, -Infinity
//	float           a number; or the string NaN, Infinity, -Infinity
//	bool            true, false
//	bytes           a string in base64
//	text, json, uuid, interval, other   a string
//	date            2006-01-02
//	time            15:04:05.999999
//	timestamp       2006-01-02T15:04:05.999999, of no zone
//	timestamptz     2006-01-02T15:04:05.999999Z
//
// Dates and times that these cannot write (infinity, years BC) are strings as their engine writes them.
package portable

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Name and version of the format.
const (
	Format  = "holdfast-portable"
	Version = 1
)

// A Type is a column's type, in a word that every engine has something for.
type Type string

// The types.
const (
	Int         Type = "int"
	Decimal     Type = "decimal"
	Float       Type = "float"
	Bool        Type = "bool"
	Text        Type = "text"
	Bytes       Type = "bytes"
	Date        Type = "date"
	Time        Type = "time"
	Timestamp   Type = "timestamp"
	TimestampTZ Type = "timestamptz"
	JSON        Type = "json"
	UUID        Type = "uuid"
	Interval    Type = "interval"
	Other       Type = "other" // text, as the engine writes it
)

// A Header says where the rows are from.
type Header struct {
	Engine  dump.Engine
	Server  string // its version
	TakenAt time.Time
}

// A Table is a table, without its rows.
type Table struct {
	Name       string // as in dump.Table
	Columns    []Column
	PrimaryKey []string // names of columns
}

// A Column is a column of a table.
type Column struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Native   string `json:"native"` // as the engine it is of writes it
	Nullable bool   `json:"nullable"`
}

// A Value is a column's value in a row: nil, or as text, but for Bytes, which are the bytes themselves. A Bool is "true" or "false".
type Value []byte

// A Writer writes the form.
type Writer struct {
	w      *bufio.Writer
	tables int
	rows   int
	table  Table
	open   bool // a table is
}

// NewWriter begins a file.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	out := &Writer{w: bufio.NewWriterSize(w, 256<<10)}
	_, err := fmt.Fprintf(out.w, `{"format":%q,"version":%d,"engine":%s,"server":%s,"taken_at":%q,"tables":[`, Format, Version, quoted(string(h.Engine)), quoted(h.Server),
		h.TakenAt.UTC().Format(time.RFC3339))
	return out, err
}

// quoted writes a string of JSON.
func quoted(s string) []byte {
	b, _ := json.Marshal(s) // of a string it never fails
	return b
}

// Table begins a table.
func (w *Writer) Table(t Table) error {
	w.end()
	if w.tables++; w.tables > 1 {
		w.w.WriteByte(',')
	}
	columns, err := json.Marshal(t.Columns)
	if err != nil {
		return err
	}
	key := []byte("[]")
	if len(t.PrimaryKey) > 0 {
		key, _ = json.Marshal(t.PrimaryKey)
	}
	w.table, w.rows, w.open = t, 0, true
	_, err = fmt.Fprintf(w.w, "\n"+`{"name":%s,"columns":%s,"primary_key":%s,"rows":[`, quoted(t.Name), columns, key)
	return err
}

func (w *Writer) end() {
	if w.open {
		w.w.WriteString("]}")
		w.open = false
	}
}

// Row adds a row to the table, a value for each column.
func (w *Writer) Row(values []Value) error {
	if !w.open || len(values) != len(w.table.Columns) {
		return fault.New(fault.Internal, "a row of %d values for the table %s, which has %d columns", len(values), w.table.Name, len(w.table.Columns))
	}
	if w.rows++; w.rows > 1 {
		w.w.WriteByte(',')
	}
	w.w.WriteString("\n[")
	for i, v := range values {
		if i > 0 {
			w.w.WriteByte(',')
		}
		c := w.table.Columns[i]
		if v != nil && !writable(c.Type, v) {
			return fault.New(fault.Invalid, "row %d of the table %s has in %s %s, which cannot be written into the portable form as %s: mend it, or back up without database_dump.json",
				w.rows, w.table.Name, c.Name, shown(v), c.Type)
		}
		if err := w.value(c.Type, v); err != nil {
			return err
		}
	}
	return w.w.WriteByte(']')
}

func (w *Writer) value(t Type, v Value) error {
	var err error
	switch {
	case v == nil:
		_, err = w.w.WriteString("null")
	case t == Bytes:
		w.w.WriteByte('"')
		enc := base64.NewEncoder(base64.StdEncoding, w.w)
		enc.Write(v)
		enc.Close()
		err = w.w.WriteByte('"')
	case t == Bool, t == Float && number(v):
		_, err = w.w.Write(v)
	default:
		_, err = w.w.Write(quoted(string(v)))
	}
	return err
}

// writable reports whether Load would take what value writes. A text that is no UTF-8 would become another one.
func writable(t Type, v Value) bool {
	switch t {
	case Bytes:
		return true
	case Int:
		return digits(string(v))
	case Decimal:
		return special(string(v)) || numeric(string(v))
	case Float:
		return special(string(v)) || number(v)
	case Bool:
		return string(v) == "true" || string(v) == "false"
	}
	return utf8.Valid(v)
}

// number reports whether a float's text is a number of JSON.
func number(v []byte) bool {
	if _, err := strconv.ParseFloat(string(v), 64); err != nil {
		return false
	}
	return json.Valid(v)
}

// Close ends the file. It does not close what is below.
func (w *Writer) Close() error {
	w.end()
	w.w.WriteString("]}\n")
	return w.w.Flush() // has every error before it
}
