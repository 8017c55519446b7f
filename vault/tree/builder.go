package tree

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/zeebo/blake3"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Where nodes end.
const (
	leafTarget = 16 << 10 // mean bytes of a leaf
	fanout     = 64       // mean children of an inner node
	cutLevels  = 4        // levels on which hashes end nodes; above, where nobody gets, only the maximum does

	boundaryContext = "holdfast/v1/tree-boundary"
	nodeSlack       = 64      // bytes of a node beside its items and owners, at most
	maxPaths        = 4 << 20 // bytes of all paths of a node, written out: what a reader must be ready to take memory for
)

// hashes are a path's fair dice, one for each level at which it may end a node.
type hashes [cutLevels]uint64

// Builder makes a tree from its entries in order. It is used by one goroutine.
type Builder struct {
	sink   Sink
	hasher *blake3.Hasher
	levels []*level
	list   *ListWriter
	node   []byte // the node being put together
	err    error  // the one that ended it

	any   bool
	last  []byte // path of the last entry
	bytes int64
	out   [8 * cutLevels]byte // of hasher; here, because a local one would be an allocation
}

// level is the node that is being filled at one height.
type level struct {
	height  int
	items   []byte // encoded entries or children
	count   int
	paths   int   // bytes of all paths, written out
	nodes   int   // stored before this one
	total   child // what this node's parent will say of it
	hashes  hashes
	cut     bool   // the last item ends the node: it is stored when another item comes, or at the end
	prev    []byte // the last item's path, or first path: what the next one shares bytes with
	owners  []owner
	nodeRef []seal.Key
	dataRef []seal.Key
	undone  undo
}

// undo is what a leaf was before its last entry.
type undo struct {
	items, owners, nodeRef, dataRef, paths int
	total                                  child
}

// NewBuilder returns a Builder whose nodes go to sink. boundaryKey is the space's chunker key: equal trees have
// equal nodes only under the same one.
func NewBuilder(boundaryKey [32]byte, sink Sink) *Builder {
	var key [32]byte
	blake3.DeriveKey(boundaryContext, boundaryKey[:], key[:])
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // a key of 32 bytes has the right size
	}
	return &Builder{sink: sink, hasher: h, levels: []*level{{}}, list: NewListWriter(sink)}
}

// Add adds an entry, whose path must come after the one before it. A fault.Invalid or fault.TooLarge that is
// about this entry leaves the Builder as it was, and able to go on without it. Every other error is
// final. e is not kept.
func (b *Builder) Add(ctx context.Context, e *Entry) error {
	if b.err != nil {
		return b.err
	}
	n := sharedBytes(e.Path, b.last)
	if b.any && (n == len(e.Path) || n < len(b.last) && rank(e.Path[n]) < rank(b.last[n])) {
		return fault.New(fault.Invalid, "%q comes after %q: entries must be in order, each once", e.Path, b.last)
	}
	if err := checkTail(e.Path, n); err != nil {
		return err
	}
	if len(e.Xattrs) > 1 {
		if sorted := sortXattrs(e.Xattrs); &sorted[0] != &e.Xattrs[0] {
			clone := *e
			clone.Xattrs, e = sorted, &clone
		}
	}
	if err := e.check(); err != nil {
		return err
	}
	if e.Size > math.MaxInt64-b.bytes {
		return fault.New(fault.TooLarge, "%q: with it the tree would have more bytes than can be counted", e.Path)
	}

	l := b.levels[0]
	if l.cut {
		if b.err = b.flush(ctx, l); b.err != nil {
			return b.err
		}
	}
	variable := l.addEntry(e, n)
	if l.count > 1 && (l.size() > MaxNode || l.paths > maxPaths) {
		l.undo()
		if b.err = b.flush(ctx, l); b.err != nil {
			return b.err
		}
		variable = l.addEntry(e, n)
	}
	b.any = true
	b.bytes += e.Size
	b.last = append(b.last[:n], e.Path[n:]...)
	b.hash(&l.hashes, e.Path)
	// The entry's weight is what it takes in a leaf behind its neighbour in the same folder. It must not
	// depend on who its neighbours are, or a boundary could move because of a change elsewhere.
	weight := uint64(variable + len(e.Base()) + 5)
	hi, _ := bits.Mul64(l.hashes[0], leafTarget)
	l.cut = hi < weight
	return nil
}

// hash sets h to the dice of a path.
func (b *Builder) hash(h *hashes, path string) {
	b.hasher.Reset()
	b.hasher.WriteString(path)
	b.hasher.Sum(b.out[:0])
	for i := range h {
		h[i] = binary.BigEndian.Uint64(b.out[8*i:])
	}
}

// PutChunks gives e its content: e.Chunks, or e.ChunkList after storing list nodes, and e.ChunkCount and
// e.Size. It does not add e. Nothing of chunks is kept.
func (b *Builder) PutChunks(ctx context.Context, e *Entry, chunks []Chunk) error {
	for i := range chunks {
		if err := b.list.Add(ctx, chunks[i]); err != nil {
			b.list.Reset()
			return err
		}
	}
	return b.list.Finish(ctx, e)
}

// Finish stores what is pending and returns the tree. The Builder is of no use afterwards.
func (b *Builder) Finish(ctx context.Context) (Root, error) {
	for i := 0; b.err == nil; i++ {
		l := b.levels[i]
		if l.nodes > 0 {
			b.err = b.flush(ctx, l)
			continue
		}
		// The only node of its level is the root.
		key, err := b.put(ctx, l)
		if b.err = err; err == nil {
			b.err = fault.New(fault.Invalid, "the tree is finished")
			return Root{key, l.height, l.total.entries, l.total.files, l.total.bytes}, nil
		}
	}
	return Root{}, b.err
}

// flush stores the node of l, adds it to the level above, and begins another.
func (b *Builder) flush(ctx context.Context, l *level) error {
	key, err := b.put(ctx, l)
	if err != nil {
		return err
	}
	c, h := l.total, l.hashes
	c.key = key
	l.nodes++
	l.reset()

	if l.height+1 == len(b.levels) {
		b.levels = append(b.levels, &level{height: l.height + 1})
	}
	up := b.levels[l.height+1]
	if up.cut || up.size()+len(c.first)+64 > MaxNode || up.paths+len(c.first) > maxPaths {
		if err := b.flush(ctx, up); err != nil {
			return err
		}
	}
	up.addChild(&c)
	up.hashes = h
	up.cut = up.height < cutLevels && h[min(up.height, cutLevels-1)] < math.MaxUint64/fanout
	return nil
}

// put stores the node of l.
func (b *Builder) put(ctx context.Context, l *level) (seal.Key, error) {
	n := b.node[:0]
	if l.height == 0 {
		n = cbor.AppendArray(n, 4)
		n = cbor.AppendUint(n, nodeTree)
		n = cbor.AppendUint(n, 0)
		n = cbor.AppendArray(n, len(l.owners))
		for i := range l.owners {
			n = appendOwner(n, &l.owners[i])
		}
	} else {
		n = cbor.AppendArray(n, 3)
		n = cbor.AppendUint(n, nodeTree)
		n = cbor.AppendUint(n, uint64(l.height))
	}
	n = cbor.AppendArray(n, l.count)
	n = append(n, l.items...)
	b.node = n
	return b.sink.PutNode(ctx, n, l.nodeRef, l.dataRef)
}

// size is an upper bound of the node's bytes.
func (l *level) size() int {
	n := len(l.items) + nodeSlack
	for i := range l.owners {
		n += 20 + len(l.owners[i].user) + len(l.owners[i].group)
	}
	return n
}

func (l *level) reset() {
	*l = level{
		height: l.height, nodes: l.nodes, items: l.items[:0], prev: l.prev[:0],
		owners: l.owners[:0], nodeRef: l.nodeRef[:0], dataRef: l.dataRef[:0],
	}
}

// addEntry appends an entry to a leaf. n is how much of the path it shares with the entry before it.
func (l *level) addEntry(e *Entry, n int) (variable int) {
	if l.count == 0 {
		n = 0
		l.total.first = e.Path
	}
	l.undone = undo{len(l.items), len(l.owners), len(l.nodeRef), len(l.dataRef), l.paths, l.total}
	l.items, variable = appendEntry(l.items, e, n, l.owner(e))
	l.count++
	l.paths += len(e.Path)
	l.total.entries++
	if e.Type == File {
		l.total.files++
		l.total.bytes += e.Size
		if !e.Inline() {
			l.nodeRef = append(l.nodeRef, e.ChunkList)
		}
		for i := range e.Chunks {
			if !e.Chunks[i].Hole {
				l.dataRef = append(l.dataRef, e.Chunks[i].Key)
			}
		}
	}
	return variable
}

// undo takes the last entry out again.
func (l *level) undo() {
	u := &l.undone
	l.items, l.owners, l.nodeRef, l.dataRef = l.items[:u.items], l.owners[:u.owners], l.nodeRef[:u.nodeRef], l.dataRef[:u.dataRef]
	l.paths, l.total = u.paths, u.total
	l.count--
}

// owner returns the row of the entry's owner in the node's table.
func (l *level) owner(e *Entry) int {
	o := owner{e.UID, e.GID, e.User, e.Group}
	for i := range l.owners {
		if l.owners[i] == o {
			return i
		}
	}
	l.owners = append(l.owners, o)
	return len(l.owners) - 1
}

func (l *level) addChild(c *child) {
	n := 0
	if l.count == 0 {
		l.total.first = c.first
	} else {
		n = sharedBytes(c.first, l.prev)
	}
	l.items = appendChild(l.items, c, n)
	l.prev = append(l.prev[:n], c.first[n:]...)
	l.count++
	l.paths += len(c.first)
	l.total.entries += c.entries
	l.total.files += c.files
	l.total.bytes += c.bytes
	l.nodeRef = append(l.nodeRef, c.key)
}
