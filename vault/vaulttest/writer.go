package vaulttest

import (
	"context"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Writer seals objects into packs and stores them at a Remote, for tests that need a snapshot but no backup.
// It is a [tree.Sink].
type Writer struct {
	Remote   *Remote
	Sealer   *seal.Sealer
	Level    seal.Level
	PackSize int // bytes at which a pack is closed; 0: pack.Target

	mu   sync.Mutex
	pack *pack.Writer
	seen map[id.Object]bool
}

// Chunk stores a piece of a file.
func (w *Writer) Chunk(plain []byte) (tree.Chunk, error) {
	k := w.Sealer.Key(plain)
	err := w.put(k, func(o id.Object) {
		w.pack.Add(o, func(dst []byte) []byte { return w.Sealer.Append(dst, k, plain, w.Level) })
	})
	return tree.Chunk{Key: k, Size: int64(len(plain))}, err
}

// PutNode implements [tree.Sink].
func (w *Writer) PutNode(_ context.Context, plain []byte, nodes, data []seal.Key) (seal.Key, error) {
	k := w.Sealer.Key(plain)
	return k, w.put(k, func(o id.Object) {
		w.pack.AddNode(o, ids(nodes), ids(data), func(dst []byte) []byte { return w.Sealer.Append(dst, k, plain, w.Level) })
	})
}

func ids(keys []seal.Key) []id.Object {
	list := make([]id.Object, len(keys))
	for i, k := range keys {
		list[i] = k.ID()
	}
	return list
}

func (w *Writer) put(k seal.Key, add func(id.Object)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := k.ID()
	if w.seen[o] {
		return nil
	}
	if w.pack == nil {
		w.pack = pack.NewWriter(nil)
		if w.seen == nil {
			w.seen = map[id.Object]bool{}
		}
	}
	w.seen[o] = true
	add(o)
	if w.pack.Full() || w.PackSize > 0 && w.pack.Size() >= w.PackSize {
		return w.flush()
	}
	return nil
}

// Flush stores what is pending.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if w.pack == nil {
		return nil
	}
	b, name := w.pack.Finish()
	w.pack = nil
	return w.Remote.Store(name, b)
}
