// Package chunk cuts a stream where its content says so, so that a byte inserted near the beginning of a
// file moves one cut, not all of them.
//
// It is FastCDC (Xia et al., USENIX ATC 2016) in its normalised form, with three changes.
//
// The gear table is made from a key. With a table that everybody knows, the lengths of a file's chunks,
// which the server sees, would name the file.
//
// A cut is where the hash is below a limit, not where it has zeros under a mask. So every average is
// possible, not only powers of two, and it is the high bits that decide: those into which each of the last
// 64 bytes has been mixed.
//
// The hash starts 64 bytes before the shortest chunk may end, so whether a place is a cut depends on
// the 64 bytes before it and on the distance to the last cut, and on nothing else: not on how the stream
// was read.
//
// Up to [Params] Min no place is a cut. From there to three quarters of the way to Avg a place is one with
// the probability 1/(4·Avg), and beyond with 4/Avg; at Max there is one in any case. That keeps most
// chunks near Avg, and their mean within 15 % of it.
package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/blake3"
)

// Params are sizes in bytes: of the shortest chunk (but for the last one of a stream), of a typical one, and
// of the longest. They are part of a space: with others nothing would be found again.
type Params struct{ Min, Avg, Max int }

// DefaultParams is what a new space gets.
var DefaultParams = Params{Min: 256 << 10, Avg: 1 << 20, Max: 4 << 20}

// Bounds of Params. The largest chunk must fit an object.
const (
	minMin = 2 * window
	maxMax = 8 << 20
)

// window is how many bytes back the hash remembers: one per bit.
const window = 64

// Validate refuses sizes with which cutting would not work, or not well: 128 <= Min <= Avg/2 and
// 2·Avg <= Max <= 8 MiB must hold. A client calls it on what a server sent.
func (p Params) Validate() error {
	if p.Min < minMin || p.Min > p.Avg/2 || p.Avg > p.Max/2 || p.Max > maxMax {
		return fmt.Errorf("chunk sizes of %d, %d and %d bytes: the least must be from %d to half of the average, "+
			"and the average no more than half of the most, which is no more than %d", p.Min, p.Avg, p.Max, minMin, maxMax)
	}
	return nil
}

// Table is a keyed gear table. It is never changed, so it is safe for concurrent use.
type Table struct{ gear [256]uint64 }

// String does not show the table: it is as secret as its key.
func (*Table) String() string { return "gear table" }

const tableContext = "holdfast/v1/gear"

// NewTable makes the table of a chunker key: the first 2,048 bytes of the output of BLAKE3, keyed, over
// "holdfast/v1/gear", as 256 little-endian integers.
func NewTable(key [32]byte) *Table {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // a key of 32 bytes has the right size
	}
	h.WriteString(tableContext)
	var b [256 * 8]byte
	h.Digest().Read(b[:])
	t := new(Table)
	for i := range t.gear {
		t.gear[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return t
}

// limits returns below which hash a place is a cut, before and behind the normal size, and that size.
func (p Params) limits() (before, behind uint64, normal int) {
	avg := uint64(p.Avg)
	return math.MaxUint64 / (4 * avg), math.MaxUint64 / avg * 4, p.Min + (p.Avg-p.Min)/4*3
}

// Cut returns the length of the first chunk of data. It returns 0 if that cannot be said yet: data holds no
// cut, is shorter than p.Max, and eof says that it may go on. With eof, what is left is a chunk.
// p must be valid.
func (t *Table) Cut(p Params, data []byte, eof bool) int {
	n, _ := t.cut(p, data, 0, eof)
	return n
}

// cut is Cut for data of which it is known that no chunk ends within its first `from` bytes. With 0 it
// returns from how many bytes on the search must go on.
func (t *Table) cut(p Params, data []byte, from int, eof bool) (n, searched int) {
	before, behind, normal := p.limits()
	end := min(len(data), p.Max)
	if from < p.Min {
		from = p.Min - 1 // the first byte that may end a chunk
	}
	if from < end {
		var h uint64
		for _, b := range data[from-window+1 : from] {
			h = h<<1 + t.gear[b]
		}
		if from < normal-1 {
			stop := min(normal-1, end)
			var i int
			if i, h = t.find(data[from:stop], h, before); i >= 0 {
				return from + i + 1, 0
			}
			from = stop
		}
		if i, _ := t.find(data[from:end], h, behind); i >= 0 {
			return from + i + 1, 0
		}
	}
	if end == p.Max || eof {
		return end, 0
	}
	return 0, max(from, end)
}

// find returns the first place in data at which the hash is below limit, or -1, and the hash.
//
// It takes four bytes a turn, each from the hash four back, so that the processor need not wait for one
// to begin the next. It is kept out of line because there it has its registers for itself.
//
//go:noinline
func (t *Table) find(data []byte, h, limit uint64) (int, uint64) {
	i := 0
	for ; i+4 <= len(data); i += 4 {
		d := data[i : i+4 : i+4]
		u := t.gear[d[0]]
		h1 := h<<1 + u
		u = u<<1 + t.gear[d[1]]
		h2 := h<<2 + u
		u = u<<1 + t.gear[d[2]]
		h3 := h<<3 + u
		u = u<<1 + t.gear[d[3]]
		h = h<<4 + u
		switch {
		case h1 < limit:
			return i, h1
		case h2 < limit:
			return i + 1, h2
		case h3 < limit:
			return i + 2, h3
		case h < limit:
			return i + 3, h
		}
	}
	for ; i < len(data); i++ {
		if h = h<<1 + t.gear[data[i]]; h < limit {
			return i, h
		}
	}
	return -1, h
}

// Chunker cuts the stream of a reader. It is not safe for concurrent use.
type Chunker struct {
	r        io.Reader
	t        *Table
	p        Params
	buf      []byte // data is buf[start:end]
	start    int
	end      int
	searched int // bytes of data in which no chunk ends
	err      error
}

// New returns a Chunker that reads r through buf, whose contents it overwrites. If buf is shorter than p.Max
// the Chunker takes memory of its own; twice p.Max is a good length, more gains nothing. p must be valid.
func New(r io.Reader, t *Table, p Params, buf []byte) *Chunker {
	buf = buf[:cap(buf)]
	if len(buf) < p.Max {
		buf = make([]byte, 2*p.Max)
	}
	return &Chunker{r: r, t: t, p: p, buf: buf}
}

// Next returns the next chunk, in memory that the call after overwrites. At the end of the stream it
// returns [io.EOF]. Any other error is the reader's: the bytes before it that did not fill a chunk are not
// returned, since a cut there would say that the stream ended.
func (c *Chunker) Next() ([]byte, error) {
	for {
		n, searched := c.t.cut(c.p, c.buf[c.start:c.end], c.searched, c.err == io.EOF)
		if n > 0 {
			chunk := c.buf[c.start : c.start+n : c.start+n]
			c.start, c.searched = c.start+n, 0
			return chunk, nil
		}
		c.searched = searched
		if c.err != nil {
			return nil, c.err
		}
		c.fill()
	}
}

// fill reads once, after making room for a chunk of the greatest length.
func (c *Chunker) fill() {
	if len(c.buf)-c.start < c.p.Max {
		c.end = copy(c.buf, c.buf[c.start:c.end])
		c.start = 0
	}
	for range 100 {
		n, err := c.r.Read(c.buf[c.end:])
		if n < 0 || n > len(c.buf)-c.end {
			c.err = errors.New("chunk: the reader says that it read more than it was asked for")
			return
		}
		c.end += n
		c.err = err
		if n > 0 || err != nil {
			return
		}
	}
	c.err = io.ErrNoProgress
}
