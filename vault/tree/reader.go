package tree

import (
	"context"
	"errors"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// SkipDir, returned by the function that Walk was given for an entry, leaves out what lies under it.
var SkipDir = errors.New("skip this folder")

// ErrMalformed is the kind of every error about a node that no builder could have written.
var ErrMalformed = errors.New("malformed tree")

// Reader reads a tree. It is safe for concurrent use if its Source is.
type Reader struct{}

// Open returns a Reader of the tree with this root. Nothing is read yet.
func Open(src Source, root seal.Key) *Reader { panic("soon") }

// Root reads the root and returns the tree's totals.
func (r *Reader) Root(ctx context.Context) (Root, error) { panic("soon") }

// Walk calls fn for the entry at from and everything under it, in order; from "" is the whole tree. Nodes are
// fetched ahead in batches. Entries may be kept, but not changed; each keeps the memory of its node's alive. A from that
// does not exist is no entry and no error.
func (r *Reader) Walk(ctx context.Context, from string, fn func(*Entry) error) error { panic("soon") }

// List calls fn for the entries directly in dir ("" is the top), in order. It does not read what lies deeper.
func (r *Reader) List(ctx context.Context, dir string, fn func(*Entry) error) error { panic("soon") }

// Get returns the entry at path, or fault.NotFound.
func (r *Reader) Get(ctx context.Context, path string) (*Entry, error) { panic("soon") }

// Search calls fn for every entry that match accepts, in order.
func (r *Reader) Search(ctx context.Context, match func(*Entry) bool, fn func(*Entry) error) error {
	panic("soon")
}

// Chunks calls fn for every chunk of a file, in order, after checking them against its size.
func (r *Reader) Chunks(ctx context.Context, e *Entry, fn func(Chunk) error) error { panic("soon") }

// Extensions returns a match for Search and for restores: files whose name ends in one of these extensions,
// such as ".docx", in upper or lower case. Without any it accepts every file.
func Extensions(exts ...string) func(*Entry) bool { panic("soon") }

// Change is a difference between two trees. Before is nil for what was added, After for what was removed.
type Change struct {
	Before, After *Entry
}

// Diff calls fn for every entry that differs, in order. It does not read nodes that the trees have in common.
func Diff(ctx context.Context, a, b *Reader, fn func(Change) error) error { panic("soon") }
