package walk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// grow makes files and folders below dir. A name that ends in a slash is a folder, "a -> b" a link; a file's
// content is its own name.
func grow(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		from, to, link := strings.Cut(n, " -> ")
		path := filepath.Join(dir, from)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(to, path)
		case strings.HasSuffix(n, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(n), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// items walks and checks what every walk must keep: order, ancestors first.
func items(t *testing.T, o walk.Options) []*backup.Item {
	t.Helper()
	w, err := walk.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	var all []*backup.Item
	seen := map[string]bool{}
	if err := w.Walk(t.Context(), func(it *backup.Item) error {
		if n := len(all); n > 0 && tree.Compare(all[n-1].Path, it.Path) >= 0 {
			t.Errorf("%q after %q", it.Path, all[n-1].Path)
		}
		if i := strings.LastIndexByte(it.Path, '/'); i >= 0 && !seen[it.Path[:i]] {
			t.Errorf("%q without its folder", it.Path)
		}
		seen[it.Path] = true
		all = append(all, it)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// below returns the paths under dir, relative to it.
func below(dir string, all []*backup.Item) []string {
	prefix := strings.TrimPrefix(filepath.ToSlash(dir), "/") + "/"
	var paths []string
	for _, it := range all {
		if p, ok := strings.CutPrefix(it.Path, prefix); ok {
			if it.Type == tree.Dir {
				p += "/"
			}
			paths = append(paths, p)
		}
	}
	return paths
}

func expect(t *testing.T, dir string, all []*backup.Item, want ...string) {
	t.Helper()
	if got := below(dir, all); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// real is a temporary folder without symbolic links in its path.
func real(t testing.TB) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOrderAndKinds(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "a/b", "a-b", "a.txt", "a/", "empty/", "link -> a/b", "z/y/x")
	all := items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
	expect(t, dir, all, "a/", "a/b", "a-b", "a.txt", "empty/", "link", "z/", "z/y/", "z/y/x")
	for _, it := range all {
		if it.Load == nil {
			t.Fatalf("%q has no Load", it.Path)
		}
		var f backup.File
		if it.Type == tree.File {
			var err error
			if f, err = it.Open(); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(f)
			if err != nil || !strings.HasSuffix(it.Path, string(b)) || it.Size != int64(len(b)) {
				t.Errorf("%q: %q, %v", it.Path, b, err)
			}
			st, err := f.Stat()
			if err != nil || st.Fingerprint != it.Fingerprint || st.ModTime != it.ModTime || st.Size != it.Size || st.Mode != it.Mode {
				t.Errorf("%q: %+v, %v, not %+v", it.Path, st, err, it)
			}
		}
		if err := it.Load(f, &it.Entry); err != nil {
			t.Errorf("%q: %v", it.Path, err)
		}
		if f != nil {
			f.Close()
		}
		if strings.HasSuffix(it.Path, "/link") && it.Link != "a/b" {
			t.Errorf("the link leads to %q", it.Link)
		}
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "a/1", "a/b/2", "c/3", "d/4", "e/5")
	at := func(names ...string) []string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return names
	}
	t.Run("merged", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: at("c", "a", "a/b", "d/4", "c/")}}})
		expect(t, dir, all, "a/", "a/1", "a/b/", "a/b/2", "c/", "c/3", "d/", "d/4")
		w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: at("c", "a", "a/b", "c/")}}})
		if err != nil || !slices.Equal(w.Roots(), at("a", "c")) {
			t.Errorf("roots %v, %v", w.Roots(), err)
		}
	})
	t.Run("one missing", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: at("c", "nothing/here")}}})
		expect(t, dir, all, "c/", "c/3", "nothing")
		if last := all[len(all)-1]; backup.CauseOf(last.Err) != backup.Vanished {
			t.Errorf("%v", last.Err)
		}
	})
	t.Run("all missing", func(t *testing.T) {
		for _, roots := range [][]string{at("x"), at("x", "y/z")} {
			w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: roots}}})
			if err != nil {
				t.Fatal(err)
			}
			err = w.Walk(t.Context(), func(*backup.Item) error { return nil })
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("links on the way", func(t *testing.T) {
		grow(t, dir, "to-e -> e", "alias -> to-e/../to-e", "round -> round")
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: at("alias")}}})
		expect(t, dir, all, "alias", "e/", "e/5", "to-e")
		w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: at("round")}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Walk(t.Context(), func(*backup.Item) error { return nil }); err == nil {
			t.Error("a circle of links was walked")
		}
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "docs/a.docx", "docs/b.txt", "docs/deep/er/c.DOCX", "empty/", "src/x.go", "src/build/y.docx", "state/secret.docx", "z.docx/")
	roots := []string{dir}
	t.Run("extensions", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: roots, Extensions: []string{".docx"}}}})
		expect(t, dir, all, "docs/", "docs/a.docx", "docs/deep/", "docs/deep/er/", "docs/deep/er/c.DOCX",
			"src/", "src/build/", "src/build/y.docx", "state/", "state/secret.docx")
	})
	t.Run("exclude and skip", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: roots, Exclude: []string{"build/", "*.txt", "deep"}}}, Skip: []string{filepath.Join(dir, "state")}})
		expect(t, dir, all, "docs/", "docs/a.docx", "empty/", "src/", "src/x.go", "z.docx/")
	})
	t.Run("size", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, "empty", "big"), make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{filepath.Join(dir, "empty"), filepath.Join(dir, "src")}, MaxSize: 999}}})
		expect(t, dir, all, "empty/", "src/", "src/build/", "src/build/y.docx", "src/x.go")
	})
	t.Run("nothing wanted", func(t *testing.T) {
		all := items(t, walk.Options{Rules: []walk.Rule{{Roots: roots, Extensions: []string{"nope"}}}})
		expect(t, dir, all)
		if len(all) == 0 || all[len(all)-1].Path != strings.TrimPrefix(dir, "/") {
			t.Error("the root itself is missing")
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	dir := real(t)
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("%04d", i))
	}
	grow(t, dir, names...)
	w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	enough := errors.New("enough")
	n := 0
	if err := w.Walk(t.Context(), func(*backup.Item) error {
		if n++; n == 50 {
			return enough
		}
		return nil
	}); err != enough || n != 50 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	if err := w.Walk(ctx, func(*backup.Item) error {
		if n++; n == 50 {
			cancel()
		}
		return nil
	}); !errors.Is(err, context.Canceled) || n > 600 {
		t.Errorf("%v after %d", err, n)
	}
}

// What is emitted twice is the same twice, so that an unchanged tree has an unchanged snapshot.
func TestSteady(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "a/b/c", "a/d", "e -> a")
	if err := os.Link(filepath.Join(dir, "a/d"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	list := func() map[string]string {
		m := map[string]string{}
		for _, it := range items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}}) {
			if p := it.Path; strings.HasPrefix("/"+p, dir+"/") {
				m[p] = fmt.Sprintf("%+v %+v", it.Entry, it.Fingerprint)
			}
		}
		return m
	}
	if first, second := list(), list(); !maps.Equal(first, second) || len(first) != 6 {
		t.Errorf("%v\n%v", first, second)
	}
}
