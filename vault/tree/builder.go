package tree

import (
	"context"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// Builder makes a tree from its entries in order. It is used by one goroutine.
type Builder struct{}

// NewBuilder returns a Builder whose nodes go to sink. boundaryKey is the space's chunker key: equal trees have
// equal nodes only under the same one.
func NewBuilder(boundaryKey [32]byte, sink Sink) *Builder { panic("soon") }

// Add adds an entry, whose path must come after the one before it. A fault.Invalid or fault.TooLarge is about
// this entry alone: it was not added, and the Builder can go on without it. Every other error is final. e is not
// kept.
func (b *Builder) Add(ctx context.Context, e *Entry) error { panic("soon") }

// PutChunks gives e its content: e.Chunks, or e.ChunkList after storing list nodes, and e.ChunkCount. It does
// not add e. chunks is kept if it is short.
func (b *Builder) PutChunks(ctx context.Context, e *Entry, chunks []Chunk) error { panic("soon") }

// Finish stores what is pending and returns the tree.
func (b *Builder) Finish(ctx context.Context) (Root, error) { panic("soon") }

// ListWriter gives a file its content, chunk by chunk, in memory that does not grow with the file.
type ListWriter struct{}

// NewListWriter returns a ListWriter whose nodes go to sink. It is independent of any Builder; several may be at work
// at once if the sink allows it.
func NewListWriter(sink Sink) *ListWriter { panic("soon") }

// Add adds a chunk.
func (w *ListWriter) Add(ctx context.Context, c Chunk) error { panic("soon") }

// Finish sets e.Chunks, e.ChunkList, e.ChunkCount and e.Size. The ListWriter can then be used for another
// file; e keeps no memory of it.
func (w *ListWriter) Finish(ctx context.Context, e *Entry) error { panic("soon") }

var _ seal.Key
