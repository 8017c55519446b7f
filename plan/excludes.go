package plan

import (
	"fmt"
	"slices"
	"strings"
)

// ExcludePreset is something that is usually not worth saving.
type ExcludePreset struct {
	Name     string   // "caches"
	Title    string   // "Caches"
	Patterns []string // as gitignore has them
}

// ExcludePresets returns what is usually left out.
func ExcludePresets() []ExcludePreset {
	list := slices.Clone(excludePresets)
	for i := range list {
		list[i].Patterns = slices.Clone(list[i].Patterns)
	}
	return list
}

// Excludes returns the patterns of the named presets, then the extra ones in their order, so that these decide:
// "!" brings back what a preset leaves out. Blank ones are dropped, those of presets come once.
func Excludes(names, extra []string) ([]string, error) {
	var list []string
	for _, name := range names {
		i := slices.IndexFunc(excludePresets, func(p ExcludePreset) bool { return p.Name == name })
		if i < 0 {
			return nil, unknownPreset("kind of excludes", name, len(excludePresets), func(i int) string { return excludePresets[i].Name })
		}
		list = append(list, excludePresets[i].Patterns...)
	}
	list = set(list)
	for _, s := range extra {
		if strings.ContainsAny(s, "\n\r\x00") {
			return nil, fmt.Errorf("the pattern %q has more than one line", clip(s))
		}
		if strings.TrimSpace(s) != "" {
			list = append(list, s)
		}
	}
	return list, nil
}

var excludePresets = []ExcludePreset{
	{"caches", "Caches", []string{".cache/", "Library/Caches/"}},
	{"dependencies", "Downloaded dependencies", []string{"node_modules/", ".venv/"}},
	{"temporary", "Temporary files", []string{"*.tmp"}},
	{"trash", "Trash", []string{"$RECYCLE.BIN/", ".Trash/", ".local/share/Trash/"}},
	{"system", "Files of the system", []string{"Thumbs.db", ".DS_Store"}},
}
