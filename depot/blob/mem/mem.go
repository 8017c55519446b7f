// Package mem is a blob.Store in memory, for tests. Nothing in it is durable.
package mem

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Store keeps blobs in a map. The zero value is not usable: see [New].
type Store struct {
	mu    sync.Mutex
	blobs map[string]entry
}

type entry struct {
	data []byte // never changed after commit
	at   time.Time
}

// New returns an empty store.
func New() *Store { return &Store{blobs: map[string]entry{}} }

// Create begins a blob.
func (s *Store) Create(ctx context.Context) (blob.Pending, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &pending{store: s}, nil
}

// Open reads a range of a blob.
func (s *Store) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	e, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fault.New(fault.Invalid, "a blob is read from offset 0 on, not %d", off)
	}
	data := e.data[min(off, int64(len(e.data))):]
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Stat describes a blob.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	e, err := s.get(ctx, name)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Name: name, Size: int64(len(e.data)), ModTime: e.at}, nil
}

// List calls fn for every blob under prefix, in order of names.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	s.mu.Lock()
	var infos []blob.Info
	for name, e := range s.blobs {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, blob.Info{Name: name, Size: int64(len(e.data)), ModTime: e.at})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(infos, func(a, b blob.Info) int { return strings.Compare(a.Name, b.Name) })
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Delete removes a blob.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := blob.CheckName(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, name)
	return nil
}

// URL returns false: nobody else can read this process's memory.
func (s *Store) URL(context.Context, string, time.Duration) (string, bool, error) {
	return "", false, nil
}

// Corrupt replaces a blob's bytes by what change returns for a copy of them: damage on the medium, for tests. It reports
// whether the blob exists.
func (s *Store) Corrupt(name string, change func([]byte) []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.blobs[name]
	if ok {
		e.data = change(slices.Clone(e.data))
		s.blobs[name] = e
	}
	return ok
}

func (s *Store) get(ctx context.Context, name string) (entry, error) {
	if err := ctx.Err(); err != nil {
		return entry{}, err
	}
	if err := blob.CheckName(name); err != nil {
		return entry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.blobs[name]
	if !ok {
		return entry{}, blob.ErrNotFound(name)
	}
	return e, nil
}

type pending struct {
	store *Store
	data  []byte
	over  bool
}

func (p *pending) Write(b []byte) (int, error) {
	if p.over {
		return 0, os.ErrClosed
	}
	p.data = append(p.data, b...)
	return len(b), nil
}

func (p *pending) ReadAt(b []byte, off int64) (int, error) {
	if p.over {
		return 0, os.ErrClosed
	}
	return bytes.NewReader(p.data).ReadAt(b, off)
}

func (p *pending) Size() int64 { return int64(len(p.data)) }

func (p *pending) Commit(ctx context.Context, name string) error {
	if p.over {
		return os.ErrClosed
	}
	p.over = true
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := blob.CheckName(name); err != nil {
		return err
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if _, ok := p.store.blobs[name]; !ok {
		p.store.blobs[name] = entry{p.data, time.Now()}
	}
	p.data = nil
	return nil
}

func (p *pending) Abort() {
	p.over = true
	p.data = nil
}
