package keyring

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// The codes that people type are in Crockford's base32: no I, L, O and U, and whoever types one of them all
// the same is understood. The symbols are the numbers 0 to 31, and their checks are sums in the field of
// 32 elements, GF(2)[x]/(x^5+x^2+1), in which alpha is x.

const symbols = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// powers[i] is alpha^i, logs its inverse.
var powers, logs = func() (p [31]byte, l [32]int) {
	v := byte(1)
	for i := range p {
		p[i], l[v] = v, i
		if v <<= 1; v >= 32 {
			v ^= 0b100101
		}
	}
	return p, l
}()

// times returns alpha^n · v.
func times(n int, v byte) byte {
	if v == 0 {
		return 0
	}
	return powers[(logs[v]+n)%31]
}

// spread turns bytes into symbols, the highest bits first. The last symbol is filled up with zeros.
func spread(b []byte) []byte {
	var out []byte
	var acc, bits uint
	for _, c := range b {
		acc, bits = acc<<8|uint(c), bits+8
		for ; bits >= 5; bits -= 5 {
			out = append(out, byte(acc>>(bits-5))&31)
		}
	}
	if bits > 0 {
		out = append(out, byte(acc<<(5-bits))&31)
	}
	return out
}

// gather is the inverse of spread. It reports whether what is left over is zero.
func gather(dst, s []byte) bool {
	var acc, bits uint
	n := 0
	for _, v := range s {
		acc, bits = acc<<5|uint(v), bits+5
		if bits >= 8 && n < len(dst) {
			bits -= 8
			dst[n] = byte(acc >> bits)
			n++
		}
	}
	return n == len(dst) && acc&(1<<bits-1) == 0
}

// grouped writes symbols in groups with dashes between.
func grouped(s []byte, group int) string {
	var b strings.Builder
	for i, v := range s {
		if i > 0 && i%group == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(symbols[v])
	}
	return b.String()
}

// scan reads what a person typed as n symbols in groups: in any case, with any spaces and dashes. Its
// errors never repeat what was typed, but for a single character that belongs in no code.
func scan(typed, what string, n, group int) ([]byte, error) {
	if len(typed) > 1000 {
		return nil, fault.New(fault.Invalid, "That is not %s: it is far too long.", what)
	}
	out := make([]byte, 0, n)
	var lengths []int // of the groups, as they were typed
	apart := true
	for _, r := range typed {
		switch r = unicode.ToUpper(r); {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '_', r == '.', r == '\u2212', r == '\u00ad', r == '\u200b', r == '\ufeff':
			apart = true
			continue
		case r == 'O':
			r = '0'
		case r == 'I', r == 'L':
			r = '1'
		case r == 'U':
			r = 'V'
		}
		v := strings.IndexRune(symbols, r)
		if v < 0 {
			return nil, fault.New(fault.Invalid, "%s has letters and digits only; group %d has the character %q.", upperFirst(what), len(out)/group+1, r)
		}
		if apart {
			lengths, apart = append(lengths, 0), false
		}
		lengths[len(lengths)-1]++
		out = append(out, byte(v))
	}
	if len(out) != n {
		return nil, fault.New(fault.Invalid, "%s has %d letters and digits, in %d groups of %d; this has %d.%s",
			upperFirst(what), n, n/group, group, len(out), wrongLengths(lengths, n/group, group))
	}
	return out, nil
}

// wrongLengths names the groups that are too short or too long, if the others say where they begin.
func wrongLengths(lengths []int, groups, group int) string {
	if len(lengths) != groups {
		return ""
	}
	var wrong []int
	for i, n := range lengths {
		if n != group {
			wrong = append(wrong, i)
		}
	}
	return " Look at " + groupNames(wrong) + "."
}

// groupNames says "group 2", "groups 2 and 5", "groups 2, 5 and 6" of indices from 0.
func groupNames(list []int) string {
	var b strings.Builder
	for i, g := range list {
		switch {
		case i == 0 && len(list) == 1:
			b.WriteString("group ")
		case i == 0:
			b.WriteString("groups ")
		case i == len(list)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, g+1)
	}
	return b.String()
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
