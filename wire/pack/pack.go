// Package pack frames sealed objects into the files that the depot keeps.
//
// A pack describes itself: from its bytes alone the depot rebuilds which objects it holds and, for the
// nodes of a snapshot's tree, which objects those refer to. All integers are big-endian.
//
//	pack    = body* index trailer
//	index   = entry*                     in the order of the bodies, which lie end to end from offset 0
//	entry   = id[16] size[4]             size of the body in bytes; the top bit marks a tree node
//	        | id[16] size[4] nodes[4] data[4] (id[16])*    a node: the nodes it refers to, then the other objects
//	trailer = "HOLDFAST" version[2] zero[2] objects[4] index-length[4] checksum[20]
//
// The checksum is the first 20 bytes of SHA-256 over the index and the trailer before it. It guards against
// accidents; the pack's name, the SHA-256 of all its bytes, guards everything. Bodies are sealed, and
// opaque here.
package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Sizes in bytes.
const (
	Target      = 16 << 20 // a writer closes a pack once it has reached this
	MaxBody     = 9 << 20  // one sealed object
	MaxIndex    = 16 << 20 // a pack's index
	MaxSize     = 48 << 20 // a pack: Target, one object more, and the index
	TrailerSize = 40
	entrySize   = 16 + 4
	nodeFlag    = 1 << 31
	version     = 1
)

const magic = "HOLDFAST"

// ErrCorrupt is the kind of every error that [ReadIndex] gives for wrong bytes (errors of the reader pass
// through as they are).
var ErrCorrupt = errors.New("not a sound pack")

// Entry is one object of a pack.
type Entry struct {
	ID     id.Object
	Offset uint32 // of the body in the pack
	Length uint32 // of the body, in bytes

	Node  bool        // a tree node: Nodes and Data are its references
	Nodes []id.Object // the tree nodes that it refers to
	Data  []id.Object // the file chunks that it refers to
}

// Writer builds one pack in memory. It is not safe for concurrent use.
type Writer struct {
	buf   []byte
	index []byte
	count uint32
}

// NewWriter returns a Writer that builds in buf's memory, from its beginning.
func NewWriter(buf []byte) *Writer { return &Writer{buf: buf[:0]} }

// Size returns how many bytes the pack would have if it were finished now.
func (w *Writer) Size() int { return len(w.buf) + len(w.index) + TrailerSize }

// Len returns the number of objects.
func (w *Writer) Len() int { return int(w.count) }

// Full reports whether the pack has reached [Target] (or its index half of its limit).
func (w *Writer) Full() bool { return w.Size() >= Target || len(w.index) >= MaxIndex/2 }

// Add appends a file chunk. seal appends the sealed body to the slice that it is given and returns it.
func (w *Writer) Add(o id.Object, seal func(dst []byte) []byte) {
	n := w.body(seal)
	w.index = append(w.index, o[:]...)
	w.index = binary.BigEndian.AppendUint32(w.index, n)
}

// AddNode appends a tree node and what it refers to.
func (w *Writer) AddNode(o id.Object, nodes, data []id.Object, seal func(dst []byte) []byte) {
	n := w.body(seal)
	w.index = append(w.index, o[:]...)
	w.index = binary.BigEndian.AppendUint32(w.index, n|nodeFlag)
	w.index = binary.BigEndian.AppendUint32(w.index, uint32(len(nodes)))
	w.index = binary.BigEndian.AppendUint32(w.index, uint32(len(data)))
	for i := range nodes {
		w.index = append(w.index, nodes[i][:]...)
	}
	for i := range data {
		w.index = append(w.index, data[i][:]...)
	}
}

func (w *Writer) body(seal func(dst []byte) []byte) uint32 {
	before := len(w.buf)
	w.buf = seal(w.buf)
	n := len(w.buf) - before
	if n <= 0 || n > MaxBody {
		panic(fmt.Sprintf("pack: a body of %d bytes", n)) // the sealer's limits forbid it
	}
	w.count++
	return uint32(n)
}

// Finish appends index and trailer and returns the pack with its name. The Writer must not be used again.
func (w *Writer) Finish() ([]byte, id.Pack) {
	indexLen := len(w.index)
	w.buf = append(w.buf, w.index...)
	w.buf = append(w.buf, magic...)
	w.buf = binary.BigEndian.AppendUint16(w.buf, version)
	w.buf = binary.BigEndian.AppendUint16(w.buf, 0)
	w.buf = binary.BigEndian.AppendUint32(w.buf, w.count)
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(indexLen))
	sum := sha256.Sum256(w.buf[len(w.buf)-indexLen-(TrailerSize-20):])
	w.buf = append(w.buf, sum[:20]...)
	return w.buf, sha256.Sum256(w.buf)
}

// ReadIndex reads the index of the pack of size bytes behind r. It allocates no more than a small multiple
// of [MaxIndex] whatever the bytes say. It does not read the bodies: that they are as they were is shown by
// the pack's name.
func ReadIndex(r io.ReaderAt, size int64) ([]Entry, error) {
	if size < TrailerSize || size > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, size)
	}
	var trailer [TrailerSize]byte
	if err := readFull(r, trailer[:], size-TrailerSize); err != nil {
		return nil, err
	}
	if string(trailer[:8]) != magic {
		return nil, fmt.Errorf("%w: no trailer", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(trailer[8:]); v != version {
		return nil, fmt.Errorf("%w: version %d, this program reads %d", ErrCorrupt, v, version)
	}
	if binary.BigEndian.Uint16(trailer[10:]) != 0 {
		return nil, fmt.Errorf("%w: reserved bytes are set", ErrCorrupt)
	}
	count := binary.BigEndian.Uint32(trailer[12:])
	indexLen := int64(binary.BigEndian.Uint32(trailer[16:]))
	if indexLen > MaxIndex || indexLen > size-TrailerSize || int64(count)*entrySize > indexLen {
		return nil, fmt.Errorf("%w: an index of %d bytes for %d objects", ErrCorrupt, indexLen, count)
	}
	index := make([]byte, indexLen, indexLen+TrailerSize-20)
	if err := readFull(r, index, size-TrailerSize-indexLen); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(index, trailer[:TrailerSize-20]...))
	if !bytes.Equal(sum[:20], trailer[TrailerSize-20:]) {
		return nil, fmt.Errorf("%w: the index does not match its checksum", ErrCorrupt)
	}
	return parse(index, count, size-TrailerSize-indexLen)
}

func parse(index []byte, count uint32, bodies int64) ([]Entry, error) {
	entries := make([]Entry, 0, count)
	var offset int64
	for range count {
		var e Entry
		if len(index) < entrySize {
			return nil, fmt.Errorf("%w: the index ends early", ErrCorrupt)
		}
		copy(e.ID[:], index)
		n := binary.BigEndian.Uint32(index[16:])
		index = index[entrySize:]
		e.Offset, e.Length, e.Node = uint32(offset), n&^nodeFlag, n&nodeFlag != 0
		if e.Length == 0 || e.Length > MaxBody || offset+int64(e.Length) > bodies {
			return nil, fmt.Errorf("%w: object %s has %d bytes at %d of %d", ErrCorrupt, e.ID, e.Length, offset, bodies)
		}
		offset += int64(e.Length)
		if e.Node {
			if len(index) < 8 {
				return nil, fmt.Errorf("%w: the index ends early", ErrCorrupt)
			}
			nodes, data := int64(binary.BigEndian.Uint32(index)), int64(binary.BigEndian.Uint32(index[4:]))
			index = index[8:]
			if (nodes+data)*16 > int64(len(index)) {
				return nil, fmt.Errorf("%w: node %s refers to more objects than its index holds", ErrCorrupt, e.ID)
			}
			e.Nodes, index = ids(index, nodes)
			e.Data, index = ids(index, data)
		}
		entries = append(entries, e)
	}
	if len(index) != 0 || offset != bodies {
		return nil, fmt.Errorf("%w: %d bytes belong to nothing", ErrCorrupt, int64(len(index))+bodies-offset)
	}
	return entries, nil
}

func ids(b []byte, n int64) ([]id.Object, []byte) {
	list := make([]id.Object, n)
	for i := range list {
		copy(list[i][:], b[16*i:])
	}
	return list, b[16*n:]
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	if n, err := r.ReadAt(p, off); n < len(p) {
		if err == io.EOF {
			return fmt.Errorf("%w: it ends early", ErrCorrupt)
		}
		return err
	}
	return nil
}
