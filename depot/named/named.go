// Package named says what a name may be that people give to things: one line of text that can be shown. It knows no noun: each says how long its
// own names are, and whether they must differ.
package named

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Clean returns a name as it is stored: in NFC, without blanks around it, of 1 to most characters, all of which can be shown. What is none
// is fault.Invalid; field says where it stood.
func Clean(field, s string, most int) (string, error) {
	if len(s) > 4*most || !utf8.ValidString(s) {
		return "", fault.New(fault.Invalid, "%s: at most %d characters of text", field, most)
	}
	s = norm.NFC.String(strings.TrimSpace(s))
	switch {
	case s == "":
		return "", fault.New(fault.Invalid, "%s: must not be empty", field)
	case utf8.RuneCountInString(s) > most:
		return "", fault.New(fault.Invalid, "%s: at most %d characters", field, most)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u200c' && r != '\u200d' }):
		return "", fault.New(fault.Invalid, "%s: holds characters that cannot be shown", field)
	}
	return s, nil
}

// Optional is [Clean] of a name that may be empty.
func Optional(field, s string, most int) (string, error) {
	if len(s) <= 4*most && strings.TrimSpace(s) == "" {
		return "", nil
	}
	return Clean(field, s, most)
}

// Key is what two names have in common that nobody tells apart: it goes without case and without forms of letters.
func Key(name string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(name))) }
