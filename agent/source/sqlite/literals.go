package sqlite

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"

	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// query returns all rows of a small answer.
func (s *session) query(ctx context.Context, statement string) (list [][]portable.Value, err error) {
	err = s.each(ctx, statement, func(values []literalValue) error {
		row := make([]portable.Value, len(values))
		for i, v := range values {
			row[i] = append(portable.Value{}, v.text...)
		}
		list = append(list, row)
		return nil
	})
	return list, err
}

// each calls fn for each row of an answer, which the shell writes as SQL literals. If fn fails, the session is over.
func (s *session) each(ctx context.Context, statement string, fn func([]literalValue) error) error {
	done, err := s.say(ctx, ".mode quote\n"+statement+"\n")
	if err != nil {
		return err
	}
	r := &literals{in: s.out, end: s.end}
	for {
		row, err := r.row()
		switch {
		case err == io.EOF:
			return done()
		case err == errCut:
			return s.ended(ctx)
		case err == nil:
			err = fn(row)
		}
		if err != nil {
			s.over = err
			s.Close()
			return err
		}
	}
}

// A literalValue is nil for NULL.
type literalValue struct {
	text portable.Value
	blob bool
}

// literals reads rows of SQL literals: NULL, numbers, 'text', X'hex', between commas, up to the line that ends them.
type literals struct {
	in     *bufio.Reader
	end    string
	values []literalValue
}

// row reads a line, whose values are valid until the next call; io.EOF after the last one.
func (l *literals) row() ([]literalValue, error) {
	l.values = l.values[:0]
	for {
		v, end, err := l.value()
		if err != nil {
			return nil, err
		}
		if end && len(l.values) == 0 && string(v.text) == l.end {
			return nil, io.EOF
		}
		l.values = append(l.values, v)
		if end {
			return l.values, nil
		}
	}
}

var (
	garbled = fault.New(fault.Unavailable, "what sqlite3 wrote cannot be understood")
	errCut  = fault.New(fault.Unavailable, "what sqlite3 wrote breaks off")
)

// value reads a literal and says whether the row ends with it.
func (l *literals) value() (v literalValue, end bool, err error) {
	c, err := l.in.ReadByte()
	if err != nil {
		return v, false, errCut
	}
	if v.blob = c == 'X'; v.blob {
		if c, err = l.in.ReadByte(); err != nil {
			return v, false, errCut
		} else if c != '\'' {
			return v, false, garbled
		}
	}
	v.text = portable.Value{}
	if c != '\'' {
		for c != ',' && c != '\n' {
			v.text = append(v.text, c)
			if c, err = l.in.ReadByte(); err != nil {
				return v, false, errCut
			}
		}
		if string(v.text) == "NULL" {
			v.text = nil
		}
		return v, c == '\n', nil
	}
	for {
		b, err := l.in.ReadSlice('\'')
		v.text = append(v.text, b...)
		if err == bufio.ErrBufferFull {
			continue
		} else if err != nil {
			return v, false, errCut
		}
		if c, err = l.in.ReadByte(); err != nil {
			return v, false, errCut
		}
		if c == '\'' { // two are one
			continue
		}
		v.text = v.text[:len(v.text)-1]
		if v.blob {
			n, err := hex.Decode(v.text, v.text)
			if v.text = v.text[:n]; err != nil {
				return v, false, garbled
			}
		}
		if c != ',' && c != '\n' {
			return v, false, garbled
		}
		return v, c == '\n', nil
	}
}
