package locked_test

import (
	"bytes"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/locked"
)

func TestLockedOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	box := locked.New(bytes.Repeat([]byte{1}, locked.KeySize))
	sealed := box.Lock([]byte("a secret"), "user 1")
	if got, err := box.Open(sealed, "user 1"); err != nil || string(got) != "a secret" {
		t.Fatalf("%q, %v", got, err)
	}
	if bytes.Equal(sealed, box.Lock([]byte("a secret"), "user 1")) {
		t.Error("the same twice")
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the secret is in the open")
	}
	if _, err := box.Open(sealed, "user 2"); err == nil {
		t.Error("another row opens it")
	}
	if _, err := locked.New(bytes.Repeat([]byte{2}, locked.KeySize)).Open(sealed, "user 1"); err == nil {
		t.Error("another key opens it")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := box.Open(bad, "user 1"); err == nil {
			t.Errorf("byte %d does not count", i)
		}
		if _, err := box.Open(sealed[:i], "user 1"); err == nil {
			t.Errorf("%d bytes open", i)
		}
	}
}

func TestKeysHaveOneLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a key of %d bytes", n)
				}
			}()
			locked.New(make([]byte, n))
		}()
	}
}
