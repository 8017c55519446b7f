package sqlite

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// Portable streams the tables, at the moment of the session. A column of SQLite holds values of any type: its word is that of what is in it.
func (s *session) Portable(ctx context.Context) (io.ReadCloser, error) {
	if s.over != nil {
		return nil, s.over
	}
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
	list, err := s.query(ctx, sqlTables)
	if err != nil {
		return err
	}
	w, err := portable.NewWriter(out, portable.Header{Engine: dump.SQLite, Server: s.version, TakenAt: s.at})
	if err != nil {
		return err
	}
	for _, row := range list {
		if err := s.table(ctx, w, string(row[0])); err != nil {
			return err
		}
	}
	return w.Close()
}

func (s *session) table(ctx context.Context, w *portable.Writer, name string) error {
	t := portable.Table{Name: name, Columns: []portable.Column{}}
	columns, err := s.query(ctx, sqlColumns(name))
	if err != nil {
		return err
	}
	keys := map[string]string{}
	var kinds []string
	for _, c := range columns {
		t.Columns = append(t.Columns, portable.Column{Name: string(c[0]), Native: string(c[1]), Nullable: string(c[2]) == "0"})
		kinds = append(kinds, sqlKinds(string(c[0])))
		if k := string(c[3]); k != "0" {
			keys[k] = string(c[0])
		}
	}
	for n := 1; n <= len(keys); n++ {
		t.PrimaryKey = append(t.PrimaryKey, keys[strconv.Itoa(n)])
	}
	found, err := s.query(ctx, "SELECT "+strings.Join(kinds, ", ")+" FROM "+quote(name)+";")
	if err != nil {
		return err
	}
	reads := make([]string, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		has, _ := strconv.Atoi(string(found[0][i])) // of no rows it is null
		if has&zeroKind != 0 {
			return zeroes(name, c.Name)
		}
		c.Type = wordOf(c.Native, has)
		at := quote(c.Name)
		switch c.Type {
		case portable.Bytes:
			reads[i] = "CAST(" + at + " AS BLOB)"
		case portable.Int, portable.Bool:
			reads[i] = at
		default: // as text its last digits may be other ones
			reads[i] = "CASE typeof(" + at + ") WHEN 'real' THEN ieee754_to_blob(" + at + ") ELSE " + at + " END"
		}
	}
	if err := w.Table(t); err != nil {
		return err
	}
	values := make([]portable.Value, len(reads))
	return s.each(ctx, "SELECT "+strings.Join(reads, ", ")+" FROM "+quote(name)+";", func(row []literalValue) error {
		for i, v := range row {
			values[i] = value(t.Columns[i].Type, v)
		}
		return w.Row(values)
	})
}

// value is a literal in the portable form.
func value(t portable.Type, v literalValue) portable.Value {
	switch {
	case v.text == nil:
		return nil
	case t == portable.Bool:
		return portable.Value(strconv.FormatBool(string(v.text) == "1"))
	case t == portable.Bytes || !v.blob || len(v.text) != 8:
		return v.text
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(v.text))
	switch {
	case math.IsInf(f, 1):
		return portable.Value("Infinity")
	case math.IsInf(f, -1):
		return portable.Value("-Infinity")
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") { // so that it is not taken for a whole number
		text += ".0"
	}
	return portable.Value(text)
}

// Kinds of values.
const (
	integerKind = 1 << iota
	realKind
	textKind
	blobKind
	zeroKind  // a text with a zero byte
	countKind // a whole number other than 0 and 1
)

// sqlKinds is the sum of the kinds of values that are in a column.
func sqlKinds(column string) string {
	c := quote(column)
	is := func(kind string) string { return "max(typeof(" + c + ") = '" + kind + "'" }
	return is("integer") + ") + 2 * " + is("real") + ") + 4 * " + is("text") + ") + 8 * " + is("blob") + ") + 16 * " + is("text") + " AND instr(" + c + ", char(0)) > 0) + 32 * " +
		is("integer") + " AND " + c + " NOT IN (0, 1))"
}

// wordOf is the portable word for a column: of what is in it, and of how it was declared, by the rules of SQLite's affinities.
func wordOf(declared string, has int) portable.Type {
	u := strings.ToUpper(declared)
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(u, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has&blobKind != 0:
		return portable.Bytes
	case has&textKind != 0:
		return portable.Text
	case has&realKind != 0 && (has&integerKind != 0 || says("DEC", "NUM")):
		return portable.Decimal
	case has&realKind != 0:
		return portable.Float
	case has&integerKind != 0 && says("BOOL") && has&countKind == 0:
		return portable.Bool
	case has&integerKind != 0 && says("DEC", "NUM"):
		return portable.Decimal
	case has&integerKind != 0:
		return portable.Int
	}
	switch { // nothing is in it
	case says("INT"):
		return portable.Int
	case says("CHAR", "CLOB", "TEXT"):
		return portable.Text
	case says("BLOB"):
		return portable.Bytes
	case says("REAL", "FLOA", "DOUB"):
		return portable.Float
	case says("BOOL"):
		return portable.Bool
	case says("DEC", "NUM"):
		return portable.Decimal
	}
	return portable.Text
}
