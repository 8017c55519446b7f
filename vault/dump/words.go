package dump

import (
	"bytes"
	"strings"
)

// word cuts a word off the beginning of a statement's head.
func word(head []byte, w string) (rest []byte, ok bool) {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) < len(w) || !strings.EqualFold(string(head[:len(w)]), w) {
		return head, false
	}
	if rest = head[len(w):]; len(rest) > 0 && !space(rest[0]) && rest[0] != '`' && rest[0] != '(' && rest[0] != '"' {
		return head, false
	}
	return bytes.TrimLeft(rest, " \t\r\n"), true
}

// Word cuts a keyword off the beginning of a statement's head.
func Word(head []byte, w string) (rest []byte, ok bool) { return word(head, w) }

// Name returns the name that text begins with, as it is written, with the database's if that is there.
func Name(text []byte) string { return string(name(text)) }

// name returns the name that text begins with, as it is written, with the database's if that is there.
func name(text []byte) []byte {
	in := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case in != 0:
			if c == in {
				in = 0
			}
		case c == '`' || c == '"':
			in = c
		case space(c): // there may be some around the point
			after := bytes.TrimLeft(text[i:], " \t\r\n")
			if !bytes.HasPrefix(after, []byte(".")) && !bytes.HasSuffix(bytes.TrimRight(text[:i], " \t\r\n"), []byte(".")) {
				return text[:i]
			}
			i = len(text) - len(after) - 1
		case c == '(' || c == ';' || c == ',':
			return text[:i]
		}
	}
	return text
}

// bare takes the quotes, and the database's name, off a name.
func bare(name string) string {
	if i := strings.LastIndex(name, "`.`"); i >= 0 {
		name = name[i+2:]
	} else if i := strings.LastIndexByte(name, '.'); i >= 0 && !strings.ContainsAny(name, "`\"") {
		name = name[i+1:]
	}
	if n := len(name); n >= 2 && (name[0] == '`' || name[0] == '"') && name[n-1] == name[0] {
		q := name[:1]
		name = strings.ReplaceAll(name[1:n-1], q+q, q)
	}
	return name
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
