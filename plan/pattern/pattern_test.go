package pattern

import (
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/plan"
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
		p, err := Parse(c.pattern, false)
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
		if got := p.Match(c.path, name, c.folder); got != c.want {
			t.Errorf("%q on %q (folder %v): %v", c.pattern, c.path, c.folder, got)
		}
	}
	p, err := Parse("*.TMP", true)
	if err != nil || !p.Match("a/X.tmp", "X.tmp", false) {
		t.Errorf("case is not ignored: %v", err)
	}
	for _, blank := range []string{"", "  ", "# comment"} {
		if p, err := Parse(blank, false); p != nil || err != nil {
			t.Errorf("%q: %v, %v", blank, p, err)
		}
	}
}

func TestBad(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"[a", "[", "[z-a]", `x\`, "/", "!", "!/", "a//b", "../x", "a/./b", "[a-"} {
		if p, err := Parse(bad, false); err == nil || p != nil || !strings.Contains(err.Error(), "the pattern \"") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestPresets: what policies can leave out by name is understood.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, preset := range plan.ExcludePresets() {
		for _, text := range preset.Patterns {
			if p, err := Parse(text, true); err != nil || p == nil {
				t.Errorf("%s: %q: %v", preset.Name, text, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.tmp", "[a-c]x", `a\/`, "a/**/b", "!x/", "[]-a]"} {
		f.Add(s, "a/b/x.tmp")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := Parse(text, true)
		if err != nil || p == nil {
			return
		}
		p.Match(path, path[strings.LastIndexByte(path, '/')+1:], false)
	})
}
