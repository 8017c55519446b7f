package walk

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
)

// spillSize is the number of bytes of names that are sorted in memory at once: about 700,000 names. A folder
// with more goes through sorted runs in a temporary file.
const spillSize = 16 << 20

// names sorts the names of one folder, however many. Use: add, add …, sort, next, next …, close.
type names struct {
	arena []byte   // names end to end
	ends  []uint32 // where each ends, in the order of adding
	order []uint32 // indexes into ends, sorted
	pos   int

	dir   string
	limit int
	file  *os.File // sorted runs, one after another
	size  int64
	runs  []*run
}

// run is a sorted part of the temporary file.
type run struct {
	start, size int64
	r           *bufio.Reader
	head        []byte
	done        bool
}

func newNames(dir string) *names { return &names{dir: dir, limit: spillSize} }

// add appends a name, which may be reused after the return.
func (n *names) add(name []byte) error {
	if len(n.arena)+len(name) > n.limit && len(n.ends) > 0 {
		if err := n.spill(); err != nil {
			return err
		}
	}
	n.arena = append(n.arena, name...)
	n.ends = append(n.ends, uint32(len(n.arena)))
	return nil
}

func (n *names) at(i uint32) []byte {
	start := uint32(0)
	if i > 0 {
		start = n.ends[i-1]
	}
	return n.arena[start:n.ends[i]]
}

// sort ends the adding.
func (n *names) sort() error {
	n.sortArena()
	for _, r := range n.runs {
		r.r = bufio.NewReaderSize(io.NewSectionReader(n.file, r.start, r.size), 64<<10)
		if err := r.next(); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) sortArena() {
	n.order = slices.Grow(n.order[:0], len(n.ends))
	for i := range n.ends {
		n.order = append(n.order, uint32(i))
	}
	slices.SortFunc(n.order, func(a, b uint32) int { return bytes.Compare(n.at(a), n.at(b)) })
	n.pos = 0
}

// next returns the next name in order, valid until the call after; nil at the end. A nil *names has no names.
func (n *names) next() ([]byte, error) {
	if n == nil {
		return nil, nil
	}
	var best *run
	for _, r := range n.runs {
		if !r.done && (best == nil || bytes.Compare(r.head, best.head) < 0) {
			best = r
		}
	}
	if n.pos < len(n.order) {
		name := n.at(n.order[n.pos])
		if best == nil || bytes.Compare(name, best.head) <= 0 {
			n.pos++
			return name, nil
		}
	}
	if best == nil {
		return nil, nil
	}
	name := slices.Clone(best.head)
	return name, best.next()
}

// spill writes the arena as a sorted run and empties it.
func (n *names) spill() error {
	if n.file == nil {
		f, err := os.CreateTemp(n.dir, "holdfast-names-*")
		if err != nil {
			return fmt.Errorf("no temporary file for a folder of this many entries: %w", err)
		}
		n.file = f
	}
	n.sortArena()
	w := bufio.NewWriterSize(n.file, 256<<10)
	start := n.size
	var head [binary.MaxVarintLen64]byte
	for _, i := range n.order {
		name := n.at(i)
		k := binary.PutUvarint(head[:], uint64(len(name)))
		w.Write(head[:k])
		w.Write(name)
		n.size += int64(k + len(name))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sorting a folder of this many entries: %w", err)
	}
	n.runs = append(n.runs, &run{start: start, size: n.size - start})
	n.arena, n.ends, n.order = n.arena[:0], n.ends[:0], n.order[:0]
	return nil
}

func (r *run) next() error {
	size, err := binary.ReadUvarint(r.r)
	if err == io.EOF {
		r.done = true
		return nil
	}
	if err != nil {
		return err
	}
	r.head = slices.Grow(r.head[:0], int(size))[:size]
	_, err = io.ReadFull(r.r, r.head)
	return err
}

// reset makes the names usable for another folder and removes the temporary file.
func (n *names) reset() {
	n.arena, n.ends, n.order, n.pos, n.runs, n.size = n.arena[:0], n.ends[:0], n.order[:0], 0, nil, 0
	if n.file != nil {
		n.file.Close()
		os.Remove(n.file.Name())
		n.file = nil
	}
	if cap(n.arena) > 1<<20 {
		n.arena, n.ends, n.order = nil, nil, nil // do not keep what one big folder needed
	}
}
