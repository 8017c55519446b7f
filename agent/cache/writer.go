package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/seal"
)

// writer is a [backup.CacheWriter].
type writer struct {
	f       *os.File
	path    string
	block   []byte // with room for its head
	entries uint32
	chunks  uint32
	size    int64
	err     error // the first one: a cache with a gap is no cache
}

func newWriter(f *os.File, path string) *writer {
	w := &writer{f: f, path: path, size: headerSize, block: make([]byte, blockHead, blockSize+blockSize/4)}
	_, w.err = f.Write(make([]byte, headerSize))
	return w
}

// Add implements [backup.CacheWriter].
func (w *writer) Add(c *backup.Cached) error {
	if w.err != nil {
		return w.err
	}
	w.block = appendEntry(w.block, c)
	w.entries++
	w.chunks += uint32(len(c.Chunks))
	if len(w.block) >= blockSize {
		w.flush()
	}
	return w.err
}

func (w *writer) flush() {
	if w.entries == 0 || w.err != nil {
		return
	}
	if len(w.block) > maxBlock {
		w.err = errors.New("the cache cannot be written: an entry is too long")
		return
	}
	binary.LittleEndian.PutUint32(w.block[0:], uint32(len(w.block)-blockHead))
	binary.LittleEndian.PutUint32(w.block[4:], w.entries)
	binary.LittleEndian.PutUint32(w.block[8:], w.chunks)
	binary.LittleEndian.PutUint32(w.block[12:], blockSum(w.block))
	w.write(w.block)
	w.block, w.entries, w.chunks = w.block[:blockHead], 0, 0
}

// blockSum is the checksum of a block: its counts and its entries.
func blockSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[blockHead:])
}

func (w *writer) write(b []byte) {
	if _, err := w.f.Write(b); err != nil {
		w.err = fmt.Errorf("the cache cannot be written: %w", err)
	}
	w.size += int64(len(b))
}

// Commit implements [backup.CacheWriter]. It does not wait for the disk: after a power cut the file may be
// torn, which its checksums tell.
func (w *writer) Commit(m backup.CacheMeta) error {
	defer w.Abort()
	w.flush()
	b := make([]byte, 0, footerFixed+16*len(m.Nodes)+4)
	b = append(b, m.Snapshot[:]...)
	b = append(b, m.Binding[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Files))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Bytes))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Nodes)))
	for i := range m.Nodes {
		b = append(b, m.Nodes[i][:]...)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	at := w.size
	if w.err == nil {
		w.write(b)
	}
	head := make([]byte, 0, headerSize)
	head = append(head, magic...)
	head = binary.LittleEndian.AppendUint64(head, uint64(at))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(b)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	if w.err != nil {
		return w.err
	}
	if _, err := w.f.WriteAt(head, 0); err != nil {
		return fmt.Errorf("the cache cannot be written: %w", err)
	}
	name := w.f.Name()
	err := w.f.Close()
	w.f = nil
	if err == nil {
		err = os.Rename(name, w.path)
	}
	if err != nil {
		os.Remove(name)
		return fmt.Errorf("the cache cannot be written: %w", err)
	}
	return nil
}

// Abort implements [backup.CacheWriter].
func (w *writer) Abort() {
	if w.f != nil {
		w.f.Close()
		os.Remove(w.f.Name())
		w.f = nil
	}
	if w.err == nil {
		w.err = errors.New("the cache writer is closed")
	}
}

// What an entry has beside its fixed part.
const (
	hasLink     = 1 << iota // Link
	hasXattrs               // Xattrs
	hasHardLink             // HardLink
	hasRdev                 // Rdev
	hasList                 // ChunkList and ChunkCount
	hasOwner                // User, Group
)

// appendEntry writes an entry:
//
//	type flags path mode size mtime uid gid ctime inode dev [link] [xattrs] [hardlink] [rdev] [owner]
//	(list count | chunks)
func appendEntry(b []byte, c *backup.Cached) []byte {
	var flags byte
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(hasLink, c.Link != "")
	set(hasXattrs, len(c.Xattrs) > 0)
	set(hasHardLink, c.HardLink != 0)
	set(hasRdev, c.Rdev != 0)
	set(hasList, c.ChunkList != seal.Key{})
	set(hasOwner, c.User != "" || c.Group != "")
	b = append(b, byte(c.Type), flags)
	b = appendString(b, c.Path)
	b = binary.AppendUvarint(b, uint64(c.Mode))
	b = binary.AppendUvarint(b, uint64(c.Size))
	b = binary.AppendVarint(b, c.ModTime)
	b = binary.AppendUvarint(b, uint64(c.UID))
	b = binary.AppendUvarint(b, uint64(c.GID))
	b = binary.AppendVarint(b, c.Fingerprint.Ctime)
	b = binary.AppendUvarint(b, c.Fingerprint.Inode)
	b = binary.AppendUvarint(b, c.Fingerprint.Dev)
	if flags&hasLink != 0 {
		b = appendString(b, c.Link)
	}
	if flags&hasXattrs != 0 {
		b = binary.AppendUvarint(b, uint64(len(c.Xattrs)))
		for _, x := range c.Xattrs {
			b = appendString(b, x.Name)
			b = binary.AppendUvarint(b, uint64(len(x.Value)))
			b = append(b, x.Value...)
		}
	}
	if flags&hasHardLink != 0 {
		b = binary.AppendUvarint(b, c.HardLink)
	}
	if flags&hasRdev != 0 {
		b = binary.AppendUvarint(b, c.Rdev)
	}
	if flags&hasOwner != 0 {
		b = appendString(b, c.User)
		b = appendString(b, c.Group)
	}
	if flags&hasList != 0 {
		b = append(b, c.ChunkList[:]...)
		return binary.AppendUvarint(b, uint64(c.ChunkCount))
	}
	b = binary.AppendUvarint(b, uint64(len(c.Chunks)))
	for i := range c.Chunks {
		// The lowest bit of the size marks a hole, which has no key.
		k := &c.Chunks[i]
		if k.Hole {
			b = binary.AppendUvarint(b, uint64(k.Size)<<1|1)
			continue
		}
		b = binary.AppendUvarint(b, uint64(k.Size)<<1)
		b = append(b, k.Key[:]...)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
