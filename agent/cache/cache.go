// Package cache keeps a backup.Cache in a file: what the newest snapshot of this device holds, so that the next
// backup opens only the files that changed.
//
// The file is disposable, and is treated so: whatever is wrong with it (another version, a flipped bit, a torn
// end) means that there is no cache, or none from there on. It is never an error that stops a backup. It holds
// file names and the keys of objects in the clear, like the disk that it describes, so it is readable by its
// owner alone.
//
//	file   = header block* footer
//	header = magic[8] footer-offset[8] footer-length[8] checksum[4]
//	block  = length[4] entries[4] chunks[4] checksum[4] entry*
//	footer = snapshot[16] binding[16] files[8] bytes[8] nodes[4] id[16]* checksum[4]
//
// Fixed integers are little-endian; an entry's are varints. Checksums are CRC-32C of what they follow; a
// block's covers its three counts as well. The header is written last, so that a file that was never finished
// has none, and then the file takes the place of its predecessor by rename.
//
// Reading is sequential, one block of about [blockSize] bytes at a time. A block becomes one string, of which
// paths and names are parts, and its chunks one slice: reading an entry allocates nothing of its own. (200,000
// entries of the bench's data are read in about 60 ms.)
package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	magic      = "hfcache1" // the last byte is the version
	headerSize = 8 + 8 + 8 + 4
	blockHead  = 4 * 4
	blockSize  = 128 << 10
	maxBlock   = 16 << 20 // an entry may be far longer than blockSize
	maxFooter  = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// File is a [backup.Cache] in one file.
type File struct{ path string }

// New returns the cache that lives at path. The folder must exist; the file need not.
func New(path string) *File { return &File{path: path} }

// errDamaged never leaves the package.
var errDamaged = errors.New("damaged cache")

// Open implements [backup.Cache].
func (c *File) Open() (backup.CacheReader, error) {
	f, err := os.Open(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the cache cannot be read: %w", err)
	}
	r := &reader{f: f, blocks: headerSize}
	if err := r.readMeta(); err != nil {
		f.Close()
		if errors.Is(err, errDamaged) {
			return nil, nil
		}
		return nil, fmt.Errorf("the cache cannot be read: %w", err)
	}
	return r, nil
}

// Create implements [backup.Cache].
func (c *File) Create() (backup.CacheWriter, error) {
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".new-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("the cache cannot be written: %w", err)
	}
	return newWriter(f, c.path), nil
}

func (r *reader) readMeta() error {
	var head [headerSize]byte
	if err := r.readAt(head[:], 0); err != nil {
		return err
	}
	if string(head[:8]) != magic || binary.LittleEndian.Uint32(head[24:]) != crc32.Checksum(head[:24], castagnoli) {
		return errDamaged
	}
	at := int64(binary.LittleEndian.Uint64(head[8:]))
	size := int64(binary.LittleEndian.Uint64(head[16:]))
	if size < footerFixed+4 || size > maxFooter || at < headerSize {
		return errDamaged
	}
	if st, err := r.f.Stat(); err != nil {
		return err
	} else if at+size != st.Size() { // before anything of that size is allocated
		return errDamaged
	}
	b := make([]byte, size)
	if err := r.readAt(b, at); err != nil {
		return err
	}
	body, sum := b[:size-4], binary.LittleEndian.Uint32(b[size-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return errDamaged
	}
	r.end = at
	copy(r.meta.Snapshot[:], body)
	copy(r.meta.Binding[:], body[16:])
	r.meta.Files = int64(binary.LittleEndian.Uint64(body[32:]))
	r.meta.Bytes = int64(binary.LittleEndian.Uint64(body[40:]))
	n := int64(binary.LittleEndian.Uint32(body[48:]))
	if body = body[footerFixed:]; n*16 != int64(len(body)) {
		return errDamaged
	}
	r.meta.Nodes = make([]id.Object, n)
	for i := range r.meta.Nodes {
		copy(r.meta.Nodes[i][:], body[16*i:])
	}
	return nil
}

const footerFixed = 16 + 16 + 8 + 8 + 4

// readAt fills p; a file that is too short is damaged.
func (r *reader) readAt(p []byte, off int64) error {
	_, err := r.f.ReadAt(p, off)
	if err == io.EOF {
		return errDamaged
	}
	return err
}
