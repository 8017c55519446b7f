package sqlite

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Import makes tables of the portable form in a new file and puts that in place.
func (d *Database) Import(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) (have []dump.Table, err error) {
	o.Portable = true
	err = d.build(ctx, o, func(file string) ([]dump.Table, error) {
		m := &importer{settings: d.like(ctx)}
		err := d.feed(ctx, file, func(w io.Writer) error {
			m.out = bufio.NewWriterSize(w, 256<<10)
			tables, err := portable.Load(ctx, portable.Progress(in, progress, func() { d.stop("loading") }), m)
			have = tables
			return err
		})
		for i := range have {
			have[i].Name = portable.TableName(have[i].Name)
		}
		return have, m.refused(err)
	})
	return have, err
}

// like are the settings of the live file that a new one is to have. Its version of the schema is the application's, which goes on.
func (d *Database) like(ctx context.Context) string {
	if _, err := os.Stat(d.path); err != nil {
		return ""
	}
	s, err := d.Begin(ctx)
	if err != nil { // what is replaced may be no database
		return ""
	}
	defer s.Close()
	_, settings, _ := strings.Cut(s.(*session).settings, "\n") // texts come in UTF-8
	return settings
}

// typeOf are SQLite's types for the portable words.
var typeOf = map[portable.Type]string{
	portable.Int: "INTEGER", portable.Decimal: "TEXT", portable.Float: "REAL", portable.Bool: "BOOLEAN", portable.Text: "TEXT", portable.Bytes: "BLOB",
	portable.Date: "TEXT", portable.Time: "TEXT", portable.Timestamp: "TEXT", portable.TimestampTZ: "TEXT", portable.JSON: "TEXT", portable.UUID: "TEXT",
	portable.Interval: "TEXT", portable.Other: "TEXT",
}

// declared is how a column may have been declared, without what could be anything else of SQL.
var declared = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(?: [A-Za-z_][A-Za-z0-9_]*)*(?: ?\( ?[0-9]+(?: ?, ?[0-9]+)? ?\))?$`)

// keywords would end a type.
var keywords = regexp.MustCompile(`(?i)\b(constraint|primary|not|null|unique|check|default|collate|references|generated|as|on|autoincrement)\b`)

// An importer writes the portable form as SQL, a line for a row, so that the line that the shell complains about is a row. It
// implements portable.Target.
type importer struct {
	out      *bufio.Writer
	settings string
	own      bool // what comes is of SQLite
	table    portable.Table
	head     string
	rows     int64
	seen     map[string]bool
	line     int64 // written so far
	begins   []begin
	buf      []byte
}

// A begin is the line with which a table begins; its rows follow.
type begin struct {
	line int64
	name string
}

func (m *importer) write(line string) error {
	m.line += int64(strings.Count(line, "\n")) + 1
	_, err := m.out.WriteString(line + "\n")
	return err
}

// Begin begins the transaction. If it does not end, nobody looks at the file again.
func (m *importer) Begin(_ context.Context, h portable.Header) error {
	m.own, m.seen = h.Engine == dump.SQLite, map[string]bool{}
	return m.write(m.settings + "BEGIN;")
}

// Table makes a table.
func (m *importer) Table(_ context.Context, t portable.Table) error {
	name := portable.TableName(t.Name)
	if err := m.names(t, name); err != nil {
		return err
	}
	var parts, key []string
	for _, c := range t.Columns {
		kind := typeOf[c.Type]
		if m.own && (c.Native == "" || declared.MatchString(c.Native) && !keywords.MatchString(c.Native)) {
			kind = c.Native
		}
		part := quote(c.Name) + " " + kind
		if !c.Nullable {
			part += " NOT NULL"
		}
		parts = append(parts, part)
	}
	for _, k := range t.PrimaryKey {
		key = append(key, quote(k))
	}
	if len(key) > 0 {
		parts = append(parts, "PRIMARY KEY ("+strings.Join(key, ", ")+")")
	}
	m.table, m.rows, m.head = t, 0, "INSERT INTO "+quote(name)+" VALUES("
	if err := m.write("CREATE TABLE " + quote(name) + " (" + strings.Join(parts, ", ") + ");"); err != nil {
		return err
	}
	m.begins = append(m.begins, begin{m.line, t.Name})
	return nil
}

// names refuses what SQLite would take for another name.
func (m *importer) names(t portable.Table, name string) error {
	bad := func(what, name, why string) error {
		return fault.New(fault.Invalid, "%s %q of the table %s %s: rename it where it comes from and make the export again", what, name, t.Name, why)
	}
	if len(t.Columns) == 0 {
		return fault.New(fault.Invalid, "the table %s has no columns, which SQLite cannot hold: remove it where it comes from and make the export again", t.Name)
	}
	const capitals = "has the name of another one for SQLite, which does not tell capitals apart in them"
	switch lower := fold(name); {
	case strings.HasPrefix(lower, "sqlite_"):
		return bad("the name", name, "begins with sqlite_, which SQLite keeps for itself")
	case m.seen[lower]:
		return bad("the name", name, capitals)
	default:
		m.seen[lower] = true
	}
	seen := map[string]bool{}
	for _, n := range append([]string{name}, namesOf(t)...) {
		if strings.ContainsAny(n, "\x00\n\r") {
			return bad("the name", n, "has a zero byte or a line's end, which SQLite's shell does not take")
		}
	}
	for _, c := range namesOf(t) {
		if seen[fold(c)] {
			return bad("the column", c, capitals)
		}
		seen[fold(c)] = true
	}
	return nil
}

func namesOf(t portable.Table) (names []string) {
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return names
}

// fold makes small letters as SQLite does, which knows the English ones only.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// Row adds a row.
func (m *importer) Row(_ context.Context, values []portable.Value) error {
	m.rows++
	b := append(m.buf[:0], m.head...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		var why string
		if b, why = m.value(b, m.table.Columns[i], v); why != "" {
			return portable.Unfit(m.table, m.rows, i, v, why)
		}
	}
	m.buf = append(b, ");\n"...)
	m.line++
	_, err := m.out.Write(m.buf)
	return err
}

// most is how long SQLite lets a value be, and a statement.
const most = 1_000_000_000

// value appends a literal, without line ends, or says why it cannot be held.
func (m *importer) value(b []byte, c portable.Column, v portable.Value) ([]byte, string) {
	switch {
	case v == nil:
		return append(b, "NULL"...), ""
	case c.Type == portable.Int:
		if _, err := strconv.ParseInt(string(v), 10, 64); err != nil {
			return b, "is no whole number that SQLite can hold, from -9223372036854775808 to 9223372036854775807"
		}
		return append(b, v...), ""
	case c.Type == portable.Bool:
		return append(b, map[string]byte{"true": '1', "false": '0'}[string(v)]), ""
	case c.Type == portable.Decimal && m.own:
		if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return append(b, v...), ""
		}
		return number(b, v)
	case c.Type == portable.Float:
		return number(b, v)
	case len(v)*2 > most-1000:
		return b, "is longer than the 500 MB that SQLite's shell takes"
	case c.Type == portable.Bytes:
		return append(hex.AppendEncode(append(b, "X'"...), v), '\''), ""
	}
	lines := false
	for _, r := range v {
		if r == 0 {
			return b, "has a zero byte, where SQLite's shell would cut it off"
		}
		lines = lines || r == '\n' || r == '\r'
	}
	if lines {
		return append(hex.AppendEncode(append(b, "CAST(X'"...), v), "' AS TEXT)"...), ""
	}
	return append(b, literal(string(v))...), ""
}

// number appends a number with a fraction, to its last bit.
func number(b []byte, v portable.Value) ([]byte, string) {
	switch string(v) {
	case "NaN":
		return b, "SQLite takes for nothing"
	case "Infinity":
		return append(b, "9e999"...), ""
	case "-Infinity":
		return append(b, "-9e999"...), ""
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return b, "is no number that SQLite can hold"
	}
	return fmt.Appendf(b, "ieee754_from_blob(X'%x')", binary.BigEndian.AppendUint64(nil, math.Float64bits(f))), ""
}

// End commits.
func (m *importer) End(context.Context) error {
	if err := m.write("COMMIT;"); err != nil {
		return err
	}
	return m.out.Flush()
}

// complaint is the shell's about a line.
var complaint = regexp.MustCompile(`(?s)near line ([0-9]+): (.*)$`)

// refused says of which row the shell complains.
func (m *importer) refused(err error) error {
	at := complaint.FindStringSubmatch(sentenceOf(err))
	if at == nil {
		return err
	}
	line, _ := strconv.ParseInt(at[1], 10, 64)
	i := sort.Search(len(m.begins), func(i int) bool { return m.begins[i].line > line }) - 1
	if i < 0 {
		return err
	}
	t := m.begins[i]
	if line == t.line {
		return fault.Wrap(err, fault.Invalid, "the table %s cannot be made here: %s. Change it where it comes from and make the export again, or restore into another kind of database", t.name, at[2])
	}
	return fault.Wrap(err, fault.Invalid, "row %d of the table %s cannot be kept: %s. Change it where it comes from and make the export again", line-t.line, t.name, at[2])
}

func sentenceOf(err error) string {
	if err == nil {
		return ""
	}
	return sentence(err)
}
