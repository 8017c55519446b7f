// Package place finds, on this machine, the folders that a policy names.
//
// A policy is for many machines, so it names places rather than paths: "~documents" is Dokumente here and
// OneDrive\Documents there. The names are those of plan.CheckRoot. Home is that of the person whose machine it is, which
// the caller knows: the agent may run as somebody else.
//
//	~                the home folder
//	~documents …     where the person's desktop keeps them:
//	                 Linux    ~/.config/user-dirs.dirs; English names where it says nothing
//	                 macOS    ~/Documents …, ~/Movies for the videos
//	                 Windows  the known folders, redirected ones included
//	/srv             on Linux and macOS
//	C:\Data          on Windows
//
// A root that means nothing here is left out and named: a path of another system, or a place that the person's desktop does not
// have. Whether a folder exists is not looked at: that is for agent/walk.
//
// What is not promised: on Windows, while the agent runs as somebody else and the person is not logged in, nobody knows
// their redirected folders. The usual places in their home are taken then.
package place

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Found is what roots come to on this machine.
type Found struct {
	Roots     []string // absolute paths, each once, in the order of the roots
	Elsewhere []string // roots that mean nothing here, as they were given
}

// Resolve finds the roots of a policy. home is the absolute path of the person's home folder, "" if nobody knows it. A root
// that is none, or whose place is unknown to this version, and one that needs a home where there is none, is a fault.Invalid
// that names it.
func Resolve(roots []string, home string) (Found, error) {
	return here.resolve(roots, home)
}

// system is what differs between systems.
type system struct {
	windows bool
	folders func(home string) map[string]string // the places that there are, without "~", and their paths
}

func (s system) resolve(roots []string, home string) (Found, error) {
	var found Found
	var folders map[string]string
	for _, root := range roots {
		if err := plan.CheckRoot(root); err != nil {
			return Found{}, fault.Wrap(err, fault.Invalid, "%s", err)
		}
		path := ""
		if name, below, _ := strings.Cut(root, "/"); strings.HasPrefix(root, "~") {
			if home == "" {
				return Found{}, fault.New(fault.Invalid, "whose home folder %q means on this machine is not known: enrol it again as the person whose files it holds", root)
			}
			if path = home; name != "~" {
				if folders == nil {
					folders = s.folders(home)
				}
				path = folders[name]
			}
			if path != "" && below != "" {
				path = s.join(path, below)
			}
		} else if s.windows == (root[0] != '/') {
			path = root
		}
		if path == "" {
			found.Elsewhere = append(found.Elsewhere, root)
			continue
		}
		if s.windows {
			path = strings.ReplaceAll(path, "/", `\`)
		}
		if path = trim(path); !slices.Contains(found.Roots, path) {
			found.Roots = append(found.Roots, path)
		}
	}
	return found, nil
}

// join is [filepath.Join] of the system, for paths that need no cleaning.
func (s system) join(path, below string) string {
	if s.windows {
		return strings.TrimRight(path, `/\`) + `\` + below
	}
	return filepath.Join(path, below)
}

// trim takes away a slash behind, unless it is the top's: of a system, or of a drive.
func trim(path string) string {
	if t := strings.TrimRight(path, `/\`); t != "" && !strings.HasSuffix(t, ":") {
		return t
	}
	return path
}

// usual are the places as they are called where nobody renamed them. videos is what those are called.
func usual(home, videos string) map[string]string {
	m := map[string]string{}
	for token, name := range map[string]string{
		"~documents": "Documents", "~desktop": "Desktop", "~pictures": "Pictures", "~music": "Music", "~videos": videos, "~downloads": "Downloads",
	} {
		m[token] = filepath.Join(home, name)
	}
	return m
}
