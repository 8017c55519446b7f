package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast-backup/holdfast/depot/blob"
)

// Create begins a blob.
func (s *Store) Create(ctx context.Context) (blob.Pending, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "holdfast-spool-")
	if err != nil {
		return nil, spoolFault(err)
	}
	// Without a name nothing is left behind by a crash. Where an open file cannot be removed, Abort does it.
	os.Remove(f.Name())
	return &pending{store: s, f: f, sum: sha256.New()}, nil
}

// pending is a temporary file.
type pending struct {
	store *Store
	f     *os.File // nil when it is over
	sum   hash.Hash
	size  int64
}

func (p *pending) Write(b []byte) (int, error) {
	if p.f == nil {
		return 0, os.ErrClosed
	}
	n, err := p.f.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	if err != nil {
		return n, spoolFault(err)
	}
	return n, nil
}

func (p *pending) ReadAt(b []byte, off int64) (int, error) {
	if p.f == nil {
		return 0, os.ErrClosed
	}
	return p.f.ReadAt(b, off)
}

func (p *pending) Size() int64 { return p.size }

// Commit sends the file. The length and the SHA-256 are part of the signed request, so a store that answers
// "done" has received these very bytes.
func (p *pending) Commit(ctx context.Context, name string) error {
	if p.f == nil {
		return os.ErrClosed
	}
	defer p.Abort()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := blob.CheckName(name); err != nil {
		return err
	}
	s := p.store
	_, err := s.core.PutObject(ctx, s.cfg.Bucket, s.prefix+name, io.NewSectionReader(p.f, 0, p.size), p.size,
		"", hex.EncodeToString(p.sum.Sum(nil)), minio.PutObjectOptions{ContentType: mime})
	if err != nil {
		return s.fault(ctx, err, "write to")
	}
	return nil
}

// Abort closes the file, and with that removes it.
func (p *pending) Abort() {
	if p.f == nil {
		return
	}
	p.f.Close()
	os.Remove(p.f.Name()) // where it could not be removed while it was open
	p.f = nil
}

// rangeHeader is the Range of n bytes from off on; n < 0 means to the end.
func rangeHeader(off, n int64) string {
	if n < 0 || off+n < off { // or so many that the sum overflows
		return fmt.Sprintf("bytes=%d-", off)
	}
	return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
}

var _ blob.Store = (*Store)(nil)
