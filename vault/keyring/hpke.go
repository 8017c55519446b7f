package keyring

import (
	"crypto/hpke"
	"fmt"
)

// Lengths in bytes of X-Wing (draft-connolly-cfrg-xwing-kem): the keys, and what one message is longer by.
const (
	PublicSize  = 1216
	privateSize = 32
	// SealedOverhead is by how much what [SealTo] returns is longer than what it was given.
	SealedOverhead = 1 + 1120 + 16
)

// keyPair is an HPKE key pair: KEM 0x647a (X-Wing: ML-KEM-768 and X25519), KDF HKDF-SHA256, AEAD AES-256-GCM.
type keyPair struct{ private hpke.PrivateKey }

func newKeyPair() (keyPair, error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return keyPair{}, fmt.Errorf("making a key pair: %w", err)
	}
	return keyPair{k}, nil
}

func openKeyPair(private []byte) (keyPair, error) {
	if len(private) != privateSize {
		return keyPair{}, fmt.Errorf("a private key of %d bytes, want %d", len(private), privateSize)
	}
	k, err := hpke.MLKEM768X25519().NewPrivateKey(private)
	if err != nil {
		return keyPair{}, fmt.Errorf("reading a private key: %w", err)
	}
	return keyPair{k}, nil
}

func (k keyPair) bytes() []byte {
	b, err := k.private.Bytes()
	if err != nil {
		panic(err) // the key came from its bytes, or was made with them
	}
	return b
}

func (k keyPair) public() []byte { return k.private.PublicKey().Bytes() }

// open opens what [SealTo] sealed to k's public key with the same info.
func (k keyPair) open(info string, sealed []byte) ([]byte, error) {
	if len(sealed) < SealedOverhead {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrMalformed, len(sealed))
	}
	if sealed[0] != version {
		return nil, fmt.Errorf("%w: it has version %d", ErrMalformed, sealed[0])
	}
	plain, err := hpke.Open(k.private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info), sealed[1:])
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}

// SealTo seals plain to the owner of a public key: of an identity or a device. Only what was sealed with an
// info opens with it, so that a message made for one purpose serves no other. It hides who sealed it,
// and proves nothing about that. It fails if public is no public key.
func SealTo(public []byte, info string, plain []byte) ([]byte, error) {
	k, err := parsePublic(public)
	if err != nil {
		return nil, err
	}
	sealed, err := hpke.Seal(k, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info), plain)
	if err != nil {
		return nil, fmt.Errorf("sealing to a public key: %w", err)
	}
	return append(append(make([]byte, 0, 1+len(sealed)), version), sealed...), nil
}

func parsePublic(public []byte) (hpke.PublicKey, error) {
	if len(public) != PublicSize {
		return nil, fmt.Errorf("a public key of %d bytes, want %d", len(public), PublicSize)
	}
	k, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("reading a public key: %w", err)
	}
	return k, nil
}
