// Package order holds what a person and a device of the account tell one another through a server that can neither
// read nor forge it:
//
//	Order   from an unlocked person to one device: put these files back
//	Report  from the device to its owner: what came of that
//	Note    from the device to its owner: why a backup failed, in words that may name files
//
// Each is sealed to its one reader, and holds a MAC under a key of the space:
//
//	sealed = envelope(reader's public key, info, signed)
//	signed = version[1] || MAC[32] || body
//	MAC    = HMAC-SHA256(order key, info || version || body)
//
// The server knows the public keys and not the space key, so it can start no restore of its own. It can lose a
// message, keep one back, and deliver one twice. Against old ones an order has an end of life. Against
// repeated ones the device remembers the ids of the orders that it began until they are over: that is for the
// caller of [Open] to do.
//
// An order gives the device the root's key, and so the whole snapshot, not only the files it names. That the
// device can do little with it is the server's part: it hands a device objects while a restore for it runs.
//
// What this package does not promise. The MAC tells an account from the rest of the world, not its members apart: an
// infected device has the space key, too, and could make an order for another device of the same account.
// It is the server that takes orders from people only, so both would have to conspire; and even then the
// infected device knows the root of no snapshot but its own. What a report says is what the device says.
package order

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Limits of an order.
const (
	MaxSealed     = 512 << 10 // bytes, sealed: in base64 it fits into a person's request
	MaxPaths      = 10_000
	MaxExtensions = 1000
	MaxLife       = 31 * 24 * time.Hour // from Issued to Expires
	Tolerance     = 15 * time.Minute    // by which a device's clock and a person's may differ

	maxTo        = 4096 // bytes
	maxExtension = 64   // bytes
)

// The purposes for which messages are sealed. None begins another: they begin what is MACed.
const (
	InfoOrder  = "holdfast/v1/restore-order"
	InfoReport = "holdfast/v1/restore-report"
	InfoNote   = "holdfast/v1/run-note"
)

// Errors of [Open], [OpenReport] and [OpenNote], next to those of the keyring.
var (
	ErrForged    = errors.New("this message was not made by a member of the account")
	ErrMalformed = errors.New("not a message of this version")
)

// Errors of [Open] alone: the order is genuine, and still not to be obeyed.
var (
	ErrNotOurs  = errors.New("this restore was ordered from another device")
	ErrTooEarly = errors.New("this restore was ordered in the future: set the clocks right, then order it again")
	ErrExpired  = errors.New("this restore was ordered too long ago: order it again, and if that does not help set the clocks right")
)

// ID names an order: 16 random bytes.
type ID [16]byte

// NewID returns a random ID.
func NewID() (o ID) {
	rand.Read(o[:]) // never fails: crypto/rand ends the program instead
	return o
}

// String returns 32 lower-case hexadecimal digits.
func (o ID) String() string { return hex.EncodeToString(o[:]) }

// Conflict says what becomes of a file that exists already: the rules of vault/restore.
type Conflict uint8

// The rules. Their numbers are stored.
const (
	Skip Conflict = iota
	Overwrite
	KeepBoth

	conflicts
)

// String returns the rule's name on the command line.
func (c Conflict) String() string {
	if c < conflicts {
		return [...]string{"skip", "overwrite", "keep-both"}[c]
	}
	return fmt.Sprintf("conflict rule %d", uint8(c))
}

// Order asks a device to put files back.
type Order struct {
	ID       ID
	Device   id.Device   // that is to do it
	Snapshot id.Snapshot // from which
	Root     seal.Key    // the snapshot's

	// Application says that an application is to be put back, and how; nil: files are. Then there are no Paths and no
	// Extensions, To is where its media go ("": where they were), and Conflict is of them.
	Application *Application

	Paths      []string // files, or folders with everything in them, as the tree has them; none: everything
	Extensions []string // such as ".docx", in any case; none: everything
	To         string   // an absolute path of the device, UTF-8; "": where each file was
	Conflict   Conflict

	Issued, Expires time.Time // by the person's clock, to the nanosecond, UTC
}

// String does not show the key.
func (o *Order) String() string { return "order " + o.ID.String() }

// Seal returns o, sealed to the device's public key, which the caller has verified with [keyring.Space.VerifyDevice].
// It fails if o says too little, too much, or what no device could do, or if devicePublic is no public key.
func (o *Order) Seal(space *keyring.Space, devicePublic []byte) ([]byte, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return sealed(space, devicePublic, InfoOrder, o.encode(), MaxSealed)
}

// Open opens an order that a person of the account sealed to device, which the server knows as self. now is the
// device's clock. It fails with [keyring.ErrWrongKey], [keyring.ErrMalformed], [ErrForged] or [ErrMalformed]; and with
// [ErrNotOurs], [ErrTooEarly] or [ErrExpired], and the order beside it, if a genuine one is not to be obeyed.
func Open(device *keyring.Device, space *keyring.Space, sealed []byte, self id.Device, now time.Time) (*Order, error) {
	body, err := opened(device, space, InfoOrder, sealed, MaxSealed)
	if err != nil {
		return nil, err
	}
	o, err := decode(body)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Device != self:
		return o, ErrNotOurs
	case now.Before(o.Issued.Add(-Tolerance)):
		return o, ErrTooEarly
	case now.After(o.Expires.Add(Tolerance)):
		return o, ErrExpired
	}
	return o, nil
}

// validate says what is wrong with o, for the writer and the reader alike.
func (o *Order) validate() error {
	switch {
	case o.ID == ID{}, o.Device.IsZero(), o.Snapshot.IsZero(), o.Root == seal.Key{}:
		return errors.New("an order names itself, a device, a snapshot and its root")
	case o.Conflict >= conflicts:
		return fmt.Errorf("an order with %v", o.Conflict)
	case len(o.Paths) > MaxPaths:
		return fmt.Errorf("an order of %d paths, and %d are the most: choose their folder", len(o.Paths), MaxPaths)
	case len(o.Extensions) > MaxExtensions:
		return fmt.Errorf("an order of %d extensions, and %d are the most", len(o.Extensions), MaxExtensions)
	}
	for _, t := range []time.Time{o.Issued, o.Expires} {
		if err := checkTime(t); err != nil {
			return err
		}
	}
	if life := o.Expires.Sub(o.Issued); life < 0 || life > MaxLife {
		return fmt.Errorf("an order that lives for %v, and %v are the most", life, MaxLife)
	}
	for _, p := range o.Paths {
		if err := tree.CheckPath(p); err != nil {
			return err
		}
	}
	for _, e := range o.Extensions {
		if len(e) < 2 || len(e) > maxExtension || e[0] != '.' || strings.ContainsAny(e, "/\x00") || !utf8.ValidString(e) {
			return fmt.Errorf("%.80q is no extension: write it like .docx", e)
		}
	}
	if err := o.Application.validate(o); err != nil {
		return err
	}
	return checkTo(o.To)
}

// checkTo refuses what is an absolute path on no system. Whether it is one on the device is for the device to
// say.
func checkTo(to string) error {
	switch {
	case to == "":
		return nil
	case len(to) > maxTo:
		return fmt.Errorf("a destination of %d bytes, and %d are the most", len(to), maxTo)
	case !utf8.ValidString(to) || strings.Contains(to, "\x00"):
		return fmt.Errorf("the destination %.80q is no path", to)
	case to[0] == '/', strings.HasPrefix(to, `\\`), drive(to):
		return nil
	}
	return fmt.Errorf("the destination %.80q is relative: name it from the top of the file system", to)
}

// drive reports whether a path begins like C:\ or C:/.
func drive(path string) bool {
	return len(path) >= 3 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') &&
		('a' <= path[0]|0x20 && path[0]|0x20 <= 'z')
}
