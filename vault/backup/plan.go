package backup

import (
	"context"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Bounds of a batch: what one reader takes at a time.
const (
	batchSlots = 256
	batchBytes = 2 << 20 // to be read
)

// slot is one entry on its way from the source to the tree.
type slot struct {
	item  *Item
	prev  *Cached // the entry before, if there is one and it may be believed
	reuse bool    // prev is the entry
	drop  bool    // it does not go into the tree
}

// batch is a run of entries in order. Batches enter the tree in the order in which the planner sends
// them, each when its readers are done with it.
type batch struct {
	slots []slot
	bytes int64
	done  chan struct{} // closed when every slot is complete; nil if nothing had to be read
}

// planner walks the source, joins it with the cache, and deals the entries out.
func (a *attempt) planner(ctx context.Context, order, todo chan<- *batch) error {
	previous := merger{r: a.prev}
	b := &batch{}
	var files, bytes int64
	deal := func() error {
		if len(b.slots) == 0 {
			return nil
		}
		if err := send(ctx, order, b); err != nil {
			return err
		}
		if b.done != nil {
			if err := send(ctx, todo, b); err != nil {
				return err
			}
		}
		b = &batch{slots: make([]slot, 0, batchSlots)}
		return nil
	}
	err := a.src.Walk(ctx, func(it *Item) error {
		s := slot{item: it}
		if it.Type == tree.File {
			files++
			bytes += max(it.Size, 0)
		}
		switch {
		case it.Err != nil:
			a.problems.add(it.Path, CauseOf(it.Err), Reason(it.Err))
			a.meter.problems.Add(1)
			s.drop = it.Type != tree.Dir
		default:
			s.prev = previous.find(it.Path)
			s.reuse = s.prev != nil && same(it, s.prev)
		}
		if s.prev != nil && len(a.distrusted) > 0 && a.suspect(s.prev) {
			s.prev, s.reuse = nil, false
		}
		switch {
		case s.drop:
		case s.reuse:
			if it.Type == tree.File {
				a.reused++
				a.meter.files.Add(1)
				a.meter.bytes.Add(it.Size)
			}
		default:
			if b.done == nil {
				b.done = make(chan struct{})
			}
			if it.Size < 0 { // whoever wants to wait for its end can: it is dealt out at once
				b.bytes += batchBytes
			} else {
				b.bytes += it.Size
			}
		}
		b.slots = append(b.slots, s)
		if len(b.slots) >= batchSlots || b.bytes >= batchBytes {
			return deal()
		}
		return ctx.Err()
	})
	if err == nil {
		err = deal()
	}
	a.meter.totalFiles.Store(files)
	a.meter.totalBytes.Store(bytes)
	if err != nil { // the channels stay open: nobody must take this for the end
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	close(order)
	close(todo)
	return nil
}

// same reports whether an entry is as it was, as far as the source can tell without opening it.
func same(it *Item, c *Cached) bool {
	return it.Fingerprint != Fingerprint{} && it.Fingerprint == c.Fingerprint && it.Type == c.Type &&
		(it.Type != tree.File || it.Size == c.Size) && it.ModTime == c.ModTime &&
		it.Mode == c.Mode && it.UID == c.UID && it.GID == c.GID && it.HardLink == c.HardLink && it.Rdev == c.Rdev
}

// suspect reports whether an entry refers to an object that turned out to be missing.
func (a *attempt) suspect(c *Cached) bool {
	missing := func(k seal.Key) bool {
		_, ok := a.distrusted[k.ID()]
		return ok
	}
	if !c.Inline() && missing(c.ChunkList) {
		return true
	}
	for i := range c.Chunks {
		if !c.Chunks[i].Hole && missing(c.Chunks[i].Key) {
			return true
		}
	}
	return false
}

// merger finds cached entries by path. Paths must be asked for in order.
type merger struct {
	r    CacheReader // nil at its end
	next *Cached
}

func (m *merger) find(path string) *Cached {
	for m.r != nil {
		if m.next == nil {
			c, err := m.r.Next()
			if err != nil { // the end, or damage, which is no reason to stop
				m.r = nil
				return nil
			}
			m.next = c
		}
		switch order := tree.Compare(m.next.Path, path); {
		case order == 0:
			return m.next
		case order > 0:
			return nil
		}
		m.next = nil
	}
	return nil
}
