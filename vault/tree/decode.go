package tree

import (
	"fmt"
	"math"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
)

// child is a node as its parent knows it.
type child struct {
	first                 string // its first path
	key                   seal.Key
	entries, files, bytes int64
}

// node is a decoded tree node: a leaf has entries, every other node has children.
type node struct {
	height   int
	entries  []Entry
	children []child
	total    child  // key is not set
	last     string // its last path, or the first path of its last child
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// decodeNode decodes a tree node. It accepts what a Builder writes and nothing else: what is decoded and
// encoded again has the same bytes. It takes no more memory than a small multiple of the node.
func decodeNode(plain []byte) (*node, error) {
	if len(plain) > MaxNode {
		return nil, malformed("a node of %d bytes", len(plain))
	}
	r := cbor.NewReader(plain)
	items := r.Array()
	if kind := r.Uint(); r.Err() == nil && kind != nodeTree {
		return nil, malformed("a node of kind %d where kind %d, a tree node, is due", kind, nodeTree)
	}
	height := r.Uint()
	if r.Err() == nil && (height > MaxHeight || items != 4 && height == 0 || items != 3 && height > 0) {
		return nil, malformed("a node of %d items at height %d", items, height)
	}
	n := &node{height: int(height)}
	d := decoder{Reader: r, node: n}
	if height == 0 {
		d.leaf()
	} else {
		d.inner()
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := r.Finish(); err != nil {
		return nil, malformed("%v", err)
	}
	return n, nil
}

// decoder decodes one node. Paths and chunks of all its entries share a few blocks of memory.
type decoder struct {
	*cbor.Reader
	node   *node
	owners []owner
	used   int    // owners in use so far
	paths  []byte // of all items, one after another
	ends   []int  // where each ends
	chunks []Chunk
	err    error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = malformed(format, args...)
	}
	d.Fail("see above") // ends every loop
}

func (d *decoder) leaf() {
	d.readOwners()
	count := d.Array()
	d.node.entries = make([]Entry, 0, min(count, 1024))
	for range count {
		if d.Err() != nil {
			return
		}
		d.node.entries = append(d.node.entries, Entry{})
		d.entry(&d.node.entries[len(d.node.entries)-1])
	}
	if d.used != len(d.owners) {
		d.fail("%d owners, of whom %d own something", len(d.owners), d.used)
	}
	if d.Err() != nil {
		return
	}
	t := &d.node.total
	for i, path := range d.split() {
		e := &d.node.entries[i]
		e.Path = path
		d.checkPath(i, path)
		if err := e.check(); err != nil {
			d.fail("%v", err)
			return
		}
		if e.Size > math.MaxInt64-t.bytes {
			d.fail("more bytes than can be counted")
			return
		}
		t.entries++
		t.bytes += e.Size
		if e.Type == File {
			t.files++
		}
	}
}

func (d *decoder) inner() {
	count := d.Array()
	if d.Err() == nil && count == 0 {
		d.fail("a node without children")
	}
	d.node.children = make([]child, 0, min(count, 1024))
	t := &d.node.total
	for range count {
		if d.Err() != nil {
			return
		}
		var c child
		if d.Array() != 6 {
			d.fail("a child is not an array of 6 items")
			return
		}
		d.path()
		d.Fixed(c.key[:])
		c.entries, c.files, c.bytes = d.count(), d.count(), d.count()
		switch {
		case d.Err() != nil:
			return
		case c.entries == 0 || c.files > c.entries || c.files == 0 && c.bytes != 0:
			d.fail("a child of %d entries, %d files, %d bytes", c.entries, c.files, c.bytes)
			return
		case c.entries > math.MaxInt64-t.entries || c.bytes > math.MaxInt64-t.bytes:
			d.fail("more entries or bytes than can be counted")
			return
		}
		t.entries += c.entries
		t.files += c.files
		t.bytes += c.bytes
		d.node.children = append(d.node.children, c)
	}
	if d.Err() != nil {
		return
	}
	for i, path := range d.split() {
		d.node.children[i].first = path
		d.checkPath(i, path)
	}
}

// path reads a front-coded path behind the others.
func (d *decoder) path() {
	var prev []byte
	if k := len(d.ends); k > 0 {
		start := 0
		if k > 1 {
			start = d.ends[k-2]
		}
		prev = d.paths[start:d.ends[k-1]]
	}
	n := d.Uint()
	suffix := d.Bytes()
	switch {
	case d.Err() != nil:
	case n > uint64(len(prev)):
		d.fail("a path shares %d bytes with one of %d", n, len(prev))
	case n+uint64(len(suffix)) > MaxPath:
		d.fail("a path of %d bytes", n+uint64(len(suffix)))
	case len(suffix) == 0 || n < uint64(len(prev)) && rank(suffix[0]) <= rank(prev[n]):
		// Equal first bytes would also mean that more could have been shared.
		d.fail("paths are not in order")
	case len(d.paths)+int(n)+len(suffix) > maxPaths:
		d.fail("paths of more than %d bytes in one node", maxPaths)
	default:
		d.paths = append(d.paths, prev[:n]...)
		d.paths = append(d.paths, suffix...)
		d.ends = append(d.ends, len(d.paths))
	}
}

// split returns the paths that were read, as parts of one string.
func (d *decoder) split() []string {
	all := string(d.paths)
	list := make([]string, len(d.ends))
	start := 0
	for i, end := range d.ends {
		list[i] = all[start:end]
		start = end
	}
	if len(list) > 0 {
		d.node.total.first, d.node.last = list[0], list[len(list)-1]
	}
	return list
}

// checkPath checks the components of path i. What it shares with the one before it was checked already.
func (d *decoder) checkPath(i int, path string) {
	from := 0
	if i > 0 {
		start := 0
		if i > 1 {
			start = d.ends[i-2]
		}
		from = sharedBytes(path, d.paths[start:d.ends[i-1]])
	}
	if err := checkTail(path, from); err != nil {
		d.fail("%v", err)
	}
}

func (d *decoder) readOwners() {
	count := d.Array()
	seen := map[owner]bool{}
	for range count {
		if d.Err() != nil {
			return
		}
		if d.Array() != 4 {
			d.fail("an owner is not an array of 4 items")
			return
		}
		o := owner{uint32(d.limited(math.MaxUint32)), uint32(d.limited(math.MaxUint32)), string(d.Bytes()), string(d.Bytes())}
		if seen[o] {
			d.fail("an owner is listed twice")
		}
		if count > 1 {
			seen[o] = true
		}
		d.owners = append(d.owners, o)
	}
}

func (d *decoder) entry(e *Entry) {
	items := d.Array()
	d.path()
	o := d.limited(uint64(max(0, min(d.used, len(d.owners)-1))))
	mode := d.limited(uint64(kinds)<<modeBits - 1)
	k := kind(mode >> modeBits)
	e.Mode = uint32(mode & (1<<modeBits - 1))
	e.ModTime = d.Int()
	if d.Err() != nil {
		return
	}
	if len(d.owners) == 0 {
		d.fail("an entry without an owner")
		return
	}
	if int(o) == d.used {
		d.used++
	}
	e.UID, e.GID, e.User, e.Group = d.owners[o].uid, d.owners[o].gid, d.owners[o].user, d.owners[o].group
	extras := items - 5 - kindItems[k]
	if extras != 0 && extras != 1 {
		d.fail("an entry of kind %d has %d items", k, items)
		return
	}
	d.content(e, k)
	if extras == 1 {
		d.extras(e)
	}
}

func (d *decoder) content(e *Entry, k kind) {
	switch k {
	case kindEmpty:
	case kindOne:
		c := d.room(1)
		c[0].Size = d.count()
		d.Fixed(c[0].Key[:])
		e.Chunks, e.ChunkCount, e.Size = c, 1, c[0].Size
	case kindInline:
		n := d.Array()
		if n%2 != 0 || n < 2 || n > 2*InlineMax {
			d.fail("%d items in a file's list of chunks", n)
			return
		}
		e.Chunks, e.ChunkCount = d.room(n/2), int64(n/2)
		for i := range e.Chunks {
			c := &e.Chunks[i]
			d.chunk(c)
			if d.Err() == nil && c.Size > math.MaxInt64-e.Size {
				d.fail("a file of more bytes than can be counted")
				return
			}
			e.Size += c.Size
		}
		if len(e.Chunks) == 1 && !e.Chunks[0].Hole {
			d.fail("a single chunk written as a list")
		}
	case kindList:
		e.Size, e.ChunkCount = d.count(), d.count()
		d.Fixed(e.ChunkList[:])
		if d.Err() == nil && e.Inline() {
			d.fail("a list without a key")
		}
	case kindDir:
		e.Type = Dir
	case kindSymlink:
		e.Type, e.Link = Symlink, string(d.Bytes())
	case kindFIFO:
		e.Type = FIFO
	case kindChar:
		e.Type, e.Rdev = CharDevice, d.Uint()
	case kindBlock:
		e.Type, e.Rdev = BlockDevice, d.Uint()
	}
}

func (d *decoder) chunk(c *Chunk) {
	c.Size = d.count()
	if c.Hole = d.Null(); !c.Hole {
		d.Fixed(c.Key[:])
	}
}

// room returns n zero chunks of the node's memory.
func (d *decoder) room(n int) []Chunk {
	if n > len(d.chunks) {
		d.chunks = make([]Chunk, max(n, 256))
	}
	c := d.chunks[:n:n]
	d.chunks = d.chunks[n:]
	return c
}

func (d *decoder) extras(e *Entry) {
	n := d.Map()
	if d.Err() == nil && (n < 1 || n > 2) {
		d.fail("%d extras", n)
	}
	last := uint64(0)
	for range n {
		key := d.limited(extraXattrs)
		if d.Err() != nil {
			return
		}
		if key <= last {
			d.fail("extra %d after %d", key, last)
			return
		}
		switch last = key; key {
		case extraHardLink:
			if e.HardLink = d.Uint(); d.Err() == nil && e.HardLink == 0 {
				d.fail("hard link 0")
			}
		case extraXattrs:
			m := d.Array()
			if d.Err() == nil && (m%2 != 0 || m == 0) {
				d.fail("%d items in a list of extended attributes", m)
			}
			for range m / 2 {
				if d.Err() != nil {
					return
				}
				e.Xattrs = append(e.Xattrs, Xattr{string(d.Bytes()), append([]byte(nil), d.Bytes()...)})
			}
		}
	}
}

// count reads an unsigned integer that fits an int64.
func (d *decoder) count() int64 { return int64(d.limited(math.MaxInt64)) }

// limited reads an unsigned integer up to limit.
func (d *decoder) limited(limit uint64) uint64 {
	v := d.Uint()
	if d.Err() == nil && v > limit {
		d.fail("%d where %d is the limit", v, limit)
		return 0
	}
	return v
}

// below reports whether a comes before b in the order of paths; everything comes before the empty bound.
func below(a, b string) bool { return b == "" || Compare(a, b) < 0 }
