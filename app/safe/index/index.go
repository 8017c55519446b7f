// Package index holds a snapshot's whole tree in memory, small enough for a browser, so that folders, sorting, filters and searches
// are answered at once.
//
// An [Index] is a table with a row for each file and folder, in the order of the tree: a folder, then everything in it. So all
// that lies under a folder is a range of rows, a sum over it is a difference of two running sums, and a step from a
// folder's entry to the next is one jump. Names lie end to end in one block of bytes, and once more in lower case, for searching.
// A row takes about 60 bytes and twice its name: 100,000 files about 10 MB.
//
// What a browser does not need for a list stays in the tree: keys, owners, modes. A row is made of what the tree says, folders that have no
// entry of their own are added.
//
// What this package does not promise: searching knows upper and lower case, but takes é and e, and é as one character or as two, for
// different.
package index

import (
	"strings"
	"sync"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// MaxRows is how many files and folders an index holds at most: with more, a browser would run out of memory.
const MaxRows = 5_000_000

// Index is a whole tree. It is made by a [Builder], then never changed, and safe for concurrent use.
type Index struct {
	names, folded block
	parent        []int32 // of each row; -1 at the top
	end           []int32 // the row after the last one under it
	size          []int64
	mod           []int64     // nanoseconds since 1970
	kind          []talk.Kind // Folder for folders
	own           []bool      // false: a folder that the tree has no entry of
	rank          []int32     // place among all rows in the order of names
	all           sums        // of every file

	mu    sync.Mutex
	views views
}

// sums counts regular files, and their bytes, before each row, and at the end in all: what lies under a folder is a difference.
type sums struct {
	files []int32
	bytes []int64
}

func (s *sums) count(from, to int32) (files, bytes int64) {
	return int64(s.files[to] - s.files[from]), s.bytes[to] - s.bytes[from]
}

// block is texts that lie end to end.
type block struct {
	text []byte
	ends []uint32
}

func (b *block) add(s string) {
	b.text = append(b.text, s...)
	b.ends = append(b.ends, uint32(len(b.text)))
}

func (b *block) at(i int32) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.text[start:b.ends[i]]
}

// Builder makes an [Index] of a tree's entries.
type Builder struct {
	x     *Index
	stack []open
}

// open is a folder that the builder is in.
type open struct {
	path string
	row  int32
}

// NewBuilder returns a builder for a tree of about n entries.
func NewBuilder(n int64) (*Builder, error) {
	if n > MaxRows {
		return nil, fault.New(fault.TooLarge, "this snapshot has %d files and folders, more than a browser can show: use holdfast-agent ls and restore", n)
	}
	x := &Index{}
	x.names.ends, x.folded.ends = make([]uint32, 0, n), make([]uint32, 0, n)
	x.parent, x.end = make([]int32, 0, n), make([]int32, 0, n)
	x.size, x.mod = make([]int64, 0, n), make([]int64, 0, n)
	x.kind, x.own = make([]talk.Kind, 0, n), make([]bool, 0, n)
	x.all = sums{make([]int32, 1, n+1), make([]int64, 1, n+1)}
	return &Builder{x: x}, nil
}

// Add adds an entry. It is called in the tree's order.
func (b *Builder) Add(e *tree.Entry) error {
	b.leave(e.Path)
	// Folders above that the tree has no entries of.
	from := 0
	if k := len(b.stack); k > 0 {
		from = len(b.stack[k-1].path) + 1
	}
	for i := from; i < len(e.Path); i++ {
		if e.Path[i] == '/' {
			b.row(e.Path[:i], e.Path[from:i], talk.Folder, 0, 0, false)
			from = i + 1
		}
	}
	kind, file := talk.Special, int32(0)
	switch e.Type {
	case tree.Dir:
		kind = talk.Folder
	case tree.File:
		kind, file = talk.KindOf(e.Base()), 1
	case tree.Symlink:
		kind = talk.Link
	}
	b.row(e.Path, e.Path[from:], kind, e.Size, e.ModTime, true)
	b.x.all.files[len(b.x.all.files)-1] += file
	if len(b.x.parent) > MaxRows || len(b.x.names.text) > 1<<31 {
		return fault.New(fault.TooLarge, "this snapshot has more files and folders than a browser can show: use holdfast-agent ls and restore")
	}
	return nil
}

// leave closes the folders that path is not in.
func (b *Builder) leave(path string) {
	for k := len(b.stack); k > 0 && (path == "" || !tree.Within(path, b.stack[k-1].path)); k-- {
		b.x.end[b.stack[k-1].row] = int32(len(b.x.parent))
		b.stack = b.stack[:k-1]
	}
}

func (b *Builder) row(path, name string, kind talk.Kind, size, mod int64, own bool) {
	x := b.x
	parent := int32(-1)
	if k := len(b.stack); k > 0 {
		parent = b.stack[k-1].row
	}
	row := int32(len(x.parent))
	x.names.add(name)
	x.folded.add(fold(name))
	x.parent = append(x.parent, parent)
	x.end = append(x.end, row+1)
	x.size = append(x.size, size)
	x.mod = append(x.mod, mod)
	x.kind = append(x.kind, kind)
	x.own = append(x.own, own)
	x.all.files = append(x.all.files, x.all.files[row])
	x.all.bytes = append(x.all.bytes, x.all.bytes[row]+size)
	if kind == talk.Folder {
		b.stack = append(b.stack, open{strings.Clone(path), row})
	}
}

// Finish returns the index. The builder is of no use afterwards.
func (b *Builder) Finish() *Index {
	b.leave("")
	x := b.x
	x.rank = make([]int32, len(x.parent))
	for place, k := range byName(x) {
		x.rank[k.row] = int32(place)
	}
	return x
}

// Rows returns how many files and folders there are.
func (x *Index) Rows() int { return len(x.parent) }

// span returns the rows under a folder; -1 is the top.
func (x *Index) span(folder int32) (from, to int32) {
	if folder < 0 {
		return 0, int32(len(x.parent))
	}
	return folder + 1, x.end[folder]
}

// isFile reports whether a row is a regular file.
func (x *Index) isFile(row int32) bool { return x.all.files[row+1] > x.all.files[row] }

// path returns a row's path.
func (x *Index) path(row int32) string {
	if x.parent[row] < 0 {
		return string(x.names.at(row))
	}
	return x.path(x.parent[row]) + "/" + string(x.names.at(row))
}

// find returns the row of a path; -1 for "", the top.
func (x *Index) find(path string) (int32, error) {
	row := int32(-1)
	if path == "" {
		return row, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		next := int32(-1)
		for i, to := x.span(row); i < to; i = x.end[i] {
			if string(x.names.at(i)) == name {
				next = i
				break
			}
		}
		if next < 0 {
			return 0, fault.New(fault.NotFound, "there is no %q in this snapshot", path)
		}
		row = next
	}
	return row, nil
}

// folder returns the row of a folder; -1 for "", the top.
func (x *Index) folder(path string) (int32, error) {
	row, err := x.find(path)
	if err == nil && row >= 0 && x.kind[row] != talk.Folder {
		return 0, fault.New(fault.NotFound, "%q is not a folder in this snapshot", path)
	}
	return row, err
}
