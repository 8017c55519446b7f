package selfbackup

import (
	"encoding/hex"
	"strings"
	"time"
)

const (
	prefix = "meta/"
	suffix = ".age"

	nameTime = "2006-01-02t15-04-05z" // RFC 3339 in the letters that a blob's name may have
	nameHash = 16                     // bytes of the SHA-256
)

// name returns a copy's name in the store.
func name(at time.Time, sum []byte) string {
	return prefix + at.UTC().Format(nameTime) + "-" + hex.EncodeToString(sum[:nameHash]) + suffix
}

// parseName returns the time in a copy's name. Only the exact spelling is ours.
func parseName(s string) (time.Time, bool) {
	text, ok := strings.CutPrefix(s, prefix)
	if !ok || len(text) != len(nameTime)+1+2*nameHash+len(suffix) {
		return time.Time{}, false
	}
	at, err := time.Parse(nameTime, text[:len(nameTime)])
	sum, bad := hex.DecodeString(text[len(nameTime)+1 : len(text)-len(suffix)])
	if err != nil || bad != nil || name(at, sum) != s {
		return time.Time{}, false
	}
	return at, true
}

// Prefix is what the names of copies in the store begin with, for depot/replica, which carries them elsewhere.
const Prefix = prefix

// ParseName returns when a copy was made, by its name; false: it is not a name of a copy.
func ParseName(name string) (time.Time, bool) { return parseName(name) }

// Fits reports whether a copy of this name has this SHA-256.
func Fits(copyName string, sum []byte) bool {
	at, ok := parseName(copyName)
	return ok && name(at, sum) == copyName
}
