package portable

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A Target takes what is loaded.
type Target interface {
	// Begin is called first.
	Begin(ctx context.Context, h Header) error

	// Table makes a table. The rows that follow are its.
	Table(ctx context.Context, t Table) error

	// Row adds a row; values are the callee's only during the call.
	Row(ctx context.Context, values []Value) error

	// End is called after the last row of the last table.
	End(ctx context.Context) error
}

const (
	maxColumns = 4096
	maxTables  = 1 << 20
)

// Load reads a file to its end into a target, and returns the rows of every table. What is not of this form is refused
// with fault.Invalid; the target has then been given what came before, and is not ended.
func Load(ctx context.Context, in io.Reader, to Target) ([]dump.Table, error) {
	l := &load{ctx: ctx, in: &source{in: in}, to: to}
	l.dec = json.NewDecoder(l.in)
	l.dec.UseNumber()
	if err := l.file(); err != nil {
		return nil, err
	}
	return l.tables, to.End(ctx)
}

// A source remembers how reading failed, so that this is not taken for a fault of the file's. What is no UTF-8 it refuses: the decoder would
// put other characters there.
type source struct {
	in    io.Reader
	err   error
	begun []byte // of a character, up to three bytes
}

var errNotUTF8 = fault.New(fault.Invalid, "database_dump.json cannot be used: it is no UTF-8. Make it again")

func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	if n > 0 && !s.valid(p[:n]) || err == io.EOF && len(s.begun) > 0 {
		s.err = errNotUTF8
		return 0, s.err
	}
	return n, err
}

// valid looks at the next bytes.
func (s *source) valid(p []byte) bool {
	for len(s.begun) > 0 && len(p) > 0 {
		s.begun = append(s.begun, p[0])
		if p = p[1:]; utf8.FullRune(s.begun) {
			if !utf8.Valid(s.begun) {
				return false
			}
			s.begun = s.begun[:0]
		}
	}
	whole := len(p)
	for i := 1; i <= min(len(p), utf8.UTFMax-1); i++ {
		if b := p[len(p)-i]; utf8.RuneStart(b) {
			if !utf8.FullRune(p[len(p)-i:]) {
				whole = len(p) - i
			}
			break
		}
	}
	s.begun = append(s.begun, p[whole:]...)
	return utf8.Valid(p[:whole])
}

type load struct {
	ctx    context.Context
	in     *source
	dec    *json.Decoder
	to     Target
	tables []dump.Table
	names  map[string]bool
}

// bad is the error for what is not of this form.
func (l *load) bad(err error, format string, args ...any) error {
	if l.in.err != nil {
		return l.in.err
	}
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	f := fault.New(fault.Invalid, format, args...)
	f.Message = "database_dump.json cannot be used: " + f.Message
	f.Err = err
	return f
}

// expect reads a delimiter.
func (l *load) expect(d json.Delim) error {
	t, err := l.dec.Token()
	if err != nil || t != d {
		return l.bad(err, "there is no %q at byte %d", d.String(), l.dec.InputOffset())
	}
	return nil
}

// member reads a member's name and, unless it is nil, its value.
func (l *load) member(name string, value any) error {
	t, err := l.dec.Token()
	if err != nil || t != name {
		return l.bad(err, "there is no %q at byte %d", name, l.dec.InputOffset())
	}
	if value == nil {
		return nil
	}
	if err := l.dec.Decode(value); err != nil {
		return l.bad(err, "what %q says at byte %d is of the wrong kind", name, l.dec.InputOffset())
	}
	return nil
}

func (l *load) file() error {
	var format string
	var version int
	var h Header
	if err := l.expect('{'); err != nil {
		return err
	}
	if err := l.member("format", &format); err != nil {
		return err
	}
	if err := l.member("version", &version); err != nil {
		return err
	}
	if format != Format || version != Version {
		return l.bad(nil, "it is %q of version %d, and %q of version %d is known", format, version, Format, Version)
	}
	for _, m := range []struct {
		name  string
		value any
	}{{"engine", &h.Engine}, {"server", &h.Server}, {"taken_at", &h.TakenAt}, {"tables", nil}} {
		if err := l.member(m.name, m.value); err != nil {
			return err
		}
	}
	if err := l.to.Begin(l.ctx, h); err != nil {
		return err
	}
	if err := l.expect('['); err != nil {
		return err
	}
	l.names = map[string]bool{}
	for l.dec.More() {
		if len(l.tables) == maxTables {
			return l.bad(nil, "it has more than %d tables", maxTables)
		}
		if err := l.table(); err != nil {
			return err
		}
	}
	if err := l.expect(']'); err != nil {
		return err
	}
	if err := l.expect('}'); err != nil {
		return err
	}
	if _, err := l.dec.Token(); err != io.EOF {
		return l.bad(err, "something follows its end, at byte %d", l.dec.InputOffset())
	}
	return nil
}

func (l *load) table() error {
	var t Table
	if err := l.expect('{'); err != nil {
		return err
	}
	for _, m := range []struct {
		name  string
		value any
	}{{"name", &t.Name}, {"columns", &t.Columns}, {"primary_key", &t.PrimaryKey}, {"rows", nil}} {
		if err := l.member(m.name, m.value); err != nil {
			return err
		}
	}
	if err := l.check(t); err != nil {
		return err
	}
	if err := l.to.Table(l.ctx, t); err != nil {
		return err
	}
	if err := l.expect('['); err != nil {
		return err
	}
	rows := int64(0)
	row := make([]any, 0, len(t.Columns))
	values := make([]Value, len(t.Columns))
	for l.dec.More() {
		if l.ctx.Err() != nil {
			return context.Cause(l.ctx)
		}
		row = row[:0]
		if err := l.dec.Decode(&row); err != nil || len(row) != len(values) {
			return l.bad(err, "row %d of the table %s has not one value for each column", rows+1, t.Name)
		}
		for i, v := range row {
			var ok bool
			if values[i], ok = value(t.Columns[i], v); !ok {
				return l.bad(nil, "row %d of the table %s has in %s what is no %s", rows+1, t.Name, t.Columns[i].Name, t.Columns[i].Type)
			}
		}
		if err := l.to.Row(l.ctx, values); err != nil {
			return err
		}
		rows++
	}
	if err := l.expect(']'); err != nil {
		return err
	}
	l.tables = append(l.tables, dump.Table{Name: t.Name, Rows: rows})
	return l.expect('}')
}

// check refuses tables that cannot be.
func (l *load) check(t Table) error {
	if t.Name == "" || l.names[t.Name] {
		return l.bad(nil, "it has the table %q twice, or without a name", t.Name)
	}
	l.names[t.Name] = true
	if len(t.Columns) > maxColumns {
		return l.bad(nil, "the table %s has %d columns, and at most %d can be", t.Name, len(t.Columns), maxColumns)
	}
	columns := map[string]bool{}
	for _, c := range t.Columns {
		switch c.Type {
		case Int, Decimal, Float, Bool, Text, Bytes, Date, Time, Timestamp, TimestampTZ, JSON, UUID, Interval, Other:
		default:
			return l.bad(nil, "the column %s of the table %s is of the type %q, which is not known", c.Name, t.Name, c.Type)
		}
		if c.Name == "" || columns[c.Name] {
			return l.bad(nil, "the table %s has the column %q twice, or without a name", t.Name, c.Name)
		}
		columns[c.Name] = true
	}
	for _, k := range t.PrimaryKey {
		if !columns[k] {
			return l.bad(nil, "the primary key of the table %s has %q, which is no column", t.Name, k)
		}
		delete(columns, k)
	}
	return nil
}

// value reads a value of a column's type.
func value(c Column, v any) (Value, bool) {
	switch v := v.(type) {
	case nil:
		return nil, c.Nullable
	case bool:
		return Value(strconv.FormatBool(v)), c.Type == Bool
	case json.Number:
		return Value(v), c.Type == Float
	case string:
		switch c.Type {
		case Bytes:
			b, err := base64.StdEncoding.DecodeString(v)
			if b == nil {
				b = []byte{}
			}
			return b, err == nil
		case Int:
			return Value(v), digits(v)
		case Decimal:
			return Value(v), special(v) || numeric(v)
		case Float:
			return Value(v), special(v)
		case Bool:
			return nil, false
		}
		return Value(v), true
	}
	return nil, false
}

func special(v string) bool { return v == "NaN" || v == "Infinity" || v == "-Infinity" }

// digits reports whether a text is a whole number.
func digits(v string) bool {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
	}
	return v != ""
}

// numeric reports whether a text is a decimal number.
func numeric(v string) bool {
	_, err := strconv.ParseFloat(v, 64)
	if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
		err = nil
	}
	for i := range len(v) { // no hexadecimal, no underscores, no inf
		if c := v[i]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c|0x20 != 'e' {
			return false
		}
	}
	return err == nil
}
