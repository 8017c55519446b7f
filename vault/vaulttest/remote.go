// Package vaulttest is the keeping half in memory, for tests of the knowing half: it counts, and on demand loses,
// repeats, corrupts, delays and forgets.
//
// A [Remote] keeps the promises of the real depot: it takes a pack only under its right name and with a sound
// index, it commits a snapshot only if everything reachable from the root is stored, and a session that is void
// stays void. So a test that passes here fails on the real one only for reasons of its own.
package vaulttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Remote is a depot with one space. The zero value is empty and ready. Set its knobs before it is used, or
// through [Remote.Do].
type Remote struct {
	// Fail is asked before every call, by the name of the method, with how often it was called before. An
	// error that it returns is the call's, which has no effect then. It is called without locks held.
	Fail func(op string, n int) error
	// Lose is like Fail, but the call has its effect first: the answer is lost.
	Lose func(op string, n int) error
	// Corrupt may change what ReadPack returns.
	Corrupt func(p id.Pack, offset int64, dst []byte)
	// Delay is how long every call takes.
	Delay time.Duration

	Chunk   chunk.Params  // zero: chunk.DefaultParams
	MaxPack int           // zero: pack.MaxSize
	TTL     time.Duration // told to sessions; only Expire enforces it. Zero: a minute

	mu        sync.Mutex
	packs     map[id.Pack][]byte
	objects   map[id.Object]object
	hidden    map[id.Object]bool
	snapshots []Snapshot
	session   *session
	calls     map[string]int
	in, out   int64
}

type object struct {
	restore.Location
	nodes, data []id.Object
}

// Snapshot is what was committed.
type Snapshot struct {
	ID id.Snapshot
	backup.Commit
}

var (
	_ backup.Remote  = (*Remote)(nil)
	_ restore.Remote = (*Remote)(nil)
)

// Do calls fn while no call is under way in the Remote's state.
func (r *Remote) Do(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

// Calls returns how often a method was called.
func (r *Remote) Calls(op string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[op]
}

// Bytes returns how many bytes of packs came in and went out.
func (r *Remote) Bytes() (in, out int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in, r.out
}

// Reset sets all counters to zero.
func (r *Remote) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.in, r.out = nil, 0, 0
}

// Snapshots returns what was committed, oldest first.
func (r *Remote) Snapshots() []Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.snapshots)
}

// Packs returns the names of all packs, sorted.
func (r *Remote) Packs() []id.Pack {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]id.Pack, 0, len(r.packs))
	for p := range r.packs {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b id.Pack) int { return bytes.Compare(a[:], b[:]) })
	return list
}

// Pack returns the bytes of a pack, which a test may change: later reads see that.
func (r *Remote) Pack(p id.Pack) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packs[p]
}

// Truncate cuts a pack off after n bytes, as a broken disk would.
func (r *Remote) Truncate(p id.Pack, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packs[p] = bytes.Clone(r.packs[p][:n])
}

// Objects returns the ids of all objects that are stored.
func (r *Remote) Objects() []id.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]id.Object, 0, len(r.objects))
	for o := range r.objects {
		list = append(list, o)
	}
	return list
}

// Hide makes the Remote say that it does not hold these objects; without any, it no longer hides what it hid.
func (r *Remote) Hide(list ...id.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(list) == 0 {
		r.hidden = nil
		return
	}
	if r.hidden == nil {
		r.hidden = map[id.Object]bool{}
	}
	for _, o := range list {
		r.hidden[o] = true
	}
}

// Drop forgets objects for ever, as a cleaning does. A backup that brings them again stores them again.
func (r *Remote) Drop(list ...id.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range list {
		delete(r.objects, o)
	}
}

// call counts a call of op, and lets it fail or take its time. after is to be called with the call's own error.
func (r *Remote) call(ctx context.Context, op string) (after func(error) error, err error) {
	r.mu.Lock()
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	n := r.calls[op]
	r.calls[op]++
	r.mu.Unlock()
	if r.Delay > 0 {
		select {
		case <-time.After(r.Delay):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.Fail != nil {
		if err := r.Fail(op, n); err != nil {
			return nil, err
		}
	}
	return func(err error) error {
		if err == nil && r.Lose != nil {
			return r.Lose(op, n)
		}
		return err
	}, nil
}

// Locate implements [restore.Remote].
func (r *Remote) Locate(ctx context.Context, ids []id.Object) ([]restore.Location, error) {
	after, err := r.call(ctx, "Locate")
	if err != nil {
		return nil, err
	}
	if len(ids) > restore.MaxLocate {
		return nil, fault.New(fault.TooLarge, "%d ids in one question", len(ids))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]restore.Location, len(ids))
	for i, o := range ids {
		if at, ok := r.objects[o]; ok && !r.hidden[o] {
			list[i] = at.Location
		}
	}
	return list, after(nil)
}

// ReadPack implements [restore.Remote].
func (r *Remote) ReadPack(ctx context.Context, p id.Pack, offset int64, dst []byte) error {
	after, err := r.call(ctx, "ReadPack")
	if err != nil {
		return err
	}
	r.mu.Lock()
	b, ok := r.packs[p]
	r.out += int64(len(dst))
	switch {
	case !ok:
		err = fault.New(fault.NotFound, "there is no pack %s", p)
	case offset < 0 || offset+int64(len(dst)) > int64(len(b)):
		err = fault.New(fault.BadPack, "pack %s ends before byte %d", p, offset+int64(len(dst)))
	default:
		copy(dst, b[offset:])
	}
	r.mu.Unlock()
	if err == nil && r.Corrupt != nil {
		r.Corrupt(p, offset, dst)
	}
	return after(err)
}

// Store stores a pack without a session.
func (r *Remote) Store(name id.Pack, b []byte) error {
	if sha256.Sum256(b) != name {
		return fault.New(fault.HashMismatch, "pack %s arrived damaged", name)
	}
	entries, err := pack.ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return fault.Wrap(err, fault.BadPack, "pack %s is not sound", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in += int64(len(b))
	if r.packs == nil {
		r.packs, r.objects = map[id.Pack][]byte{}, map[id.Object]object{}
	}
	if r.packs[name] != nil {
		return nil
	}
	r.packs[name] = bytes.Clone(b)
	for _, e := range entries {
		if _, ok := r.objects[e.ID]; !ok {
			r.objects[e.ID] = object{restore.Location{Pack: name, Offset: e.Offset, Length: e.Length, Stored: true}, e.Nodes, e.Data}
		}
	}
	return nil
}
