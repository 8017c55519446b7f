package portable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A record is a target that writes down what it is given.
type record struct {
	Header
	tables []Table
	rows   []string
	ended  bool
	fail   string // the call that is to fail
}

var errTarget = errors.New("the target has no room")

func (r *record) do(call string) error {
	if call == r.fail {
		return errTarget
	}
	return nil
}

func (r *record) Begin(_ context.Context, h Header) error { r.Header = h; return r.do("Begin") }

func (r *record) Table(_ context.Context, t Table) error {
	r.tables = append(r.tables, t)
	return r.do("Table")
}

func (r *record) Row(_ context.Context, values []Value) error {
	var b strings.Builder
	for _, v := range values {
		if v == nil {
			b.WriteString("<null>")
		} else {
			fmt.Fprintf(&b, "%q", v)
		}
	}
	r.rows = append(r.rows, b.String())
	return r.do("Row")
}

func (r *record) End(context.Context) error { r.ended = true; return r.do("End") }

var (
	header = Header{Engine: dump.Postgres, Server: `15 "x"`, TakenAt: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)}
	all    = []Type{Int, Decimal, Float, Bool, Text, Bytes, Date, Time, Timestamp, TimestampTZ, JSON, UUID, Interval, Other}
	sample = [][]string{
		{"-9223372036854775808", "0.10", "1e+300", "true", "ü\"\\\n\x01😀", "\x00\xff", "2024-02-29", "23:59:59.999999", "2024-02-29T23:59:59.000001", "2024-02-29T23:59:59.5Z", `{"a":1}`, "u", "1 day", "{1,2}"},
		{"0", "NaN", "-Infinity", "false", "", "", "infinity", "00:00:00", "infinity", "infinity", "null", "", "", ""},
	}
)

// write writes two tables.
func write(t testing.TB, w io.Writer) error {
	t.Helper()
	out, err := NewWriter(w, header)
	if err != nil {
		return err
	}
	var columns []Column
	for _, c := range all {
		columns = append(columns, Column{Name: "c " + string(c), Type: c, Native: `n"`, Nullable: true})
	}
	if err := out.Table(Table{Name: `a."b"`, Columns: columns, PrimaryKey: []string{"c int", "c text"}}); err != nil {
		return err
	}
	for _, row := range sample {
		values := make([]Value, len(row))
		for i, v := range row {
			values[i] = Value(v)
		}
		if err := out.Row(values); err != nil {
			return err
		}
	}
	if err := out.Row(make([]Value, len(all))); err != nil {
		return err
	}
	if err := out.Table(Table{Name: "nothing", Columns: []Column{}}); err != nil {
		return err
	}
	if err := out.Row(nil); err != nil {
		return err
	}
	return out.Close()
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := write(t, &b); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/database_dump.json")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(golden) {
		t.Errorf("the format has changed:\n%s", b.String())
	}
	r := &record{}
	tables, err := Load(t.Context(), iotest.OneByteReader(&b), r)
	if err != nil {
		t.Fatal(err)
	}
	if want := []dump.Table{{Name: `a."b"`, Rows: 3}, {Name: "nothing", Rows: 1}}; !reflect.DeepEqual(tables, want) {
		t.Errorf("tables %v", tables)
	}
	if r.Header != header || !r.ended || len(r.tables) != 2 || !reflect.DeepEqual(r.tables[0].PrimaryKey, []string{"c int", "c text"}) || r.tables[0].Columns[5] != (Column{"c bytes", Bytes, `n"`, true}) {
		t.Errorf("%+v", r)
	}
	for i, row := range sample {
		want := ""
		for _, v := range row {
			want += fmt.Sprintf("%q", v)
		}
		if r.rows[i] != want {
			t.Errorf("row %d is %s, want %s", i, r.rows[i], want)
		}
	}
	if r.rows[2] != strings.Repeat("<null>", len(all)) || r.rows[3] != "" {
		t.Errorf("rows %q", r.rows[2:])
	}
}

func TestWriterRefusesRows(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(io.Discard, header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Row(nil); !errors.Is(err, fault.Internal) {
		t.Errorf("a row of no table: %v", err)
	}
	if err := w.Table(Table{Name: "t", Columns: []Column{{Name: "a", Type: Int}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Row(make([]Value, 2)); !errors.Is(err, fault.Internal) {
		t.Errorf("a row that is too long: %v", err)
	}
}

// failing fails after some bytes.
type failing struct{ room int }

func (f *failing) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errTarget
	}
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	if err := write(t, &failing{100}); !errors.Is(err, errTarget) {
		t.Errorf("got %v", err)
	}
	w, _ := NewWriter(&failing{300 << 10}, header)
	w.Table(Table{Name: "t", Columns: []Column{{Name: "a", Type: Bytes}}})
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = w.Row([]Value{make(Value, 10<<10)})
	}
	if !errors.Is(err, errTarget) {
		t.Errorf("in the middle: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const begin = `{"format":"holdfast-portable","version":1,"engine":"mysql","server":"8","taken_at":"2026-05-06T07:08:09Z","tables":[`
	table := func(columns, key, rows string) string {
		return begin + `{"name":"t","columns":[` + columns + `],"primary_key":` + key + `,"rows":[` + rows + `]}]}`
	}
	column := func(kind string) string {
		return `{"name":"a","type":"` + kind + `","native":"x","nullable":false}`
	}
	for text, says := range map[string]string{
		"":                          `no "{"`,
		"[]":                        `no "{"`,
		`{"version":1}`:             `no "format"`,
		`{"format":1}`:              "of the wrong kind",
		`{"format":"x","version":1`: `it is "x" of version 1`,
		`{"format":"holdfast-portable","version":2}`: "of version 2",
		begin:            "",
		begin + `]`:      `no "}"`,
		begin + `]}{`:    "something follows",
		begin + `1]}`:    `no "{"`,
		begin + `{"n":1`: `no "name"`,
		strings.Replace(begin, "2026-05-06", "yesterday", 1):                               "of the wrong kind",
		begin + `{"name":"","columns":[],"primary_key":[],"rows":[]}]}`:                    "without a name",
		table(column("int"), `["b"]`, ""):                                                  `has "b", which is no column`,
		table(column("int"), `["a","a"]`, ""):                                              "no column",
		table(column("int")+","+column("int"), `[]`, ""):                                   `column "a" twice`,
		table(column("word"), `[]`, ""):                                                    `type "word"`,
		table(column("int"), `[]`, `1`):                                                    "not one value for each",
		table(column("int"), `[]`, `[]`):                                                   "not one value for each",
		table(column("int"), `[]`, `["1","2"]`):                                            "not one value for each",
		table(column("int"), `[]`, `[null]`):                                               "no int",
		table(column("int"), `[]`, `[1]`):                                                  "no int",
		table(column("int"), `[]`, `["1.5"]`):                                              "no int",
		table(column("int"), `[]`, `["-"]`):                                                "no int",
		table(column("int"), `[]`, `[{}]`):                                                 "no int",
		table(column("decimal"), `[]`, `["0x10"]`):                                         "no decimal",
		table(column("decimal"), `[]`, `["1_0"]`):                                          "no decimal",
		table(column("decimal"), `[]`, `["inf"]`):                                          "no decimal",
		table(column("float"), `[]`, `["1"]`):                                              "no float",
		table(column("bool"), `[]`, `["true"]`):                                            "no bool",
		table(column("text"), `[]`, `[true]`):                                              "no text",
		table(column("bytes"), `[]`, `["?"]`):                                              "no bytes",
		begin + strings.Repeat(`{"name":"t","columns":[],"primary_key":[],"rows":[]},`, 2): `table "t" twice`,
		begin + `{"name":"t","columns":[` + strings.Repeat(column("int")+",", maxColumns) + column("int") + `],"primary_key":[],"rows":[]}]}`: "columns, and at most",
	} {
		r := &record{}
		_, err := Load(t.Context(), strings.NewReader(text), r)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) || r.ended {
			t.Errorf("%.200s: %v", text, err)
		}
	}
	for _, number := range []string{"0", "-1", "1e400", "12345678901234567890.123"} {
		if _, err := Load(t.Context(), strings.NewReader(table(column("decimal"), "[]", `["`+number+`"]`)), &record{}); err != nil {
			t.Errorf("%s: %v", number, err)
		}
	}
}

// What fails while reading, at the target, or because nobody waits any more, is no fault of the file's.
func TestLoadFails(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := write(t, &b); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"Begin", "Table", "Row", "End"} {
		if _, err := Load(t.Context(), bytes.NewReader(b.Bytes()), &record{fail: call}); err != errTarget {
			t.Errorf("%s: %v", call, err)
		}
	}
	lost := errors.New("the line is dead")
	for _, n := range []int{0, 50, 400, b.Len() - 400} {
		in := io.MultiReader(bytes.NewReader(b.Bytes()[:n]), iotest.ErrReader(lost))
		if _, err := Load(t.Context(), in, &record{}); err != lost {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, bytes.NewReader(b.Bytes()), &record{}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}
