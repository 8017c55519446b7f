package intake

import (
	"context"
	"io"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// lone is the container of a dump that is not in an archive.
type lone struct{ file *file }

func (l lone) opener(context.Context, []*entry) func(*entry) (io.ReadCloser, error) {
	return func(*entry) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(l.file, 0, l.file.size)), nil
	}
}

// lone reads a dump.
func (c *check) lone(pack codec) (*Import, error) {
	e := &entry{path: archive.SQL, mode: 0o600, found: new(found)}
	if !c.o.ModTime.IsZero() {
		e.mtime = c.o.ModTime.UnixNano()
	}
	s := &summed{c: c, r: c.read.stream(c.file.size)}
	c.read.n = 0
	if err := c.dump(e.found, c.quoted(), s); err != nil {
		return nil, err
	}
	e.size, e.stored, e.crc = s.n, s.n, s.crc
	kind := "SQL dump"
	switch {
	case e.found.portable != nil:
		kind, e.path = "portable dump", archive.Portable
	case e.found.format == dump.PostgresCustom:
		kind = "dump in the custom format of pg_dump"
	}
	if pack != plain {
		kind += " in " + map[codec]string{gzipped: "gzip", zstdded: "zstd"}[pack]
	}
	c.list = []*entry{e}
	return c.layout(kind, lone{c.file})
}
