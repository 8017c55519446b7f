package sqlite

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Portable streams the tables, at a moment of their own. A column of SQLite holds values of any type: its word is that of its
// affinity, and Text where the declared type says nothing.
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
	_, version, err := s.d.tool(ctx)
	if err != nil {
		return err
	}
	list, err := s.d.query(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name;")
	if err != nil {
		return err
	}
	w, err := portable.NewWriter(out, portable.Header{Engine: dump.SQLite, Server: version, TakenAt: time.Now().UTC()})
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
	t := portable.Table{Name: name}
	columns, err := s.d.query(ctx, "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo("+literal(name)+") ORDER BY cid;")
	if err != nil {
		return err
	}
	keys := map[string]string{}
	var names []string
	for _, c := range columns {
		if string(c[4]) != "0" { // computed
			continue
		}
		t.Columns = append(t.Columns, portable.Column{Name: string(c[0]), Type: wordOf(string(c[1])), Native: string(c[1]), Nullable: string(c[2]) == "0"})
		names = append(names, quote(string(c[0])))
		if k := string(c[3]); k != "0" {
			keys[k] = string(c[0])
		}
	}
	for n := 1; n <= len(keys); n++ {
		t.PrimaryKey = append(t.PrimaryKey, keys[strconv.Itoa(n)])
	}
	if err := w.Table(t); err != nil {
		return err
	}
	return s.d.each(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+quote(name)+";", w.Row)
}

// wordOf is the portable word for a declared type: the rules of SQLite's affinities, and the names that programs use for dates.
func wordOf(declared string) portable.Type {
	u := strings.ToUpper(declared)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(u, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return portable.Int
	case has("BLOB"):
		return portable.Bytes
	case has("REAL", "FLOA", "DOUB"):
		return portable.Float
	}
	return portable.Text
}

// query returns all rows of a small answer.
func (d *Database) query(ctx context.Context, statement string) (list [][]portable.Value, err error) {
	err = d.each(ctx, statement, func(values []portable.Value) error {
		row := make([]portable.Value, len(values))
		for i, v := range values {
			row[i] = append(portable.Value{}, v...)
		}
		list = append(list, row)
		return nil
	})
	return list, err
}

// each calls fn for each row of an answer, which the shell writes as SQL literals.
func (d *Database) each(ctx context.Context, statement string, fn func([]portable.Value) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, said, err := d.shell(ctx, d.path, "-readonly", "-safe")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(".timeout " + busy + "\n.mode quote\n" + statement + "\n")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "sqlite3 could not be started")
	}
	r := &literals{in: bufio.NewReaderSize(out, 256<<10)}
	for err == nil {
		var row []portable.Value
		if row, err = r.row(); err == nil {
			err = fn(row)
		}
	}
	if !errors.Is(err, io.EOF) {
		cancel()
		cmd.Wait()
		return err
	}
	return ended(ctx, cmd.Wait(), said)
}

// literals reads rows of SQL literals: NULL, numbers, 'text', X'hex', between commas.
type literals struct {
	in     *bufio.Reader
	values []portable.Value
}

// row reads a line; io.EOF after the last one.
func (l *literals) row() ([]portable.Value, error) {
	l.values = l.values[:0]
	for {
		v, end, err := l.value()
		if err != nil {
			return nil, err
		}
		l.values = append(l.values, v)
		if end {
			return l.values, nil
		}
	}
}

var garbled = fault.New(fault.Unavailable, "what sqlite3 wrote cannot be understood")

// value reads a literal and says whether the row ends with it.
func (l *literals) value() (v portable.Value, end bool, err error) {
	c, err := l.in.ReadByte()
	if err != nil {
		return nil, false, err
	}
	isHex := c == 'X'
	if isHex {
		if c, err = l.in.ReadByte(); err != nil || c != '\'' {
			return nil, false, garbled
		}
	}
	if c == '\'' {
		v = portable.Value{}
		for {
			if c, err = l.in.ReadByte(); err != nil {
				return nil, false, garbled
			}
			if c == '\'' {
				next, err := l.in.ReadByte()
				if err != nil {
					return nil, false, garbled
				}
				if next != '\'' {
					if isHex {
						if v, err = hex.DecodeString(string(v)); err != nil {
							return nil, false, garbled
						}
					}
					return v, next == '\n', after(next)
				}
			}
			v = append(v, c)
		}
	}
	for c != ',' && c != '\n' {
		v = append(v, c)
		if c, err = l.in.ReadByte(); err != nil {
			return nil, false, garbled
		}
	}
	if string(v) == "NULL" {
		v = nil
	}
	return v, c == '\n', nil
}

// after checks what follows a literal.
func after(c byte) error {
	if c != ',' && c != '\n' {
		return garbled
	}
	return nil
}
