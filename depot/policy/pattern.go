package policy

import (
	"strings"
	"unicode/utf8"
)

// badPattern says what is wrong with a pattern of excludes, or "". It refuses what agent/walk would refuse on every device:
// a policy that no agent can read saves nothing.
func badPattern(text string) string {
	if len(text) > maxExclude {
		return "is too long"
	}
	if !utf8.ValidString(text) {
		return "is not text"
	}
	if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
		return ""
	}
	rest := strings.TrimPrefix(text, "!")
	if r, ok := strings.CutSuffix(rest, "/"); ok && r != "" && !strings.HasSuffix(r, `\`) {
		rest = r
	}
	rest = strings.TrimPrefix(rest, "/")
	if rest == "" {
		return "names nothing: it would exclude everything or nothing"
	}
	for _, part := range strings.Split(rest, "/") {
		switch part {
		case "":
			return "has two slashes in a row"
		case ".", "..":
			return "contains . or .., which no path does: write the folder's name"
		}
		if problem := badSegment(part); problem != "" {
			return problem
		}
	}
	return ""
}

// badSegment says what is wrong with what stands between two slashes.
func badSegment(s string) string {
	for len(s) > 0 {
		c := s[0]
		s = s[1:]
		switch c {
		case '\\':
			if s == "" {
				return "ends in a backslash, which must stand before a character"
			}
			s = s[1:]
		case '[':
			var problem string
			if s, problem = afterClass(s); problem != "" {
				return problem
			}
		}
	}
	return ""
}

// afterClass returns what follows the "]" of a class whose "[" was read.
func afterClass(s string) (rest, problem string) {
	const open = `has a "[" without its "]"`
	if strings.HasPrefix(s, "!") || strings.HasPrefix(s, "^") {
		s = s[1:]
	}
	next := func() (rune, bool) {
		s = strings.TrimPrefix(s, `\`)
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		return r, n > 0
	}
	for first := true; ; first = false {
		if strings.HasPrefix(s, "]") && !first {
			return s[1:], ""
		}
		lo, ok := next()
		if !ok {
			return "", open
		}
		if strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "-]") {
			s = s[1:]
			hi, ok := next()
			if !ok {
				return "", open
			}
			if hi < lo {
				return "", "has a range that runs backwards"
			}
		}
	}
}
