package backup

import (
	"context"
	"slices"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// pendingNodes is how many bytes of nodes wait for an answer about them at most.
const pendingNodes = 4 << 20

// nodes is the tree.Sink. Nodes go into packs of their own, so that a reader that lists a snapshot finds them
// side by side.
//
// The nodes of the previous snapshot are known by the list that the cache keeps: 16 bytes for each of one to two
// thousand nodes of 200,000 files, and not one question. Nodes that are not in it are new, or as good as: they are
// stored without asking. Only without a cache are they asked about, in batches.
type nodes struct {
	a *attempt

	mu      sync.Mutex
	list    []id.Object            // of this tree, each once
	seen    map[id.Object]struct{} // the same
	before  map[id.Object]struct{} // of the previous one
	ask     bool
	pending []node
	size    int // bytes of pending
	pack    *packBuffer
}

// node is a node that waits for an answer.
type node struct {
	key         seal.Key
	id          id.Object
	plain       []byte
	nodes, data []seal.Key
}

func (n *nodes) init(a *attempt) {
	n.a, n.ask = a, a.ask
	n.seen = map[id.Object]struct{}{}
}

// believe says that these are stored.
func (n *nodes) believe(ids []id.Object) {
	n.ask = false
	n.before = make(map[id.Object]struct{}, len(ids))
	for _, o := range ids {
		if _, ok := n.a.distrusted[o]; !ok {
			n.before[o] = struct{}{}
		}
	}
}

// PutNode implements tree.Sink. It may be called from several goroutines.
func (n *nodes) PutNode(ctx context.Context, plain []byte, refs, data []seal.Key) (seal.Key, error) {
	key := n.a.sealer.Key(plain)
	o := key.ID()
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.seen[o]; ok {
		return key, nil
	}
	n.seen[o] = struct{}{}
	n.list = append(n.list, o)
	if _, ok := n.before[o]; ok {
		return key, nil
	}
	if !n.ask {
		return key, n.store(ctx, &node{key: key, id: o, plain: plain, nodes: refs, data: data})
	}
	n.pending = append(n.pending, node{key, o, slices.Clone(plain), slices.Clone(refs), slices.Clone(data)})
	if n.size += len(plain); n.size < pendingNodes {
		return key, nil
	}
	return key, n.answer(ctx)
}

// answer asks about the pending nodes and stores the missing ones.
func (n *nodes) answer(ctx context.Context) error {
	ids := make([]id.Object, len(n.pending))
	for i := range n.pending {
		ids[i] = n.pending[i].id
	}
	missing, err := n.a.missing(ctx, ids)
	if err != nil {
		return err
	}
	for i := range n.pending {
		if missing[i] {
			if err := n.store(ctx, &n.pending[i]); err != nil {
				return err
			}
		}
	}
	n.pending, n.size = nil, 0
	return nil
}

// store seals a node into the pack of nodes.
func (n *nodes) store(ctx context.Context, v *node) (err error) {
	a := n.a
	if n.pack == nil {
		if n.pack, err = a.newPack(ctx); err != nil {
			return err
		}
	}
	n.pack.w.AddNode(v.id, objects(v.nodes), objects(v.data), func(dst []byte) []byte {
		return a.sealer.Append(dst, v.key, v.plain, a.cfg.Level)
	})
	if !a.full(n.pack) {
		return nil
	}
	p := n.pack
	n.pack = nil
	return send(ctx, a.upload, p)
}

// finish stores what is pending and uploads the last pack.
func (n *nodes) finish(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pending) > 0 {
		if err := n.answer(ctx); err != nil {
			return err
		}
	}
	if n.pack == nil {
		return nil
	}
	return send(ctx, n.a.upload, n.pack)
}

// objects returns the ids of keys, each once.
func objects(keys []seal.Key) []id.Object {
	ids := make([]id.Object, 0, len(keys))
	for i := range keys {
		ids = append(ids, keys[i].ID())
	}
	slices.SortFunc(ids, func(a, b id.Object) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
