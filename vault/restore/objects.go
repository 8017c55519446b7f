package restore

import (
	"context"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// Options are the sizes of [Objects]; the zero value is a good choice.
type Options struct {
	Reads     int // in flight at once; 0: 6
	MaxRead   int // bytes of one read, unless one object is larger; 0: 4 MiB
	MaxGap    int // bytes between two objects that are read along rather than skipped; 0: 128 KiB
	CacheSize int // bytes of tree nodes that are kept; 0: 16 MiB
}

// Objects reads objects by their keys. It is a [tree.Source]. It is safe for concurrent use.
type Objects struct{}

// NewObjects returns the objects of one space, as its remote stores them.
func NewObjects(remote Remote, sealer *seal.Sealer, o Options) *Objects { panic("soon") }

// Nodes implements [tree.Source].
func (o *Objects) Nodes(ctx context.Context, keys []seal.Key) ([][]byte, error) { panic("soon") }

// Read reads objects in whatever order is fastest. It calls fn from several goroutines at once, exactly once
// for each key, with its index and either the verified plaintext, valid during the call, or the error that concerns it. The
// first error of fn ends the reading. Read returns errors that concern the whole.
func (o *Objects) Read(ctx context.Context, keys []seal.Key, fn func(i int, plain []byte, err error) error) error {
	panic("soon")
}
