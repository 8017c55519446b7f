package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Names in the store. docs/format-snapshot.md lists them.
const (
	spacesPrefix  = "spaces/"
	deletedSuffix = ".deleted"
)

func spacePrefix(space id.Space) string { return spacesPrefix + space.UUID() + "/" }
func spaceName(space id.Space) string   { return spacePrefix(space) + "space" }

func packName(space id.Space, p id.Pack) string {
	s := p.String()
	return spacePrefix(space) + "packs/" + s[:2] + "/" + s
}

func snapshotsPrefix(space id.Space) string { return spacePrefix(space) + "snapshots/" }

func snapshotName(space id.Space, sn id.Snapshot) string { return snapshotsPrefix(space) + sn.UUID() }

func deletionName(space id.Space, sn id.Snapshot) string {
	return snapshotName(space, sn) + deletedSuffix
}

// A blobKind is what a name says.
type blobKind int

const (
	foreignBlob blobKind = iota
	packBlob
	snapshotBlob
	deletionBlob
	spaceBlob
)

// parsed is a name taken apart.
type parsed struct {
	kind     blobKind
	space    id.Space
	pack     id.Pack
	snapshot id.Snapshot
}

// parseName reads a name. Only the exact spelling that the functions above give is ours.
func parseName(name string) parsed {
	var p parsed
	parts := strings.Split(name, "/")
	if len(parts) < 3 || p.space.Scan(parts[1]) != nil {
		return parsed{}
	}
	switch {
	case len(parts) == 3 && name == spaceName(p.space):
		p.kind = spaceBlob
	case len(parts) == 5:
		var err error
		if p.pack, err = id.ParsePack(parts[4]); err == nil && name == packName(p.space, p.pack) {
			p.kind = packBlob
		}
	case len(parts) == 4:
		if p.snapshot.Scan(strings.TrimSuffix(parts[3], deletedSuffix)) != nil {
			break
		}
		switch name {
		case snapshotName(p.space, p.snapshot):
			p.kind = snapshotBlob
		case deletionName(p.space, p.snapshot):
			p.kind = deletionBlob
		}
	}
	if p.kind == foreignBlob {
		return parsed{}
	}
	return p
}

// put makes a small blob durable.
func (s *Service) put(ctx context.Context, name string, b []byte) error {
	p, err := s.cfg.Store.Create(ctx)
	if err != nil {
		return err
	}
	defer p.Abort()
	if _, err := p.Write(b); err != nil {
		return err
	}
	return p.Commit(ctx, name)
}

// get reads a small blob of at most max bytes.
func (s *Service) get(ctx context.Context, name string, max int64) ([]byte, error) {
	r, err := s.cfg.Store.Open(ctx, name, 0, max+1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s has more than %d bytes", name, max)
	}
	return b, err
}

// errWrong is the kind of error for a pack whose bytes are not what its name says, or not a pack.
var errWrong = errors.New("wrong bytes")

func wrong(why string) error { return fmt.Errorf("%w: %s", errWrong, why) }

// inspect reads a pack from the store once from end to end and returns its index. Its error is errWrong for wrong
// bytes, fault.NotFound for a blob that is not there; any other says that the store could not be read, which says
// nothing about the pack. Memory: the index, and a buffer.
func (s *Service) inspect(ctx context.Context, space id.Space, name id.Pack) (entries []pack.Entry, size int64, err error) {
	size, err = s.hash(ctx, space, name)
	if err != nil {
		return nil, size, err
	}
	entries, err = pack.ReadIndex(&storeReader{ctx, s.cfg.Store, packName(space, name)}, size)
	if errors.Is(err, pack.ErrCorrupt) {
		return nil, size, fmt.Errorf("%w: %w", errWrong, err)
	}
	return entries, size, err
}

// hash is inspect without the index.
func (s *Service) hash(ctx context.Context, space id.Space, name id.Pack) (size int64, err error) {
	r, err := s.cfg.Store.Open(ctx, packName(space, name), 0, -1)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	h := sha256.New()
	size, err = io.CopyBuffer(h, onlyReader{r}, make([]byte, 256<<10))
	if err != nil {
		return size, fault.Wrap(err, fault.Unavailable, "the store broke off while %s was read", packName(space, name))
	}
	if id.Pack(h.Sum(nil)) != name {
		return size, wrong("its SHA-256 is not its name")
	}
	return size, nil
}

// onlyReader hides WriterTo, so that CopyBuffer uses our buffer.
type onlyReader struct{ io.Reader }

// storeReader reads ranges of a blob.
type storeReader struct {
	ctx   context.Context
	store blob.Store
	name  string
}

func (r *storeReader) ReadAt(p []byte, off int64) (int, error) {
	body, err := r.store.Open(r.ctx, r.name, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
