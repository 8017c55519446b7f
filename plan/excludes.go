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

// Patterns of presets name what a program made and can make again, so exactly that no folder of a person's is
// likely to match: "target/release/", not "target/". A folder that is called vendor or build may hold
// anything, and is left to the extra patterns.
var excludePresets = []ExcludePreset{
	{"caches", "Caches", []string{
		".cache/", "Library/Caches/", ".var/app/*/cache/", ".thumbnails/", "__pycache__/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/",
		"AppData/Local/Microsoft/Windows/INetCache/", "AppData/Local/Microsoft/Windows/WebCache/", "AppData/Local/Microsoft/Windows/Explorer/",
		"AppData/Local/Packages/*/AC/INetCache/", "Firefox/Profiles/*/cache2/",
		"User Data/*/Cache/", "User Data/*/Code Cache/", "User Data/*/GPUCache/", "User Data/*/Service Worker/CacheStorage/",
		".config/*/Cache/", ".config/*/CachedData/", ".config/*/Code Cache/", ".config/*/GPUCache/",
		".config/*/*/Cache/", ".config/*/*/Code Cache/", ".config/*/*/GPUCache/", ".config/*/*/Service Worker/CacheStorage/",
	}},
	{"dependencies", "Downloaded and generated parts of programs", []string{
		"node_modules/", "bower_components/", ".npm/_cacache/", ".pnpm-store/", ".venv/", "venv/", ".tox/", ".nox/", ".conda/pkgs/",
		"target/debug/", "target/release/", "target/classes/", "target/test-classes/", ".cargo/registry/", ".cargo/git/", ".rustup/toolchains/",
		".m2/repository/", ".gradle/caches/", "go/pkg/mod/", ".nuget/packages/", ".terraform/", "Library/Developer/Xcode/DerivedData/",
	}},
	{"temporary", "Temporary files", []string{
		"*.tmp", "*.temp", "~$*", ".~lock.*#", "*~", `\#*#`, ".#*", "*.swp", "*.swo", "*.part", "*.partial", "*.crdownload",
		"/tmp/", "/var/tmp/", "AppData/Local/Temp/", "/?:/Windows/Temp/",
	}},
	{"trash", "Trash", []string{"$RECYCLE.BIN/", "RECYCLER/", ".Trash/", ".Trash-*/", ".Trashes/", ".local/share/Trash/"}},
	{"system", "Files of the operating system", []string{
		"/proc/", "/sys/", "/dev/", "/run/", "/swapfile", "/swap.img", "lost+found/",
		"/?:/Windows/", "/?:/pagefile.sys", "/?:/hiberfil.sys", "/?:/swapfile.sys", "System Volume Information/", "NTUSER.DAT*", "UsrClass.dat*",
		"Thumbs.db", "desktop.ini", ".DS_Store", ".Spotlight-V100/", ".fseventsd/", ".DocumentRevisions-V100/", ".TemporaryItems/",
	}},
}
