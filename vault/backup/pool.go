package backup

import (
	"context"
	"runtime"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// sizes of the pipeline. Memory is arenas × (longest chunk + 1 MiB) + packs × 17 MiB, as far as it is used.
type sizes struct{ readers, sealers, uploads, arenas, packs int }

// workers fits the pipeline to the machine. More than four sealers would outrun any network, and would cost 17 MiB each.
func workers() sizes {
	cores := runtime.GOMAXPROCS(0)
	w := sizes{readers: min(max(cores, 2), 4), sealers: min(cores, 4), uploads: 2}
	// A reader holds one arena, or two while it carries the rest of a chunk over; so that one can always do
	// so, there must be more than one for each. The others are on their way through asker and sealers.
	w.arenas = w.readers + 1 + w.sealers + 3
	w.packs = w.sealers + w.uploads + 1 // one for tree nodes
	return w
}

// pool hands out at most max things, made when first needed. It hands out what came back last, because that is
// what the processor's caches still hold.
type pool[T any] struct {
	slots chan struct{} // one for each thing that is out
	make  func() T

	mu   sync.Mutex
	idle []T
}

func newPool[T any](max int, make1 func() T) *pool[T] {
	return &pool[T]{slots: make(chan struct{}, max), make: make1}
}

func (p *pool[T]) get(ctx context.Context) (T, error) {
	if err := send(ctx, p.slots, struct{}{}); err != nil {
		var zero T
		return zero, err
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		v := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return v, nil
	}
	p.mu.Unlock()
	return p.make(), nil
}

func (p *pool[T]) put(v T) {
	p.mu.Lock()
	p.idle = append(p.idle, v)
	p.mu.Unlock()
	<-p.slots
}

// arena is a stretch of plaintext on its way from a reader to a sealer, and the chunks in it that may be new.
type arena struct {
	buf    []byte
	used   int
	pieces []piece
}

// piece is a chunk in an arena.
type piece struct {
	key     seal.Key
	id      id.Object
	off, n  int
	present bool // the server has it
}

// maxPieces bounds an arena of tiny files: two of them fit one question.
const maxPieces = MaxAsk / 2

func newArena(maxChunk int) *arena { return &arena{buf: make([]byte, maxChunk+1<<20)} }

func (ar *arena) reset() { ar.used, ar.pieces = 0, ar.pieces[:0] }

// packBuffer is a pack in the making, and the memory that it is made in.
type packBuffer struct {
	mem []byte
	w   *pack.Writer
}

func newPackBuffer(maxChunk int) *packBuffer {
	// One chunk more than the target, and an index of ten thousand small files.
	return &packBuffer{mem: make([]byte, pack.Target+maxChunk+seal.Overhead+256<<10)}
}
