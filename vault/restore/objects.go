package restore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Options are the sizes of [Objects]; the zero value is a good choice.
type Options struct {
	Reads     int // in flight at once; 0: 6
	MaxRead   int // bytes of one read, unless one object is larger; 0: 4 MiB
	MaxGap    int // bytes between two objects that are read along rather than skipped; 0: 128 KiB
	CacheSize int // bytes of tree nodes that are kept; 0: 16 MiB
}

// Objects reads objects by their keys. It is a [tree.Source]. It is safe for concurrent use.
//
// What is asked for together is located together, sorted by place, and read in as few pieces as may be: objects
// that lie near each other in a pack come with one request. A goroutine that has read a piece verifies the
// objects in it and hands them out itself, while others wait for the network: so there is no queue of
// plaintexts, and memory is one piece and one plaintext for each read in flight, however many callers there are.
type Objects struct {
	remote Remote
	sealer *seal.Sealer
	opts   Options
	slots  chan *slot
	cache  cache

	objects, bytes atomic.Int64
}

// slot is the memory of one read in flight.
type slot struct {
	sealed, plain []byte
}

// NewObjects returns the objects of one space, as its remote stores them.
func NewObjects(remote Remote, sealer *seal.Sealer, o Options) *Objects {
	o.Reads = cmp.Or(o.Reads, 6)
	o.MaxRead = cmp.Or(o.MaxRead, 4<<20)
	o.MaxGap = cmp.Or(o.MaxGap, 128<<10)
	o.CacheSize = cmp.Or(o.CacheSize, 16<<20)
	s := &Objects{remote: remote, sealer: sealer, opts: o, slots: make(chan *slot, o.Reads)}
	s.cache.limit = o.CacheSize
	for range o.Reads {
		s.slots <- new(slot)
	}
	return s
}

var _ tree.Source = (*Objects)(nil)

// Nodes implements [tree.Source]. Nodes are kept for a while, so that looking around in a tree does not read
// its upper levels again and again.
func (o *Objects) Nodes(ctx context.Context, keys []seal.Key) ([][]byte, error) {
	list := make([][]byte, len(keys))
	var missing []seal.Key
	var places []int
	for i, k := range keys {
		if list[i] = o.cache.get(k); list[i] == nil {
			missing = append(missing, k)
			places = append(places, i)
		}
	}
	if len(missing) == 0 {
		return list, nil
	}
	err := o.Read(ctx, missing, func(i int, plain []byte, err error) error {
		if err != nil {
			return err
		}
		plain = bytes.Clone(plain)
		list[places[i]] = plain
		o.cache.put(missing[i], plain)
		return nil
	})
	return list, err
}

// wanted is one key of a Read and where it lies.
type wanted struct {
	index int
	at    Location
}

// Read reads objects in whatever order is fastest. It calls fn from several goroutines at once, exactly once
// for each key, with the key's index and either the verified plaintext, valid during the call, or the error
// that concerns this object alone: it is not stored, or damaged. Read ends early with the first error of fn, or
// one that concerns more than one object: a server that cannot be reached, say.
func (o *Objects) Read(ctx context.Context, keys []seal.Key, fn func(i int, plain []byte, err error) error) error {
	list, err := o.locate(ctx, keys, fn)
	if err != nil {
		return err
	}
	pieces := o.pieces(list)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(o.opts.Reads, len(pieces)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(pieces) {
					return
				}
				var s *slot
				select {
				case <-ctx.Done():
					return
				case s = <-o.slots:
				}
				err := o.piece(ctx, s, pieces[i], keys, fn)
				o.slots <- s
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// locate asks where objects lie and sorts them by place. Objects that are not stored go to fn at once.
func (o *Objects) locate(ctx context.Context, keys []seal.Key, fn func(int, []byte, error) error) ([]wanted, error) {
	list := make([]wanted, 0, len(keys))
	ids := make([]id.Object, min(len(keys), MaxLocate))
	for from := 0; from < len(keys); from += len(ids) {
		ids = ids[:min(len(ids), len(keys)-from)]
		for i := range ids {
			ids[i] = keys[from+i].ID()
		}
		places, err := o.remote.Locate(ctx, ids)
		if err != nil {
			return nil, err
		}
		if len(places) != len(ids) {
			return nil, fault.New(fault.Internal, "the server answered %d questions of %d", len(places), len(ids))
		}
		for i, at := range places {
			var wrong error
			switch {
			case !at.Stored:
				wrong = fault.New(fault.ObjectsMissing, "object %s is not stored", ids[i])
			case at.Length < seal.Overhead || at.Length > seal.MaxBody:
				wrong = fault.New(fault.BadPack, "the server says that object %s has %d bytes", ids[i], at.Length)
			default:
				list = append(list, wanted{from + i, at})
				continue
			}
			if err := fn(from+i, nil, wrong); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(list, func(a, b wanted) int {
		if c := bytes.Compare(a.at.Pack[:], b.at.Pack[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.at.Offset, b.at.Offset)
	})
	return list, nil
}

// pieces cuts a sorted list into what is read with one request each.
func (o *Objects) pieces(list []wanted) [][]wanted {
	var pieces [][]wanted
	for start := 0; start < len(list); {
		first := &list[start].at
		end := int64(first.Offset) + int64(first.Length)
		i := start + 1
		for ; i < len(list); i++ {
			at := &list[i].at
			stop := int64(at.Offset) + int64(at.Length)
			if at.Pack != first.Pack || int64(at.Offset) > end+int64(o.opts.MaxGap) || stop-int64(first.Offset) > int64(o.opts.MaxRead) {
				break
			}
			end = max(end, stop)
		}
		pieces = append(pieces, list[start:i])
		start = i
	}
	return pieces
}

// piece reads one piece and hands out what is in it.
func (o *Objects) piece(ctx context.Context, s *slot, list []wanted, keys []seal.Key, fn func(int, []byte, error) error) error {
	start, end := int64(list[0].at.Offset), int64(0)
	for i := range list {
		end = max(end, int64(list[i].at.Offset)+int64(list[i].at.Length))
	}
	s.sealed = room(s.sealed, int(end-start))
	failed, err := o.fetch(ctx, list[0].at.Pack, start, s.sealed)
	if err != nil {
		return err
	}
	for i := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := &list[i]
		k := keys[w.index]
		body := s.sealed[int64(w.at.Offset)-start:][:w.at.Length]
		wrong := failed
		if wrong == nil {
			s.plain, wrong = o.sealer.Open(s.plain[:0], k, body)
		}
		if wrong != nil && (len(list) > 1 || failed == nil) {
			// Perhaps it was damaged on its way, or something else in the piece cannot be read: it gets one
			// try of its own.
			if wrong, err = o.fetch(ctx, w.at.Pack, int64(w.at.Offset), body); err != nil {
				return err
			}
			if wrong == nil {
				s.plain, wrong = o.sealer.Open(s.plain[:0], k, body)
			}
		}
		if wrong == nil {
			o.objects.Add(1)
			err = fn(w.index, s.plain, nil)
		} else {
			err = fn(w.index, nil, wrong)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fetch reads a part of a pack. An error that only concerns this part is failed, any other is err.
func (o *Objects) fetch(ctx context.Context, pack id.Pack, offset int64, dst []byte) (failed, err error) {
	o.bytes.Add(int64(len(dst)))
	err = o.remote.ReadPack(ctx, pack, offset, dst)
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case local(err):
		return err, nil
	}
	return nil, err
}

// local reports whether a failed read is about one pack, so that others are worth a try.
func local(err error) bool {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.BadPack, fault.HashMismatch, fault.Internal, fault.Invalid:
		return true
	}
	return errors.Is(err, seal.ErrDamaged)
}

// room returns b with n bytes.
func room(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// cache keeps nodes, the oldest leaving first. The upper levels of a tree are few: they come back at once.
type cache struct {
	mu    sync.Mutex
	limit int
	size  int
	nodes map[seal.Key][]byte
	order []seal.Key
}

func (c *cache) get(k seal.Key) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[k]
}

func (c *cache) put(k seal.Key, plain []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes == nil {
		c.nodes = map[seal.Key][]byte{}
	}
	if c.nodes[k] != nil || len(plain) == 0 {
		return
	}
	c.nodes[k] = plain
	c.order = append(c.order, k)
	c.size += len(plain)
	for c.size > c.limit && len(c.order) > 1 {
		c.size -= len(c.nodes[c.order[0]])
		delete(c.nodes, c.order[0])
		c.order = c.order[1:]
	}
}
