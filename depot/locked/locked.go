// Package locked keeps small secrets of the installation's own that the server has to read again, such as those from which codes
// of a second factor are made, so that whoever has the database, or a copy of it, does not have them.
//
// It is no home for keys of users' data: those never come here. AES-256-GCM under a key that is not in the database; what the secret
// belongs to is authenticated with it, so that one row's secret is worth nothing in another row. It does not protect from
// whoever holds the installation's secret too, and it does not tell an old value of the same row from the newest.
package locked

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// Box locks secrets under one key. It is safe for concurrent use.
type Box struct{ aead cipher.AEAD }

// New returns a box. It panics if the key has not KeySize bytes: that is a mistake of the program, not of its user.
func New(key []byte) *Box {
	if len(key) != KeySize {
		panic("locked: a key has 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &Box{aead}
}

// Lock returns a random nonce of 12 bytes, and the secret sealed with what it belongs to.
func (b *Box) Lock(secret []byte, of string) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce)
	return b.aead.Seal(nonce, nonce, secret, []byte(of))
}

// Open returns a secret that was locked as belonging to of.
func (b *Box) Open(sealed []byte, of string) ([]byte, error) {
	n := b.aead.NonceSize()
	if len(sealed) < n {
		return nil, errUnreadable
	}
	secret, err := b.aead.Open(nil, sealed[:n], sealed[n:], []byte(of))
	if err != nil {
		return nil, errUnreadable
	}
	return secret, nil
}

var errUnreadable = errors.New("locked: a secret in the database does not open: it was damaged or moved, or the installation's secret is another one than when it was written")
