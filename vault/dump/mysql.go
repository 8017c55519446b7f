package dump

import (
	"bytes"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	maxStatement = 16 << 20 // bytes of one statement that is not rows: a procedure's body, a table with its partitions
	never        = 999999   // the version that no server has
	maxRaw       = 256      // bytes of an INSERT up to VALUES that are recognised when they come again
	maxHead      = 64 << 10 // bytes of a statement up to its rows: INSERT INTO with the names of 1,000 columns
)

// MySQLStatements cuts the text of a MySQL or MariaDB dump into statements while it streams by, and counts the rows of
// its INSERT statements. It knows strings, comments, comments that are executed, and DELIMITER; it takes a
// backslash for an escape, as every dump tool does. Memory does not grow with rows, however long their line.
type MySQLStatements struct {
	each func(Statement) error // nil: nobody wants the text

	tables counts
	skip   map[string]bool // sequences: older servers dump theirs as a row

	mode  mode
	delim string
	match int // bytes of delim that the text just now ends with

	text  []byte // of the statement so far, with what stands before it
	head  []byte // its code so far: no comments, no marks of executed ones
	words bool   // head may still grow
	n     int    // bytes of the statement so far
	raw   []byte // the first of them, up to maxRaw
	last  []byte // raw up to VALUES, of the last INSERT, which was into rows
	at    int    // of them before the first that went into head
	since int    // the version of MySQL from which on a comment is executed
	exec  bool   // it began in a comment that is executed
	rows  string // the table whose rows pass, if rowing
	rowin bool
	depth int
	line  []byte // the beginning of a comment's line
	whole bool
}

// A Statement is a statement, or a part of one that holds rows. All texts together are the dump.
type Statement struct {
	Text []byte // with the comments before it and the delimiter after it; valid during the call
	Head []byte // only its code; nil for rows
	Code int    // where in Text its code begins, about: behind all comments
	Rows bool   // this is INSERT or REPLACE: the first part ends with VALUES, the others are parts of what follows
	Into string // the table, with Rows, as it is written: with quotes and, if so, the database's name
}

type mode uint8

const (
	code        mode = iota
	single           // '…'
	singleEsc        // behind a backslash
	double           // "…"
	doubleEsc        //
	back             // `…`
	dash             // -
	dashes           // --
	lineComment      // to the end of the line
	slash            // /
	open             // /*
	openM            // /*M
	version          // /*!50003: in the digits
	block            // /* …
	blockStar        // /* … *
	star             // * in code, that may end an executed comment
)

// NewMySQLStatements returns a reader that gives every statement to each; with nil it only counts.
func NewMySQLStatements(each func(Statement) error) *MySQLStatements {
	return &MySQLStatements{each: each, tables: counts{}, skip: map[string]bool{}, delim: ";", words: true}
}

// Tables returns the rows that were seen, by the tables' names.
func (s *MySQLStatements) Tables() []Table { return s.tables.list(s.skip) }

// Whole reports whether the end of a dump was seen, and no statement after it.
func (s *MySQLStatements) Whole() bool {
	return s.whole && !s.rowin && len(bytes.TrimSpace(s.head)) == 0 && (s.mode == code || s.mode == lineComment)
}

// plain are the bytes that mean nothing in a statement's rows outside of strings.
var plain = func() (t [256]bool) {
	for i := range t {
		t[i] = !strings.ContainsRune("()'\"`;", rune(i))
	}
	return t
}()

// Write takes the next bytes. It fails if each fails, or if a statement is longer than what a person can have written.
func (s *MySQLStatements) Write(p []byte) (int, error) {
	from := 0 // bytes before it were given on, or are in s.text
	for i := 0; i < len(p); {
		if s.rowin {
			i = s.row(p, i)
			if s.rowin && i < len(p) {
				continue
			}
			if err := s.give(Statement{Text: p[from:i], Rows: true, Into: s.rows}); err != nil {
				return 0, err
			}
			from = i
			continue
		}
		if s.n == 0 && len(s.last) > 0 && bytes.HasPrefix(p[i:], s.last) {
			i += len(s.last)
			s.rowin, s.whole = true, false
			continue
		}
		end, values := s.step(p[i])
		i++
		if !end && !values {
			continue
		}
		s.keep(p[from:i])
		from = i
		st := Statement{Text: s.text, Head: s.head, Code: min(s.at, len(s.text))}
		if values {
			st.Rows, st.Head, st.Into = true, nil, s.rows
			s.whole = false
			if s.last = s.last[:0]; s.n == len(s.raw) {
				s.last = append(s.last, s.raw...)
			}
		} else {
			s.look()
		}
		if err := s.give(st); err != nil {
			return 0, err
		}
		s.text = s.text[:0]
		s.begin()
	}
	s.keep(p[from:])
	if len(s.text) > maxStatement {
		return 0, fault.New(fault.TooLarge, "a statement in the dump is longer than %d MiB and is no INSERT: this is not what a dump tool writes", maxStatement>>20)
	}
	return len(p), nil
}

// Close gives on what stands behind the last statement.
func (s *MySQLStatements) Close() error {
	if len(s.text) == 0 {
		return nil
	}
	s.look()
	return s.give(Statement{Text: s.text, Head: s.head, Code: min(s.at, len(s.text))})
}

func (s *MySQLStatements) keep(p []byte) {
	if s.each != nil {
		s.text = append(s.text, p...)
	}
}

func (s *MySQLStatements) give(st Statement) error {
	if s.each == nil || len(st.Text) == 0 {
		return nil
	}
	return s.each(st)
}

// begin begins a statement.
func (s *MySQLStatements) begin() {
	s.head, s.words, s.exec, s.depth, s.match, s.n, s.at = s.head[:0], true, false, 0, 0, 0, 0
	s.raw = s.raw[:0]
}

// row reads rows from p[i:] to the end of the statement or of p, and returns where that is.
func (s *MySQLStatements) row(p []byte, i int) int {
	rows := int64(0)
	for i < len(p) && s.rowin {
		c := p[i]
		i++
		switch s.mode {
		case code:
			switch c {
			case '(':
				if s.depth == 0 {
					rows++
				}
				s.depth++
			case ')':
				s.depth--
			case '\'':
				s.mode = single
			case '"':
				s.mode = double
			case '`':
				s.mode = back
			case ';':
				s.rowin = false
			default:
				for i < len(p) && plain[p[i]] {
					i++
				}
			}
		case single:
			for c != '\'' && c != '\\' && i < len(p) {
				c = p[i]
				i++
			}
			s.quoted(c)
		default:
			s.quoted(c)
		}
	}
	s.tables[bare(s.rows)] += rows
	if !s.rowin {
		s.begin()
	}
	return i
}

// quoted takes a byte within quotes. A doubled quote closes and opens again, which comes to the same.
func (s *MySQLStatements) quoted(c byte) {
	switch s.mode {
	case single:
		if c == '\\' {
			s.mode = singleEsc
		} else if c == '\'' {
			s.mode = code
		}
	case singleEsc:
		s.mode = single
	case double:
		if c == '\\' {
			s.mode = doubleEsc
		} else if c == '"' {
			s.mode = code
		}
	case doubleEsc:
		s.mode = double
	case back:
		if c == '`' {
			s.mode = code
		}
	}
}

// step takes a byte of a statement that has no rows yet: is it its last one, or the last of VALUES?
func (s *MySQLStatements) step(c byte) (end, values bool) {
	s.n++
	if len(s.raw) < maxRaw {
		s.raw = append(s.raw, c)
	}
	switch s.mode {
	case single, singleEsc, double, doubleEsc, back:
		s.quoted(c)
		s.word(c)
		return false, false
	case dash:
		if s.mode = code; c == '-' {
			s.mode = dashes
			return false, false
		}
		s.word('-')
	case dashes:
		if s.mode = code; c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			s.mode, s.line = lineComment, s.line[:0]
			s.comment(c)
			return false, false
		}
		s.word('-')
		s.word('-')
	case lineComment:
		s.comment(c)
		return false, false
	case slash:
		if s.mode = code; c == '*' {
			s.mode = open
			return false, false
		}
		s.word('/')
	case open, openM:
		switch {
		case c == '!':
			s.mode, s.since = version, 0
			s.exec = s.exec || len(bytes.TrimSpace(s.head)) == 0
		case c == 'M' && s.mode == open:
			s.mode = openM
		case c == '*':
			s.mode = blockStar
		default:
			s.mode = block
		}
		return false, false
	case version:
		if c >= '0' && c <= '9' {
			s.since = min(s.since*10+int(c-'0'), never)
			return false, false
		}
		if s.since == never { // MariaDB's word to its client that the dump runs no commands
			s.mode = block
			return false, false
		}
		s.mode = code
		s.word(' ')
	case block:
		if c == '*' {
			s.mode = blockStar
		}
		return false, false
	case blockStar:
		if c == '/' {
			s.mode = code
		} else if c != '*' {
			s.mode = block
		}
		return false, false
	case star:
		if s.mode = code; c == '/' {
			s.word(' ')
			return false, false
		}
		s.word('*')
	}
	return s.plainCode(c)
}

// plainCode takes a byte outside of strings and comments.
func (s *MySQLStatements) plainCode(c byte) (end, values bool) {
	switch {
	case c == s.delim[s.match]:
		s.match++
	case c == s.delim[0]:
		s.match = 1
	default:
		s.match = 0
	}
	if s.match == len(s.delim) {
		s.match = 0
		if _, changes := word(s.head, "DELIMITER"); !changes {
			return true, false
		}
	}
	switch c {
	case '\'':
		s.mode = single
	case '"':
		s.mode = double
	case '`':
		s.mode = back
	case '-':
		s.mode = dash
		return false, false
	case '#':
		s.mode, s.line = lineComment, s.line[:0]
		return false, false
	case '/':
		s.mode = slash
		return false, false
	case '*':
		s.mode = star
		return false, false
	case '(':
		s.depth++
	case ')':
		s.depth--
	case '\n':
		if d, ok := word(s.head, "DELIMITER"); ok && len(bytes.TrimSpace(d)) > 0 {
			return true, false
		}
	}
	s.word(c)
	if (c == 'S' || c == 's' || c == 'E' || c == 'e') && s.depth == 0 && s.insert() {
		s.rowin, s.depth = true, 0
		return false, true
	}
	return false, false
}

// comment takes a byte of a comment that lasts to the end of its line.
func (s *MySQLStatements) comment(c byte) {
	if c == '\n' {
		s.mode = code
		if bytes.HasPrefix(s.line, []byte(" Dump completed")) {
			s.whole = true
		}
		s.word(' ')
	} else if len(s.line) < 32 {
		s.line = append(s.line, c)
		if string(s.line) == " Dump completed" { // the last line may have no end
			s.whole = true
		}
	}
}

// word appends to the head.
func (s *MySQLStatements) word(c byte) {
	if !s.words || len(s.head) == 0 && space(c) {
		return
	}
	if len(s.head) == 0 {
		s.at = s.n - 1
	}
	if s.head = append(s.head, c); len(s.head) >= maxHead {
		s.words = false
	}
}

// insert reports whether the head is that of an INSERT, with its VALUES at the end, and sets its table.
func (s *MySQLStatements) insert() bool {
	h := s.head
	n := len(h)
	switch {
	case n > 6 && strings.EqualFold(string(h[n-6:]), "VALUES"):
		h = h[:n-6]
	default:
		return false
	}
	if c := h[len(h)-1]; !space(c) && c != ')' && c != '`' {
		return false
	}
	rest, ok := word(h, "INSERT")
	if !ok {
		if rest, ok = word(h, "REPLACE"); !ok {
			return false
		}
	}
	for _, w := range []string{"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"} {
		if r, ok := word(rest, w); ok {
			rest = r
		}
	}
	s.rows = string(name(rest))
	return s.rows != ""
}

// look learns what it can from a statement that ended.
func (s *MySQLStatements) look() {
	if len(bytes.TrimSpace(s.head)) == 0 { // comments
		return
	}
	if d, ok := word(s.head, "DELIMITER"); ok {
		if d = bytes.TrimSpace(d); len(d) > 0 {
			s.delim, s.last = string(d), nil
		}
		return
	}
	if rest, ok := word(s.head, "CREATE"); ok {
		if r, ok := word(rest, "SEQUENCE"); ok {
			s.skip[bare(string(name(r)))] = true
		}
		if r, ok := word(rest, "TABLE"); ok && !s.exec { // executed comments make stand-ins for views
			if f, ok := word(r, "IF"); ok {
				f, _ = word(f, "NOT")
				r, _ = word(f, "EXISTS")
			}
			if n := bare(string(name(r))); n != "" {
				s.tables[n] += 0
			}
		}
	}
	rest, ok := word(s.head, "SET")
	s.whole = ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte("SQL_NOTES=@OLD_SQL_NOTES"))
}
