package sqlite

import (
	"context"
	"io"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sqlTables lists the tables with rows of their own. What virtual tables keep their content in is not among them.
const sqlTables = `SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name;`

// sqlColumns lists the columns that are stored.
func sqlColumns(table string) string {
	return `SELECT name, type, "notnull", pk FROM pragma_table_xinfo(` + literal(table) + ") WHERE hidden = 0 ORDER BY cid;"
}

// Dump starts the dump.
func (s *session) Dump(ctx context.Context) (source.Dump, error) {
	if err := s.noZeroes(ctx); err != nil {
		return nil, err
	}
	done, err := s.say(ctx, ".mode list\n.dump\n")
	if err != nil {
		return nil, err
	}
	return &reader{ctx: ctx, s: s, done: done, fresh: true, left: []byte(s.settings), scan: dump.NewScanner(dump.SQLiteSQL)}, nil
}

// noZeroes fails if there are texts with zero bytes: the shell's .dump cuts them off there, and says nothing.
func (s *session) noZeroes(ctx context.Context) error {
	tables, err := s.query(ctx, sqlTables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		name := string(t[0])
		if string(t[1]) != "table" {
			continue
		}
		columns, err := s.query(ctx, sqlColumns(name))
		if err != nil {
			return err
		}
		var parts []string
		for _, c := range columns {
			parts = append(parts, "max(typeof("+quote(string(c[0]))+") = 'text' AND instr("+quote(string(c[0]))+", char(0)) > 0)")
		}
		found, err := s.query(ctx, "SELECT "+strings.Join(parts, ", ")+" FROM "+quote(name)+";")
		if err != nil {
			return err
		}
		for i, v := range found[0] {
			if string(v) == "1" {
				return zeroes(name, string(columns[i][0]))
			}
		}
	}
	return nil
}

func zeroes(table, column string) error {
	return fault.New(fault.Invalid, "the table %s has in %s texts with zero bytes, which sqlite3 would cut off: make them blobs, or take the zero bytes out (they are found with instr(%s, char(0)) > 0)", table, column, quote(column))
}

// reader is a dump that is being read.
type reader struct {
	ctx   context.Context
	s     *session
	done  func() error
	fresh bool   // a line begins
	left  []byte // that nobody has read yet
	buf   []byte
	scan  *dump.Scanner
	err   error // how it ended
}

const piece = 64 << 10

// Read returns io.EOF only for a dump that is whole.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil {
		r.buf = r.buf[:0]
		for len(r.buf) < piece && r.err == nil && (len(r.buf) == 0 || r.s.out.Buffered() > 0) {
			l, err := r.s.line(r.ctx, r.fresh)
			if err != nil {
				r.err = r.finish(err)
				break
			}
			r.buf = append(r.buf, l...)
			r.fresh = l[len(l)-1] == '\n'
		}
		r.left = r.buf
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	if _, err := r.scan.Write(r.left[:n]); err != nil {
		r.err, r.left = r.finish(err), nil
		return 0, r.err
	}
	if r.left = r.left[n:]; len(r.left) == 0 && r.err == io.EOF {
		r.whole()
	}
	return n, nil
}

// finish returns how it went.
func (r *reader) finish(read error) error {
	if read != io.EOF {
		r.s.Close()
		return read
	}
	if err := r.done(); err != nil {
		return err
	}
	if len(r.buf) == 0 {
		r.err = io.EOF
		r.whole()
		return r.err
	}
	return io.EOF
}

// whole looks at a dump that was read to its end.
func (r *reader) whole() {
	if err := r.scan.Whole(); err != nil { // it rolls back at damage, and exits as if all were well
		r.err = fault.Wrap(err, fault.Unavailable, "sqlite3 could not read all of the database: check it with PRAGMA integrity_check")
	}
}

// Tables returns the rows of every table.
func (r *reader) Tables() []dump.Table { return r.scan.Tables() }

// Close ends the session if the dump was not read to its end.
func (r *reader) Close() error {
	if r.err == nil {
		r.err, r.left = fault.New(fault.Conflict, "the dump was closed before it ended"), nil
		r.s.Close()
	}
	return nil
}
