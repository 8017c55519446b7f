package walk

import (
	"errors"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		folder, want  bool
	}{
		{"*.tmp", "home/u/x.tmp", false, true},
		{"*.tmp", "home/u/x.tmp.gz", false, false},
		{"*.tmp", "home/x.tmp", true, true},
		{"x", "a/b/x", false, true},
		{"x", "a/x/b", false, false},
		{"build/", "src/build", true, true},
		{"build/", "src/build", false, false},
		{"docs/old", "home/u/docs/old", true, true},
		{"docs/old", "docs/old", true, true},
		{"docs/old", "docs/old/x", false, false},
		{"docs/old", "mydocs/old", false, false},
		{"/home/*/cache", "home/u/cache", true, true},
		{"/home/*/cache", "home/u/v/cache", true, false},
		{"/home/*/cache", "x/home/u/cache", true, false},
		{"/a", "a", true, true},
		{"/a", "b/a", true, false},
		{"a/**/b", "a/b", false, true},
		{"a/**/b", "x/a/1/2/b", false, true},
		{"a/**/b", "a/1/2/c", false, false},
		{"a/**", "a", true, false},
		{"a/**", "a/x/y", false, true},
		{"**/x", "x", false, true},
		{"**", "anything", false, true},
		{"?", "ä", false, true},
		{"?", "ab", false, false},
		{"?", "\xff", false, true},
		{"[a-c]x", "bx", false, true},
		{"[!a-c]x", "bx", false, false},
		{"[^a-c]x", "dx", false, true},
		{"[]]", "]", false, true},
		{"[a-]", "-", false, true},
		{`\*`, "*", false, true},
		{`\*`, "x", false, false},
		{`a\/`, "a", false, false},
		{"a*b*c", "aXbXbXc", false, true},
		{"a*b*c", "aXbXbX", false, false},
		{"*", "", false, true},
		{"a*", "a", false, true},
	} {
		p, err := parsePattern(c.pattern, false)
		if err != nil {
			if c.pattern != `a\/` {
				t.Errorf("%q: %v", c.pattern, err)
			}
			continue
		}
		name := c.path
		for i := range len(c.path) {
			if c.path[i] == '/' {
				name = c.path[i+1:]
			}
		}
		if got := p.match(c.path, name, c.folder); got != c.want {
			t.Errorf("%q on %q (folder %v): %v", c.pattern, c.path, c.folder, got)
		}
	}
	p, err := parsePattern("*.TMP", true)
	if err != nil || !p.match("a/X.tmp", "X.tmp", false) {
		t.Errorf("case is not ignored: %v", err)
	}
	for _, blank := range []string{"", "  ", "# comment"} {
		if p, err := parsePattern(blank, false); p != nil || err != nil {
			t.Errorf("%q: %v, %v", blank, p, err)
		}
	}
}

func TestBadPattern(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"[a", "[", "[z-a]", `x\`, "/", "!", "!/", "a//b", "../x", "a/./b", "[a-"} {
		if _, err := New(Options{Rules: []Rule{{Roots: []string{t.TempDir()}, Exclude: []string{bad}}}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", ".", "a/b", "*"} {
		if _, err := New(Options{Rules: []Rule{{Roots: []string{t.TempDir()}, Extensions: []string{bad}}}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("extension %q: %v", bad, err)
		}
	}
	for _, o := range []Options{{}, {Rules: []Rule{{}}}, {Rules: []Rule{{Roots: []string{"relative"}}}},
		{Rules: []Rule{{Roots: []string{t.TempDir()}}}, Skip: []string{"x"}}} {
		if _, err := New(o); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestLastPatternDecides(t *testing.T) {
	t.Parallel()
	w, err := New(Options{Rules: []Rule{{Roots: []string{t.TempDir()}, Exclude: []string{"*.log", "!keep.log", "secret*"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a.log": true, "keep.log": false, "secret.log": true, "x": false} {
		if got := w.rules[0].excluded("d/"+name, name, false); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	w, err := New(Options{Rules: []Rule{{Roots: []string{t.TempDir()}, Extensions: []string{".docx", "PDF", "*.tar.gz"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a.DOCX": true, "b.pdf": true, "c.tar.gz": true, "d.gz": false, "docx": false, "e.docx.bak": false} {
		if got := w.rules[0].wanted(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
