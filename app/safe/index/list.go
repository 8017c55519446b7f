package index

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// maxPage is how many entries one answer has at most.
const maxPage = 1000

// keptViews is how many answers are kept whole, so that their pages come without sorting again.
const keptViews = 8

// view is an answer to a question, without its page.
type view struct {
	rows         []int32
	files, bytes int64 // in all of them
	sums         *sums // what the folders among them count
}

// views keeps the newest answers.
type views struct {
	order []string
	known map[string]*view
}

// view returns the answer to a question, which is known by its JSON.
func (x *Index) view(q any, answer func() *view) (*view, error) {
	key, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if v := x.views.known[string(key)]; v != nil {
		return v, nil
	}
	v := answer()
	if x.views.known == nil {
		x.views.known = map[string]*view{}
	}
	if len(x.views.order) == keptViews {
		delete(x.views.known, x.views.order[0])
		x.views.order = x.views.order[1:]
	}
	x.views.order = append(x.views.order, string(key))
	x.views.known[string(key)] = v
	return v, nil
}

// List answers with a page of a folder. A filter leaves out what does not pass it, folders without anything that does, and counts what passes.
func (x *Index) List(q talk.List) (*talk.Listing, error) {
	folder, err := x.folder(talk.Raw(q.Path))
	if err != nil {
		return nil, err
	}
	page := q.Page
	q.Page = talk.Page{}
	v, err := x.view(q, func() *view {
		v := &view{sums: x.matching(q.Filter)}
		from, to := x.span(folder)
		v.files, v.bytes = v.sums.count(from, to)
		for i := from; i < to; i = x.end[i] {
			if files, _ := v.sums.count(i, x.end[i]); files > 0 || v.sums == &x.all {
				v.rows = append(v.rows, i)
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

// listing cuts a page out of an answer.
func (x *Index) listing(v *view, p talk.Page) (*talk.Listing, error) {
	if p.Offset < 0 || p.Limit < 0 {
		return nil, fault.New(fault.Invalid, "a page begins at 0 or later and has 0 entries or more, not %d and %d", p.Offset, p.Limit)
	}
	out := &talk.Listing{Total: len(v.rows), Files: v.files, Bytes: v.bytes, Entries: []talk.Entry{}}
	rows := v.rows[min(p.Offset, len(v.rows)):]
	for _, row := range rows[:min(p.Limit, maxPage, len(rows))] {
		out.Entries = append(out.Entries, x.entry(row, v.sums))
	}
	return out, nil
}

func (x *Index) entry(row int32, s *sums) talk.Entry {
	e := talk.Entry{Name: talk.Text(string(x.names.at(row))), Path: talk.Text(x.path(row)), Kind: x.kind[row], Size: x.size[row]}
	if x.own[row] {
		e.ModTime = x.mod[row]
	}
	if e.Kind == talk.Folder {
		e.Files, e.Size = s.count(row, x.end[row])
	}
	return e
}

// sort sorts an answer: folders first, whatever the order, and by name among equals.
func (x *Index) sort(v *view, by talk.Sort) {
	type item struct {
		file      bool
		rank, row int32
		key       int64
	}
	list := make([]item, len(v.rows))
	for i, row := range v.rows {
		it := item{file: x.kind[row] != talk.Folder, rank: x.rank[row], row: row}
		switch by.By {
		case talk.BySize:
			if it.key = x.size[row]; !it.file {
				_, it.key = v.sums.count(row, x.end[row])
			}
		case talk.ByTime:
			it.key = x.mod[row]
		case talk.ByKind:
			it.key = int64(x.kind[row])
		default:
			it.key = int64(it.rank)
		}
		list[i] = it
	}
	slices.SortFunc(list, func(a, b item) int {
		if a.file != b.file {
			if a.file {
				return 1
			}
			return -1
		}
		c := cmp.Compare(a.key, b.key)
		if by.Descending {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.rank, b.rank))
	})
	for i := range list {
		v.rows[i] = list[i].row
	}
}

// matching counts the regular files that pass a filter.
func (x *Index) matching(f talk.Filter) *sums {
	pass := x.filter(f)
	if pass == nil {
		return &x.all
	}
	n := int32(len(x.parent))
	s := &sums{make([]int32, n+1), make([]int64, n+1)}
	for row := range n {
		s.files[row+1], s.bytes[row+1] = s.files[row], s.bytes[row]
		if x.isFile(row) && pass(row) {
			s.files[row+1]++
			s.bytes[row+1] += x.size[row]
		}
	}
	return s
}

// filter returns a test for regular files; nil if every one passes.
func (x *Index) filter(f talk.Filter) func(row int32) bool {
	if len(f.Kinds) == 0 && len(f.Extensions) == 0 {
		return nil
	}
	var kinds [256]bool
	for _, k := range f.Kinds {
		kinds[k] = true
	}
	exts := suffixes(f.Extensions)
	return func(row int32) bool { return kinds[x.kind[row]] || ends(x.folded.at(row), exts) }
}

// suffixes returns extensions as they are compared with folded names: what tree.Extensions accepts.
func suffixes(list []string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = "." + fold(strings.TrimPrefix(e, "."))
	}
	return out
}

func ends(name []byte, suffixes []string) bool {
	for _, s := range suffixes {
		if len(name) >= len(s) && string(name[len(name)-len(s):]) == s {
			return true
		}
	}
	return false
}
