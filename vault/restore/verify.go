package restore

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Verify reads a snapshot's tree, and its files' objects or a random part of them, and checks that each is what
// the tree says. It writes nothing. percent is 100 for all. Of cfg, Objects, Root, Select and OnProgress are
// used. Every verification draws another part.
func Verify(ctx context.Context, cfg Config, percent float64) (Result, error) {
	cfg.Conflict = Skip
	var sample func(seal.Key) bool
	if percent < 100 {
		salt := rand.Uint64()
		limit := uint64(max(percent, 0) / 100 * math.MaxUint32)
		sample = func(k seal.Key) bool {
			// Keys are as good as random, and a product with an odd number mixes them with the salt.
			return (binary.BigEndian.Uint64(k[:])^salt)*0x9e3779b97f4a7c15>>32 < limit
		}
	}
	return start(ctx, cfg, nowhere{}, sample)
}

// nowhere is a Sink that keeps nothing.
type nowhere struct{}

func (nowhere) Stat(string, *tree.Entry) (State, error)        { return Absent, nil }
func (nowhere) Mkdir(string, *tree.Entry, bool) error          { return nil }
func (nowhere) FinishDir(string, *tree.Entry) error            { return nil }
func (nowhere) Create(string, *tree.Entry, bool) (File, error) { return nowhere{}, nil }
func (nowhere) Make(string, *tree.Entry, bool) error           { return nil }
func (nowhere) Link(string, string, *tree.Entry, bool) error   { return nil }
func (nowhere) Close(bool) error                               { return nil }
func (nowhere) WriteAt(p []byte, _ int64) (int, error)         { return len(p), nil }
func (nowhere) Commit() error                                  { return nil }
func (nowhere) Discard()                                       {}
