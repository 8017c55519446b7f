package walk_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// garden makes a random tree below dir and returns the names of what it may hold.
func garden(t *rapid.T, dir string) []string {
	part := rapid.SampledFrom([]string{"a", "a-b", "b", "c", "deep", "x.docx", "y.txt", "z"})
	places := []string{""}
	for i := range rapid.IntRange(1, 25).Draw(t, "entries") {
		parent := rapid.SampledFrom(places).Draw(t, "parent")
		place := filepath.Join(parent, part.Draw(t, "name"))
		path := filepath.Join(dir, place)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			continue // a file is in the way
		}
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		var err error
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0, 1:
			err = os.Mkdir(path, 0o755)
		case 2:
			err = os.Symlink(filepath.Join(dir, rapid.SampledFrom(places).Draw(t, "target")), path)
		default:
			err = os.WriteFile(path, make([]byte, i), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	return append(places, "nothing", "a/nothing", "deep/a/nothing")
}

// always is a root of every rule, so that none finds nothing at all.
const always = "~always"

func drawRule(t *rapid.T, dir string, places []string) walk.Rule {
	r := walk.Rule{
		Roots:      []string{filepath.Join(dir, always)},
		Extensions: rapid.SliceOfN(rapid.SampledFrom([]string{".docx", "txt"}), 0, 2).Draw(t, "extensions"),
		MaxSize:    rapid.SampledFrom([]int64{0, 0, 10}).Draw(t, "size"),
		Optional:   rapid.Bool().Draw(t, "optional"),
		Exclude: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b/", "*.txt", "deep/a", "!a", "c/**", "[!a]"}), 0, 3).
			Draw(t, "exclude"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "roots") {
		r.Roots = append(r.Roots, filepath.Join(dir, rapid.SampledFrom(places).Draw(t, "root")))
	}
	return r
}

// facts walks and returns what is known of each path; order and ancestors are checked on the way.
func facts(t *rapid.T, o walk.Options) map[string]string {
	w, err := walk.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	got := map[string]string{}
	last := ""
	if err := w.Walk(t.Context(), func(it *backup.Item) error {
		if last != "" && tree.Compare(last, it.Path) >= 0 {
			t.Errorf("%q after %q", it.Path, last)
		}
		if i := strings.LastIndexByte(it.Path, '/'); i >= 0 && got[it.Path[:i]] == "" {
			t.Errorf("%q without its folder", it.Path)
		}
		last = it.Path
		got[it.Path] = fmt.Sprint(it.Type, it.Size, it.Fingerprint.Inode, it.Err)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// What several rules take is what each of them takes alone, each entry once and in order.
func TestRulesAreAUnion(t *testing.T) {
	t.Parallel()
	base := real(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, always), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		places := garden(t, dir)
		var o walk.Options
		want := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(t, "rules") {
			r := drawRule(t, dir, places)
			o.Rules = append(o.Rules, r)
			maps.Copy(want, facts(t, walk.Options{Rules: []walk.Rule{r}}))
		}
		if got := facts(t, o); !maps.Equal(got, want) {
			for p := range want {
				if got[p] != want[p] {
					t.Errorf("%q is %q, want %q", p, got[p], want[p])
				}
			}
			for p := range got {
				if want[p] == "" {
					t.Errorf("%q is %q, and no rule takes it", p, got[p])
				}
			}
		}
	})
}

func TestRulesSideBySide(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "docs/a.docx", "docs/b.txt", "docs/cache/c.docx", "docs/cache/keep/d.txt", "docs/cache/keep/big.txt", "empty/", "music/e.mp3", "music/f.docx")
	at := func(name string) []string { return []string{filepath.Join(dir, name)} }
	if err := os.WriteFile(filepath.Join(dir, "docs/cache/keep/big.txt"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	documents := walk.Rule{Roots: []string{dir}, Extensions: []string{".docx"}, Exclude: []string{"cache/", "/" + strings.TrimPrefix(dir, "/") + "/music"}}
	t.Run("a root in a folder that another rule excludes", func(t *testing.T) {
		small := walk.Rule{Roots: at("docs/cache/keep"), MaxSize: 50}
		all := items(t, walk.Options{Rules: []walk.Rule{documents, small}})
		expect(t, dir, all, "docs/", "docs/a.docx", "docs/cache/", "docs/cache/keep/", "docs/cache/keep/d.txt")
	})
	t.Run("a root that another rule looks into", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{documents, {Roots: at("docs")}, {Roots: at("empty"), Extensions: []string{".pdf"}}}})
		expect(t, dir, all, "docs/", "docs/a.docx", "docs/b.txt", "docs/cache/", "docs/cache/c.docx", "docs/cache/keep/",
			"docs/cache/keep/big.txt", "docs/cache/keep/d.txt", "empty/")
	})
	t.Run("one rule keeps what another's pattern and size leave out", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: at("music"), Exclude: []string{"*.mp3"}}, {Roots: at("music"), Extensions: []string{"mp3"}}}})
		expect(t, dir, all, "music/", "music/e.mp3", "music/f.docx")
	})
	t.Run("the agent's own state is nobody's", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: at("music")}, {Roots: []string{dir}, Extensions: []string{"mp3"}}}, Skip: at("music/e.mp3")})
		expect(t, dir, all, "music/", "music/f.docx")
	})
}

func TestOptionalRoots(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "here/x", "disk/", "data -> disk/not-mounted", "file", "loop -> loop", "full -> here")
	at := func(names ...string) []string {
		var paths []string
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n))
		}
		return paths
	}
	optional := func(names ...string) []walk.Rule { return []walk.Rule{{Roots: at(names...), Optional: true}} }
	for _, c := range []struct {
		name     string
		rules    []walk.Rule
		expected []string
		roots    []string
		want     []string // and the last of it is gone, if gone is set
		gone     backup.Cause
	}{
		{"left out", optional("here", "nothing", "no/thing", "full/no"), nil, at("here"), []string{"here/", "here/x"}, ""},
		{"expected", optional("here", "nothing"), at("here", "nothing"), at("here", "nothing"), []string{"here/", "here/x", "nothing"}, backup.Vanished},
		{"expected inside", optional("here", "nothing"), at("nothing/a/b"), at("here", "nothing"), []string{"here/", "here/x", "nothing"}, backup.Vanished},
		{"expected around", optional("here", "nothing/a"), at("nothing"), at("here"), []string{"here/", "here/x"}, ""},
		{"expected, and not asked for any more", optional("here"), at("nothing"), at("here"), []string{"here/", "here/x"}, ""},
		{"expected, and still there", optional("here"), at("here"), at("here"), []string{"here/", "here/x"}, ""},
		{"behind a link that leads nowhere", optional("here", "data/docs"), nil, at("data/docs", "here"), []string{"data", "disk/", "disk/not-mounted", "here/", "here/x"}, ""},
		{"a link that leads nowhere", optional("data"), append(at("here"), "/"), at("data"), nil, ""},
		{"behind a file", optional("here", "file/x"), nil, at("file/x", "here"), []string{"file/", "file/x", "here/", "here/x"}, ""},
		{"not optional", []walk.Rule{{Roots: at("here")}, {Roots: at("nothing")}}, nil, at("here", "nothing"), []string{"here/", "here/x", "nothing"}, backup.Vanished},
	} {
		o := walk.Options{Rules: c.rules, Expected: c.expected}
		w, err := walk.New(o)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if !slices.Equal(w.Roots(), c.roots) {
			t.Errorf("%s: roots %q, want %q", c.name, w.Roots(), c.roots)
		}
		if c.want == nil {
			if err := w.Walk(t.Context(), nil); !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		all := items(t, o)
		if c.name != "behind a file" {
			expect(t, dir, all, c.want...)
		}
		if last := all[len(all)-1]; c.gone != "" && (last.Err == nil || backup.CauseOf(last.Err) != c.gone) {
			t.Errorf("%s: %v", c.name, last.Err)
		}
	}
	if _, err := walk.New(walk.Options{Rules: optional("nothing", "no/thing")}); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "2 folders") {
		t.Errorf("all left out: %v", err)
	}
}

// A folder that is not entered, and in which a filter so keeps nothing, is not kept because of what comes behind it.
func TestFilteredMountPoint(t *testing.T) {
	t.Parallel()
	dir := real(t) // behind /proc
	grow(t, dir, "x")
	nothing := walk.Rule{Roots: []string{"/"}, Exclude: []string{"/[!p]*", "/p[!r]*"}, Extensions: []string{".nothing"}}
	all := items(t, walk.Options{Rules: []walk.Rule{nothing, {Roots: []string{dir}}}})
	expect(t, dir, all, "x")
	for _, it := range all {
		if it.Path == "proc" {
			t.Error("/proc is kept")
		}
	}
}
