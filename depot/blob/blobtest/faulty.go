package blobtest

import (
	"bytes"
	"context"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Op names an operation that can be made to fail.
type Op string

// The operations.
const (
	Create Op = "create"
	Write  Op = "write"  // of a Pending
	Commit Op = "commit" // fails before anything is stored
	Acked  Op = "acked"  // Commit stores the blob, and the answer is lost
	Open   Op = "open"
	Read   Op = "read" // of an open blob, in the middle of the stream
	Stat   Op = "stat"
	List   Op = "list" // after half of the blobs were told
	Delete Op = "delete"
	URL    Op = "url"
)

// Ready-made failures.
var (
	ErrFull error = fault.Wrap(syscall.ENOSPC, fault.StorageFull, "the disk that holds the backups is full: nothing was stored")
	ErrGone error = fault.New(fault.Unavailable, "the store cannot be reached")
)

// Faulty is a store that fails when told to, over one that works. It counts calls, too.
type Faulty struct {
	blob.Store

	mu      sync.Mutex
	rules   []*rule
	calls   map[Op]int
	latency time.Duration
	flip    map[string]int64
}

type rule struct {
	op    Op
	after int // calls to let through first
	times int // calls to fail; < 0: for ever
	err   error
}

// NewFaulty wraps a store. Without rules it behaves as the store does.
func NewFaulty(s blob.Store) *Faulty {
	return &Faulty{Store: s, calls: map[Op]int{}, flip: map[string]int64{}}
}

// Fail makes calls of an operation fail with err: after so many that pass, so many times (negative: until [Faulty.Heal]).
func (f *Faulty) Fail(op Op, after, times int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &rule{op, after, times, err})
}

// Slow makes every operation wait first.
func (f *Faulty) Slow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

// Flip makes readers of a blob see one byte inverted.
func (f *Faulty) Flip(name string, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flip[name] = offset
}

// Heal forgets all rules, the latency and the flipped bytes.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.latency = nil, 0
	clear(f.flip)
}

// Calls says how often an operation was called, failed calls included.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// check counts a call, waits, and returns the error that it shall fail with.
func (f *Faulty) check(ctx context.Context, op Op) error {
	f.mu.Lock()
	f.calls[op]++
	latency := f.latency
	var err error
	for _, r := range f.rules {
		if r.op != op || r.times == 0 {
			continue
		}
		if r.after > 0 {
			r.after--
			continue
		}
		if r.times > 0 {
			r.times--
		}
		err = r.err
		break
	}
	f.mu.Unlock()
	if latency > 0 {
		t := time.NewTimer(latency)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return err
}

// Create begins a blob.
func (f *Faulty) Create(ctx context.Context) (blob.Pending, error) {
	if err := f.check(ctx, Create); err != nil {
		return nil, err
	}
	p, err := f.Store.Create(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyPending{p, f}, nil
}

type faultyPending struct {
	blob.Pending
	f *Faulty
}

// Write fails after half of the bytes.
func (p *faultyPending) Write(b []byte) (int, error) {
	if err := p.f.check(context.Background(), Write); err != nil {
		n, _ := p.Pending.Write(b[:len(b)/2])
		return n, err
	}
	return p.Pending.Write(b)
}

func (p *faultyPending) Commit(ctx context.Context, name string) error {
	if err := p.f.check(ctx, Commit); err != nil {
		p.Pending.Abort()
		return err
	}
	if err := p.Pending.Commit(ctx, name); err != nil {
		return err
	}
	return p.f.check(ctx, Acked)
}

// Open reads a range of a blob.
func (f *Faulty) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := f.check(ctx, Open); err != nil {
		return nil, err
	}
	r, err := f.Store.Open(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	readErr := f.check(ctx, Read)
	f.mu.Lock()
	at, flipped := f.flip[name]
	f.mu.Unlock()
	if readErr == nil && !flipped {
		return r, nil
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if i := at - off; flipped && 0 <= i && i < int64(len(b)) {
		b[i] = ^b[i]
	}
	if readErr != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), failing{readErr})), nil
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

type failing struct{ err error }

func (r failing) Read([]byte) (int, error) { return 0, r.err }

// Stat describes a blob.
func (f *Faulty) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := f.check(ctx, Stat); err != nil {
		return blob.Info{}, err
	}
	return f.Store.Stat(ctx, name)
}

// List tells half of the blobs before it fails.
func (f *Faulty) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	failed := f.check(ctx, List)
	if failed == nil {
		return f.Store.List(ctx, prefix, fn)
	}
	var infos []blob.Info
	if err := f.Store.List(ctx, prefix, func(i blob.Info) error { infos = append(infos, i); return nil }); err != nil {
		return err
	}
	for _, i := range infos[:len(infos)/2] {
		if err := fn(i); err != nil {
			return err
		}
	}
	return failed
}

// Delete removes a blob.
func (f *Faulty) Delete(ctx context.Context, name string) error {
	if err := f.check(ctx, Delete); err != nil {
		return err
	}
	return f.Store.Delete(ctx, name)
}

// URL makes an address.
func (f *Faulty) URL(ctx context.Context, name string, ttl time.Duration) (string, bool, error) {
	if err := f.check(ctx, URL); err != nil {
		return "", false, err
	}
	return f.Store.URL(ctx, name, ttl)
}
