package order

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/vault/keyring"
)

const (
	version = 1
	macSize = 32
)

// opener is a private key: a device's, or an account's identity.
type opener interface {
	OpenSealed(info string, sealed []byte) ([]byte, error)
}

// sealed signs a body and seals it to a public key, for the purpose info.
func sealed(space *keyring.Space, public []byte, info string, body []byte, limit int) ([]byte, error) {
	plain := signed(space, info, body)
	if n := len(plain) + keyring.SealedOverhead; n > limit {
		return nil, fmt.Errorf("a message of %d bytes, and %d are the most: choose folders instead of many files", n, limit)
	}
	return keyring.SealTo(public, info, plain)
}

// opened returns the body that [sealed] was given.
func opened(k opener, space *keyring.Space, info string, sealed []byte, limit int) ([]byte, error) {
	if len(sealed) > limit {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrMalformed, len(sealed))
	}
	plain, err := k.OpenSealed(info, sealed)
	if err != nil {
		return nil, fmt.Errorf("opening a message (%s): %w", info, err)
	}
	return verify(space, info, plain)
}

// signed returns version[1] || MAC[32] || body.
func signed(space *keyring.Space, info string, body []byte) []byte {
	mac := space.OrderMAC(message(info, version, body))
	return slices.Concat([]byte{version}, mac[:], body)
}

// verify returns the body of what signed wrote.
func verify(space *keyring.Space, info string, plain []byte) ([]byte, error) {
	if len(plain) < 1+macSize {
		return nil, fmt.Errorf("%w: it ends early", ErrMalformed)
	}
	if plain[0] != version {
		return nil, fmt.Errorf("%w: it has version %d", ErrMalformed, plain[0])
	}
	mac, body := plain[1:1+macSize], plain[1+macSize:]
	if !space.VerifyOrder(message(info, plain[0], body), mac) {
		return nil, ErrForged
	}
	return body, nil
}

// message is what the MAC is over. Info keeps the kinds apart.
func message(info string, version byte, body []byte) []byte {
	return slices.Concat([]byte(info), []byte{version}, body)
}

// The times that 64 bits of nanoseconds reach.
var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

func checkTime(t time.Time) error {
	if t.Before(earliest) || t.After(latest) {
		return fmt.Errorf("a message of the time %v", t)
	}
	return nil
}
