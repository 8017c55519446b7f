package keyring

import (
	"crypto/rand"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// RecoveryCode opens an account whose password is forgotten: 160 random bits that are shown once. It is
// as good as the password, so it is a secret to keep on paper.
type RecoveryCode [20]byte

// Its text is 8 groups of 4 symbols and a check symbol of the group, so that a typing error has a place.
// The check symbol of group g with symbols d0 … d3 is g + alpha·d0 + alpha^2·d1 + alpha^3·d2 + alpha^4·d3: it
// shows every wrong symbol, every two that changed places, and groups that did.
const (
	recoveryGroups = 8
	recoveryGroup  = 5
)

// NewRecoveryCode returns a random code.
func NewRecoveryCode() (c RecoveryCode) {
	rand.Read(c[:]) // never fails: crypto/rand ends the program instead
	return c
}

// ParseRecoveryCode reads a code as a person types it: in upper or lower case, with spaces, dashes or
// nothing between, with the letters O, I, L and U for 0, 1, 1 and V. The error, a [fault.Invalid], says which
// groups are mistyped.
func ParseRecoveryCode(s string) (RecoveryCode, error) {
	typed, err := scan(s, "a recovery code", recoveryGroups*recoveryGroup, recoveryGroup)
	if err != nil {
		return RecoveryCode{}, err
	}
	var data []byte
	var wrong []int
	for g := range recoveryGroups {
		group := typed[g*recoveryGroup:][:recoveryGroup]
		data = append(data, group[:recoveryGroup-1]...)
		if groupCheck(g, group[:recoveryGroup-1]) != group[recoveryGroup-1] {
			wrong = append(wrong, g)
		}
	}
	if len(wrong) > 0 {
		return RecoveryCode{}, fault.New(fault.Invalid, "The recovery code is mistyped: look at %s.", groupNames(wrong))
	}
	var c RecoveryCode
	gather(c[:], data) // 32 symbols are 160 bits: nothing is left over
	return c, nil
}

// String returns the code in its groups, for the owner's eyes.
func (c RecoveryCode) String() string {
	data := spread(c[:])
	var out []byte
	for g := range recoveryGroups {
		group := data[g*(recoveryGroup-1):][:recoveryGroup-1]
		out = append(append(out, group...), groupCheck(g, group))
	}
	return grouped(out, recoveryGroup)
}

// Keys returns what proves the code to the server, and what opens the bundle's second copy.
func (c RecoveryCode) Keys() (authKey [32]byte, wrap WrapKey) {
	return derive(c[:], labelRecoveryAuth), derive(c[:], labelRecoveryWrap)
}

func groupCheck(g int, group []byte) byte {
	sum := byte(g)
	for i, v := range group {
		sum ^= times(i+1, v)
	}
	return sum
}
