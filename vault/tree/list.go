package tree

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Where list nodes end. A chunk's key is a keyed hash already, so it is its own dice: a list is cut where its
// chunks say so, and data inserted into a huge file rewrites one node and its ancestors. The minima are for files
// that repeat one chunk a million times, which would otherwise end a node each time.
const (
	listTarget   = 512 // mean chunks of a leaf
	listMin      = 16
	listMax      = 8192
	listFanout   = 64
	listInnerMin = 2
)

// ListWriter gives a file its content, chunk by chunk, in memory that does not grow with the file.
type ListWriter struct {
	sink   Sink
	chunks []Chunk // the first ones, while they may still go into the entry
	count  int64
	size   int64
	levels []*listLevel // empty until then
	node   []byte
}

// listLevel is the list node that is being filled at one height.
type listLevel struct {
	height  int
	items   []byte
	count   int
	nodes   int
	total   listChild
	last    seal.Key // of the last chunk under it
	cut     bool
	nodeRef []seal.Key
	dataRef []seal.Key
}

// NewListWriter returns a ListWriter whose nodes go to sink. It is independent of any Builder; several may be
// at work at once if the sink allows it.
func NewListWriter(sink Sink) *ListWriter { return &ListWriter{sink: sink} }

// Add adds a chunk.
func (w *ListWriter) Add(ctx context.Context, c Chunk) error {
	if err := c.check(); err != nil {
		return fault.New(fault.Invalid, "a chunk cannot be stored: %v", err)
	}
	if w.size > math.MaxInt64-c.Size {
		return fault.New(fault.TooLarge, "a file has more bytes than can be counted")
	}
	w.count++
	w.size += c.Size
	if w.count <= InlineMax {
		w.chunks = append(w.chunks, c)
		return nil
	}
	if w.count == InlineMax+1 {
		if len(w.levels) == 0 {
			w.levels = append(w.levels, &listLevel{})
		}
		for i := range w.chunks {
			if err := w.add(ctx, &w.chunks[i]); err != nil {
				return err
			}
		}
	}
	return w.add(ctx, &c)
}

// Finish sets e.Chunks, e.ChunkList, e.ChunkCount and e.Size. The ListWriter can then be used for another
// file; e keeps no memory of it.
func (w *ListWriter) Finish(ctx context.Context, e *Entry) error {
	defer w.Reset()
	e.Size, e.ChunkCount, e.Chunks, e.ChunkList = w.size, w.count, nil, seal.Key{}
	if w.count <= InlineMax {
		if w.count > 0 {
			e.Chunks = append(make([]Chunk, 0, w.count), w.chunks...)
		}
		return nil
	}
	for i := 0; ; i++ {
		l := w.levels[i]
		if l.nodes > 0 {
			if err := w.flush(ctx, l); err != nil {
				return err
			}
			continue
		}
		key, err := w.put(ctx, l)
		e.ChunkList = key
		return err
	}
}

// Reset forgets what was added.
func (w *ListWriter) Reset() {
	w.chunks, w.count, w.size = w.chunks[:0], 0, 0
	for _, l := range w.levels {
		l.reset()
		l.nodes = 0
	}
}

func (w *ListWriter) add(ctx context.Context, c *Chunk) error {
	l := w.levels[0]
	if l.cut || l.count >= listMax {
		if err := w.flush(ctx, l); err != nil {
			return err
		}
	}
	l.items = appendChunk(l.items, c)
	l.count++
	l.total.count++
	l.total.bytes += c.Size
	l.last = c.Key
	if !c.Hole {
		l.dataRef = append(l.dataRef, c.Key)
	}
	l.cut = !c.Hole && l.count >= listMin && dice(c.Key, 0) < math.MaxUint64/listTarget
	return nil
}

// flush stores the node of l, adds it to the level above, and begins another.
func (w *ListWriter) flush(ctx context.Context, l *listLevel) error {
	key, err := w.put(ctx, l)
	if err != nil {
		return err
	}
	c, last := l.total, l.last
	c.key = key
	l.nodes++
	l.reset()

	if l.height+1 == len(w.levels) {
		w.levels = append(w.levels, &listLevel{height: l.height + 1})
	}
	up := w.levels[l.height+1]
	if up.cut || up.count >= listMax {
		if err := w.flush(ctx, up); err != nil {
			return err
		}
	}
	up.items = appendListChild(up.items, &c)
	up.count++
	up.total.count += c.count
	up.total.bytes += c.bytes
	up.last = last
	up.nodeRef = append(up.nodeRef, key)
	up.cut = up.height < cutLevels && last != seal.Key{} && up.count >= listInnerMin && dice(last, up.height) < math.MaxUint64/listFanout
	return nil
}

func (w *ListWriter) put(ctx context.Context, l *listLevel) (seal.Key, error) {
	n := cbor.AppendArray(w.node[:0], 3)
	n = cbor.AppendUint(n, nodeList)
	n = cbor.AppendUint(n, uint64(l.height))
	if l.height == 0 {
		n = cbor.AppendArray(n, 2*l.count)
	} else {
		n = cbor.AppendArray(n, 3*l.count)
	}
	n = append(n, l.items...)
	w.node = n
	return w.sink.PutNode(ctx, n, l.nodeRef, l.dataRef)
}

func (l *listLevel) reset() {
	*l = listLevel{height: l.height, nodes: l.nodes, items: l.items[:0], nodeRef: l.nodeRef[:0], dataRef: l.dataRef[:0]}
}

// dice returns the part of a key that decides at a height.
func dice(k seal.Key, height int) uint64 {
	return binary.BigEndian.Uint64(k[8*min(height, cutLevels-1):])
}

func appendListChild(b []byte, c *listChild) []byte {
	b = cbor.AppendBytes(b, c.key[:])
	b = cbor.AppendUint(b, uint64(c.count))
	return cbor.AppendUint(b, uint64(c.bytes))
}
