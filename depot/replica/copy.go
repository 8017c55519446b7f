package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	copiers = 4 // packs that are on their way to one replica at once
	buffer  = 256 << 10
)

// Report is what was done.
type Report struct {
	Packs      int64 `json:"packs"`   // copied
	Bytes      int64 `json:"bytes"`   // of these
	Records    int64 `json:"records"` // copied, and copies of the database
	Deleted    int64 `json:"deleted"` // from replicas
	Unreadable int64 `json:"unreadable"`
	Missing    int64 `json:"missing"` // found missing in replicas
	Damaged    int64 `json:"damaged"` // found wrong in replicas
	Verified   int64 `json:"verified"`
}

// Idle reports whether there was nothing to do.
func (r Report) Idle() bool { return r == Report{} }

// tally is a report that several goroutines add to.
type tally struct {
	mu sync.Mutex
	r  Report
}

func (t *tally) add(change func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.r)
}

// Copy brings every replica up to date, and deletes from it what has left the store for long enough. It goes on where an earlier call was broken
// off. An error says of which replica; the others are brought up to date nevertheless. The system may ask, and superusers.
func (s *Service) Copy(ctx context.Context, a actor.Actor) (Report, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return Report{}, err
	}
	var t tally
	err := s.each(ctx, func(ctx context.Context, r row, to blob.Store) error {
		p := &pass{s: s, r: r, to: to, tally: &t}
		err := p.run(ctx)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !p.moved.Load() {
			return errSilent
		} else if err != nil {
			return err
		}
		return reached(ctx, s.cfg.DB, r.ID)
	})
	return t.r, err
}

// errSilent is the error of a replica to which nothing could be copied in all the time that there was.
var errSilent error = fault.New(fault.Unavailable, "it did not answer in the time that there was: look after the way to it")

// pass is one call of Copy for one replica.
type pass struct {
	s  *Service
	r  row
	to blob.Store
	*tally
	moved atomic.Bool // something was done
}

// did counts something that was done.
func (p *pass) did(change func(*Report)) {
	p.moved.Store(true)
	p.add(change)
}

func (p *pass) run(ctx context.Context) error {
	for {
		spaces, err := dueSpaces(ctx, p.s.cfg.DB, p.r.ID)
		if err != nil {
			return err
		}
		more := false
		for _, d := range spaces {
			rest, err := p.space(ctx, d)
			if err != nil {
				return err
			}
			more = more || rest
		}
		if more {
			continue
		}
		if err := p.metadata(ctx); err != nil {
			return err
		}
		return p.leave(ctx)
	}
}

// space copies what of a space is due, packs first. It reports whether packs are left for another turn.
func (p *pass) space(ctx context.Context, d due) (rest bool, err error) {
	var records []blob.Info
	if d.Stamp != nil { // before the packs: whatever these refer to is among the packs
		if records, err = p.records(ctx, p.s.cfg.Store, d.Space); err != nil {
			return false, err
		}
	}
	for n := 0; ; {
		list, err := wants(ctx, p.s.cfg.DB, p.r.ID, d.ID, p.s.batch)
		if err != nil {
			return false, err
		}
		if len(list) == 0 {
			break
		}
		if n >= p.s.turn {
			return true, nil
		}
		n += len(list)
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(copiers)
		for _, w := range list {
			g.Go(func() error { return p.pack(gctx, w) })
		}
		if err := g.Wait(); err != nil {
			return false, err
		}
	}
	if d.Stamp == nil {
		return false, nil
	}
	return false, p.compare(ctx, d, records)
}

// errUnreadable is the kind of error of what is wrong in the store: it says nothing about the replica.
var errUnreadable = errors.New("it cannot be read in the store")

// pack copies a pack. One that cannot be read in the store is put off.
func (p *pass) pack(ctx context.Context, w want) error {
	name := catalog.PackName(w.Space, w.Name)
	replace := w.Wrong
	if !replace {
		switch there, err := p.to.Stat(ctx, name); {
		case err == nil && there.Size == w.Size:
			p.moved.Store(true)
			return copied(ctx, p.s.cfg.DB, p.r.ID, w.ID)
		case err == nil:
			replace = true
		case !errors.Is(err, fault.NotFound):
			return err
		}
	}
	err := p.carry(ctx, name, replace, func(size int64, sum []byte) bool { return size == w.Size && id.Pack(sum) == w.Name })
	switch {
	case errors.Is(err, errUnreadable):
		p.add(func(r *Report) { r.Unreadable++ })
		return postpone(ctx, p.s.cfg.DB, p.r.ID, w.ID)
	case err != nil:
		return err
	}
	p.did(func(r *Report) { r.Packs++; r.Bytes += w.Size })
	return copied(ctx, p.s.cfg.DB, p.r.ID, w.ID)
}

// carry copies a blob if it is right. With replace, what is there leaves first: once the right bytes were read to their end. Its error is errUnreadable if the blob in
// the store is not there or not right.
func (p *pass) carry(ctx context.Context, name string, replace bool, right func(size int64, sum []byte) bool) error {
	from, err := p.s.cfg.Store.Open(ctx, name, 0, -1)
	if errors.Is(err, fault.NotFound) {
		return errUnreadable
	}
	if err != nil {
		return err
	}
	defer from.Close()
	spool, err := p.to.Create(ctx)
	if err != nil {
		return err
	}
	defer spool.Abort()
	h, source := sha256.New(), &reader{Reader: from}
	size, err := io.CopyBuffer(io.MultiWriter(h, spool), source, make([]byte, buffer))
	if source.err != nil {
		return broken(ctx, p.s.cfg.Store, name, source.err)
	}
	if err != nil {
		return err
	}
	if !right(size, h.Sum(nil)) {
		return errUnreadable
	}
	if replace { // a store may keep what it has when a name is committed again
		if err := p.to.Delete(ctx, name); err != nil {
			return err
		}
	}
	return spool.Commit(ctx, name)
}

// broken says what it means that reading a blob broke off: if its store answers, the blob is unreadable (a bad sector, say); if not, the store is away.
func broken(ctx context.Context, in blob.Store, name string, err error) error {
	if _, e := in.Stat(ctx, name); e != nil && !errors.Is(e, fault.NotFound) {
		return err
	}
	return errUnreadable
}

// reader remembers its error, apart from that of the writer, and hides WriterTo, so that CopyBuffer uses our buffer.
type reader struct {
	io.Reader
	err error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
