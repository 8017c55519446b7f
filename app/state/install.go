package state

import "strings"

// System is a kind of machine that the agent runs on.
type System struct{ OS, Arch, Title string }

// Systems are all of them, the most frequent first.
var Systems = []System{
	{"windows", "amd64", "Windows"},
	{"darwin", "arm64", "Mac (Apple silicon)"},
	{"darwin", "amd64", "Mac (Intel)"},
	{"linux", "amd64", "Linux (x86-64)"},
	{"linux", "arm64", "Linux (ARM64)"},
	{"windows", "arm64", "Windows (ARM64)"},
}

// Key names a system in forms.
func (s System) Key() string { return s.OS + "/" + s.Arch }

// FindSystem is the inverse of Key; the first one for what is none.
func FindSystem(key string) System {
	for _, s := range Systems {
		if s.Key() == key {
			return s
		}
	}
	return Systems[0]
}

// Install returns what to type on a machine so that it becomes a device: origin is the server's address, without a slash at its end.
// ownCA says that the server has an authority of its own, which the machine's programs do not know; the code carries its fingerprint, sealed.
func Install(s System, origin, code string, ownCA bool) string {
	download := origin + "/download/agent/" + s.Key()
	if s.OS == "windows" {
		unverified := ""
		if ownCA {
			unverified = " -k"
		}
		return strings.Join([]string{
			`$agent = "$env:ProgramFiles\Holdfast\holdfast-agent.exe"`,
			`New-Item -Force -ItemType Directory (Split-Path $agent) | Out-Null`,
			`curl.exe -fL` + unverified + ` -o $agent ` + download,
			`& $agent enroll ` + origin + ` --code ` + code,
			`& $agent service install`,
		}, "\n")
	}
	flags := "-fL"
	if ownCA {
		flags += " -k"
	}
	return strings.Join([]string{
		`sudo curl ` + flags + ` -o /usr/local/bin/holdfast-agent ` + download,
		`sudo chmod 755 /usr/local/bin/holdfast-agent`,
		`holdfast-agent enroll ` + origin + ` --code ` + code,
		`holdfast-agent service install`,
	}, "\n")
}
