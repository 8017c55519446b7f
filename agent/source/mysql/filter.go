package mysql

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A filter passes a dump on to the client program, statement by statement, so that it fits into another database
// and reaches no further:
//
//   - CREATE DATABASE, DROP DATABASE and USE are left out; a dump of more than one database is refused.
//   - A name with a database before it, where something is created, filled or dropped, is refused, and so is whatever a dump tool does
//     not write. Only views, triggers and routines may have the dump's own, which is taken off. The client's own commands
//     are off (--binary-mode).
//   - Settings of the whole server are left out: logs, replication.
//   - DEFINER is left out if we may not name another: whoever restores defines then.
//   - Events are created disabled, so that none works on the tables before they are live.
//   - Views name functions with the database of the dump; they get them without.
type filter struct {
	out     io.Writer
	fresh   string
	definer bool   // may be named
	from    string // the dump's database, once known
	enabled map[string]bool
}

var (
	fromComment = regexp.MustCompile(`(?m)^-- Host: .*    Database: (.+?)\r?$`)
	definer     = regexp.MustCompile("(?is)\\bDEFINER\\s*=\\s*(?:CURRENT_USER(?:\\s*\\(\\s*\\))?|(?:`(?:[^`]|``)*`|'[^']*'|\"[^\"]*\"|[\\w.$-]+)(?:\\s*@\\s*(?:`(?:[^`]|``)*`|'[^']*'|\"[^\"]*\"|[\\w.%$:-]+))?)")
	objectKind  = regexp.MustCompile(`(?i)\b(VIEW|TRIGGER|PROCEDURE|FUNCTION|EVENT|PACKAGE)\b`)
	enable      = regexp.MustCompile(`(?i)\b(ON\s+COMPLETION\s+(?:NOT\s+)?PRESERVE\s+)ENABLE\b`)
	setValue    = regexp.MustCompile(`(?i)^\s*SETVAL\s*\(`)
	onTable     = regexp.MustCompile(`(?i)\b(BEFORE|AFTER)\s+(INSERT|UPDATE|DELETE)\s+ON\s+`)
	decimal     = regexp.MustCompile(`(^|[^\w$.])[0-9]+\.[0-9]$`)
	library     = regexp.MustCompile(`(?i)\bSONAME\b`)
	disable     = regexp.MustCompile(`(?i)\b(ON\s+COMPLETION\s+(?:NOT\s+)?PRESERVE\s+)DISABLE\b`)
)

// pass is given every statement.
func (f *filter) pass(st dump.Statement) error {
	text := st.Text
	if st.Rows {
		if err := f.own([]byte(st.Into)); err != nil {
			return err
		}
	} else {
		var err error
		if text, err = f.statement(st); err != nil {
			return err
		}
	}
	_, err := f.out.Write(text)
	return err
}

// statement returns what becomes of a statement that has no rows.
func (f *filter) statement(st dump.Statement) ([]byte, error) {
	comments, code := st.Text[:st.Code], st.Text[st.Code:]
	if m := fromComment.FindSubmatch(comments); m != nil && f.from == "" {
		f.from = string(m[1])
	}
	verb := strings.ToUpper(string(bytes.TrimRight(firstWord(st.Head), ";")))
	rest, _ := dump.Word(st.Head, verb)
	switch verb {
	case "":
		return st.Text, nil
	case "USE":
		return nil, f.only(unquote(dump.Name(rest)))
	case "CREATE":
		return f.create(st, rest)
	case "DROP", "ALTER":
		for _, kind := range []string{"DATABASE", "SCHEMA"} {
			if r, ok := dump.Word(rest, kind); ok {
				if verb == "DROP" {
					return nil, nil
				}
				// A routine that was made under another collation: for the moment of its creation.
				name := dump.Name(r)
				return append(bytes.Clone(comments), bytes.Replace(code, []byte(name), []byte(quote(f.fresh)), 1)...), f.only(unquote(name))
			}
		}
		if account(rest) {
			return nil, f.refuse(st.Head)
		}
		return st.Text, f.own(rest)
	case "SET":
		if s := strings.ToUpper(string(rest)); strings.Contains(s, "GLOBAL") || strings.Contains(s, "PERSIST") || strings.Contains(s, "SQL_LOG_BIN") {
			return nil, nil
		} else if strings.HasPrefix(s, "PASSWORD") || strings.HasPrefix(s, "ROLE") || strings.HasPrefix(s, "DEFAULT ROLE") {
			return nil, f.refuse(st.Head)
		}
		return st.Text, nil
	case "CHANGE": // --master-data
		return nil, nil
	case "SELECT", "DO": // sequences
		if !setValue.Match(rest) {
			return nil, f.refuse(st.Head)
		}
		return st.Text, f.own(rest)
	case "LOCK":
		return st.Text, f.own(rest)
	case "UNLOCK", "DELIMITER", "COMMIT", "BEGIN", "START":
		return st.Text, nil
	}
	return nil, f.refuse(st.Head)
}

// create returns what becomes of CREATE.
func (f *filter) create(st dump.Statement, rest []byte) ([]byte, error) {
	comments, code := st.Text[:st.Code], st.Text[st.Code:]
	if r, ok := dump.Word(rest, "OR"); ok {
		rest, _ = dump.Word(r, "REPLACE")
	}
	for _, kind := range []string{"DATABASE", "SCHEMA"} {
		if r, ok := dump.Word(rest, kind); ok {
			if i, ok := dump.Word(r, "IF"); ok {
				i, _ = dump.Word(i, "NOT")
				r, _ = dump.Word(i, "EXISTS")
			}
			return nil, f.only(unquote(dump.Name(r)))
		}
	}
	if account(rest) {
		return nil, f.refuse(st.Head)
	}
	kind := objectKind.FindIndex(rest)
	at := definer.FindIndex(rest)
	if at != nil && kind != nil && kind[0] >= at[0] && kind[0] < at[1] { // somebody who is called event
		if kind = objectKind.FindIndex(rest[at[1]:]); kind != nil {
			kind[0], kind[1] = kind[0]+at[1], kind[1]+at[1]
		}
	}
	if kind == nil || isTable(rest) {
		for _, w := range []string{"TEMPORARY", "TABLE", "SEQUENCE", "IF", "NOT", "EXISTS"} {
			if r, ok := dump.Word(rest, w); ok {
				rest = r
			}
		}
		for _, w := range []string{"UNIQUE", "FULLTEXT", "SPATIAL", "INDEX"} {
			if _, ok := dump.Word(rest, w); ok {
				return st.Text, f.own(rest)
			}
		}
		return st.Text, f.own([]byte(dump.Name(rest)))
	}
	what := strings.ToUpper(string(rest[kind[0]:kind[1]]))
	named := rest[kind[1]:]
	for _, w := range []string{"BODY", "IF", "NOT", "EXISTS"} {
		named, _ = dump.Word(named, w)
	}
	name := dump.Name(named)
	code, err := f.home(bytes.Clone(code), name)
	if err != nil {
		return nil, err
	}
	if what == "FUNCTION" && library.Match(rest) { // a program of the server's
		return nil, f.refuse(st.Head)
	}
	if loc := definer.FindIndex(code); !f.definer && at != nil && at[0] < kind[0] && loc != nil {
		code = append(code[:loc[0]], code[loc[1]:]...)
	}
	switch what {
	case "TRIGGER":
		if on := onTable.FindIndex(named); on != nil {
			if code, err = f.home(code, dump.Name(named[on[1]:])); err != nil {
				return nil, err
			}
		}
	case "EVENT":
		if loc := enable.FindSubmatchIndex(code); loc != nil {
			f.enabled[unquote(last(name))] = true
			code = append(append(bytes.Clone(code[:loc[3]]), "DISABLE"...), code[loc[1]:]...)
		}
	case "VIEW":
		if f.from != "" {
			code = unqualify(code, f.from)
		}
	}
	return append(bytes.Clone(comments), code...), nil
}

// home takes the dump's database off a name in a statement: the server keeps it where somebody wrote it. Another database's is refused.
func (f *filter) home(code []byte, name string) ([]byte, error) {
	own := last(name)
	if own == name {
		return code, nil
	}
	if err := f.only(unquote(strings.TrimRight(strings.TrimSuffix(name, own), " \t\r\n."))); err != nil {
		return nil, f.own([]byte(name))
	}
	return bytes.Replace(code, []byte(name), []byte(own), 1), nil
}

// last is the last part of a name that may have the database's before it.
func last(name string) string {
	in := byte(0)
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case in != 0:
			if c == in {
				in = 0
			}
		case c == '`' || c == '"':
			in = c
		case c == '.':
			return last(strings.TrimLeft(name[i+1:], " \t\r\n"))
		}
	}
	return name
}

// only remembers the dump's database, and refuses a second one.
func (f *filter) only(name string) error {
	if f.from != "" && f.from != name {
		return fault.New(fault.Invalid, "the dump holds more than one database, %s and %s: make a dump of each", f.from, name)
	}
	f.from = name
	return nil
}

// own refuses a name, or a list of them, that leads into another database.
func (f *filter) own(name []byte) error {
	if point(name) {
		return fault.New(fault.Invalid, "the dump names %s together with its database, so it would reach beyond the one it is loaded into: make a dump without", shown(name))
	}
	return nil
}

// point reports whether there is a point outside of quotes that is not one of a number.
func point(text []byte) bool {
	in := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case in != 0:
			if c == '\\' && in != '`' {
				i++
			} else if c == in {
				in = 0
			}
		case c == '`' || c == '"' || c == '\'':
			in = c
		case c == '.' && !decimal.Match(text[:min(i+2, len(text))]):
			return true
		}
	}
	return false
}

func (f *filter) refuse(head []byte) error {
	return fault.New(fault.Invalid, "the dump holds a statement that no dump of one database has, %q: it is not loaded", shown(head))
}

// shown is the beginning of a text.
func shown(text []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(text[:min(len(text), 60)]), "?")), " ")
	if len(text) > 60 {
		s += "…"
	}
	return s
}

// account reports whether CREATE, DROP or ALTER is about accounts or the server.
func account(rest []byte) bool {
	for _, w := range []string{"USER", "ROLE", "SERVER", "INSTANCE", "RESOURCE", "TABLESPACE", "LOGFILE", "AGGREGATE"} {
		if _, ok := dump.Word(rest, w); ok {
			return true
		}
	}
	return false
}

// isTable reports whether a table, sequence or index is created: their texts may hold any word.
func isTable(rest []byte) bool {
	for _, w := range []string{"TABLE", "TEMPORARY", "SEQUENCE", "INDEX", "UNIQUE", "FULLTEXT", "SPATIAL"} {
		if _, ok := dump.Word(rest, w); ok {
			return true
		}
	}
	return false
}

func firstWord(head []byte) []byte {
	head = bytes.TrimLeft(head, " \t\r\n")
	if i := bytes.IndexAny(head, " \t\r\n(`\"'"); i >= 0 {
		return head[:i]
	}
	return head
}

func unquote(name string) string {
	name = strings.TrimRight(name, ";")
	if n := len(name); n >= 2 && (name[0] == '`' || name[0] == '"') && name[n-1] == name[0] {
		return strings.ReplaceAll(name[1:n-1], name[:1]+name[:1], name[:1])
	}
	return name
}

// armed gives events the state that the dump wanted them to have.
func (f *filter) armed(events []object) []object {
	for i, e := range events {
		if loc := disable.FindSubmatchIndex(e.SQL); f.enabled[e.Name] && loc != nil {
			events[i].SQL = append(append(bytes.Clone(e.SQL[:loc[3]]), "ENABLE"...), e.SQL[loc[1]:]...)
		}
	}
	return events
}
