package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Outermost returns raw paths in the order of the tree, without those that lie in others; none are "", which is everything.
func Outermost(paths []string) []string {
	if len(paths) == 0 {
		return []string{""}
	}
	sorted := slices.Clone(paths)
	slices.SortFunc(sorted, tree.Compare)
	list := sorted[:1]
	for _, p := range sorted[1:] {
		if !tree.Within(p, list[len(list)-1]) {
			list = append(list, p)
		}
	}
	return list
}

// Totals counts what a selection holds. Paths are raw; none are everything.
func (x *Index) Totals(paths []string, extensions []string) (talk.Totals, error) {
	var t talk.Totals
	rows, err := x.rows(Outermost(paths))
	if err != nil {
		return t, err
	}
	counted := x.matching(talk.Filter{Extensions: extensions})
	for _, row := range rows {
		from, to := x.span(row)
		if row >= 0 {
			from = row
		}
		files, bytes := counted.count(from, to)
		t.Files += files
		t.Bytes += bytes
		for i := from; i < to; i++ {
			if x.kind[i] == talk.Folder {
				t.Folders++
			}
		}
	}
	return t, nil
}

// rows returns the rows of paths that are sorted. Those that follow each other in one folder cost one look at it.
func (x *Index) rows(paths []string) ([]int32, error) {
	rows := make([]int32, 0, len(paths))
	var dir string
	row, to := int32(-1), int32(-1) // where the last one was found in dir
	for _, p := range paths {
		if p == "" {
			rows = append(rows, -1)
			continue
		}
		d, name := split(p)
		if d != dir || to < 0 {
			folder, err := x.folder(d)
			if err != nil {
				return nil, err
			}
			dir = d
			row, to = x.span(folder)
		}
		for row < to && string(x.names.at(row)) != name {
			row = x.end[row]
		}
		if row >= to {
			return nil, fault.New(fault.NotFound, "there is no %q in this snapshot", p)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// Summary counts files by kind and by extension, the most frequent first.
func (x *Index) Summary() talk.Contents {
	c := talk.Contents{Entries: len(x.parent)}
	c.Files, c.Bytes = x.all.count(0, int32(len(x.parent)))
	kinds := map[talk.Kind]*talk.KindCount{}
	exts := map[string]*talk.ExtensionCount{}
	for row := range int32(len(x.parent)) {
		if !x.isFile(row) {
			continue
		}
		k := kinds[x.kind[row]]
		if k == nil {
			k = &talk.KindCount{Kind: x.kind[row]}
			kinds[x.kind[row]] = k
		}
		k.Files++
		k.Bytes += x.size[row]
		ext := talk.Extension(string(x.names.at(row)))
		if ext == "" {
			continue
		}
		e := exts[ext]
		if e == nil {
			e = &talk.ExtensionCount{Extension: ext}
			exts[e.Extension] = e
		}
		e.Files++
		e.Bytes += x.size[row]
	}
	c.Kinds = []talk.KindCount{}
	for _, k := range kinds {
		c.Kinds = append(c.Kinds, *k)
	}
	slices.SortFunc(c.Kinds, func(a, b talk.KindCount) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Kind, b.Kind))
	})
	c.Extensions = []talk.ExtensionCount{}
	for _, e := range exts {
		c.Extensions = append(c.Extensions, *e)
	}
	slices.SortFunc(c.Extensions, func(a, b talk.ExtensionCount) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), strings.Compare(a.Extension, b.Extension))
	})
	c.Extensions = c.Extensions[:min(len(c.Extensions), maxExtensions)]
	return c
}

// maxExtensions is how many extensions a summary lists.
const maxExtensions = 100
