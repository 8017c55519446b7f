// Package pattern is the syntax of what is left out of a backup: lines as in a .gitignore. Agents match with it, and servers check with it what
// administrators write.
package pattern

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Pattern is one line of exclude rules, as gitignore has them:
//
//	*.tmp           any entry with such a name, at any depth
//	build/          such folders only
//	docs/old        old inside docs, at any depth
//	/home/*/cache   anchored at the top of the file system
//	a/**/b          b at any depth below a;  a/** is everything below a
//	!keep.tmp       not excluded after all: the last pattern that matches decides
//
// ? stands for one character, * for any number of them, [a-z] and [!a-z] for one of a class; none of them for
// a slash. A backslash takes away the next character's meaning. What lies in an excluded folder cannot be
// brought back by "!", because the folder is never entered.
type Pattern struct {
	keep    bool // "!"
	folders bool // trailing slash
	name    bool // a single segment: compared with the last component only
	fold    bool // ignore case
	segs    []segment
}

// A segment matches one component of a path; deep matches any number of them.
type segment struct {
	deep   bool
	tokens []token
}

type token struct {
	kind  byte   // 'c' a literal run, '?' one character, '*' any number, '[' a class
	lit   string // for 'c'
	not   bool   // for '['
	class [][2]rune
}

// Parse reads one pattern; with fold it ignores case. Blank ones and comments give nil. The error is a sentence that quotes the pattern.
func Parse(text string, fold bool) (*Pattern, error) {
	p := &Pattern{fold: fold}
	rest := text
	if strings.TrimSpace(rest) == "" || strings.HasPrefix(rest, "#") {
		return nil, nil
	}
	if r, ok := strings.CutPrefix(rest, "!"); ok {
		p.keep, rest = true, r
	}
	if r, ok := strings.CutSuffix(rest, "/"); ok && r != "" && !strings.HasSuffix(r, `\`) {
		p.folders, rest = true, r
	}
	anchored := strings.HasPrefix(rest, "/")
	rest = strings.TrimPrefix(rest, "/")
	if rest == "" {
		return nil, fmt.Errorf("the pattern %q names nothing: it would exclude everything or nothing", text)
	}
	if fold {
		rest = strings.ToLower(rest)
	}
	parts := strings.Split(rest, "/")
	p.name = len(parts) == 1 && !anchored && parts[0] != "**"
	if !anchored && !p.name {
		p.segs = append(p.segs, segment{deep: true})
	}
	for _, part := range parts {
		switch part {
		case "":
			return nil, fmt.Errorf("the pattern %q has two slashes in a row", text)
		case ".", "..":
			return nil, fmt.Errorf("the pattern %q contains %q, which no path does: write the folder's name", text, part)
		case "**":
			if n := len(p.segs); n == 0 || !p.segs[n-1].deep {
				p.segs = append(p.segs, segment{deep: true})
			}
			continue
		}
		tokens, problem := parseSegment(part)
		if problem != "" {
			return nil, fmt.Errorf("the pattern %q %s", text, problem)
		}
		p.segs = append(p.segs, segment{tokens: tokens})
	}
	return p, nil
}

// parseSegment returns the tokens, or what is wrong.
func parseSegment(s string) ([]token, string) {
	var tokens []token
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			tokens = append(tokens, token{kind: 'c', lit: lit.String()})
			lit.Reset()
		}
	}
	for len(s) > 0 {
		c := s[0]
		s = s[1:]
		switch c {
		case '\\':
			if s == "" {
				return nil, "ends in a backslash, which must stand before a character"
			}
			lit.WriteByte(s[0])
			s = s[1:]
		case '?':
			flush()
			tokens = append(tokens, token{kind: '?'})
		case '*':
			flush()
			if n := len(tokens); n == 0 || tokens[n-1].kind != '*' {
				tokens = append(tokens, token{kind: '*'})
			}
		case '[':
			flush()
			t, rest, problem := parseClass(s)
			if problem != "" {
				return nil, problem
			}
			tokens, s = append(tokens, t), rest
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return tokens, ""
}

// parseClass reads what follows "[".
func parseClass(s string) (t token, rest, problem string) {
	t.kind = '['
	if strings.HasPrefix(s, "!") || strings.HasPrefix(s, "^") {
		t.not, s = true, s[1:]
	}
	next := func() (rune, bool) {
		s = strings.TrimPrefix(s, `\`)
		if s == "" {
			return 0, false
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		return r, true
	}
	for first := true; ; first = false {
		if strings.HasPrefix(s, "]") && !first {
			return t, s[1:], ""
		}
		lo, ok := next()
		if !ok {
			return t, "", `has a "[" without its "]"`
		}
		hi := lo
		if strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "-]") {
			s = s[1:]
			if hi, ok = next(); !ok {
				return t, "", `has a "[" without its "]"`
			}
			if hi < lo {
				return t, "", "has a range that runs backwards"
			}
		}
		t.class = append(t.class, [2]rune{lo, hi})
	}
}

// Keep reports whether the pattern brings back what an earlier one excluded.
func (p *Pattern) Keep() bool { return p.keep }

// Match reports whether the pattern matches an entry: a file, or a folder. path has no leading slash, name is its last component.
func (p *Pattern) Match(path, name string, folder bool) bool {
	if p.folders && !folder {
		return false
	}
	if p.fold {
		path, name = strings.ToLower(path), strings.ToLower(name)
	}
	if p.name {
		return matchTokens(p.segs[0].tokens, name)
	}
	return matchPath(p.segs, path)
}

func matchPath(segs []segment, path string) bool {
	for i, seg := range segs {
		if seg.deep {
			rest := segs[i+1:]
			if len(rest) == 0 {
				return path != ""
			}
			for {
				if matchPath(rest, path) {
					return true
				}
				_, after, ok := strings.Cut(path, "/")
				if !ok {
					return false
				}
				path = after
			}
		}
		if path == "" {
			return false
		}
		component, after, _ := strings.Cut(path, "/")
		if !matchTokens(seg.tokens, component) {
			return false
		}
		path = after
	}
	return path == ""
}

// matchTokens compares one component, going back to the last star when a guess about its length was wrong.
func matchTokens(tokens []token, s string) bool {
	star, mark := -1, ""
	i := 0
	for {
		if i < len(tokens) && tokens[i].kind == '*' {
			star, mark = i, s
			i++
			continue
		}
		if i < len(tokens) {
			if n, ok := tokens[i].one(s); ok {
				s = s[n:]
				i++
				continue
			}
		} else if s == "" {
			return true
		}
		if star < 0 || mark == "" {
			return false
		}
		mark = mark[1:]
		s, i = mark, star+1
	}
}

// one matches a token other than '*' at the beginning of s and returns how many bytes it took.
func (t *token) one(s string) (int, bool) {
	if t.kind == 'c' {
		return len(t.lit), strings.HasPrefix(s, t.lit)
	}
	if s == "" {
		return 0, false
	}
	r, n := utf8.DecodeRuneInString(s)
	if t.kind == '?' {
		return n, true
	}
	in := false
	for _, c := range t.class {
		in = in || c[0] <= r && r <= c[1]
	}
	return n, in != t.not
}
