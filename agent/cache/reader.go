package cache

import (
	"encoding/binary"
	"io"
	"os"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// reader is a [backup.CacheReader].
type reader struct {
	f      *os.File
	meta   backup.CacheMeta
	blocks int64 // offset of the next block
	end    int64 // of the blocks
	buf    []byte

	entries []backup.Cached // of the block that is being read; what is left of it
}

// Meta implements [backup.CacheReader].
func (r *reader) Meta() backup.CacheMeta { return r.meta }

// Close implements [backup.CacheReader].
func (r *reader) Close() error { return r.f.Close() }

// Next implements [backup.CacheReader].
func (r *reader) Next() (*backup.Cached, error) {
	for len(r.entries) == 0 {
		if r.blocks >= r.end {
			return nil, io.EOF
		}
		if !r.block() {
			r.entries, r.blocks = nil, r.end
			return nil, io.EOF
		}
	}
	e := &r.entries[0]
	r.entries = r.entries[1:]
	return e, nil
}

// block reads the next block. It reports false if the block is not as it was written.
func (r *reader) block() bool {
	var head [blockHead]byte
	if r.end-r.blocks < blockHead || r.readAt(head[:], r.blocks) != nil {
		return false
	}
	size := int64(binary.LittleEndian.Uint32(head[0:]))
	entries, chunks := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	if size > maxBlock || size > r.end-r.blocks-blockHead {
		return false
	}
	if int64(cap(r.buf)) < blockHead+size {
		r.buf = make([]byte, blockHead+size)
	}
	b := r.buf[:blockHead+size]
	if r.readAt(b, r.blocks) != nil || blockSum(b) != binary.LittleEndian.Uint32(head[12:]) {
		return false
	}
	r.blocks += int64(len(b))
	// The counts are under the checksum, so they are what a writer wrote; still, no more is allocated than
	// the bytes can hold.
	if int64(entries) > size || int64(chunks) > size {
		return false
	}
	d := decoder{s: string(b[blockHead:]), chunks: make([]tree.Chunk, 0, chunks)}
	r.entries = make([]backup.Cached, entries)
	for i := range r.entries {
		d.entry(&r.entries[i])
	}
	return !d.bad && d.at == len(d.s)
}

// decoder takes entries from a block. Strings are parts of it. It moves an index and not the string itself: that
// would be a pointer written for every number, which the garbage collector wants to hear of.
type decoder struct {
	s      string
	at     int
	chunks []tree.Chunk // room for the chunks of all entries
	bad    bool
}

func (d *decoder) fail() {
	d.bad, d.at = true, len(d.s)
}

func (d *decoder) byte() byte {
	if d.at == len(d.s) {
		d.fail()
		return 0
	}
	c := d.s[d.at]
	d.at++
	return c
}

func (d *decoder) uint() uint64 {
	var v uint64
	for i, at := 0, d.at; at < len(d.s) && i < binary.MaxVarintLen64; i, at = i+1, at+1 {
		c := d.s[at]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.at = at + 1
			return v
		}
	}
	d.fail()
	return 0
}

func (d *decoder) int() int64 {
	v := d.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.s)-d.at) {
		d.fail()
		return ""
	}
	s := d.s[d.at : d.at+int(n)]
	d.at += int(n)
	return s
}

func (d *decoder) string() string { return d.take(d.uint()) }

func (d *decoder) entry(c *backup.Cached) {
	c.Type = tree.Type(d.byte())
	flags := d.byte()
	c.Path = d.string()
	c.Mode = uint32(d.uint())
	c.Size = int64(d.uint())
	c.ModTime = d.int()
	c.UID = uint32(d.uint())
	c.GID = uint32(d.uint())
	c.Fingerprint = backup.Fingerprint{Ctime: d.int(), Inode: d.uint(), Dev: d.uint()}
	if flags&hasLink != 0 {
		c.Link = d.string()
	}
	if flags&hasXattrs != 0 {
		n := d.uint()
		for range min(n, uint64(len(d.s)-d.at)) {
			name := d.string()
			c.Xattrs = append(c.Xattrs, tree.Xattr{Name: name, Value: []byte(d.string())})
		}
	}
	if flags&hasHardLink != 0 {
		c.HardLink = d.uint()
	}
	if flags&hasRdev != 0 {
		c.Rdev = d.uint()
	}
	if flags&hasOwner != 0 {
		c.User, c.Group = d.string(), d.string()
	}
	if flags&hasList != 0 {
		copy(c.ChunkList[:], d.take(uint64(len(c.ChunkList))))
		c.ChunkCount = int64(d.uint())
		return
	}
	n := d.uint()
	first := len(d.chunks)
	if n > uint64(cap(d.chunks)-first) {
		d.fail()
		return
	}
	for range n {
		size := d.uint()
		k := tree.Chunk{Size: int64(size >> 1), Hole: size&1 != 0}
		if !k.Hole {
			copy(k.Key[:], d.take(uint64(len(k.Key))))
		}
		d.chunks = append(d.chunks, k)
	}
	if n > 0 {
		c.Chunks = d.chunks[first:len(d.chunks):len(d.chunks)]
		c.ChunkCount = int64(n)
	}
}
