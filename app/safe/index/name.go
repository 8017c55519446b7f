package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// fold is how names are compared when case does not count.
func fold(s string) string { return strings.ToLower(s) }

// keyed is a row with the beginning of its name, up to the first digit, as a number that sorts as the name does.
type keyed struct {
	prefix uint64
	row    int32
}

// byName returns all rows as people sort names: case does not count, and numbers count as numbers, so that page 2 comes before page 10. Names
// that are alike keep the order of the tree.
func byName(x *Index) []keyed {
	list := make([]keyed, len(x.parent))
	var b [8]byte
	for i := range list {
		clear(b[:])
		copy(b[:], x.folded.at(int32(i)))
		for k, c := range b {
			if isDigit(c) {
				clear(b[k:])
				break
			}
		}
		list[i] = keyed{binary.BigEndian.Uint64(b[:]), int32(i)}
	}
	slices.SortFunc(list, func(a, b keyed) int {
		if a.prefix != b.prefix {
			// The first byte in which they differ decides, unless one of them ends there or goes on with a number: there is no NUL in a name.
			shift := 56 - bits.LeadingZeros64(a.prefix^b.prefix)&^7
			if x, y := byte(a.prefix>>shift), byte(b.prefix>>shift); x != 0 && y != 0 {
				return int(x) - int(y)
			}
		}
		return cmp.Or(natural(x.folded.at(a.row), x.folded.at(b.row)), int(a.row)-int(b.row))
	})
	return list
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// natural compares names, digits that follow each other as one number.
func natural(a, b []byte) int {
	for i, j := 0, 0; ; {
		switch {
		case i == len(a) || j == len(b):
			return (len(a) - i) - (len(b) - j)
		case isDigit(a[i]) && isDigit(b[j]):
			m, n := number(a[i:]), number(b[j:])
			x, y := trimZeros(a[i:i+m]), trimZeros(b[j:j+n])
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := bytes.Compare(x, y); c != 0 {
				return c
			}
			i, j = i+m, j+n
		case a[i] != b[j]:
			return int(a[i]) - int(b[j])
		default:
			i, j = i+1, j+1
		}
	}
}

// number returns how many digits b begins with.
func number(b []byte) (n int) {
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

func trimZeros(b []byte) []byte {
	for len(b) > 1 && b[0] == '0' {
		b = b[1:]
	}
	return b
}
