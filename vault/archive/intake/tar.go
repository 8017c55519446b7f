package intake

import (
	"archive/tar"
	"bufio"
	"context"
	"io"

	"github.com/holdfast-backup/holdfast/vault/tree"
)

const blockSize = 512

// tarred is the container of a tar that is not packed: every entry is read where it lies.
type tarred struct{ file *file }

func (t tarred) opener(context.Context, []*entry) func(*entry) (io.ReadCloser, error) { return t.open }

func (t tarred) open(e *entry) (io.ReadCloser, error) {
	r := tar.NewReader(bufio.NewReaderSize(io.NewSectionReader(t.file, e.at, t.file.size-e.at), 64<<10))
	if _, err := r.Next(); err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// tar reads a tar.
func (c *check) tar(from *stream, in io.Reader) (*Import, error) {
	at := &counted{from: in}
	r := tar.NewReader(at)
	end := int64(0) // of the entry before
	number := int64(0)
	for ; ; number++ {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, c.broken(err)
		}
		place := number
		if from.pack == plain {
			place = end
		}
		if err := c.tarEntry(h, r, place); err != nil {
			return nil, err
		}
		end = (at.n + blockSize - 1) &^ (blockSize - 1)
	}
	if err := c.tail(at, end); err != nil {
		return nil, err
	}
	if len(c.list) == 0 {
		return nil, refuse("%s is an empty archive", c.quoted())
	}
	from.entries = number
	if from.pack == plain {
		return c.layout("tar archive", tarred{c.file})
	}
	return c.layout("tar"+from.pack.String()+" archive", from)
}

// tail reads what follows the last entry: there are zeros, or else the archive was cut off.
func (c *check) tail(in *counted, end int64) error {
	for {
		n, err := in.Read(c.buffer())
		if !zeros(c.buf[:n]) {
			return refuse("%s holds something behind its end: make one archive of it", c.quoted())
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return c.broken(err)
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
	if in.n < end+blockSize {
		return damage(c.quoted(), io.ErrUnexpectedEOF)
	}
	return nil
}

// tarEntry reads an entry.
func (c *check) tarEntry(h *tar.Header, in io.Reader, at int64) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return c.special(h.Name)
	}
	path, err := clean(h.Name)
	if err != nil || path == "" {
		return err
	}
	e := &entry{path: path, at: at, mode: uint32(h.Mode & 0o777), mtime: unixNano(h.ModTime)}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		if h.Size > c.o.MaxBytes-c.total { // or what it lacks would be missed first
			return c.tooMuch()
		}
		if err := c.content(e, in, roleOf(path)); err != nil {
			return c.broken(err)
		}
	case tar.TypeDir:
		e.typ = tree.Dir
	case tar.TypeSymlink:
		e.typ, e.link = tree.Symlink, h.Linkname
	case tar.TypeLink:
		if e.link, err = clean(h.Linkname); err != nil {
			return err
		}
		e.hard = true
	default:
		return refuse("%s holds %s, which is of an unknown kind (%q): make it with GNU tar or bsdtar", c.quoted(), short(path), string(rune(h.Typeflag)))
	}
	return c.add(e)
}
