package tree

import (
	"math"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
)

// listChild is a list node as its parent, or its file's entry, knows it.
type listChild struct {
	key          seal.Key
	count, bytes int64
}

// listNode is a decoded list node: a leaf has chunks, every other one has children.
type listNode struct {
	height   int
	chunks   []Chunk
	children []listChild
	total    listChild // key is not set
}

// decodeList decodes a list node, as strictly as [decodeNode].
func decodeList(plain []byte) (*listNode, error) {
	if len(plain) > MaxNode {
		return nil, malformed("a list node of %d bytes", len(plain))
	}
	d := decoder{Reader: cbor.NewReader(plain)}
	items := d.Array()
	if kind := d.Uint(); d.Err() == nil && (kind != nodeList || items != 3) {
		return nil, malformed("a node of kind %d with %d items where a list node is due", kind, items)
	}
	n := &listNode{height: int(d.limited(MaxHeight))}
	each := 2
	if n.height > 0 {
		each = 3
	}
	count := d.Array()
	if d.Err() == nil && (count == 0 || count%each != 0) {
		d.fail("%d items in a list node", count)
	}
	for range count / each {
		var c listChild
		if n.height == 0 {
			n.chunks = append(n.chunks, Chunk{})
			k := &n.chunks[len(n.chunks)-1]
			d.chunk(k)
			if err := k.check(); d.Err() == nil && err != nil {
				d.fail("a chunk of %v", err)
			}
			c = listChild{count: 1, bytes: k.Size}
		} else {
			d.Fixed(c.key[:])
			c.count, c.bytes = d.count(), d.count()
			n.children = append(n.children, c)
		}
		if d.Err() == nil && (c.count < 1 || c.bytes < c.count || c.count > math.MaxInt64-n.total.count || c.bytes > math.MaxInt64-n.total.bytes) {
			d.fail("a part of %d chunks and %d bytes", c.count, c.bytes)
		}
		if d.Err() != nil {
			break
		}
		n.total.count += c.count
		n.total.bytes += c.bytes
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := d.Finish(); err != nil {
		return nil, malformed("%v", err)
	}
	return n, nil
}
