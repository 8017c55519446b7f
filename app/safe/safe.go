// Package safe is the knowing half in the browser: it holds the account's keys and does all that is done with them. It runs in a Web Worker
// (see app/keys), so that no page freezes and no page has a key; package talk has the words in which a page asks it.
//
//	password --derive--> keys of the password --open(bundle)--> account: keys, snapshots, trees
//	            create, rewrap, newRecovery make what the server keeps; lock drops everything
//
// It is plain Go without a browser: what it needs of one is in [Outside]. Everything that exists only while the keys are open hangs on one value
// (see [account]), which lock drops whole, and whose context ends what is still under way.
//
// # What stays across a reload
//
// After open, and then at most once a minute while the keys are used, the account's bundle is sealed under a fresh random key, and a
// [Keeper] keeps both: the bundle as it is, its key wrapped by one that no script can read. Who comes back within [Life] of the last use has the keys
// again, without a password; later, or after lock, in whichever tab, what was kept is deleted.
//
// What this package does not promise: it trusts the program that it is part of, which the server sent. And the browser keeps
// the wrapping key on its disk: that no script can read it helps against a script that reads storage, not against somebody who takes
// the disk while something is kept.
package safe

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Outside is what a safe needs of the world around it.
type Outside struct {
	// Post sends a GraphQL operation with the page's login. Its error says that no answer came.
	Post func(ctx context.Context, body []byte) (status int, answer []byte, err error)

	// Range fills dst with the bytes of what is at an address of this server from offset on, if the status is 206. Its error says that no
	// answer came.
	Range func(ctx context.Context, address string, offset int64, dst []byte) (status int, err error)

	// Decrypt and Hash open large objects faster than Go does: see [seal.Elsewhere]. Hash returns a function for one content key, or nil.
	// Nil: Go does it.
	Decrypt func(dst []byte, k seal.Key, nonce, sealed, aad []byte) ([]byte, error)
	Hash    func(ck seal.ContentKey) func(p []byte) (seal.Key, error)

	// Keeper keeps keys across a reload; nil: nothing is kept.
	Keeper Keeper

	// Locked tells the browser's other tabs that the keys are locked. They call [Safe.Lock] with false. May be nil.
	Locked func()

	// Memory returns a place in the browser's memory for content of a media type.
	Memory func(mediaType string) Memory

	// Release forgets what an address of a Memory stands for.
	Release func(url string)

	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// decryptFrom is the length in bytes from which Outside.Decrypt is worth its way: in Chromium 8 KiB take a third of a millisecond either way.
const decryptFrom = 8 << 10

// hashFrom is that for Outside.Hash: 16 KiB take 45 microseconds either way.
const hashFrom = 16 << 10

// A Stream takes content in order. It is for one writer.
type Stream interface {
	// Write takes p, waiting until there is room. It keeps nothing of p. Its error says that nobody takes any more.
	Write(ctx context.Context, p []byte) error

	// Close says that the content is complete, and waits until all of it was taken.
	Close(ctx context.Context) error

	// Abort says that there will be no more: whoever takes the content must not keep it.
	Abort(why string)
}

// A Memory is a Stream that keeps what it takes.
type Memory interface {
	Stream

	// URL returns an address of the content, after Close.
	URL() string
}

// Request is one call of a method.
type Request struct {
	Method string
	In     json.RawMessage
	Emit   func(event any) // says something before the answer; nil: nobody listens
	Out    Stream          // where a download goes; nil: nowhere
}

// Safe holds the keys of at most one account. It is safe for concurrent use.
type Safe struct {
	out Outside

	mu      sync.Mutex
	wrap    *keyring.WrapKey      // of the password or code that was derived last, for open
	code    *keyring.RecoveryCode // that was shown last, for confirmCode
	account *account              // nil: the keys are not open
	closed  chan struct{}         // is closed when account becomes nil
}

// New returns a safe without keys.
func New(out Outside) *Safe {
	if out.Now == nil {
		out.Now = time.Now
	}
	s := &Safe{out: out, closed: make(chan struct{})}
	close(s.closed)
	return s
}

// method is something that a page may ask for.
type method func(s *Safe, ctx context.Context, r *Request) (any, error)

// methods are all of them.
var methods = map[string]method{
	talk.MethodDerive:         free((*Safe).derive),
	talk.MethodDeriveRecovery: free((*Safe).deriveRecovery),
	talk.MethodCreate:         free((*Safe).create),
	talk.MethodConfirmCode:    free((*Safe).confirmCode),
	talk.MethodStrength:       free((*Safe).strength),
	talk.MethodOpen:           free((*Safe).open),
	talk.MethodLock:           func(s *Safe, _ context.Context, _ *Request) (any, error) { s.Lock(true); return nil, nil },
	talk.MethodResume:         free((*Safe).resume),
	talk.MethodLocked:         func(s *Safe, ctx context.Context, _ *Request) (any, error) { return nil, s.wait(ctx) },
	talk.MethodRelease:        free((*Safe).release),

	talk.MethodRewrap:           keyed((*Safe).rewrap),
	talk.MethodNewRecovery:      keyed((*Safe).newRecovery),
	talk.MethodEnrolCode:        keyed((*Safe).enrolCode),
	talk.MethodVerifyDevice:     keyed((*Safe).verifyDevice),
	talk.MethodOpenManifests:    keyed((*Safe).openManifests),
	talk.MethodProblems:         keyed((*Safe).problems),
	talk.MethodLoad:             keyed((*Safe).load),
	talk.MethodList:             keyed((*Safe).list),
	talk.MethodSearch:           keyed((*Safe).search),
	talk.MethodTotals:           keyed((*Safe).totals),
	talk.MethodStat:             keyed((*Safe).stat),
	talk.MethodVersions:         keyed((*Safe).versions),
	talk.MethodPreview:          keyed((*Safe).preview),
	talk.MethodPlan:             keyed((*Safe).plan),
	talk.MethodDownload:         keyed((*Safe).download),
	talk.MethodOrderRestore:     keyed((*Safe).orderRestore),
	talk.MethodOrderApplication: keyed((*Safe).orderApplication),
	talk.MethodLend:             keyed((*Safe).lend),
	talk.MethodOpenReport:       keyed((*Safe).openReport),
}

// free makes a method of what needs no keys.
func free[I, O any](fn func(*Safe, context.Context, I) (O, error)) method {
	return func(s *Safe, ctx context.Context, r *Request) (any, error) {
		in, err := read[I](r)
		if err != nil {
			return nil, err
		}
		return fn(s, ctx, in)
	}
}

// call is a call of a method that needs keys.
type call struct {
	*account
	*Request
}

// keyed makes a method of what needs keys. They count as used when it begins and when it ends, and it ends when they are locked.
func keyed[I, O any](fn func(*Safe, context.Context, call, I) (O, error)) method {
	return func(s *Safe, ctx context.Context, r *Request) (any, error) {
		in, err := read[I](r)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		a := s.account
		s.mu.Unlock()
		if a == nil {
			return nil, errLocked
		}
		s.keep(a)
		defer s.keep(a)
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(a.ctx, func() { cancel(errLocked) })()
		out, err := fn(s, ctx, call{a, r}, in)
		if err != nil && a.ctx.Err() != nil {
			return nil, errLocked
		}
		return out, err
	}
}

// errLocked is the error of whatever needs keys while there are none.
var errLocked error = fault.New(fault.Unauthenticated, "the keys are locked: type your password")

func read[I any](r *Request) (in I, err error) {
	if len(r.In) > 0 {
		if err := json.Unmarshal(r.In, &in); err != nil {
			return in, fault.Wrap(err, fault.Invalid, "%s was asked in a way that it does not understand: reload the page", r.Method)
		}
	}
	return in, nil
}

// Do answers a call. Its errors are faults, or ctx's own.
func (s *Safe) Do(ctx context.Context, r Request) (any, error) {
	m := methods[r.Method]
	if m == nil {
		return nil, fault.New(fault.NotFound, "there is no method %q: reload the page", r.Method)
	}
	if r.Emit == nil {
		r.Emit = func(any) {}
	}
	out, err := m(s, ctx, &r)
	if err == nil {
		return out, nil
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, seal.ErrDamaged):
		return nil, fault.Wrap(err, fault.Internal, "what the server sent is damaged, or is not what was stored: try again, and if that does not help ask its administrator to run holdfast scrub")
	}
	return nil, fault.Wrap(err, fault.Internal, "%s", err)
}

// wait waits until the keys are not open.
func (s *Safe) wait(ctx context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lock drops the keys, and ends what is under way with them. everywhere says that the person wants it: then what was kept is deleted
// before it returns, and the browser's other tabs are told.
func (s *Safe) Lock(everywhere bool) {
	s.mu.Lock()
	a := s.account
	s.account, s.wrap, s.code = nil, nil, nil
	if a != nil {
		close(s.closed)
	}
	s.mu.Unlock()
	if a != nil {
		a.close()
	}
	if !everywhere {
		return
	}
	s.forget()
	if s.out.Locked != nil {
		s.out.Locked()
	}
}

func (s *Safe) release(_ context.Context, in talk.URL) (any, error) {
	s.out.Release(in.URL)
	return nil, nil
}
