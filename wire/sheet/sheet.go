// Package sheet writes text for tables that people open in a spreadsheet.
package sheet

import "strings"

// Text returns a text as a spreadsheet shows it and does not compute it: an apostrophe stands before whatever would begin a formula. That is so at the
// beginning, and after semicolons and tabs: where these part cells, as semicolons do in much of Europe, a table with commas is cut there.
func Text(s string) string {
	var b strings.Builder
	begins := true
	for _, r := range s {
		if begins && strings.ContainsRune("=+-@\t\r\n＝＋－＠", r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		begins = r == ';' || r == '\t' || begins && r == '"'
	}
	return b.String()
}
