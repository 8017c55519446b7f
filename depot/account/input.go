package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Lengths and bounds of what clients send; those of Argon2id lie within what clients take from a server. A
// client's words reach the database only through here.
const (
	maxEmail      = 254
	maxName       = 200
	maxClient     = 200
	authKeyLen    = 32
	identityLen   = 1216 // an X-Wing public key
	minBundle     = 32
	maxBundle     = 4 << 10
	minSalt       = 16
	maxSalt       = 64
	minMemory     = 19 << 10 // KiB; with fewer, passwords are too cheap to try
	maxMemory     = 1 << 20  // KiB; with more, phones cannot log in
	maxWork       = 4 << 20  // KiB of memory times passes
	maxPasses     = 16
	maxThreads    = 16
	defaultPasses = 3
	defaultMemory = 64 << 10 // KiB
	defaultThread = 4
	defaultSalt   = 16
)

// LoginParams says how a client turns a password into keys: Argon2id 0x13, 32 bytes.
type LoginParams struct {
	Salt    []byte `db:"kdf_salt"`   // 16 to 64 bytes
	Time    int    `db:"kdf_time"`   // passes
	Memory  int    `db:"kdf_memory"` // KiB
	Threads int    `db:"kdf_threads"`
}

// Keys are an account's keys under its password.
type Keys struct {
	Params  LoginParams
	AuthKey []byte // 32 bytes
	Bundle  []byte // sealed
}

// Recovery are an account's keys under its recovery code.
type Recovery struct {
	AuthKey []byte // 32 bytes
	Bundle  []byte // sealed
}

func (p LoginParams) check() error {
	switch {
	case len(p.Salt) < minSalt || len(p.Salt) > maxSalt:
		return fault.New(fault.Invalid, "params.salt: want %d to %d bytes, got %d", minSalt, maxSalt, len(p.Salt))
	case p.Time < 1 || p.Time > maxPasses:
		return fault.New(fault.Invalid, "params.time: want 1 to %d passes, got %d", maxPasses, p.Time)
	case p.Memory < minMemory || p.Memory > maxMemory:
		return fault.New(fault.Invalid, "params.memory: want %d to %d KiB, got %d", minMemory, maxMemory, p.Memory)
	case p.Time*p.Memory > maxWork:
		return fault.New(fault.Invalid, "params: %d passes over %d KiB are more than clients do", p.Time, p.Memory)
	case p.Threads < 1 || p.Threads > maxThreads:
		return fault.New(fault.Invalid, "params.threads: want 1 to %d, got %d", maxThreads, p.Threads)
	}
	return nil
}

func (k Keys) check() error {
	if err := k.Params.check(); err != nil {
		return err
	}
	if err := checkAuthKey("keys.authKey", k.AuthKey); err != nil {
		return err
	}
	return checkBundle("keys.bundle", k.Bundle)
}

func (r Recovery) check() error {
	if err := checkAuthKey("recovery.authKey", r.AuthKey); err != nil {
		return err
	}
	return checkBundle("recovery.bundle", r.Bundle)
}

func checkAuthKey(field string, key []byte) error {
	if len(key) != authKeyLen {
		return fault.New(fault.Invalid, "%s: want %d bytes, got %d", field, authKeyLen, len(key))
	}
	return nil
}

func checkBundle(field string, b []byte) error {
	if len(b) < minBundle || len(b) > maxBundle {
		return fault.New(fault.Invalid, "%s: want %d to %d bytes, got %d", field, minBundle, maxBundle, len(b))
	}
	return nil
}

// emailKey returns what uniqueness and login go by: trimmed, NFKC, lower case. It refuses what cannot be an
// address, without pretending to know which addresses exist.
func emailKey(email string) (string, error) {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "this is not an e-mail address: %s", why)
	}
	if len(email) > 4*maxEmail || !utf8.ValidString(email) {
		return "", bad("it is too long or not text")
	}
	key := norm.NFKC.String(strings.ToLower(norm.NFKC.String(strings.TrimSpace(email))))
	local, domain, ok := strings.Cut(key, "@")
	switch {
	case !ok || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", bad("write it like name@example.org")
	case len(key) > maxEmail || len(local) > 64:
		return "", bad("it is too long")
	case strings.ContainsFunc(key, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>()[]\,;:"`, r)
	}):
		return "", bad("it holds a character that addresses do not have")
	case strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") ||
		strings.HasPrefix(domain, "-") || strings.HasPrefix(local, ".") || strings.HasSuffix(local, "."):
		return "", bad("write it like name@example.org")
	}
	return key, nil
}

// cleanEmail returns the address as it is shown, and its key.
func cleanEmail(email string) (shown, key string, err error) {
	key, err = emailKey(email)
	return norm.NFC.String(strings.TrimSpace(email)), key, err
}

// cleanName returns a person's or a token's name as it is stored.
func cleanName(field, name string) (string, error) {
	if len(name) > 4*maxName || !utf8.ValidString(name) {
		return "", fault.New(fault.Invalid, "%s: at most %d characters of text", field, maxName)
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	switch {
	case name == "":
		return "", fault.New(fault.Invalid, "%s: must not be empty", field)
	case utf8.RuneCountInString(name) > maxName:
		return "", fault.New(fault.Invalid, "%s: at most %d characters", field, maxName)
	case !printable(name):
		return "", fault.New(fault.Invalid, "%s: holds characters that cannot be shown", field)
	}
	return name, nil
}

// cleanClient makes what a client calls itself fit to be listed. It is decoration: nothing is refused for it.
func cleanClient(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !shown(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 4*maxClient)])
	if r := []rune(strings.TrimSpace(s)); len(r) > maxClient {
		return string(r[:maxClient])
	}
	if s = strings.TrimSpace(s); s == "" {
		return "unnamed client"
	}
	return s
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !shown(r) })
}

// shown allows what prints, and the two joiners without which some scripts are misspelt; not controls, and
// not the marks that turn the direction of what follows.
func shown(r rune) bool { return unicode.IsPrint(r) || r == '\u200c' || r == '\u200d' }
