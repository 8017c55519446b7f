package dump

import (
	"bytes"
	"strings"
)

// SQLiteStatements cuts the text of a dump that `sqlite3 .dump` wrote into statements while it streams by, and counts
// its rows: an INSERT each. It knows strings, names in four kinds of quotes, comments and triggers, whose bodies hold
// statements of their own. Memory does not grow with the text.
type SQLiteStatements struct {
	each func(Statement) error // nil: nobody wants to know

	tables counts
	mode   mode
	head   []byte
	more   bool // head may still grow
	body   bool // in a trigger
	ends   int  // in a trigger: 1 after its ";", 2 after "; END"
	token  []byte
	whole  bool

	n     int    // bytes of the statement so far
	raw   []byte // the first of them, up to maxRaw
	last  []byte // raw of the last INSERT up to its first parenthesis; its head is lasth, its table lastt
	lasth []byte
	lastt string
}

const (
	bracket       = mode(100) // […]
	dotLine       = mode(101) // a command of the shell's, to the end of the line
	maxSQLiteHead = 4 << 10   // bytes of a statement that are looked at
)

// NewSQLiteStatements returns a reader that gives the head of every statement to each, when it ends; with nil it only counts.
// A line that begins with a dot, which is a command of the shell's, counts as a statement.
func NewSQLiteStatements(each func(Statement) error) *SQLiteStatements {
	return &SQLiteStatements{each: each, tables: counts{}, more: true}
}

// Tables returns the rows that were seen, by the tables' names; SQLite's own tables are left out.
func (s *SQLiteStatements) Tables() []Table { return s.tables.list(nil) }

// Whole reports whether the dump's transaction was committed, and nothing but settings came after it.
func (s *SQLiteStatements) Whole() bool {
	return s.whole && len(bytes.TrimSpace(s.head)) == 0 && (s.mode == code || s.mode == lineComment)
}

// quiet are the bytes that mean nothing outside of strings once the head is known.
var quiet = func() (t [256]bool) {
	for i := range t {
		t[i] = !strings.ContainsRune("'\"`[;-/", rune(i))
	}
	return t
}()

// Write takes the next bytes, and fails if each fails.
func (s *SQLiteStatements) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		if s.n == 0 && len(s.last) > 0 && s.mode == code && bytes.HasPrefix(p[i:], s.last) {
			i += len(s.last)
			s.n, s.more, s.head = len(s.last), false, append(s.head, s.lasth...)
			continue
		}
		c := p[i]
		i++
		if s.n++; len(s.raw) < maxRaw {
			s.raw = append(s.raw, c)
		}
		switch s.mode {
		case dotLine:
			s.grow(c)
			if c != '\n' {
				continue
			}
			s.head = bytes.TrimRight(s.head, "\r\n")
			s.mode = code
			if err := s.end(); err != nil {
				return 0, err
			}
			continue
		case single, double, back, bracket, block, lineComment:
			if until := closers[s.mode]; c != until {
				n := bytes.IndexByte(p[i:], until)
				if n < 0 {
					s.inside(p[i-1:])
					return len(p), nil
				}
				s.inside(p[i-1 : i+n])
				i += n + 1
			}
			switch s.mode {
			case block:
				s.mode = blockStar
				continue
			case lineComment:
				s.mode = code
				continue
			}
			s.grow(p[i-1])
			s.mode = code
			continue
		case blockStar:
			if c == '/' {
				s.mode = code
			} else if c != '*' {
				s.mode = block
			}
			continue
		case dash:
			if s.mode = code; c == '-' {
				s.mode = lineComment
				continue
			}
			s.grow('-')
		case slash:
			if s.mode = code; c == '*' {
				s.mode = block
				continue
			}
			s.grow('/')
		}
		if done := s.code(c); done {
			if err := s.end(); err != nil {
				return 0, err
			}
		}
		if !s.more && !s.body && s.mode == code {
			for i < len(p) && quiet[p[i]] {
				i++
			}
		}
	}
	return len(p), nil
}

var closers = map[mode]byte{single: '\'', double: '"', back: '`', bracket: ']', block: '*', lineComment: '\n'}

// code takes a byte outside of strings and comments. Does it end the statement?
func (s *SQLiteStatements) code(c byte) bool {
	switch c {
	case '\'':
		s.mode = single
	case '"':
		s.mode = double
	case '`':
		s.mode = back
	case '[':
		s.mode = bracket
	case '-':
		s.mode = dash
		return false
	case '/':
		s.mode = slash
		return false
	case '.':
		if len(s.head) == 0 {
			s.mode = dotLine
		}
	}
	if s.body {
		return s.trigger(c)
	}
	if c == ';' {
		return true
	}
	s.grow(c)
	if c == '(' && s.more { // what matters of an INSERT stands before it
		_, insert := word(s.head, "INSERT")
		s.more = !insert
		if s.last = s.last[:0]; insert && s.n == len(s.raw) {
			s.last, s.lasth, s.lastt = append(s.last, s.raw...), append(s.lasth[:0], s.head...), ""
		}
	}
	if s.more && (c == ' ' || c == '\n') {
		s.body = isTrigger(s.head)
	}
	return false
}

// trigger takes a byte of a trigger, which ends with "; END ;".
func (s *SQLiteStatements) trigger(c byte) bool {
	if c == ';' {
		if ended := s.ends == 2 && len(s.token) == 0 || s.ends == 1 && strings.EqualFold(string(s.token), "END"); ended {
			return true
		}
		s.ends, s.token = 1, s.token[:0]
		return false
	}
	if space(c) {
		if len(s.token) > 0 {
			if s.ends == 1 && strings.EqualFold(string(s.token), "END") {
				s.ends = 2
			} else {
				s.ends = 0
			}
			s.token = s.token[:0]
		}
		return false
	}
	if len(s.token) < 8 {
		s.token = append(s.token, c)
	}
	return false
}

// grow appends to the head.
func (s *SQLiteStatements) grow(c byte) {
	if !s.more || s.body || len(s.head) == 0 && space(c) {
		return
	}
	if s.head = append(s.head, c); len(s.head) >= maxSQLiteHead {
		s.more = false
	}
}

// inside appends what stands in quotes to the head.
func (s *SQLiteStatements) inside(p []byte) {
	if s.more && !s.body && s.mode != block && s.mode != lineComment {
		s.head = append(s.head, p[:min(len(p), maxSQLiteHead-len(s.head))]...)
		s.more = len(s.head) < maxSQLiteHead
	}
}

// end counts a statement that ended.
func (s *SQLiteStatements) end() error {
	head := s.head
	_, pragma := word(head, "PRAGMA")
	s.whole = s.whole && pragma
	if s.lastt != "" && bytes.Equal(head, s.lasth) {
		s.tables[s.lastt]++
	} else if rest, ok := word(head, "INSERT"); ok {
		if r, ok := word(rest, "INTO"); ok {
			n := s.count(r, 1)
			if bytes.Equal(head, s.lasth) {
				s.lastt = n
			}
		}
	} else if rest, ok := word(head, "CREATE"); ok {
		if r, ok := word(rest, "TABLE"); ok {
			if f, ok := word(r, "IF"); ok {
				f, _ = word(f, "NOT")
				r, _ = word(f, "EXISTS")
			}
			s.count(r, 0)
		}
	} else if rest, ok := word(head, "COMMIT"); ok && len(rest) == 0 {
		s.whole = true
	}
	var err error
	if s.each != nil {
		err = s.each(Statement{Head: head})
	}
	s.head, s.more, s.body, s.ends, s.token = s.head[:0], true, false, 0, s.token[:0]
	s.n, s.raw = 0, s.raw[:0]
	return err
}

// count adds to the table whose name text begins with, and returns the name; "" for SQLite's own.
func (s *SQLiteStatements) count(text []byte, rows int64) string {
	n := sqliteName(text)
	if n == "" || strings.HasPrefix(strings.ToLower(n), "sqlite_") {
		return ""
	}
	s.tables[n] += rows
	return n
}

// sqliteName returns the name that text begins with, without quotes.
func sqliteName(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	q := text[0]
	if q == '[' {
		q = ']'
	} else if q != '"' && q != '\'' && q != '`' {
		n := bytes.IndexAny(text, " \t\r\n(;")
		if n < 0 {
			n = len(text)
		}
		return string(text[:n])
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] == q {
			if i+1 >= len(text) || text[i+1] != q || q == ']' {
				break
			}
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// isTrigger reports whether a statement's head is that of a trigger.
func isTrigger(head []byte) bool {
	rest, ok := word(head, "CREATE")
	if !ok {
		return false
	}
	for _, w := range []string{"TEMP", "TEMPORARY"} {
		if r, ok := word(rest, w); ok {
			rest = r
		}
	}
	_, ok = word(rest, "TRIGGER")
	return ok
}
