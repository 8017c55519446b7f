package fleet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// device checks what a client sent.
func (in RegisterInput) device() (*Device, error) {
	d := &Device{PublicKey: in.PublicKey, MAC: in.MAC}
	for _, f := range []struct {
		field, value string
		max          int
		to           *string
	}{
		{"name", in.Name, maxName, &d.Name},
		{"hostname", in.Hostname, maxHostname, &d.Hostname},
		{"os", in.OS, maxWord, &d.OS},
		{"arch", in.Arch, maxWord, &d.Arch},
		{"agentVersion", in.AgentVersion, maxWord, &d.AgentVersion},
	} {
		v, err := clean(f.field, f.value, f.max)
		if err != nil {
			return nil, err
		}
		*f.to = v
	}
	if len(in.PublicKey) != publicKeyLen {
		return nil, fault.New(fault.Invalid, "publicKey: want %d bytes, got %d", publicKeyLen, len(in.PublicKey))
	}
	if len(in.MAC) != macLen {
		return nil, fault.New(fault.Invalid, "mac: want %d bytes, got %d", macLen, len(in.MAC))
	}
	return d, nil
}

// clean returns a word of a device's as it is stored: not empty, not too long, nothing that cannot be shown.
func clean(field, s string, max int) (string, error) {
	if len(s) > 4*max || !utf8.ValidString(s) {
		return "", fault.New(fault.Invalid, "%s: at most %d characters of text", field, max)
	}
	s = norm.NFC.String(strings.TrimSpace(s))
	switch {
	case s == "":
		return "", fault.New(fault.Invalid, "%s: must not be empty", field)
	case utf8.RuneCountInString(s) > max:
		return "", fault.New(fault.Invalid, "%s: at most %d characters", field, max)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u200c' && r != '\u200d' }):
		return "", fault.New(fault.Invalid, "%s: holds characters that cannot be shown", field)
	}
	return s, nil
}
