package intake

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// portable reads database_dump.json while it streams by: it counts the rows, and sees whether brackets and strings fit together up to the
// end. Memory does not grow with what it reads. Whether the values are of their types shows when they are loaded.
type portable struct {
	open  []byte    // brackets
	keys  [4]string // that are being filled, of the objects that are open
	key   bool      // a string is a key now
	in    bool      // in a string
	slash bool
	text  []byte // the string so far, as far as it may matter
	done  bool

	format, engine, server string
	name                   string // of the table
	rows                   int64
	tables                 []dump.Table
	seen                   map[string]bool
}

const (
	maxNesting = 256
	maxName    = 1 << 10 // bytes of a string that is kept
	maxTables  = 100_000
)

const portableFormat = "holdfast-portable"

// isPortable reports whether the head is of a portable dump.
func isPortable(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) && bytes.Contains(head, []byte(`"`+portableFormat+`"`))
}

func newPortable() *portable { return &portable{seen: map[string]bool{}} }

func badPortable(why string) error {
	return refuse("%s is damaged, %s: make it again", archive.Portable, why)
}

func (s *portable) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i++ {
		if s.in && !s.slash && len(s.open) > 3 { // a value of a row: nothing in it matters
			n := bytes.IndexAny(p[i:], `"\`)
			if n < 0 {
				return len(p), nil
			}
			i += n
		}
		if err := s.step(p[i]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (s *portable) step(c byte) error {
	depth := len(s.open)
	switch {
	case s.in && s.slash:
		s.slash = false
		s.keep(c)
	case s.in && c == '\\':
		s.slash = true
		s.keep(c)
	case s.in && c == '"':
		s.in = false
		return s.ended()
	case s.in:
		s.keep(c)
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
	case s.done:
		return badPortable("with something behind its end")
	case depth == 0 && c != '{':
		return badPortable("it is no object")
	case c == '"':
		s.in, s.text = true, s.text[:0]
	case c == '{' || c == '[':
		return s.push(c)
	case c == '}' || c == ']':
		return s.pop(c)
	case c == ',':
		s.key = s.open[depth-1] == '{'
	case c == ':':
		s.key = false
	case c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E' || c == '-' || c == '+' || c == '.':
	default:
		return badPortable("it is no JSON")
	}
	return nil
}

func (s *portable) keep(c byte) {
	if len(s.open) <= 3 && len(s.text) < maxName {
		s.text = append(s.text, c)
	}
}

// inTables reports whether what is open lies in the list of tables, so deep.
func (s *portable) inTables(depth int) bool {
	return len(s.open) == depth && s.keys[1] == "tables" && s.open[1] == '['
}

func (s *portable) push(c byte) error {
	if len(s.open) == maxNesting {
		return badPortable("it is nested too deep")
	}
	if s.inTables(4) && s.keys[3] == "rows" {
		s.rows++
	}
	s.open = append(s.open, c)
	if s.key = c == '{'; len(s.open) < len(s.keys) {
		s.keys[len(s.open)] = ""
	}
	return nil
}

func (s *portable) pop(c byte) error {
	depth := len(s.open)
	if (s.open[depth-1] == '{') != (c == '}') {
		return badPortable("its brackets do not fit together")
	}
	if s.inTables(3) {
		if s.seen[s.name] || s.name == "" {
			return badPortable("it has two tables of one name, or one without")
		}
		if len(s.tables) == maxTables {
			return fault.New(fault.TooLarge, "%s has more than %d tables", archive.Portable, maxTables)
		}
		s.seen[s.name] = true
		s.tables = append(s.tables, dump.Table{Name: s.name, Rows: s.rows})
		s.name, s.rows = "", 0
	}
	s.open = s.open[:depth-1]
	s.key = false
	s.done = depth == 1
	return nil
}

// ended takes the string that ended.
func (s *portable) ended() error {
	depth := len(s.open)
	if depth > 3 {
		return nil
	}
	var text string
	if err := json.Unmarshal([]byte(`"`+string(s.text)+`"`), &text); err != nil && len(s.text) < maxName {
		return badPortable("it is no JSON")
	}
	switch {
	case s.key:
		s.keys[depth] = text
	case depth == 1 && s.keys[1] == "format":
		s.format = text
	case depth == 1 && s.keys[1] == "engine":
		s.engine = text
	case depth == 1 && s.keys[1] == "server":
		s.server = text
	case s.inTables(3) && s.keys[3] == "name":
		s.name = text
	}
	return nil
}

// close says whether that was all of a portable dump.
func (s *portable) close() error {
	switch {
	case !s.done:
		return refuse("%s is cut off: copy or make it again", archive.Portable)
	case s.format != portableFormat:
		return refuse("%s is no portable dump of a database, as this program writes them: leave it out of the archive, or rename it", archive.Portable)
	}
	slices.SortFunc(s.tables, func(a, b dump.Table) int { return strings.Compare(a.Name, b.Name) })
	switch dump.Engine(s.engine) {
	case dump.Postgres, dump.MySQL, dump.SQLite:
		return nil
	}
	return refuse("%s is of a database that is not known, %s", archive.Portable, short(s.engine))
}
