package tree

import (
	"github.com/holdfast-backup/holdfast/wire/cbor"
)

// What a node is: the first item of its array.
const (
	nodeTree = 1
	nodeList = 2
)

// kind is a type together with the form of its content, as entries are stored.
type kind uint8

const (
	kindEmpty   kind = iota // a file without content
	kindOne                 // a file of one chunk
	kindInline              // a file of several chunks, or of a hole
	kindList                // a file whose chunks are in list nodes
	kindDir                 //
	kindSymlink             //
	kindFIFO                //
	kindChar                //
	kindBlock               //
	kinds
)

// kindItems is the number of items that a kind adds to the five of every entry.
var kindItems = [kinds]int{kindOne: 2, kindInline: 1, kindList: 3, kindSymlink: 1, kindChar: 1, kindBlock: 1}

// Keys of the map at the end of an entry that has something rare.
const (
	extraHardLink = 1
	extraXattrs   = 2
)

const modeBits = 12

func (e *Entry) kind() kind {
	switch e.Type {
	case File:
		switch {
		case !e.Inline():
			return kindList
		case len(e.Chunks) == 0:
			return kindEmpty
		case len(e.Chunks) == 1 && !e.Chunks[0].Hole:
			return kindOne
		}
		return kindInline
	case Dir:
		return kindDir
	case Symlink:
		return kindSymlink
	case FIFO:
		return kindFIFO
	case CharDevice:
		return kindChar
	}
	return kindBlock
}

// owner is a row of a leaf's table of owners.
type owner struct {
	uid, gid    uint32
	user, group string
}

// appendEntry appends an entry whose path shares its first n bytes with the one before it. It returns besides
// the number of bytes that depend on neither its path nor its neighbours.
func appendEntry(b []byte, e *Entry, n, owner int) ([]byte, int) {
	k := e.kind()
	extras := 0
	if e.HardLink != 0 {
		extras++
	}
	if len(e.Xattrs) != 0 {
		extras++
	}
	items := 5 + kindItems[k]
	if extras != 0 {
		items++
	}
	b = cbor.AppendArray(b, items)
	b = cbor.AppendUint(b, uint64(n))
	b = appendString(b, e.Path[n:])
	b = cbor.AppendUint(b, uint64(owner))
	before := len(b)
	b = cbor.AppendUint(b, uint64(k)<<modeBits|uint64(e.Mode))
	b = cbor.AppendInt(b, e.ModTime)
	switch k {
	case kindOne:
		b = cbor.AppendUint(b, uint64(e.Size))
		b = cbor.AppendBytes(b, e.Chunks[0].Key[:])
	case kindInline:
		b = cbor.AppendArray(b, 2*len(e.Chunks))
		for i := range e.Chunks {
			b = appendChunk(b, &e.Chunks[i])
		}
	case kindList:
		b = cbor.AppendUint(b, uint64(e.Size))
		b = cbor.AppendUint(b, uint64(e.ChunkCount))
		b = cbor.AppendBytes(b, e.ChunkList[:])
	case kindSymlink:
		b = appendString(b, e.Link)
	case kindChar, kindBlock:
		b = cbor.AppendUint(b, e.Rdev)
	}
	if extras != 0 {
		b = cbor.AppendMap(b, extras)
		if e.HardLink != 0 {
			b = cbor.AppendUint(b, extraHardLink)
			b = cbor.AppendUint(b, e.HardLink)
		}
		if len(e.Xattrs) != 0 {
			b = cbor.AppendUint(b, extraXattrs)
			b = cbor.AppendArray(b, 2*len(e.Xattrs))
			for i := range e.Xattrs {
				b = appendString(b, e.Xattrs[i].Name)
				b = cbor.AppendBytes(b, e.Xattrs[i].Value)
			}
		}
	}
	return b, len(b) - before
}

func appendChunk(b []byte, c *Chunk) []byte {
	b = cbor.AppendUint(b, uint64(c.Size))
	if c.Hole {
		return cbor.AppendNull(b)
	}
	return cbor.AppendBytes(b, c.Key[:])
}

// appendChild appends a node's entry in the level above.
func appendChild(b []byte, c *child, n int) []byte {
	b = cbor.AppendArray(b, 6)
	b = cbor.AppendUint(b, uint64(n))
	b = appendString(b, c.first[n:])
	b = cbor.AppendBytes(b, c.key[:])
	b = cbor.AppendUint(b, uint64(c.entries))
	b = cbor.AppendUint(b, uint64(c.files))
	return cbor.AppendUint(b, uint64(c.bytes))
}

// appendOwner appends a row of the table of owners.
func appendOwner(b []byte, o *owner) []byte {
	b = cbor.AppendArray(b, 4)
	b = cbor.AppendUint(b, uint64(o.uid))
	b = cbor.AppendUint(b, uint64(o.gid))
	b = appendString(b, o.user)
	return appendString(b, o.group)
}

// appendString appends a byte string: paths, targets and names are bytes, not text. Text and bytes differ in
// one bit of their first byte, and a []byte(s) would be an allocation for each of a million paths.
func appendString(b []byte, s string) []byte {
	at := len(b)
	b = cbor.AppendText(b, s)
	b[at] ^= 0x20
	return b
}
