// Package seal turns a piece of plaintext into an object and back.
//
// An object is known by three values, each computed from the one before it:
//
//	key  = BLAKE3 keyed with the space's content key, over the plaintext    32 bytes: the capability
//	id   = first 16 bytes of BLAKE3 derive-key("holdfast/v1/object-id", key)  what the server sees
//	body = nonce[12] || AES-256-GCM(key, nonce, codec[1] || payload, aad = id)  what the server stores
//
// The same plaintext in the same space has the same key and the same id, so it is stored once. In another
// space it has others: nobody can find out whether somebody else has a file. Whoever holds a key can read
// that one object; whoever holds an id can do nothing.
//
// A key encrypts one plaintext only, but perhaps in several forms (raw, or compressed by different
// releases), so each body has a random nonce of its own.
//
// [Sealer.Open] believes nothing. The AEAD shows that somebody who held the key wrote the body; that the
// plaintext hashes back to the key shows that it is the right one. Every length is bounded before memory is
// taken for it, so the worst that a hostile body can do is to be refused.
//
// What this package does not promise: it hides neither the length of a plaintext, to within what compression
// does to it, nor that two of the owner's snapshots share an object.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Key is the capability to read one object: it decrypts the body and proves the plaintext.
type Key [32]byte

// ContentKey makes the keys of one space's objects. It reads nothing by itself.
type ContentKey [32]byte

// Sizes in bytes.
const (
	MaxPlain = 8 << 20     // plaintext of one object
	Overhead = 12 + 16 + 1 // by which a body is longer than its payload: nonce, tag, codec
	MaxBody  = MaxPlain + Overhead

	nonceSize = 12
)

// How the payload of an object became what it is: the first byte under the seal.
const (
	codecRaw  = 0
	codecZstd = 1
)

const idContext = "holdfast/v1/object-id"

// ErrDamaged is the kind of every error that [Sealer.Open] gives: the body is not what was sealed under
// this key, or was sealed under another.
var ErrDamaged = errors.New("damaged object")

// Level says how hard to compress. It changes the size of a body, never whether it can be read.
type Level int

// The levels.
const (
	LevelDefault Level = iota // the best size for its time
	LevelFast                 // a little larger, a third faster
	LevelBetter               // a little smaller, two to three times slower
	LevelNone                 // as it is
)

var idHashers = sync.Pool{New: func() any { return &hasher{Hasher: blake3.NewDeriveKey(idContext)} }}

// ID returns the name under which the server knows the object.
func (k Key) ID() (o id.Object) {
	h := idHashers.Get().(*hasher)
	copy(o[:], h.sum(k[:]))
	idHashers.Put(h)
	return o
}

// String names the object, and does not show the key: a key in a log is a leak.
func (k Key) String() string { return "key of " + k.ID().String() }

// String does not show the key.
func (ContentKey) String() string { return "content key" }

// Sealer makes and opens the objects of one space. It is safe for concurrent use, and keeps no memory but
// what a pool does.
type Sealer struct {
	hashers   sync.Pool // of *hasher, keyed
	elsewhere Elsewhere
}

// Elsewhere is for browsers, where Go has no use of the processor's AES and vector instructions: what opens objects faster than this
// package does. Its functions change nothing that they are given, and are called from several goroutines at once.
//
// Nothing rests on them. What Decrypt fails to open is tried again here, and a plaintext must hash back to its key as ever; that it does is
// seen from 32 bytes which Hash is not told, and what by Hash is another one is hashed again here before it is refused.
type Elsewhere struct {
	// Decrypt opens AES-256-GCM: it appends the plaintext of sealed, which ends in the tag, to dst, or fails. Nil: this package does it.
	Decrypt     func(dst []byte, k Key, nonce, sealed, aad []byte) ([]byte, error)
	DecryptFrom int // bytes of the bodies that Decrypt is for

	// Hash is BLAKE3 keyed with the space's content key, or fails. Nil: this package does it.
	Hash     func(p []byte) (Key, error)
	HashFrom int // bytes of the plaintexts that Hash is for
}

// hasher is a BLAKE3 state that is used again, with room for its output: setting one up costs ten times
// as much as hashing a small file.
type hasher struct {
	*blake3.Hasher
	out [32]byte
}

func (h *hasher) sum(p []byte) []byte {
	h.Reset()
	h.Write(p)
	return h.Sum(h.out[:0])
}

// New returns a Sealer for the space of ck.
func New(ck ContentKey) *Sealer {
	s := new(Sealer)
	s.hashers.New = func() any {
		h, err := blake3.NewKeyed(ck[:])
		if err != nil {
			panic(err) // a key of 32 bytes has the right size
		}
		return &hasher{Hasher: h}
	}
	return s
}

// NewWith returns a Sealer that leaves the opening of large objects to e.
func NewWith(ck ContentKey, e Elsewhere) *Sealer {
	s := New(ck)
	s.elsewhere = e
	return s
}

// Key returns the key of the object that holds p, which may have any length here.
func (s *Sealer) Key(p []byte) (k Key) {
	h := s.hashers.Get().(*hasher)
	copy(k[:], h.sum(p))
	s.hashers.Put(h)
	return k
}

// Append appends the sealed body of p to dst, whose key k must be [Sealer.Key] of p. It compresses p if
// that makes it shorter. It panics if p is longer than [MaxPlain]. dst and p must not overlap.
//
// It writes directly behind dst and takes no memory as long as dst has room for len(p) and half a per cent
// more, except for the few hundred bytes of an AES key schedule.
func (s *Sealer) Append(dst []byte, k Key, p []byte, level Level) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails: crypto/rand ends the program instead
	return appendBody(dst, k, nonce, p, level)
}

func appendBody(dst []byte, k Key, nonce [nonceSize]byte, p []byte, level Level) []byte {
	if len(p) > MaxPlain {
		panic(fmt.Sprintf("seal: %d bytes of plaintext in one object", len(p)))
	}
	start := len(dst)
	dst = slices.Grow(dst, Overhead+maxEncoded(len(p)))
	dst = append(dst, nonce[:]...)
	dst = append(dst, codecZstd)
	payload := len(dst)
	if level != LevelNone {
		dst = compress(dst, p, level)
	}
	if n := len(dst) - payload; n == 0 || n >= len(p) {
		dst[payload-1] = codecRaw
		dst = append(dst[:payload], p...)
	}
	plain := dst[start+nonceSize:]
	o := k.ID()
	return newAEAD(k).Seal(dst[:start+nonceSize], dst[start:start+nonceSize], plain, o[:])
}

// payloads lends the memory into which Open decrypts.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// Open appends the plaintext of body, which must be the object of k, to dst. On an error, which is always
// [ErrDamaged], it returns dst as it was given. It does not change body; dst and body must not overlap.
func (s *Sealer) Open(dst []byte, k Key, body []byte) ([]byte, error) {
	if len(body) < Overhead || len(body) > MaxBody {
		return dst, damaged(k, "it has %d bytes", len(body))
	}
	buf := payloads.Get().(*[]byte)
	defer payloads.Put(buf)
	opened, err := s.open((*buf)[:0], k, body)
	if err != nil {
		return dst, damaged(k, "it was changed, or is another one")
	}
	*buf = opened

	start := len(dst)
	out := dst
	switch codec, payload := opened[0], opened[1:]; codec {
	case codecRaw:
		out = append(out, payload...)
	case codecZstd:
		if out, err = decompress(out, payload); err != nil {
			return dst, damaged(k, "%v", err)
		}
	default:
		return dst, damaged(k, "it has codec %d, which this program does not know: it may be too old", codec)
	}
	if !s.proves(k, out[start:]) {
		return dst, damaged(k, "its plaintext is not the one that was sealed")
	}
	return out, nil
}

// open appends codec and payload of a body to dst.
func (s *Sealer) open(dst []byte, k Key, body []byte) ([]byte, error) {
	nonce, sealed, o := body[:nonceSize], body[nonceSize:], k.ID()
	if e := &s.elsewhere; e.Decrypt != nil && len(body) >= e.DecryptFrom {
		if opened, err := e.Decrypt(dst, k, nonce, sealed, o[:]); err == nil && len(opened) == len(sealed)-16 {
			return opened, nil
		}
	}
	return newAEAD(k).Open(dst, nonce, sealed, o[:])
}

// proves reports whether k is the key of p.
func (s *Sealer) proves(k Key, p []byte) bool {
	if e := &s.elsewhere; e.Hash != nil && len(p) >= e.HashFrom {
		if got, err := e.Hash(p); err == nil && got == k {
			return true
		}
	}
	return s.Key(p) == k
}

func damaged(k Key, format string, args ...any) error {
	return fmt.Errorf("%w %s: %s", ErrDamaged, k.ID(), fmt.Sprintf(format, args...))
}

func newAEAD(k Key) cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err == nil {
		var a cipher.AEAD
		if a, err = cipher.NewGCM(block); err == nil {
			return a
		}
	}
	panic(err) // a key of 32 bytes has the right size
}
