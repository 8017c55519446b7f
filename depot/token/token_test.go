package token_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, prefix := range []string{proto.TokenSession, proto.TokenAPI, proto.TokenDevice, proto.TokenInvitation, proto.TokenEnrolment} {
		text, hash := token.New(prefix)
		if seen[text] {
			t.Fatal("the same token twice")
		}
		seen[text] = true
		if token.Kind(text) != prefix {
			t.Errorf("Kind(%q) = %q", text, token.Kind(text))
		}
		if len(hash) != 32 || !bytes.Equal(hash, token.Hash(text)) {
			t.Errorf("hash of %q: %x", text, hash)
		}
	}
}

func TestRubbishHasNoKind(t *testing.T) {
	t.Parallel()
	good, _ := token.New(proto.TokenSession)
	for _, text := range []string{
		"", "hfs_", "x", good[:len(good)-1], good + "A", "hfx_" + good[4:], strings.ToUpper(good[:4]) + good[4:],
		good[:10] + "=" + good[11:], good[:10] + "\n" + good[11:], good[:len(good)-1] + "_", // the last character has two bits that must be zero
		strings.Repeat("A", 1<<16), "hfs_" + strings.Repeat("\x00", 43),
	} {
		if k := token.Kind(text); k != "" {
			t.Errorf("Kind(%.60q) = %q", text, k)
		}
	}
}
