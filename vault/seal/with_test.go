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
		decrypt Decrypt
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
			s := NewWith(ck, 1000, func(dst []byte, k Key, nonce, sealed, aad []byte) ([]byte, error) {
				calls++
				return c.decrypt(dst, k, nonce, sealed, aad)
			})
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
