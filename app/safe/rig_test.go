package safe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// rig is a safe in a world, with a browser around it that is made of maps.
type rig struct {
	T *testing.T
	*safetest.World
	safe   *Safe
	keeper *keeper
	clock  time.Time
	told   int // how often other tabs were told of a lock
	mu     sync.Mutex
	memory map[string]*memory
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, World: safetest.New(t), keeper: new(keeper), clock: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), memory: map[string]*memory{}}
	r.safe = r.tab()
	return r
}

// tab is another safe in the same browser.
func (r *rig) tab() *Safe {
	return New(Outside{Post: r.World.Post, Range: r.World.Range, Keeper: r.keeper, Locked: func() { r.told++ }, Now: func() time.Time { return r.clock },
		Memory: func(kind string) Memory {
			r.mu.Lock()
			defer r.mu.Unlock()
			m := &memory{kind: kind, url: "blob:" + kind}
			r.memory[m.url] = m
			return m
		},
		Release: func(url string) { delete(r.memory, url) }})
}

// opened is a rig whose keys are open.
func opened(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.safe.use(r.Account, r.User.String())
	return r
}

// ask calls a method of a safe as a page does, through JSON both ways.
func ask[O any](r *rig, s *Safe, method string, in any) (out O, err error) {
	return askWith[O](r, s, Request{Method: method}, in)
}

func askWith[O any](r *rig, s *Safe, q Request, in any) (out O, err error) {
	r.T.Helper()
	if q.In, err = json.Marshal(in); err != nil {
		r.T.Fatal(err)
	}
	got, err := s.Do(r.T.Context(), q)
	if err != nil {
		return out, err
	}
	text, err := json.Marshal(got)
	if err != nil {
		r.T.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		r.T.Fatalf("%s answers %s: %v", q.Method, text, err)
	}
	return out, nil
}

// must asks and expects an answer.
func must[O any](r *rig, method string, in any) O {
	r.T.Helper()
	out, err := ask[O](r, r.safe, method, in)
	if err != nil {
		r.T.Fatalf("%s: %v", method, err)
	}
	return out
}

// refused asks and expects an error of a kind.
func refused(r *rig, kind fault.Kind, method string, in any) {
	r.T.Helper()
	if out, err := ask[any](r, r.safe, method, in); !errors.Is(err, kind) {
		r.T.Errorf("%s(%.200v): %v, %v, want %s", method, in, out, err, kind)
	}
}

// keeper keeps in memory, and can be told to fail.
type keeper struct {
	mu     sync.Mutex
	user   string
	key    [32]byte
	sealed []byte
	until  time.Time
	keeps  int
	fail   error
}

func (k *keeper) Keep(ctx context.Context, user string, key [32]byte, sealed []byte, until time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(ctx.Err(), k.fail); err != nil {
		return err
	}
	k.user, k.key, k.sealed, k.until = user, key, bytes.Clone(sealed), until
	k.keeps++
	return nil
}

func (k *keeper) Kept(_ context.Context, user string, now time.Time) ([32]byte, []byte, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.fail != nil:
		return k.key, nil, k.until, k.fail
	case k.sealed == nil || k.user != user || !now.Before(k.until):
		return k.key, nil, k.until, fault.New(fault.NotFound, "nothing was kept")
	}
	return k.key, k.sealed, k.until, nil
}

func (k *keeper) Forget(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sealed, k.key = nil, [32]byte{}
	return k.fail
}

func (k *keeper) empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sealed == nil
}

// memory is a Stream that keeps what it takes.
type memory struct {
	bytes.Buffer
	kind, url string
	closed    bool
	aborted   string
	writes    int
	full      func(writes int) error // asked before each write; may be nil
}

func (m *memory) Write(ctx context.Context, p []byte) error {
	m.writes++
	if m.full != nil {
		if err := m.full(m.writes); err != nil {
			return err
		}
	}
	m.Buffer.Write(p)
	return ctx.Err()
}

func (m *memory) Close(context.Context) error {
	m.closed = true
	return nil
}

func (m *memory) Abort(why string) { m.aborted = why }
func (m *memory) URL() string      { return m.url }

// quick are parameters that a test can wait for.
var quick = talk.Derive{Salt: bytes.Repeat([]byte{7}, 16), Time: 1, Memory: 19 << 10, Threads: 1}

func withPassword(p string) talk.Derive {
	d := quick
	d.Password = p
	return d
}

// bundle is what the server keeps for a password.
func (r *rig) bundle(password string) []byte {
	r.T.Helper()
	_, wrap, err := keyring.FromPassword([]byte(password), keyring.KDF{Salt: quick.Salt, Time: 1, MemoryKiB: 19 << 10, Threads: 1})
	if err != nil {
		r.T.Fatal(err)
	}
	return r.Account.SealBundle(wrap)
}
