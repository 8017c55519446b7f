package state

import (
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A recovery code is shown once. That it was kept is shown by typing some of its groups back.

// asked is how many groups have to be typed back.
const asked = 3

// CodeGroups returns the groups of a recovery code.
func CodeGroups(code string) []string {
	if code == "" {
		return nil
	}
	return strings.Split(code, "-")
}

// askGroups chooses the groups of a code that have to be typed back: their indices from 0, in order. A code that is asked for again
// is asked for elsewhere.
func askGroups(code string) []int {
	list := rand.Perm(len(CodeGroups(code)))
	list = list[:min(asked, len(list))]
	sort.Ints(list)
	return list
}

// typedBack refuses groups that are not as they were shown. typed are the groups of ask, in its order.
func typedBack(code string, ask []int, typed []string) error {
	groups := CodeGroups(code)
	for i, g := range ask {
		got := ""
		if i < len(typed) {
			got = plainCode(typed[i])
		}
		switch {
		case got == "":
			return fault.New(fault.Invalid, "type group %d of the code that you kept", g+1)
		case got != plainCode(groups[g]):
			return fault.New(fault.Invalid, "group %d is not as it was shown: look at the code that you kept, or go back to see it once more", g+1)
		}
	}
	return nil
}

// plainCode writes what a person typed as codes are written: see keyring.ParseRecoveryCode.
func plainCode(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(" -_.\t\u2010\u2011\u2012\u2013\u2014\u00a0", r):
			return -1
		case r == 'O':
			return '0'
		case r == 'I', r == 'L':
			return '1'
		case r == 'U':
			return 'V'
		}
		return r
	}, strings.ToUpper(s))
}
