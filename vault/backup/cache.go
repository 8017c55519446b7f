package backup

import (
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// A Cache remembers what the newest snapshot of this device holds, so that an unchanged file need not be
// opened. It is disposable: without it a backup reads everything again and uploads nothing twice.
type Cache interface {
	// Open opens what the last committed writer left. Where there is none, or it is damaged, it returns
	// nil, nil; an error is reported but does no harm.
	Open() (CacheReader, error)

	// Create begins a replacement. Nothing changes until [CacheWriter.Commit].
	Create() (CacheWriter, error)
}

// A CacheReader yields the entries of a snapshot.
type CacheReader interface {
	Meta() CacheMeta

	// Next returns the next entry in tree order, valid for ever; io.EOF after the last one, or where damage
	// makes the rest unusable.
	Next() (*Cached, error)

	Close() error
}

// A CacheWriter takes the entries of a snapshot in tree order.
type CacheWriter interface {
	Add(*Cached) error

	// Commit makes the new cache the one that Open finds, atomically.
	Commit(CacheMeta) error

	// Abort drops the new cache, unless it was committed.
	Abort()
}

// CacheMeta says what a cache describes.
type CacheMeta struct {
	Snapshot id.Snapshot
	Binding  id.Object   // space and parameters: a cache with another Binding is of no use
	Nodes    []id.Object // the tree nodes that the snapshot is known to have
	Files    int64
	Bytes    int64
}

// Cached is an entry with the fingerprint that it had when it was saved.
type Cached struct {
	tree.Entry
	Fingerprint Fingerprint
}
