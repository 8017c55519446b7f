package backup

import (
	"sync"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// generation is how many ids one half of [known] holds: about 14 MiB.
const generation = 1 << 19

// known is the set of the objects that this session has met: sealed, being sealed, or found at the server. It is
// bounded: beyond two generations it forgets the older half, and a chunk that comes again then is asked about
// or stored twice. It must be told only of objects that do reach the server unless the backup fails.
type known struct {
	mu       sync.Mutex
	new, old map[id.Object]struct{}
}

func (k *known) init() { k.new, k.old = map[id.Object]struct{}{}, nil }

// add reports whether o is new to the set.
func (k *known) add(o id.Object) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.new[o]; ok {
		return false
	}
	_, ok := k.old[o]
	if len(k.new) >= generation {
		k.old, k.new = k.new, make(map[id.Object]struct{}, generation)
	}
	k.new[o] = struct{}{}
	return !ok
}
