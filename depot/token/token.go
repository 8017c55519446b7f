// Package token makes the bearer tokens of sessions, programs, devices, invitations and imports, and the hashes under
// which the database knows them.
//
// A token is a prefix of wire/proto, which tells its kind, and 32 random bytes in unpadded base64url. The
// database holds the SHA-256 of the whole text: a dump of it opens nothing, and with 256 random bits a slow
// hash would add nothing.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/proto"
)

const (
	secretLen = 32
	textLen   = 43 // of secretLen bytes in unpadded base64
)

// New returns a fresh token with a prefix of wire/proto, and its hash.
func New(prefix string) (text string, hash []byte) {
	b := make([]byte, secretLen)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	text = prefix + base64.RawURLEncoding.EncodeToString(b)
	return text, Hash(text)
}

// Hash returns the 32 bytes under which the database knows a token.
func Hash(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// Kind returns the prefix of a well-formed token, and "" for anything else: a cheap way to refuse rubbish
// before the database is asked.
func Kind(text string) string {
	for _, prefix := range []string{proto.TokenSession, proto.TokenAPI, proto.TokenDevice, proto.TokenInvitation, proto.TokenEnrolment, proto.TokenImport} {
		body, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		var secret [secretLen + 1]byte
		if len(body) != textLen {
			return ""
		}
		if n, err := base64.RawURLEncoding.Strict().Decode(secret[:], []byte(body)); err != nil || n != secretLen {
			return ""
		}
		return prefix
	}
	return ""
}
