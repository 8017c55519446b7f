package backup

import (
	"context"
	"errors"
	"sync"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// openPacks are the packs that nobody is adding to at the moment. A sealer takes the one that was used
// last, so that a small backup, whose sealers are hardly ever busy at once, makes one pack and not one each.
type openPacks struct {
	a     *attempt
	mu    sync.Mutex
	stack []*packBuffer
}

// take returns a pack to add to.
func (o *openPacks) take(ctx context.Context) (*packBuffer, error) {
	o.mu.Lock()
	if n := len(o.stack); n > 0 {
		p := o.stack[n-1]
		o.stack = o.stack[:n-1]
		o.mu.Unlock()
		return p, nil
	}
	o.mu.Unlock()
	return o.a.newPack(ctx)
}

func (o *openPacks) give(p *packBuffer) {
	o.mu.Lock()
	o.stack = append(o.stack, p)
	o.mu.Unlock()
}

// finish uploads what is left.
func (o *openPacks) finish(ctx context.Context) error {
	for _, p := range o.stack {
		if err := send(ctx, o.a.upload, p); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) newPack(ctx context.Context) (*packBuffer, error) {
	p, err := a.packs.get(ctx)
	if err == nil {
		p.w = pack.NewWriter(p.mem)
	}
	return p, err
}

// full reports whether nothing more should be added to a pack: the object that would not fit is not known yet,
// so there must be room for any.
func (a *attempt) full(p *packBuffer) bool {
	return p.w.Full() || a.info.MaxPack > 0 && p.w.Len() > 0 && p.w.Size()+pack.MaxBody > a.info.MaxPack
}

// sealWorker seals the chunks of arenas into packs, and the full ones go to be uploaded.
func (a *attempt) sealWorker(ctx context.Context, in <-chan *arena, open *openPacks) error {
	for {
		ar, err := receive(ctx, in)
		if err != nil || ar == nil {
			return err
		}
		var p *packBuffer
		for i := range ar.pieces {
			c := &ar.pieces[i]
			if c.present {
				continue
			}
			if p == nil {
				if p, err = open.take(ctx); err != nil {
					return err
				}
			}
			plain := ar.buf[c.off : c.off+c.n]
			p.w.Add(c.id, func(dst []byte) []byte { return a.sealer.Append(dst, c.key, plain, a.cfg.Level) })
			a.newBytes.Add(int64(c.n))
			if a.full(p) {
				if err := send(ctx, a.upload, p); err != nil {
					return err
				}
				p = nil
			}
		}
		if p != nil {
			open.give(p)
		}
		ar.reset()
		a.arenas.put(ar)
	}
}

// uploader uploads packs until there are no more.
func (a *attempt) uploader(ctx context.Context) error {
	for {
		p, err := receive(ctx, a.upload)
		if err != nil || p == nil {
			return err
		}
		b, name := p.w.Finish()
		if err := a.put(ctx, name, b); err != nil {
			return err
		}
		a.uploaded.Add(int64(len(b)))
		a.meter.uploaded.Add(int64(len(b)))
		p.mem, p.w = b[:cap(b)], nil // an index that outgrew the memory brought more along
		a.packs.put(p)
	}
}

// put uploads a pack. Bytes that arrive damaged are sent again: they are still here.
func (a *attempt) put(ctx context.Context, name id.Pack, b []byte) error {
	var err error
	for range 3 {
		if err = a.session.Upload(ctx, name, b); !errors.Is(err, fault.HashMismatch) {
			break
		}
	}
	return err
}
