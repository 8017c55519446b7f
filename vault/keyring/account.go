package keyring

import (
	"crypto/rand"
	"fmt"
)

// Account is what an unlocked person has: the identity, which opens manifests and hence every backup, and the
// space key. It is safe for concurrent use.
type Account struct {
	identity keyPair
	spaceKey [32]byte
}

// bundleSize is the plaintext of a bundle: identity[32] || space key[32].
const bundleSize = privateSize + 32

// NewAccount makes the keys of a new account.
func NewAccount() (*Account, error) {
	k, err := newKeyPair()
	if err != nil {
		return nil, err
	}
	a := &Account{identity: k}
	rand.Read(a.spaceKey[:]) // never fails: crypto/rand ends the program instead
	return a, nil
}

// String does not show the keys.
func (*Account) String() string { return "account" }

// IdentityPublic returns the public key of the identity, of [PublicSize] bytes, to which devices seal.
func (a *Account) IdentityPublic() []byte { return a.identity.public() }

// SpaceKey returns the secret that the account's devices share.
func (a *Account) SpaceKey() [32]byte { return a.spaceKey }

// Space returns the keys of the account's space.
func (a *Account) Space() *Space { return NewSpace(a.spaceKey) }

// SealBundle returns the account's keys, sealed under w, for the server to keep. A changed password needs
// nothing more than a new bundle.
func (a *Account) SealBundle(w WrapKey) []byte {
	return sealBox(w, labelBundle, a.bundle())
}

func (a *Account) bundle() []byte { return append(a.identity.bytes(), a.spaceKey[:]...) }

// OpenBundle opens what [Account.SealBundle] sealed. It fails with [ErrWrongKey], or with [ErrMalformed]
// if no key would open it.
func OpenBundle(w WrapKey, sealed []byte) (*Account, error) {
	plain, err := openBox(w, labelBundle, sealed)
	if err != nil {
		return nil, err
	}
	if len(plain) != bundleSize {
		return nil, fmt.Errorf("%w: a bundle of %d bytes", ErrMalformed, len(plain))
	}
	k, err := openKeyPair(plain[:privateSize])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &Account{identity: k, spaceKey: [32]byte(plain[privateSize:])}, nil
}

// OpenSealed opens what was sealed to the identity with the same info by [SealTo]. It fails with
// [ErrWrongKey] or [ErrMalformed].
func (a *Account) OpenSealed(info string, sealed []byte) ([]byte, error) {
	return a.identity.open(info, sealed)
}
