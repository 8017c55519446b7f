package chrome

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
)

// Forms returns how something could be written down on its way: as it is, in base64 at each of its three places within a group, in
// hexadecimal, escaped for JSON and for addresses, in UTF-16. It has to be long enough not to appear by chance: 6 bytes or more.
func Forms(secret string) map[string][]byte {
	forms := map[string][]byte{
		"plain":       []byte(secret),
		"hexadecimal": []byte(hex.EncodeToString([]byte(secret))),
		"HEXADECIMAL": []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
		"a query":     []byte(url.QueryEscape(secret)),
		"a path":      []byte(url.PathEscape(secret)),
	}
	for at := range 3 {
		// What stands before it and after it shares a letter with it on each side: those are left out.
		padded := append(make([]byte, at), secret...)
		for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			s := e.EncodeToString(padded)
			s = s[(at*8+5)/6:]
			if len(padded)%3 != 0 {
				s = s[:len(s)-1]
			}
			forms[fmt.Sprint(name, " at ", at)] = []byte(s)
		}
	}
	if quoted, err := json.Marshal(secret); err == nil {
		forms["JSON"] = quoted[1 : len(quoted)-1]
	}
	var escaped, wide bytes.Buffer
	for _, u := range utf16.Encode([]rune(secret)) {
		switch {
		case u == '\\' || u == '"':
			escaped.WriteByte('\\')
			escaped.WriteByte(byte(u))
		case u < 0x80:
			escaped.WriteByte(byte(u))
		default:
			fmt.Fprintf(&escaped, `\u%04x`, u)
		}
		wide.Write([]byte{byte(u), byte(u >> 8)})
	}
	forms["escaped JSON"] = escaped.Bytes()
	forms["UTF-16"] = wide.Bytes()
	return forms
}

// Find looks for a secret in what was sent, in every form. It says where it stands, and in which form; nothing: nowhere.
func Find(sent []Sent, secret string) (found []string) {
	for name, form := range Forms(secret) {
		for _, s := range sent {
			if i := bytes.Index(s.Bytes, form); i >= 0 {
				found = append(found, fmt.Sprintf("%s, as %s: …%q…", s.What, name, s.Bytes[max(0, i-60):min(len(s.Bytes), i+len(form)+20)]))
			}
		}
	}
	return found
}
