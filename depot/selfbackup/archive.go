package selfbackup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Manifest is what a copy says of itself.
type Manifest struct {
	Format  int       `json:"format"`         // of the tar stream: 1
	Version string    `json:"version"`        // of the holdfast that made it
	Made    time.Time `json:"made"`           // by the database's clock
	Schema  int64     `json:"schema"`         // number of the last migration
	Server  int       `json:"server_version"` // PostgreSQL's server_version_num
}

const (
	format = 1

	manifestFile = "manifest.json"
	secretFile   = "secret"

	partSize  = 4 << 20  // of the dump: a tar entry says its length first, and nobody knows the dump's
	smallSize = 64 << 10 // the most that manifest and secret may have
)

func partFile(n int) string { return fmt.Sprintf("database.pgdump.%06d", n) }

// errDamaged is the kind of error for a copy that is not what we wrote.
var errDamaged = errors.New("the copy is damaged")

func damaged(err error) error { return fmt.Errorf("%w: %w", errDamaged, err) }

// writeArchive writes the tar stream of a copy. dump writes the dump.
func writeArchive(w io.Writer, m Manifest, secret []byte, dump func(io.Writer) error) error {
	t := tar.NewWriter(w)
	entry := func(name string, b []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), ModTime: m.Made, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err := t.Write(b)
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := errors.Join(entry(manifestFile, b), entry(secretFile, secret)); err != nil {
		return err
	}
	p := &parts{entry: entry}
	if err := dump(p); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	return t.Close()
}

// parts cuts what is written to it into entries.
type parts struct {
	entry func(string, []byte) error
	n     int
	buf   []byte
}

func (p *parts) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if p.buf == nil {
			p.buf = make([]byte, 0, partSize)
		}
		n := min(len(b), partSize-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		b, written = b[n:], written+n
		if len(p.buf) == partSize {
			if err := p.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (p *parts) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	err := p.entry(partFile(p.n), p.buf)
	p.n, p.buf = p.n+1, p.buf[:0]
	return err
}

// archive is a copy that is being read.
type archive struct {
	plain    io.Reader
	tar      *tar.Reader
	manifest Manifest
	secret   []byte
}

// openArchive reads the beginning of a copy. Errors of a kind with errDamaged are about its bytes; so are
// those of [archive.dump].
func openArchive(plain io.Reader) (*archive, error) {
	a := &archive{plain: plain, tar: tar.NewReader(plain)}
	b, err := a.next(manifestFile, smallSize)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &a.manifest); err != nil {
		return nil, damaged(err)
	}
	if a.manifest.Format != format {
		return nil, fault.New(fault.Conflict, "the copy of the database was made by holdfast %s in a form (%d) that this one does not know: use that or a newer one", a.manifest.Version, a.manifest.Format)
	}
	if a.secret, err = a.next(secretFile, smallSize); err != nil {
		return nil, err
	}
	return a, nil
}

// next reads an entry that must come now. io.EOF alone says that the stream ended well.
func (a *archive) next(name string, max int64) ([]byte, error) {
	h, err := a.tar.Next()
	switch {
	case err == io.EOF && name != manifestFile && name != secretFile:
		return nil, io.EOF
	case err != nil:
		return nil, damaged(err)
	case h.Name != name || h.Size < 1 || h.Size > max:
		return nil, damaged(fmt.Errorf("%s of %d bytes where %s was to come", h.Name, h.Size, name))
	}
	b := make([]byte, h.Size)
	if _, err := io.ReadFull(a.tar, b); err != nil {
		return nil, damaged(err)
	}
	return b, nil
}

// dump writes the dump to w. The last part goes out only when the stream was read to its end and has proved genuine, so that
// nobody who needs all of it can begin to believe in half of it.
func (a *archive) dump(w io.Writer) error {
	var held []byte
	for n := 0; ; n++ {
		part, err := a.next(partFile(n), partSize)
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if held != nil {
			if _, err := w.Write(held); err != nil {
				return err
			}
		}
		held = part
	}
	if held == nil {
		return damaged(errors.New("it holds no database"))
	}
	if _, err := io.Copy(io.Discard, a.plain); err != nil {
		return damaged(err)
	}
	_, err := w.Write(held)
	return err
}
