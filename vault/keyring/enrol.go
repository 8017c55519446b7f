package keyring

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/cbor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// EnrolCode makes a machine a device of an account: 128 random bits that one screen shows and a person types
// on another within minutes. The server gets [EnrolCode.Token], by which it finds the offer, and cannot
// open the offer with it.
type EnrolCode [16]byte

// Its text is 26 symbols d0 … d25 (the last ends in two zero bits) and two check symbols, in 7 groups of 4. The
// first check is the sum of alpha^i·di, the second of alpha^2i·di. They show every two wrong symbols,
// and of a single one the place.
const (
	enrolData  = 26
	enrolAll   = enrolData + 2
	enrolGroup = 4
)

// Offer is what a device gets from the person who enrols it.
type Offer struct {
	SpaceKey       [32]byte
	IdentityPublic []byte // of PublicSize bytes
	Fingerprint    string // hexadecimal SHA-256 of the server's CA certificate; "" if there is none to pin
}

// String does not show the key.
func (Offer) String() string { return "offer" }

// NewEnrolCode returns a random code.
func NewEnrolCode() (c EnrolCode) {
	rand.Read(c[:]) // never fails: crypto/rand ends the program instead
	return c
}

// ParseEnrolCode reads a code as a person types it: in upper or lower case, with spaces, dashes or
// nothing between, with the letters O, I, L and U for 0, 1, 1 and V. The error, a [fault.Invalid], says which
// group is mistyped if a single symbol is.
func ParseEnrolCode(s string) (EnrolCode, error) {
	typed, err := scan(s, "an enrolment code", enrolAll, enrolGroup)
	if err != nil {
		return EnrolCode{}, err
	}
	s1, s2 := enrolChecks(typed[:enrolData])
	s1, s2 = s1^typed[enrolData], s2^typed[enrolData+1]
	at := -1 // the symbol that is wrong, if it is one
	switch {
	case s1 == 0 && s2 == 0:
		var c EnrolCode
		if gather(c[:], typed[:enrolData]) {
			return c, nil
		}
	case s1 == 0 || s2 == 0:
		at = enrolData // one of the checks
	default:
		if i := (logs[s2] - logs[s1] + 31) % 31; i < enrolData {
			at = i
		}
	}
	if at >= 0 {
		return EnrolCode{}, fault.New(fault.Invalid, "The enrolment code is mistyped, probably in group %d.", at/enrolGroup+1)
	}
	return EnrolCode{}, fault.New(fault.Invalid, "The enrolment code is mistyped in more than one place.")
}

func enrolChecks(data []byte) (c1, c2 byte) {
	for i, v := range data {
		c1 ^= times(i, v)
		c2 ^= times(2*i, v)
	}
	return c1, c2
}

// String returns the code in its groups, for the screen.
func (c EnrolCode) String() string {
	data := spread(c[:])
	c1, c2 := enrolChecks(data)
	return grouped(append(data, c1, c2), enrolGroup)
}

// Token returns the bearer token that stands for the code on the server.
func (c EnrolCode) Token() string {
	t := derive(c[:], labelEnrolToken)
	return proto.TokenEnrolment + base64.RawURLEncoding.EncodeToString(t[:])
}

// Seal returns the offer, sealed for whoever has the code. Whether the offer is sound is for
// [EnrolCode.Open] to check.
func (c EnrolCode) Seal(o Offer) []byte {
	return sealBox(derive(c[:], labelEnrolSeal), labelOffer, o.encode())
}

// Open opens what [EnrolCode.Seal] sealed. It fails with [ErrWrongKey], or with [ErrMalformed] if what it
// holds is no sound offer.
func (c EnrolCode) Open(sealed []byte) (Offer, error) {
	plain, err := openBox(derive(c[:], labelEnrolSeal), labelOffer, sealed)
	if err != nil {
		return Offer{}, err
	}
	return decodeOffer(plain)
}

// encode returns the CBOR array [space key, identity's public key, fingerprint].
func (o Offer) encode() []byte {
	b := cbor.AppendArray(nil, 3)
	b = cbor.AppendBytes(b, o.SpaceKey[:])
	b = cbor.AppendBytes(b, o.IdentityPublic)
	return cbor.AppendText(b, o.Fingerprint)
}

func decodeOffer(b []byte) (Offer, error) {
	var o Offer
	r := cbor.NewReader(b)
	if n := r.Array(); n != 3 {
		r.Fail("an offer of %d items", n)
	}
	r.Fixed(o.SpaceKey[:])
	o.IdentityPublic = r.Bytes()
	o.Fingerprint = r.Text()
	if err := r.Finish(); err != nil {
		return Offer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := o.validate(); err != nil {
		return Offer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return o, nil
}

func (o Offer) validate() error {
	if _, err := parsePublic(o.IdentityPublic); err != nil {
		return err
	}
	if o.Fingerprint == "" {
		return nil
	}
	if b, err := hex.DecodeString(o.Fingerprint); err != nil || len(b) != 32 || o.Fingerprint != strings.ToLower(o.Fingerprint) {
		return fmt.Errorf("a fingerprint of %d characters, want 64 hexadecimal digits in lower case", len(o.Fingerprint))
	}
	return nil
}
