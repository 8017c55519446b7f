//go:build unix

package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-backup/holdfast/depot/blob"
)

// pending is a file in the spool.
type pending struct {
	store *Store
	f     *os.File // nil when it is over
	size  int64
}

func (p *pending) Write(b []byte) (int, error) {
	if p.f == nil {
		return 0, os.ErrClosed
	}
	n, err := p.f.Write(b)
	p.size += int64(n)
	if err != nil {
		return n, p.store.fault(err, "write to the store")
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

// Commit syncs the bytes, renames the file and syncs every folder that got a new entry.
func (p *pending) Commit(ctx context.Context, name string) error {
	if p.f == nil {
		return os.ErrClosed
	}
	defer p.Abort()
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := p.store.path(name)
	if err != nil {
		return err
	}
	// Bytes that were never synced under a name would come back as zeros after a power cut.
	if err := p.f.Sync(); err != nil {
		return p.store.fault(err, "write to the store")
	}
	if err := p.store.ensureDir(filepath.Dir(path)); err != nil {
		return err
	}
	err = os.Rename(p.f.Name(), path)
	if errors.Is(err, fs.ErrNotExist) {
		// The folder was there once: somebody removed it, or the disk has gone.
		p.store.forgetDirs()
		if err := p.store.ensureDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Rename(p.f.Name(), path)
	}
	if err != nil {
		return p.store.fault(err, "write to the store")
	}
	p.f.Close()
	p.f = nil
	if err := syncDir(filepath.Dir(path)); err != nil {
		return p.store.fault(err, "write to the store")
	}
	return nil
}

// Abort removes the file from the spool.
func (p *pending) Abort() {
	if p.f == nil {
		return
	}
	p.f.Close()
	os.Remove(p.f.Name())
	p.f = nil
}

// maxDurable bounds the memory of which folders are durable.
const maxDurable = 16384

// ensureDir makes a folder of the store, and those above it, and syncs the entries of all of them, once in this process. It
// does so even for a folder that exists: another writer may have made it a moment ago and not synced it yet,
// and a blob is no more durable than the folders on its way.
func (s *Store) ensureDir(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.durable[dir] {
		return nil
	}
	// Never build a second store in the place of one that has gone.
	if err := s.marked(); err != nil {
		return err
	}
	if err := s.makeDir(dir); err != nil {
		return s.fault(err, "make a folder")
	}
	return nil
}

func (s *Store) makeDir(dir string) error {
	if dir == s.root || s.durable[dir] {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := s.makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	if len(s.durable) >= maxDurable {
		clear(s.durable)
	}
	s.durable[dir] = true
	return nil
}

func (s *Store) forgetDirs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.durable)
}

// makeRoot makes the root and what is missing above it, durably.
func makeRoot(root string) error {
	var above []string // folders that get a new entry
	for dir := root; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		above = append(above, filepath.Dir(dir))
	}
	if err := os.MkdirAll(root, dirMode); err != nil {
		return err
	}
	for _, dir := range above {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the entries of a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var _ blob.Store = (*Store)(nil)
