package intake

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// zipped is the container of a ZIP.
type zipped struct{ files []*zip.File }

func (z zipped) opener(context.Context, []*entry) func(*entry) (io.ReadCloser, error) {
	return func(e *entry) (io.ReadCloser, error) { return z.files[e.at].Open() }
}

// zip reads a ZIP.
func (c *check) zip() (*Import, error) {
	if err := c.directory(); err != nil {
		return nil, err
	}
	via := &switched{c.read}
	z, err := zip.NewReader(via, c.file.size)
	if err != nil {
		return nil, c.broken(err)
	}
	if len(z.File) == 0 {
		return nil, refuse("%s is an empty archive", c.quoted())
	}
	order, err := c.places(z.File)
	if err != nil {
		return nil, err
	}
	for _, i := range order {
		if err := c.zipEntry(z.File[i], int64(i)); err != nil {
			return nil, err
		}
	}
	via.ReaderAt = c.file // which several may read at once
	return c.layout("ZIP archive", zipped{z.File})
}

// switched reads from whatever it holds now.
type switched struct{ io.ReaderAt }

// Parts of a ZIP, with their sizes in bytes.
const (
	endSize     = 22
	locatorSize = 20
	end64Size   = 56
	headerSize  = 46
	nameMemory  = 512 // of a directory, for each entry that Options allows
)

// directory finds the directory of a ZIP and goes through it without keeping anything, so that the library, which keeps it all, is given only
// one of bounded size. It takes no file with something before or behind the archive: those are read differently by
// different programs.
func (c *check) directory() error {
	size := c.file.size
	tail := make([]byte, min(size, endSize+1<<16-1))
	if _, err := c.read.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	at := len(tail) - endSize
	for ; at >= 0; at-- {
		if string(tail[at:at+4]) == "PK\x05\x06" && at+endSize+int(binary.LittleEndian.Uint16(tail[at+20:])) == len(tail) {
			break
		}
	}
	if at < 0 {
		return damage(c.quoted(), io.ErrUnexpectedEOF)
	}
	le, end := binary.LittleEndian, tail[at:]
	disk, records := uint64(le.Uint16(end[4:])), uint64(le.Uint16(end[10:]))
	length, start := uint64(le.Uint32(end[12:])), uint64(le.Uint32(end[16:]))
	stop := size - int64(len(tail)-at)
	if records == 0xffff || length == 0xffffffff || start == 0xffffffff {
		var err error
		if disk, records, length, start, stop, err = c.directory64(stop); err != nil {
			return err
		}
	}
	switch {
	case disk != 0:
		return known(spannedKind, c.quoted())
	case start > uint64(stop) || length != uint64(stop)-start:
		return refuse("%s is damaged, or there is something before or behind the archive: make it again", c.quoted())
	case records > uint64(c.o.MaxEntries) || length/nameMemory > uint64(c.o.MaxEntries):
		return c.tooMany()
	}
	in := bufio.NewReader(io.NewSectionReader(c.read, int64(start), int64(length)))
	for range records {
		var h [headerSize]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			return c.broken(err)
		}
		more := int(le.Uint16(h[28:])) + int(le.Uint16(h[30:])) + int(le.Uint16(h[32:]))
		if string(h[:4]) != "PK\x01\x02" {
			return c.broken(zip.ErrFormat)
		}
		if _, err := in.Discard(more); err != nil {
			return c.broken(err)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return c.broken(zip.ErrFormat)
	}
	return nil
}

// directory64 reads what stands where the end of the directory has no room for it. before is where that end begins.
func (c *check) directory64(before int64) (disk, records, length, start uint64, stop int64, err error) {
	bad := func() (uint64, uint64, uint64, uint64, int64, error) {
		return 0, 0, 0, 0, 0, c.broken(cmp.Or(err, zip.ErrFormat))
	}
	le := binary.LittleEndian
	var l [locatorSize]byte
	if before < locatorSize {
		return bad()
	}
	if _, err = c.read.ReadAt(l[:], before-locatorSize); err != nil || string(l[:4]) != "PK\x06\x07" {
		return bad()
	}
	at := le.Uint64(l[8:])
	if at > uint64(before-locatorSize) || uint64(before-locatorSize)-at < end64Size {
		return bad()
	}
	var end [end64Size]byte
	if _, err = c.read.ReadAt(end[:], int64(at)); err != nil || !bytes.HasPrefix(end[:], []byte("PK\x06\x06")) {
		return bad()
	}
	return uint64(le.Uint32(end[16:])), le.Uint64(end[32:]), le.Uint64(end[40:]), le.Uint64(end[48:]), int64(at), nil
}

// places returns the files in the order in which they lie, and refuses those that share bytes, or claim more than there may be. It reads nothing but
// what stands before each file.
func (c *check) places(files []*zip.File) ([]int, error) {
	order := make([]int, len(files))
	at := make([]int64, len(files))
	var claimed uint64
	for i, f := range files {
		var err error
		if f.Flags&1 != 0 || f.Method == 99 {
			return nil, refuse("%s is encrypted: unpack it with its password, and pack it again without one", c.quoted())
		}
		if f.Method != zip.Store && f.Method != zip.Deflate {
			return nil, refuse("%s packs %s in a way that cannot be read here (method %d): pack it again with plain ZIP (deflate)", c.quoted(), short(f.Name), f.Method)
		}
		if at[i], err = f.DataOffset(); err != nil {
			return nil, c.broken(err)
		}
		if claimed += f.UncompressedSize64; claimed < f.UncompressedSize64 || claimed > uint64(c.o.MaxBytes) {
			return nil, c.tooMuch()
		}
		order[i] = i
	}
	if claimed > ratioFrom && claimed/maxRatio > uint64(c.file.size) {
		return nil, damage(c.quoted(), errBomb)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	end := uint64(0)
	for _, i := range order {
		// Before its bytes stands a header of 30 bytes, at least, and its name.
		if head := uint64(at[i]) - min(uint64(at[i]), 30+uint64(len(files[i].Name))); head < end {
			return nil, refuse("%s holds entries that share their bytes, as files made to fill disks do: make it again", c.quoted())
		}
		size := files[i].CompressedSize64
		if end = uint64(at[i]) + size; end < size || end > uint64(c.file.size) {
			return nil, damage(c.quoted(), io.ErrUnexpectedEOF)
		}
	}
	return order, nil
}

// zipEntry reads an entry.
func (c *check) zipEntry(f *zip.File, at int64) error {
	path, err := clean(f.Name)
	if err != nil || path == "" {
		return err
	}
	e := &entry{path: path, at: at, mtime: unixNano(f.Modified), mode: 0o644}
	mode := f.Mode()
	if by := f.CreatorVersion >> 8; by == 3 || by == 19 { // Unix, macOS
		e.mode = uint32(mode.Perm())
	} else if mode.IsDir() {
		e.mode = 0o755
	}
	switch mode.Type() {
	case 0:
	case fs.ModeDir:
		e.typ = tree.Dir
	case fs.ModeSymlink:
		e.typ = tree.Symlink
	default:
		return c.special(path)
	}
	in, err := f.Open()
	if err != nil {
		return c.broken(err)
	}
	defer in.Close()
	var target strings.Builder
	as, from := roleOf(path), io.Reader(in)
	if e.typ != tree.File {
		as, from = noRole, io.TeeReader(in, &target)
		if f.UncompressedSize64 > tree.MaxLink {
			return refuse("%s holds %s, a folder or link with content: make it again", c.quoted(), short(path))
		}
	}
	if err := c.content(e, from, as); err != nil {
		return damage(short(path)+" in "+c.quoted(), err)
	}
	if e.typ != tree.File {
		e.size, e.crc = 0, 0
	}
	if e.typ == tree.Symlink {
		e.link = target.String()
	}
	return c.add(e)
}

func (c *check) special(path string) error {
	return refuse("%s holds the device or pipe %s: make the archive without it", c.quoted(), short(path))
}

// broken says what an error of reading the archive itself means.
func (c *check) broken(err error) error {
	if errors.Is(err, zip.ErrFormat) {
		err = fault.Wrap(err, fault.Invalid, "%s is damaged: copy or make it again", c.quoted())
	}
	return damage(c.quoted(), err)
}
