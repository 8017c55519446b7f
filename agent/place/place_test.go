//go:build unix

package place

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

var (
	linux   = system{folders: xdg}
	mac     = system{folders: func(home string) map[string]string { return usual(home, "Movies") }}
	windows = system{windows: true, folders: func(string) map[string]string {
		return map[string]string{"~documents": `C:\Users\zoe\OneDrive\Documents`, "~desktop": `D:\`}
	}}
)

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		s                system
		home             string
		roots            []string
		found, elsewhere []string
	}{
		{"linux", linux, "/home/zoë", []string{"~", "~/a/b", "~documents", "~documents/2024", "/srv/", "/", `C:\Data`},
			[]string{"/home/zoë", "/home/zoë/a/b", "/home/zoë/Documents", "/home/zoë/Documents/2024", "/srv", "/"}, []string{`C:\Data`}},
		{"all of them", linux, "/h", []string{"~desktop", "~pictures", "~music", "~videos", "~downloads/x/"},
			[]string{"/h/Desktop", "/h/Pictures", "/h/Music", "/h/Videos", "/h/Downloads/x"}, nil},
		{"macOS", mac, "/Users/zoe", []string{"~videos", "~pictures"}, []string{"/Users/zoe/Movies", "/Users/zoe/Pictures"}, nil},
		{"windows", windows, `C:\Users\zoe`, []string{"~", "~/a/b", "~documents", "~documents/2024", "C:/Data/", `c:\`, "/srv", "~desktop", "~desktop/x"},
			[]string{`C:\Users\zoe`, `C:\Users\zoe\a\b`, `C:\Users\zoe\OneDrive\Documents`, `C:\Users\zoe\OneDrive\Documents\2024`, `C:\Data`, `c:\`, `D:\`, `D:\x`},
			[]string{"/srv"}},
		{"a place that is not there", windows, `C:\Users\zoe`, []string{"~music", "~music/x", "~"}, []string{`C:\Users\zoe`}, []string{"~music", "~music/x"}},
		{"each once", linux, "/h", []string{"~/Documents", "~documents", "/h/Documents/"}, []string{"/h/Documents"}, nil},
		{"nothing", linux, "", nil, nil, nil},
		{"no home, and none needed", linux, "", []string{"/srv"}, []string{"/srv"}, nil},
	} {
		got, err := c.s.resolve(c.roots, c.home)
		if err != nil || !slices.Equal(got.Roots, c.found) || !slices.Equal(got.Elsewhere, c.elsewhere) {
			t.Errorf("%s: %q, %v\nwant %q and %q", c.name, got, err, c.found, c.elsewhere)
		}
	}
	// Here, whatever this is.
	home := t.TempDir()
	if got, err := Resolve([]string{"~"}, home); err != nil || !slices.Equal(got.Roots, []string{home}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsNoRoot(t *testing.T) {
	t.Parallel()
	for root, home := range map[string]string{"~projects": "/h", "relative": "/h", "/a/../b": "/h", "~nobody/x": "/h", "": "/h", "~": "", "~documents": ""} {
		got, err := linux.resolve([]string{"/srv", root}, home)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), root) || got.Roots != nil {
			t.Errorf("%q: %q, %v", root, got, err)
		}
	}
}

// Every place of the vocabulary is one that every system can know.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, p := range plan.Places() {
		want[p.Name] = true
	}
	for name, tokens := range map[string][]string{
		"usual": slices.Collect(maps.Keys(usual("/h", "Videos"))), "xdg": slices.Collect(maps.Values(xdgNames)), "shell": slices.Collect(maps.Values(shellNames)),
	} {
		tokens = append(tokens, "~")
		for _, token := range tokens {
			if !want[token] {
				t.Errorf("%s knows %s, and plan does not", name, token)
			}
		}
		if len(tokens) != len(want) {
			t.Errorf("%s knows %q", name, tokens)
		}
	}
}

func TestUserDirs(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		home := t.TempDir()
		if err := os.MkdirAll(filepath.Join(home, ".config"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".config", "user-dirs.dirs"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return home
	}
	home := write(`# This file is written by xdg-user-dirs-update
XDG_DESKTOP_DIR="$HOME/Schreibtisch"
XDG_DOWNLOAD_DIR="/mnt/big/Down \"loads\""
  XDG_DOCUMENTS_DIR = "$HOME/Doku\$mente/"
XDG_MUSIC_DIR="$HOME/"
XDG_TEMPLATES_DIR="$HOME/Vorlagen"
XDG_PICTURES_DIR=$HOME/Bilder
XDG_VIDEOS_DIR="Filme"
nonsense
`)
	want := map[string]string{
		"~desktop": home + "/Schreibtisch", "~downloads": `/mnt/big/Down "loads"`, "~documents": home + "/Doku$mente",
		"~pictures": home + "/Pictures", "~videos": home + "/Videos",
	}
	if got := xdg(home); !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	got, err := linux.resolve([]string{"~music", "~music/x", "~downloads/y"}, home)
	if err != nil || !slices.Equal(got.Elsewhere, []string{"~music", "~music/x"}) || !slices.Equal(got.Roots, []string{`/mnt/big/Down "loads"/y`}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{`XDG_MUSIC_DIR="$HOMEWARD/x"`, `XDG_MUSIC_DIR="$HOME/x`, `XDG_MUSIC_DIR="$HOME/x\`, `XDG_MUSIC_DIR="$HOME/x" y`, `XDG_MUSIC_DIR="`, `XDG_MUSIC_DIR`, ""} {
		home := write(bad)
		if got := xdg(home); !maps.Equal(got, usual(home, "Videos")) {
			t.Errorf("%s: %q", bad, got)
		}
	}
	// What is no file is not waited for, and what cannot be read says nothing.
	home = write("")
	path := filepath.Join(home, ".config", "user-dirs.dirs")
	if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := xdg(home); !maps.Equal(got, usual(home, "Videos")) {
		t.Errorf("%q", got)
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		`%USERPROFILE%\Documents`:          `C:\Users\zoe\Documents`,
		`%UserProfile%\OneDrive\Documents`: `C:\Users\zoe\OneDrive\Documents`,
		`D:\Music`:                         `D:\Music`,
		`%OneDrive%\Documents`:             "",
		`%USERPROFILE%\%X%`:                "",
		`\\server\share\zoe`:               "",
		`Documents`:                        "",
		``:                                 "",
	} {
		got, ok := expand(path, `C:\Users\zoe\`)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
}
