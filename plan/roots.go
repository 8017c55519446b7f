package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Place is a folder that every person has, wherever it lies on their device. An agent finds it.
type Place struct {
	Name  string // "~documents"
	Title string // "Documents"
}

// Places returns the places, in the order in which people look for them.
func Places() []Place { return slices.Clone(places) }

var places = []Place{
	{"~", "Home folder"},
	{"~documents", "Documents"},
	{"~desktop", "Desktop"},
	{"~pictures", "Pictures"},
	{"~music", "Music"},
	{"~videos", "Videos"},
	{"~downloads", "Downloads"},
}

const maxRoot = 1000 // bytes

// CheckRoot says what is wrong with a root of a policy. A root is a [Place], with a path below it or without
// ("~", "~/projects", "~documents/2024"), or an absolute path: "/srv" on Linux and macOS, `C:\Data` or "C:/Data" on
// Windows. A root that means nothing on a device is left out there.
func CheckRoot(s string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("the folder %q %s", clip(s), fmt.Sprintf(format, args...))
	}
	switch {
	case s == "":
		return errors.New("a folder has no name: want one such as ~documents, /srv or C:\\Data")
	case len(s) > maxRoot:
		return bad("is longer than %d bytes", maxRoot)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return bad("holds characters that cannot be shown")
	}
	var path string
	drive := len(s) >= 2 && s[1] == ':' && (s[0]|0x20) >= 'a' && (s[0]|0x20) <= 'z'
	switch {
	case s[0] == '~':
		name, rest, _ := strings.Cut(s, "/")
		if !slices.ContainsFunc(places, func(p Place) bool { return p.Name == name }) {
			return bad("is not known: want ~, ~documents, ~desktop, ~pictures, ~music, ~videos or ~downloads, each with /a path below it or without")
		}
		path = rest
	case s[0] == '/':
		path = s[1:]
	case drive:
		if len(s) < 3 || s[2] != '\\' && s[2] != '/' {
			return bad("begins somewhere on the drive %s: write %s\\ for all of it, or the whole path", s[:2], s[:2])
		}
		path = strings.ReplaceAll(s[3:], `\`, "/")
		if strings.ContainsAny(path, `<>:"|?*`) {
			return bad(`holds one of < > : " | ? *, which no name on Windows has`)
		}
	case strings.HasPrefix(s, `\\`):
		return bad("lies on another machine: back it up there")
	default:
		return bad("is relative, and a policy has no folder to begin from: want one such as ~/%s or /%s", s, s)
	}
	if path == "" {
		return nil
	}
	for _, part := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		switch part {
		case "":
			return bad("has two slashes in a row")
		case ".", "..":
			return bad("contains %q: write where the folder really lies", part)
		}
	}
	return nil
}
