package talk

import (
	"strings"
	"unicode/utf8"
)

// mark stands before each byte, in hexadecimal, that is no UTF-8, and before each byte of itself.
const mark = '\uFFFD'

const hexDigits = "0123456789ABCDEF"

// Text writes a path, whose bytes may be anything, as UTF-8 that a page can show and that [Raw] turns back: nearly every path is its own
// text. JSON would silently change the others.
func Text(path string) string {
	if utf8.ValidString(path) && !strings.ContainsRune(path, mark) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); {
		r, n := utf8.DecodeRuneInString(path[i:])
		if r != utf8.RuneError { // which is mark, too
			b.WriteString(path[i : i+n])
			i += n
			continue
		}
		for _, c := range []byte(path[i : i+n]) {
			b.WriteRune(mark)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
		i += n
	}
	return b.String()
}

// Raw is the inverse of [Text]. What no Text wrote it leaves as it is.
func Raw(text string) string {
	if !strings.ContainsRune(text, mark) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == mark && n > 1 && i+n+2 <= len(text) {
			high, low := strings.IndexByte(hexDigits, text[i+n]), strings.IndexByte(hexDigits, text[i+n+1])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += n + 2
				continue
			}
		}
		b.WriteString(text[i : i+n])
		i += n
	}
	return b.String()
}
