package browser

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"syscall/js"
)

// subtle is WebCrypto; pages that did not come over https or from this machine have none.
var subtle = global.Get("crypto").Get("subtle")

// HasCrypto reports whether the browser lends its cryptography to this page.
func HasCrypto() bool { return subtle.Truthy() }

var errNoCrypto = errors.New("the browser lends its cryptography only to pages that came over https")

// algorithm describes AES-256-GCM with its parameters.
func algorithm(nonce, aad []byte) js.Value {
	return record("name", "AES-GCM", "iv", toJS(nonce), "additionalData", toJS(aad))
}

// scratch is where WebCrypto and a hash read from: they copy it before they return, so one place serves all. Fresh memory for
// each call would cost more time than the copying.
var scratch struct {
	mu    sync.Mutex
	array js.Value
}

// reading calls fn, which calls JavaScript, with an array of bytes that is valid during the call.
func reading(b []byte, fn func(array js.Value) js.Value) (js.Value, error) {
	s := &scratch
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.array.IsUndefined() || s.array.Get("length").Int() < len(b) {
		s.array = uint8Array.New(max(len(b), 2<<20))
	}
	js.CopyBytesToJS(s.array, b)
	return try(func() js.Value { return fn(s.array.Call("subarray", 0, len(b))) })
}

// DecryptGCM appends to dst what AES-256-GCM sealed, ending in the tag. It is ten times as fast as Go is here.
func DecryptGCM(dst []byte, key [32]byte, nonce, sealed, aad []byte) ([]byte, error) {
	if !HasCrypto() {
		return dst, errNoCrypto
	}
	ctx := context.Background() // a call takes milliseconds
	raw := toJS(key[:])
	k, err := call(ctx, subtle, "importKey", "raw", raw, "AES-GCM", false, []any{"decrypt"})
	if err != nil {
		return dst, err
	}
	promise, err := reading(sealed, func(array js.Value) js.Value { return subtle.Call("decrypt", algorithm(nonce, aad), k, array) })
	if err != nil {
		return dst, err
	}
	plain, err := await(ctx, promise)
	if err != nil {
		return dst, err
	}
	view := uint8Array.New(plain)
	n := view.Get("length").Int()
	dst = slices.Grow(dst, n)
	js.CopyBytesToGo(dst[len(dst):len(dst)+n], view)
	spent.keep(view)
	return dst[:len(dst)+n], nil
}

// wrapped is a secret under a key that no script can read.
type wrapped struct {
	key    js.Value // a CryptoKey that storage takes and scripts cannot export
	nonce  []byte
	sealed []byte
}

// wrap wraps a secret under a new key. Only with the same aad it can be unwrapped.
func wrap(ctx context.Context, secret []byte, aad string) (w wrapped, err error) {
	if !HasCrypto() {
		return w, errNoCrypto
	}
	w.key, err = call(ctx, subtle, "generateKey", record("name", "AES-GCM", "length", 256), false, []any{"encrypt", "decrypt"})
	if err != nil {
		return w, err
	}
	w.nonce = make([]byte, 12)
	rand.Read(w.nonce) // never fails: crypto/rand ends the program instead
	sealed, err := call(ctx, subtle, "encrypt", algorithm(w.nonce, []byte(aad)), w.key, toJS(secret))
	if err != nil {
		return w, err
	}
	w.sealed = toGo(sealed)
	return w, nil
}

// unwrap returns the secret.
func (w wrapped) unwrap(ctx context.Context, aad string) ([]byte, error) {
	if !HasCrypto() {
		return nil, errNoCrypto
	}
	plain, err := call(ctx, subtle, "decrypt", algorithm(w.nonce, []byte(aad)), w.key, toJS(w.sealed))
	if err != nil {
		return nil, err
	}
	return toGo(plain), nil
}
