package index

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/app/talk"
)

// Search answers with a page of what is called so, in a folder and everything under it.
//
// A text is looked for in names; one with * or ? must be all of a name. With a slash, it is looked for in the path: what is behind the
// last slash is how the name begins, or with * or ? all of it. An empty text matches everything. With a filter, or an empty text,
// folders are left out.
func (x *Index) Search(q talk.Search) (*talk.Listing, error) {
	folder, err := x.folder(talk.Raw(q.Path))
	if err != nil {
		return nil, err
	}
	page := q.Page
	q.Page = talk.Page{}
	v, err := x.view(q, func() *view {
		v := &view{sums: &x.all}
		named, pass := x.named(strings.TrimSpace(q.Text)), x.filter(q.Filter)
		for row, to := x.span(folder); row < to; row++ {
			file := x.isFile(row)
			if !file && (named == nil || pass != nil) || pass != nil && !pass(row) || named != nil && !named(row) {
				continue
			}
			v.rows = append(v.rows, row)
			if file {
				v.files++
				v.bytes += x.size[row]
			}
		}
		x.sort(v, q.Sort)
		return v
	})
	if err != nil {
		return nil, err
	}
	return x.listing(v, page)
}

// named returns the test that a text stands for; nil for an empty one.
func (x *Index) named(text string) func(row int32) bool {
	text = fold(talk.Raw(text))
	slash := strings.LastIndexByte(text, '/')
	switch pattern := strings.ContainsAny(text, "*?"); {
	case text == "":
		return nil
	case !pattern && slash < 0:
		want := []byte(text)
		return func(row int32) bool { return bytes.Contains(x.folded.at(row), want) }
	case !pattern:
		begin := []byte(text[slash+1:]) // decides for nearly all rows
		return func(row int32) bool {
			return bytes.HasPrefix(x.folded.at(row), begin) && strings.Contains("/"+fold(x.path(row)), text)
		}
	}
	parts := bytes.Split([]byte(strings.Trim(text, "/")), []byte("/"))
	return func(row int32) bool {
		for i := len(parts) - 1; i >= 0; i-- {
			if row < 0 || !glob(parts[i], x.folded.at(row)) {
				return false
			}
			row = x.parent[row]
		}
		return true
	}
}

// glob reports whether a pattern matches all of a name: * stands for any characters, ? for one, and nothing else is special, since
// brackets occur in names.
func glob(pattern, name []byte) bool {
	star, again := -1, 0 // after the last *, and where it was tried last
	p := 0
	for i := 0; i < len(name); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			star, again = p, i
		case p < len(pattern) && pattern[p] == '?':
			_, n := utf8.DecodeRune(name[i:])
			p, i = p+1, i+n
		case p < len(pattern) && pattern[p] == name[i]:
			p, i = p+1, i+1
		case star >= 0:
			again++
			p, i = star, again
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
