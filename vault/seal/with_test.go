package seal

import (
	"bytes"
	"errors"
	"testing"
)

// A Sealer that decrypts elsewhere opens the same objects, believes nothing, and needs nothing of what it is given.
func TestDecryptionElsewhere(t *testing.T) {
	t.Parallel()
	ck := ContentKey{7}
	small, large := noise(100, 1), text(5000, 2)
	right := func(dst []byte, k Key, nonce, sealed, aad []byte) ([]byte, error) {
		return newAEAD(k).Open(dst, nonce, sealed, aad)
	}
	for _, c := range []struct {
		name    string
		decrypt func([]byte, Key, []byte, []byte, []byte) ([]byte, error)
		opens   bool
	}{
		{"as it should", right, true},
		{"fails", func([]byte, Key, []byte, []byte, []byte) ([]byte, error) { return nil, errors.New("out of memory") }, true},
		{"too short", func(dst []byte, k Key, nonce, sealed, aad []byte) ([]byte, error) {
			b, err := right(dst, k, nonce, sealed, aad)
			return b[:max(0, len(b)-1)], err
		}, true},
		{"lies", func(dst []byte, k Key, nonce, sealed, aad []byte) ([]byte, error) {
			b, err := right(dst, k, nonce, sealed, aad)
			if err != nil {
				return nil, err
			}
			b[len(b)-1] ^= 1
			return b, nil
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			s := NewWith(ck, Elsewhere{DecryptFrom: 1000, Decrypt: func(dst []byte, k Key, nonce, sealed, aad []byte) ([]byte, error) {
				calls++
				return c.decrypt(dst, k, nonce, sealed, aad)
			}})
			k := s.Key(small)
			if got, err := s.Open(nil, k, s.Append(nil, k, small, LevelDefault)); err != nil || !bytes.Equal(got, small) || calls != 0 {
				t.Errorf("a small body: %v after %d calls", err, calls)
			}
			k = s.Key(large)
			body := New(ck).Append(nil, k, large, LevelDefault)
			before := bytes.Clone(body)
			got, err := s.Open([]byte("before"), k, body)
			switch {
			case calls != 1:
				t.Errorf("%d calls", calls)
			case !bytes.Equal(body, before):
				t.Error("the body was changed")
			case !c.opens && (!errors.Is(err, ErrDamaged) || string(got) != "before"):
				t.Errorf("a lie: %q, %v", got, err)
			case c.opens && (err != nil || !bytes.Equal(got, append([]byte("before"), large...))):
				t.Errorf("a large body: %v", err)
			}
			body[20] ^= 1
			if _, err := s.Open(nil, k, body); !errors.Is(err, ErrDamaged) {
				t.Errorf("a damaged body: %v", err)
			}
		})
	}
}

// A Sealer that hashes elsewhere takes the same plaintexts, and refuses none and no other because of what it is told there.
func TestHashingElsewhere(t *testing.T) {
	t.Parallel()
	ck := ContentKey{7}
	small, large, other := noise(100, 1), text(5000, 2), text(5000, 3)
	for _, c := range []struct {
		name string
		hash func(p []byte) (Key, error)
	}{
		{"as it should", func(p []byte) (Key, error) { return New(ck).Key(p), nil }},
		{"fails", func([]byte) (Key, error) { return Key{}, errors.New("out of memory") }},
		{"another one", func([]byte) (Key, error) { return Key{1}, nil }},
		{"right and failed", func(p []byte) (Key, error) { return New(ck).Key(p), errors.New("but") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			s := NewWith(ck, Elsewhere{HashFrom: 1000, Hash: func(p []byte) (Key, error) {
				calls++
				return c.hash(p)
			}})
			for want, p := range [][]byte{small, large} {
				k := s.Key(p)
				if got, err := s.Open(nil, k, s.Append(nil, k, p, LevelDefault)); err != nil || !bytes.Equal(got, p) || calls != want {
					t.Errorf("%d bytes: %v after %d calls", len(p), err, calls)
				}
			}
			k := s.Key(large) // whoever holds a key can seal something else under it
			if got, err := s.Open([]byte("before"), k, s.Append(nil, k, other, LevelDefault)); !errors.Is(err, ErrDamaged) || string(got) != "before" {
				t.Errorf("another plaintext: %q, %v", got, err)
			}
		})
	}
}
