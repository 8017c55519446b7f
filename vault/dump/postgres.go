package dump

import (
	"bytes"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	maxPart   = 256 << 10 // bytes of a statement's text that are kept before they are given on
	maxPgHead = 64 << 10  // bytes of a statement's code that are looked at: COPY with the names of 1,600 columns
	maxTag    = 64        // bytes of a dollar quote's tag
)

// PostgresStatements cuts the text of a dump that pg_dump wrote in its plain format into statements while it streams by,
// and counts the rows of COPY and INSERT. It knows strings, dollar quotes, comments, functions with bodies in SQL,
// and the commands of psql, which begin with a backslash. Memory does not grow with the text.
type PostgresStatements struct {
	each func(Statement) error // nil: nobody wants the text

	tables counts
	whole  bool
	err    error

	mode    pgMode
	text    []byte // of the statement so far, with what stands before it, as far as it was not given on
	head    []byte // its code, without comments; a string is one ' and a dollar quote one $
	full    bool   // head does not grow any more
	given   bool   // a part was given on
	escapes bool   // the string began with E'
	line    []byte // the beginning of a comment's line, or of a line of COPY
	tag     []byte // of the dollar quote: $tag$
	end     int    // bytes of tag that the text just now ends with
	nested  int    // comments that are open

	word   []byte // being read, up to maxTag bytes
	words  int    // before it
	first  [4]byte
	parens int
	begins int    // BEGIN and CASE that wait for their END, in a function's body
	values bool   // the rows of an INSERT
	last   []byte // the head of the last INSERT, which was into into, if it is the same as its text
	into   string
}

type pgMode uint8

const (
	pgCode pgMode = iota
	pgString
	pgEscape // behind a backslash
	pgName   // "…"
	pgDash
	pgLine // -- …
	pgSlash
	pgBlock
	pgBlockStar
	pgBlockSlash
	pgDollar // reading the tag
	pgQuote  // $tag$ …
	pgCommand
	pgCopyStart // behind COPY …;, to the end of that line
	pgCopy
)

// NewPostgresStatements returns a reader that gives every statement to each; with nil it only counts. A statement of more than
// 256 KiB comes in parts, of which only the first has a Head; so does what follows a COPY, with Rows set. A command
// of psql is a statement whose Head begins with a backslash.
func NewPostgresStatements(each func(Statement) error) *PostgresStatements {
	return &PostgresStatements{each: each, tables: counts{}}
}

// Tables returns the rows that were seen, by the tables' names. A row is counted where it is, so a partitioned table has
// none.
func (s *PostgresStatements) Tables() []Table { return s.tables.list(nil) }

// Whole reports whether the end of a dump was seen.
func (s *PostgresStatements) Whole() bool { return s.whole && s.mode != pgCopy && len(s.head) == 0 }

// Write takes the next bytes. It fails if each fails, and at a command of psql within a statement.
func (s *PostgresStatements) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	from := 0 // bytes before it were given on, or are in s.text
	for i := 0; i < len(p); {
		n := 0
		switch s.mode {
		case pgCopy:
			var err error
			if i, err = s.copy(p, i); err != nil {
				return 0, err
			}
			if s.mode == pgCopy && i < len(p) {
				continue
			}
			if err := s.give(Statement{Text: p[from:i], Rows: true, Into: s.into}); err != nil {
				return 0, err
			}
			from = i
			continue
		case pgString, pgName, pgQuote, pgLine, pgBlock:
			n = s.skip(p[i:])
		case pgCode:
			if s.values && s.parens > 0 {
				n = s.quick(p[i:])
			} else if len(s.head) == 0 {
				n = s.again(p[i:])
			}
		}
		if n > 0 {
			if i += n; i-from+len(s.text) >= maxPart {
				if err := s.part(p[from:i], false); err != nil {
					return 0, err
				}
				from = i
			}
			continue
		}
		c := p[i]
		i++
		ends, again := s.step(c)
		if again {
			ends, _ = s.step(c)
		}
		if s.err != nil {
			return 0, s.err
		}
		if !ends && i-from+len(s.text) < maxPart {
			continue
		}
		if err := s.part(p[from:i], ends); err != nil {
			return 0, err
		}
		from = i
	}
	if s.each != nil {
		s.text = append(s.text, p[from:]...)
	}
	return len(p), nil
}

// Close gives on what stands behind the last statement.
func (s *PostgresStatements) Close() error {
	if s.mode == pgCopy {
		return fault.New(fault.Invalid, "the dump breaks off in the rows of %s", s.into)
	}
	return s.part(nil, true)
}

func (s *PostgresStatements) give(st Statement) error {
	if s.each == nil || len(st.Text) == 0 {
		return nil
	}
	return s.each(st)
}

// part gives on the statement, or a part of it.
func (s *PostgresStatements) part(p []byte, ends bool) error {
	st := Statement{Text: p}
	if len(s.text) > 0 {
		s.text = append(s.text, p...)
		st.Text = s.text
	}
	if !s.given {
		st.Head = append([]byte{}, bytes.TrimSpace(s.head)...)
	}
	s.given = true
	if ends {
		s.look()
	}
	err := s.give(st)
	s.text = s.text[:0]
	if ends {
		s.head, s.word = s.head[:0], s.word[:0]
		s.full, s.given, s.values = false, false, false
		s.words, s.parens, s.begins, s.first = 0, 0, 0, [4]byte{}
	}
	return err
}

// look learns from a statement that ended.
func (s *PostgresStatements) look() {
	head := bytes.TrimRight(s.head, " \t\r\n;")
	if rest, ok := word(head, "CREATE"); ok {
		if r, ok := word(rest, "UNLOGGED"); ok {
			rest = r
		}
		if r, ok := word(rest, "TABLE"); ok {
			if f, ok := word(r, "IF"); ok {
				f, _ = word(f, "NOT")
				r, _ = word(f, "EXISTS")
			}
			s.tables[pgTable(r)] += 0
		}
		return
	}
	if rest, ok := word(head, "COPY"); ok && s.mode == pgCode {
		if i := len(rest) - len("FROM stdin"); i > 0 && strings.EqualFold(string(rest[i:]), "FROM stdin") {
			s.into, s.last = pgTable(rest), s.last[:0]
			s.tables[s.into] += 0
			s.mode = pgCopyStart
		}
	}
}

// copy reads rows of COPY from p[i:] to their end or that of p, and returns where that is.
func (s *PostgresStatements) copy(p []byte, i int) (int, error) {
	rows := int64(0)
	defer func() { s.tables[s.into] += rows }()
	for i < len(p) {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			if room := maxTag - len(s.line); room > 0 {
				s.line = append(s.line, p[i:min(len(p), i+room)]...)
			}
			return len(p), nil
		}
		line := p[i : i+n]
		i += n + 1
		if len(s.line) > 0 {
			line = append(s.line, line[:min(n, maxTag-len(s.line))]...)
			s.line = s.line[:0]
		}
		if len(line) >= 2 && line[0] == '\\' && line[1] == '.' && len(bytes.TrimRight(line, "\r")) == 2 {
			s.mode = pgCode
			return i, nil
		}
		rows++
	}
	return i, nil
}

// skip returns how many of the bytes mean nothing where we are. They do not count as read for the statement's head.
func (s *PostgresStatements) skip(p []byte) int {
	n := len(p)
	least := func(c byte) {
		if i := bytes.IndexByte(p[:n], c); i >= 0 {
			n = i
		}
	}
	switch s.mode {
	case pgString:
		if least('\''); s.escapes {
			least('\\')
		}
	case pgName:
		if least('"'); !s.full {
			s.grow(p[:n]...)
		}
	case pgQuote:
		if s.end > 0 {
			return 0
		}
		least('$')
	case pgLine:
		if len(s.line) < maxTag {
			return 0
		}
		least('\n')
	case pgBlock:
		least('*')
		least('/')
	}
	return n
}

// pgPlain are the bytes that mean nothing between the parentheses of a row.
var pgPlain = func() (t [256]bool) {
	for i := range t {
		t[i] = !strings.ContainsRune("()'\"$-/\\", rune(i))
	}
	return t
}()

// quick skips what means nothing between the parentheses of a row, but for what stands right before a quote.
func (s *PostgresStatements) quick(p []byte) int {
	n := 0
	for n < len(p) && pgPlain[p[n]] {
		n++
	}
	from := n
	for from > 0 && n-from < 2 && pgWord(p[from-1]) {
		from--
	}
	if from > 0 && !pgWord(p[from-1]) || from == n {
		if n > 0 {
			s.word = s.word[:0]
		}
	}
	s.word = append(s.word, p[from:n]...)
	s.word = s.word[:min(len(s.word), 2)]
	return n
}

// again takes the head of an INSERT that is the one of the last INSERT, as most are, and returns its length, or 0.
func (s *PostgresStatements) again(p []byte) int {
	n := len(s.last)
	if n == 0 || len(p) <= n || len(s.word) > 0 || pgWord(p[n]) || !bytes.HasPrefix(p, s.last) {
		return 0
	}
	s.head, s.values, s.words, s.first = append(s.head, s.last...), true, len(s.first), [4]byte{'i'}
	return n
}

// step takes a byte. It reports whether that ends a statement, and whether it is to be taken once more.
func (s *PostgresStatements) step(c byte) (ends, again bool) {
	switch s.mode {
	case pgString:
		if c == '\'' {
			s.mode = pgCode
		} else if c == '\\' && s.escapes {
			s.mode = pgEscape
		}
	case pgEscape:
		s.mode = pgString
	case pgName:
		if s.grow(c); c == '"' {
			s.mode = pgCode
		}
	case pgDash:
		if s.mode = pgCode; c != '-' {
			s.grow('-')
			return false, true
		}
		s.mode, s.line = pgLine, s.line[:0]
	case pgLine:
		s.comment(c)
	case pgSlash:
		if s.mode = pgCode; c != '*' {
			s.grow('/')
			return false, true
		}
		s.mode, s.nested = pgBlock, 1
	case pgBlock:
		if c == '*' {
			s.mode = pgBlockStar
		} else if c == '/' {
			s.mode = pgBlockSlash
		}
	case pgBlockStar:
		if s.mode = pgBlock; c == '/' {
			if s.nested--; s.nested == 0 {
				s.mode = pgCode
				s.grow(' ')
			}
		} else if c == '*' {
			s.mode = pgBlockStar
		}
	case pgBlockSlash:
		if s.mode = pgBlock; c == '*' {
			s.nested++
		} else if c == '/' {
			s.mode = pgBlockSlash
		}
	case pgDollar:
		switch {
		case c == '$':
			s.tag = append(s.tag, c)
			s.mode, s.end = pgQuote, 0
			s.grow('$')
		case pgWord(c) && (len(s.tag) > 1 || c < '0' || c > '9') && len(s.tag) < maxTag:
			s.tag = append(s.tag, c)
		default: // $1
			s.mode = pgCode
			return false, true
		}
	case pgQuote:
		// A tag has a dollar sign only at its ends, so what breaks off a match can only begin another.
		if c == s.tag[s.end] {
			if s.end++; s.end == len(s.tag) {
				s.mode = pgCode
			}
		} else if s.end = 0; c == '$' {
			s.end = 1
		}
	case pgCommand:
		if c == '\n' {
			s.mode = pgCode
			return true, false
		}
		s.grow(c)
	case pgCopyStart:
		if c == '\n' {
			s.mode, s.line = pgCopy, s.line[:0]
			return true, false
		}
	default:
		return s.plain(c), false
	}
	return false, false
}

// plain takes a byte of code. Does it end the statement?
func (s *PostgresStatements) plain(c byte) bool {
	if pgWord(c) {
		if len(s.word) < maxTag {
			s.word = append(s.word, c)
		}
		s.grow(c)
		return false
	}
	if c == '$' && len(s.word) == 0 {
		s.mode, s.tag = pgDollar, append(s.tag[:0], '$')
		return false
	}
	if c == '\'' {
		s.escapes = len(s.word) == 1 && s.word[0]|0x20 == 'e'
		s.mode = pgString
	}
	if len(s.word) > 0 {
		s.wordEnds()
	}
	switch c {
	case '"':
		s.mode = pgName
	case '-':
		s.mode = pgDash
		return false
	case '/':
		s.mode = pgSlash
		return false
	case '\\':
		if len(s.head) > 0 { // psql would obey it; so what looks like SQL to us could be a program to it
			s.err = fault.New(fault.Invalid, "the dump has a command for psql in the middle of a statement, which pg_dump does not write: somebody changed it")
		}
		s.mode = pgCommand
	case '(':
		if s.values && s.parens == 0 {
			s.tables[s.into]++
		}
		s.parens++
	case ')':
		s.parens--
	case ';':
		if s.parens <= 0 && s.begins == 0 {
			s.grow(c)
			return true
		}
	}
	s.grow(c)
	return false
}

// wordEnds looks at a word that ended.
func (s *PostgresStatements) wordEnds() {
	w := s.word
	s.word = s.word[:0]
	if s.words < len(s.first) {
		s.first[s.words] = w[0] | 0x20
	}
	if s.words++; s.parens > 0 {
		return
	}
	is := func(what string) bool { return len(w) == len(what) && strings.EqualFold(string(w), what) }
	f := s.first
	routine := func(c byte) bool { return c == 'f' || c == 'p' }
	if f[0] == 'c' && (routine(f[1]) || f[1] == 'o' && f[2] == 'r' && routine(f[3])) { // CREATE [OR REPLACE] FUNCTION, PROCEDURE: as psql does
		switch {
		case is("BEGIN"), is("CASE") && s.begins > 0:
			s.begins++
		case is("END") && s.begins > 0:
			s.begins--
		}
		return
	}
	if f[0] != 'i' {
		return
	}
	switch {
	case is("VALUES"):
		rest, ok := word(s.head, "INSERT")
		if !ok {
			return
		}
		if rest, ok = word(rest, "INTO"); !ok {
			return
		}
		s.into, s.last = pgTable(rest), s.last[:0]
		s.tables[s.into] += 0
		if r := bytes.TrimRight(s.head[:max(0, len(s.head)-len("VALUES"))], " \t\r\n"); len(r) > 8 && strings.EqualFold(string(r[len(r)-8:]), " DEFAULT") {
			s.tables[s.into]++
		} else {
			s.values = true
			if !bytes.ContainsAny(s.head, "'$-/") && !s.full {
				s.last = append(s.last, s.head...)
			}
		}
	case is("ON"), is("RETURNING"):
		s.values = false
	}
}

// comment takes a byte of a comment that lasts to the end of its line.
func (s *PostgresStatements) comment(c byte) {
	if c != '\n' {
		if len(s.line) < maxTag {
			s.line = append(s.line, c)
		}
		return
	}
	s.mode = pgCode
	if strings.TrimRight(string(s.line), "\r") == " PostgreSQL database dump complete" && len(s.head) == 0 {
		s.whole = true
	}
	s.grow(' ')
}

// grow appends to the head.
func (s *PostgresStatements) grow(p ...byte) {
	if len(s.head) == 0 && len(p) == 1 && space(p[0]) || s.full {
		return
	}
	if s.values { // what follows are rows
		return
	}
	s.head = append(s.head, p[:min(len(p), maxPgHead-len(s.head))]...)
	s.full = len(s.head) >= maxPgHead
}

// pgWord reports whether a byte can be in a name without quotes, but for the dollar sign.
func pgWord(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// pgTable returns the name of a table that text begins with, without quotes and with its schema.
func pgTable(text []byte) string {
	if r, ok := word(text, "ONLY"); ok {
		text = r
	}
	var b strings.Builder
	dots := 0
	for quoted, i := false, 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"' && quoted && i+1 < len(text) && text[i+1] == '"':
			b.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			b.WriteByte(c)
		case c == '.':
			dots++
			b.WriteByte(c)
		case pgWord(c) || c == '$':
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			b.WriteByte(c)
		default:
			i = len(text)
		}
	}
	if dots == 0 {
		return "public." + b.String()
	}
	return b.String()
}
