package fleet

import (
	"github.com/holdfast-backup/holdfast/depot/named"
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
		v, err := named.Clean(f.field, f.value, f.max)
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
