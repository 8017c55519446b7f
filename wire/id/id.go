// Package id defines the names that both halves of Holdfast use for things.
//
// Two families exist. A [Pack] or an [Object] is named by its content: nobody assigns it. Everything else
// (users, devices, snapshots …) is named by a random, time-ordered [Of], one Go type per noun, so that a
// device can never be passed where a user is wanted.
package id

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Object names a sealed object: the first 16 bytes of a derivation of its key. Whoever has only the
// Object can neither read nor recognise the plaintext.
type Object [16]byte

// Pack names a pack: the SHA-256 of all its bytes.
type Pack [sha256.Size]byte

// String returns 32 lower-case hexadecimal digits.
func (o Object) String() string { return hex.EncodeToString(o[:]) }

// String returns 64 lower-case hexadecimal digits.
func (p Pack) String() string { return hex.EncodeToString(p[:]) }

// ParsePack reads what [Pack.String] wrote.
func ParsePack(s string) (Pack, error) {
	var p Pack
	if len(s) != hex.EncodedLen(len(p)) || strings.ToLower(s) != s {
		return p, fmt.Errorf("pack name %q: want %d lower-case hexadecimal digits", clip(s), hex.EncodedLen(len(p)))
	}
	if _, err := hex.Decode(p[:], []byte(s)); err != nil {
		return Pack{}, fmt.Errorf("pack name %q: want %d lower-case hexadecimal digits", clip(s), hex.EncodedLen(len(p)))
	}
	return p, nil
}

// ParseObject reads what [Object.String] wrote.
func ParseObject(s string) (Object, error) {
	var o Object
	if len(s) != hex.EncodedLen(len(o)) || strings.ToLower(s) != s {
		return o, fmt.Errorf("object id %q: want %d lower-case hexadecimal digits", clip(s), hex.EncodedLen(len(o)))
	}
	if _, err := hex.Decode(o[:], []byte(s)); err != nil {
		return Object{}, fmt.Errorf("object id %q: want %d lower-case hexadecimal digits", clip(s), hex.EncodedLen(len(o)))
	}
	return o, nil
}

// Noun gives each kind of thing its prefix in public ids.
type Noun interface{ prefix() string }

// Of is a 128-bit random id of one kind of noun: a UUID version 7, so that rows made together lie together.
// Its text form is the noun's prefix, an underscore and 26 characters of Crockford base32; its form in
// PostgreSQL is uuid.
type Of[N Noun] [16]byte

// The nouns. The type parameters are never instantiated: they only keep the ids apart.
type (
	userNoun        struct{}
	sessionNoun     struct{}
	apiTokenNoun    struct{}
	invitationNoun  struct{}
	deviceNoun      struct{}
	enrolmentNoun   struct{}
	spaceNoun       struct{}
	backupNoun      struct{}
	snapshotNoun    struct{}
	eventNoun       struct{}
	policyNoun      struct{}
	groupNoun       struct{}
	runNoun         struct{}
	noticeNoun      struct{}
	mailNoun        struct{}
	jobNoun         struct{}
	applicationNoun struct{}
	scheduleNoun    struct{}
)

func (userNoun) prefix() string        { return "usr" }
func (sessionNoun) prefix() string     { return "ses" }
func (apiTokenNoun) prefix() string    { return "tok" }
func (invitationNoun) prefix() string  { return "inv" }
func (deviceNoun) prefix() string      { return "dev" }
func (enrolmentNoun) prefix() string   { return "enr" }
func (spaceNoun) prefix() string       { return "spc" }
func (backupNoun) prefix() string      { return "bak" }
func (snapshotNoun) prefix() string    { return "snp" }
func (eventNoun) prefix() string       { return "evt" }
func (policyNoun) prefix() string      { return "pol" }
func (groupNoun) prefix() string       { return "grp" }
func (runNoun) prefix() string         { return "run" }
func (noticeNoun) prefix() string      { return "ntf" }
func (mailNoun) prefix() string        { return "eml" }
func (jobNoun) prefix() string         { return "job" }
func (applicationNoun) prefix() string { return "app" }
func (scheduleNoun) prefix() string    { return "sch" }

// The ids. A Backup is a backup session: one attempt of one device to write one snapshot. A Run is a backup or restore
// that is due, under way or over; a Job one piece of the server's own care.
type (
	User       = Of[userNoun]
	Session    = Of[sessionNoun]
	APIToken   = Of[apiTokenNoun]
	Invitation = Of[invitationNoun]
	Device     = Of[deviceNoun]
	Enrolment  = Of[enrolmentNoun]
	Space      = Of[spaceNoun]
	Backup     = Of[backupNoun]
	Snapshot   = Of[snapshotNoun]
	Event      = Of[eventNoun]
	Policy     = Of[policyNoun]
	Group      = Of[groupNoun]
	Run        = Of[runNoun]
	Notice     = Of[noticeNoun]
	Mail       = Of[mailNoun]
	Job        = Of[jobNoun]

	Application         = Of[applicationNoun]
	ApplicationSchedule = Of[scheduleNoun]
)

var text = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New returns a fresh id.
func New[N Noun]() Of[N] {
	var o Of[N]
	ms := uint64(time.Now().UnixMilli())
	for i := range 6 {
		o[i] = byte(ms >> (40 - 8*i))
	}
	rand.Read(o[6:]) // never fails: crypto/rand ends the program instead
	o[6] = o[6]&0x0f | 0x70
	o[8] = o[8]&0x3f | 0x80
	return o
}

// New returns a fresh id of the same kind, for packages that cannot name a [Noun]: id.User{}.New().
func (Of[N]) New() Of[N] { return New[N]() }

// Parse reads what [Of.String] wrote. An id of another noun is an error.
func Parse[N Noun](s string) (Of[N], error) {
	var o Of[N]
	var n N
	body, ok := strings.CutPrefix(s, n.prefix()+"_")
	if !ok || len(body) != text.EncodedLen(len(o)) {
		return o, fmt.Errorf("id %q: want %s_ and %d characters", clip(s), n.prefix(), text.EncodedLen(len(o)))
	}
	// Decode tolerates stray trailing bits; an id has one spelling only.
	if b, err := text.DecodeString(body); err != nil || text.EncodeToString(b) != body {
		return Of[N]{}, fmt.Errorf("id %q is mistyped", clip(s))
	} else {
		copy(o[:], b)
	}
	return o, nil
}

// Kind returns the prefix of a public id, such as "dev", or "".
func Kind(s string) string {
	kind, _, ok := strings.Cut(s, "_")
	if !ok {
		return ""
	}
	return kind
}

// String returns the public form, such as dev_06fw2k….
func (o Of[N]) String() string {
	var n N
	return n.prefix() + "_" + text.EncodeToString(o[:])
}

// IsZero reports whether o was never set.
func (o Of[N]) IsZero() bool { return o == Of[N]{} }

// MarshalText implements [encoding.TextMarshaler].
func (o Of[N]) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (o *Of[N]) UnmarshalText(b []byte) error {
	v, err := Parse[N](string(b))
	if err == nil {
		*o = v
	}
	return err
}

// MarshalGQL writes the public form as a GraphQL ID.
func (o Of[N]) MarshalGQL(w io.Writer) { fmt.Fprintf(w, "%q", o.String()) }

// UnmarshalGQL reads the public form from a GraphQL ID.
func (o *Of[N]) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return errors.New("an id is a string")
	}
	return o.UnmarshalText([]byte(s))
}

// UUID returns the hyphenated form that PostgreSQL prints.
func (o Of[N]) UUID() string { return uuid(o) }

// UUID returns the hyphenated form that PostgreSQL prints.
func (o Object) UUID() string { return uuid(o) }

// Value implements [driver.Valuer]: an id is a uuid in PostgreSQL.
func (o Of[N]) Value() (driver.Value, error) { return uuid(o), nil }

// Scan implements [database/sql.Scanner].
func (o *Of[N]) Scan(src any) error { return scan(o[:], src) }

// Value implements [driver.Valuer]: an object id is a uuid in PostgreSQL.
func (o Object) Value() (driver.Value, error) { return uuid(o), nil }

// Scan implements [database/sql.Scanner].
func (o *Object) Scan(src any) error { return scan(o[:], src) }

// Value implements [driver.Valuer]: a pack's name is a bytea in PostgreSQL.
func (p Pack) Value() (driver.Value, error) { return p[:], nil }

// Scan implements [database/sql.Scanner].
func (p *Pack) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(p) {
		return fmt.Errorf("id: cannot scan %T as a pack name", src)
	}
	copy(p[:], b)
	return nil
}

func uuid(b [16]byte) string {
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// scan reads a uuid as lib/pq hands it over: 36 characters, or 16 bytes with binary parameters.
func scan(dst []byte, src any) error {
	var b []byte
	switch v := src.(type) {
	case []byte:
		b = v
	case string:
		b = []byte(v)
	default:
		return fmt.Errorf("id: cannot scan %T", src)
	}
	if len(b) == len(dst) {
		copy(dst, b)
		return nil
	}
	if len(b) != 36 {
		return fmt.Errorf("id: cannot scan %d bytes", len(b))
	}
	digits := make([]byte, 0, 32)
	for _, c := range b {
		if c != '-' {
			digits = append(digits, c)
		}
	}
	if len(digits) != 32 {
		return errors.New("id: not a uuid")
	}
	_, err := hex.Decode(dst, digits)
	return err
}

// clip keeps a hostile id from filling a log line.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
