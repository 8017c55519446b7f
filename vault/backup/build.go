package backup

import (
	"context"
	"errors"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// builder takes the batches in order, puts their entries into the tree and the new cache, and stores the nodes.
func (a *attempt) builder(ctx context.Context, order <-chan *batch, cache CacheWriter) error {
	b := tree.NewBuilder(a.cfg.Space.Chunker, &a.nodes)
	for {
		next, err := receive(ctx, order)
		if err != nil {
			return err
		}
		if next == nil {
			break
		}
		if next.done != nil {
			if _, err := receive(ctx, next.done); err != nil {
				return err
			}
		}
		for i := range next.slots {
			s := &next.slots[i]
			if s.drop {
				continue
			}
			e := &s.item.Entry
			if s.reuse {
				e = &s.prev.Entry
			}
			if err := b.Add(ctx, e); err != nil {
				if f := (*fault.Error)(nil); errors.As(err, &f) && (f.Kind == fault.Invalid || f.Kind == fault.TooLarge) && ctx.Err() == nil {
					a.problem(e.Path, TooLong, f.Message)
					continue
				}
				return err
			}
			if e.Type == tree.Dir {
				a.dirs++
			}
			if cache == nil {
				continue
			}
			c := s.prev
			if !s.reuse {
				c = &Cached{Entry: *e, Fingerprint: s.item.Fingerprint}
			}
			if err := cache.Add(c); err != nil {
				cache.Abort()
				cache, a.cacheErr = nil, err
			}
		}
	}
	root, err := b.Finish(ctx)
	if err != nil {
		return err
	}
	a.root = root
	return a.nodes.finish(ctx)
}

func (a *attempt) problem(path string, cause Cause, text string) {
	a.problems.add(path, cause, text)
	a.meter.problems.Add(1)
}

// receive takes the next value from a channel: the zero value if it is closed.
func receive[T any](ctx context.Context, c <-chan T) (T, error) {
	select {
	case v := <-c:
		return v, nil
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}

// send puts a value into a channel.
func send[T any](ctx context.Context, c chan<- T, v T) error {
	select {
	case c <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
