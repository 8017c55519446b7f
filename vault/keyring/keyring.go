// Package keyring holds every key that is not an object's, and all that is done with them: from what a person
// knows to what opens a snapshot.
//
//	password --Argon2id--> master --HKDF--> authentication key (to the server), wrap key
//	recovery code ----------------HKDF--> the same two, others
//	wrap key --opens--> bundle = identity (an HPKE private key) and space key
//	space key --HKDF--> content key, chunker key, manifest key, device MAC key, order key
//	enrolment code --HKDF--> token (to the server), key of the offer = {space key, identity's public key …}
//
// A server that sees an authentication key, a token, a bundle and an offer learns none of the keys beside
// and below them. What opens things is never sent; what is sent opens nothing.
//
// A device holds the space key, so it can make objects that deduplicate and manifests that are genuine. It
// does not hold the identity, so it cannot open a manifest, and without one there is no root from which a
// backup can be read: not even the device's own.
//
// Sealing to a person or a device is HPKE (RFC 9180) with X-Wing, so what is stored today stays closed to
// a quantum computer of tomorrow. Everything sealed begins with a format version; docs/format.md describes
// each byte. Secrets do not print: the types have String methods that hide them, save for the two codes,
// which are there to be shown.
//
// What this package does not promise: Go may leave copies of keys in memory that it no longer uses.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// The labels of HKDF, and of what is sealed.
const (
	labelPasswordAuth = "holdfast/v1/password-auth"
	labelPasswordWrap = "holdfast/v1/password-wrap"
	labelRecoveryAuth = "holdfast/v1/recovery-auth"
	labelRecoveryWrap = "holdfast/v1/recovery-wrap"
	labelContent      = "holdfast/v1/content"
	labelChunker      = "holdfast/v1/chunker"
	labelManifest     = "holdfast/v1/manifest"
	labelDeviceMAC    = "holdfast/v1/device-mac"
	labelOrderMAC     = "holdfast/v1/order-mac"
	labelEnrolToken   = "holdfast/v1/enrol-token"
	labelEnrolSeal    = "holdfast/v1/enrol-seal"
	labelBundle       = "holdfast/v1/bundle"
	labelOffer        = "holdfast/v1/offer"
)

// Errors of everything here that opens something.
var (
	// ErrWrongKey says that the key does not open it. Damage looks the same.
	ErrWrongKey = errors.New("this key does not open it")
	// ErrMalformed says that it is nothing that any key would open.
	ErrMalformed = errors.New("not a sealed message of this version")
)

// version begins everything that is sealed here.
const version = 1

// derive is HKDF-SHA256 with an empty salt: every secret here is uniformly random already.
func derive(secret []byte, label string) (key [32]byte) {
	b, err := hkdf.Key(sha256.New, secret, nil, label, len(key))
	if err != nil {
		panic(err) // 32 bytes are never too many
	}
	return [32]byte(b)
}

// A box is version[1] || nonce[12] || AES-256-GCM(key, nonce, plain, aad = label).
const (
	nonceSize   = 12
	boxOverhead = 1 + nonceSize + 16
)

func sealBox(key [32]byte, label string, plain []byte) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails: crypto/rand ends the program instead
	return sealBoxWith(nonce, key, label, plain)
}

func sealBoxWith(nonce [nonceSize]byte, key [32]byte, label string, plain []byte) []byte {
	b := make([]byte, 0, boxOverhead+len(plain))
	b = append(append(b, version), nonce[:]...)
	return gcm(key).Seal(b, nonce[:], plain, []byte(label))
}

func openBox(key [32]byte, label string, sealed []byte) ([]byte, error) {
	if len(sealed) < boxOverhead {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrMalformed, len(sealed))
	}
	if sealed[0] != version {
		return nil, fmt.Errorf("%w: it has version %d", ErrMalformed, sealed[0])
	}
	nonce, sealed := sealed[1:1+nonceSize], sealed[1+nonceSize:]
	plain, err := gcm(key).Open(nil, nonce, sealed, []byte(label))
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}

func gcm(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var a cipher.AEAD
		if a, err = cipher.NewGCM(block); err == nil {
			return a
		}
	}
	panic(err) // a key of 32 bytes has the right size
}
