package keyring

import (
	"crypto/rand"

	"golang.org/x/crypto/argon2"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// WrapKey opens an account bundle. It never leaves the client.
type WrapKey [32]byte

// String does not show the key.
func (WrapKey) String() string { return "wrap key" }

// KDF says how Argon2id (RFC 9106) makes keys of a password. It is not secret: the server keeps it with the account and
// tells it to whoever wants to log in.
type KDF struct {
	Salt      []byte
	Time      uint32 // passes
	MemoryKiB uint32
	Threads   uint8
}

// What a client accepts from a server. Below, the server could try passwords too cheaply; above, it could
// stop the client. The product bounds the time that both together may take.
const (
	minSalt, maxSalt     = 16, 64
	minTime, maxTime     = 1, 64
	minMemory, maxMemory = 19 << 10, 1 << 20 // KiB
	maxWork              = 4 << 20           // KiB of memory times passes
	maxThreads           = 64
)

// NewKDF returns what new passwords get, with a random salt: 3 passes over 64 MiB, in 4 threads. That takes about
// an eighth of a second on a server's processor, and half a second in a browser.
func NewKDF() KDF {
	k := KDF{Salt: make([]byte, 16), Time: 3, MemoryKiB: 64 << 10, Threads: 4}
	rand.Read(k.Salt) // never fails: crypto/rand ends the program instead
	return k
}

// Validate refuses what no honest server sends: parameters that would make a password cheap to guess, or
// that would keep this machine busy for ever.
func (k KDF) Validate() error {
	switch {
	case len(k.Salt) < minSalt || len(k.Salt) > maxSalt:
		return fault.New(fault.Invalid, "The server sent a salt of %d bytes for the password; it must have %d to %d. Do not log in to it.", len(k.Salt), minSalt, maxSalt)
	case k.Time < minTime || k.MemoryKiB < minMemory || k.Threads < 1:
		return fault.New(fault.Invalid, "The server asks to protect the password with %d passes over %d KiB in %d threads, which is too weak. Do not log in to it.", k.Time, k.MemoryKiB, k.Threads)
	case k.Time > maxTime || k.MemoryKiB > maxMemory || k.Threads > maxThreads || k.Time*k.MemoryKiB > maxWork:
		return fault.New(fault.Invalid, "The server asks to protect the password with %d passes over %d KiB in %d threads, which is more than this program does.", k.Time, k.MemoryKiB, k.Threads)
	}
	return nil
}

// FromPassword returns what proves to the server that somebody knows the password, and what opens the
// bundle. The password is taken as the bytes that it is. It fails if k is not valid or the password is
// empty.
func FromPassword(password []byte, k KDF) (authKey [32]byte, wrap WrapKey, err error) {
	if err := k.Validate(); err != nil {
		return authKey, wrap, err
	}
	if len(password) == 0 {
		return authKey, wrap, fault.New(fault.Invalid, "The password is empty.")
	}
	master := argon2.IDKey(password, k.Salt, k.Time, k.MemoryKiB, k.Threads, 32)
	defer clear(master)
	return derive(master, labelPasswordAuth), derive(master, labelPasswordWrap), nil
}
