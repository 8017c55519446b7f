package walk

import (
	"strings"

	"github.com/holdfast-backup/holdfast/plan/pattern"
)

// filter decides what is left out by name.
type filter struct {
	patterns []*pattern.Pattern
	exts     []string // with their dot, lower case
}

// excluded reports whether the last pattern that matches excludes the entry.
func (f *filter) excluded(path, name string, folder bool) bool {
	for i := len(f.patterns) - 1; i >= 0; i-- {
		if p := f.patterns[i]; p.Match(path, name, folder) {
			return !p.Keep()
		}
	}
	return false
}

// wanted reports whether a name has one of the wanted extensions.
func (f *filter) wanted(name string) bool {
	for _, ext := range f.exts {
		if len(name) >= len(ext) && strings.EqualFold(name[len(name)-len(ext):], ext) {
			return true
		}
	}
	return len(f.exts) == 0
}
