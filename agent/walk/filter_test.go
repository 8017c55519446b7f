package walk

import (
	"errors"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestBadRule(t *testing.T) {
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
