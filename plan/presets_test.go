package plan

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExtensions(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"docx": ".docx", "DOCX": ".docx", ".Docx": ".docx", "*.docx": ".docx", " .docx\t": ".docx", "tar.gz": ".tar.gz", "*.TAR.GZ": ".tar.gz", "c++": ".c++", "7z": ".7z",
		"ΑΡΧ": ".αρχ", strings.Repeat("a", 31): "." + strings.Repeat("a", 31),
	} {
		got, err := NormalizeExtension(in)
		if err != nil || got != want {
			t.Errorf("%q becomes %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"": "an extension is empty", " ": "empty", ".": "empty", "*": "empty", "*.": "empty", "..": "is not right", "..docx": "is not right", "docx.": "is not right", "do cx": "is not right",
		"a/b": "is not right", `a\b`: "is not right", "do*": "is not right", "**.docx": "is not right", "d?c": "is not right", "[dx]": "is not right", "doc,xls": "is not right",
		"a\x00": "is not right", "a\u202eb": "is not right", "a\xff": "is not right", strings.Repeat("a", 32): "is longer than 32 bytes",
	} {
		if got, err := NormalizeExtension(in); err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q becomes %q, %v; want %q", in, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "extension")
		once, err := NormalizeExtension(in)
		if err != nil {
			return
		}
		if twice, err := NormalizeExtension(once); err != nil || twice != once {
			t.Fatalf("%q becomes %q, which becomes %q, %v", in, once, twice, err)
		}
	})
}

func TestPresets(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for i, p := range Presets() {
		if p.Name == "" || p.Title == "" || names[p.Name] || (len(p.Extensions) == 0) != (i == 0 && p.Name == "everything") {
			t.Errorf("preset %d is %+v", i, p)
		}
		names[p.Name] = true
		if !slices.IsSorted(p.Extensions) || len(slices.Compact(slices.Clone(p.Extensions))) != len(p.Extensions) {
			t.Errorf("%s: %v is not sorted, or has one twice", p.Name, p.Extensions)
		}
		for _, ext := range p.Extensions {
			if same, err := NormalizeExtension(ext); err != nil || same != ext {
				t.Errorf("%s: %q is %q, %v", p.Name, ext, same, err)
			}
		}
	}
	for _, name := range []string{"documents", "spreadsheets", "presentations", "images", "audio", "video", "mail", "source", "databases", "archives"} {
		if !names[name] {
			t.Errorf("there is no preset %s", name)
		}
	}
	Presets()[1].Extensions[0] = "changed"
	if Presets()[1].Extensions[0] == "changed" {
		t.Error("presets can be changed")
	}
}

func TestExtensionsOfPresets(t *testing.T) {
	t.Parallel()
	got, err := Extensions([]string{"documents", "spreadsheets", "documents"}, []string{"DOCX", "*.foo"})
	if err != nil || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("%v, %v", got, err)
	}
	for _, ext := range []string{".docx", ".xlsx", ".foo"} {
		if !slices.Contains(got, ext) {
			t.Errorf("%s is missing in %v", ext, got)
		}
	}
	if got, err := Extensions(nil, []string{"foo"}); err != nil || !slices.Equal(got, []string{".foo"}) {
		t.Errorf("one of its own: %v, %v", got, err)
	}
	for _, names := range [][]string{nil, {"everything"}, {"documents", "everything"}} {
		var extra []string
		if names != nil {
			extra = []string{"foo"}
		}
		if got, err := Extensions(names, extra); err != nil || got != nil {
			t.Errorf("%v: %v, %v; want every file", names, got, err)
		}
	}
	if got, err := Extensions([]string{"everything", "papers"}, nil); err == nil || got != nil || !strings.HasPrefix(err.Error(), `the kind of files "papers" is not known: want one of everything, documents, `) {
		t.Errorf("an unknown name: %v, %v", got, err)
	}
	if got, err := Extensions([]string{"everything"}, []string{"a/b"}); err == nil || got != nil {
		t.Errorf("an extension that is not right: %v, %v", got, err)
	}
}

func TestExcludes(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, p := range ExcludePresets() {
		if p.Name == "" || p.Title == "" || names[p.Name] || len(p.Patterns) == 0 {
			t.Errorf("preset %+v", p)
		}
		names[p.Name] = true
		for _, pattern := range p.Patterns {
			// Nothing that means something else, or everything, to gitignore: agent/walk parses them all.
			if strings.TrimSpace(pattern) != pattern || strings.HasPrefix(pattern, "!") || strings.HasPrefix(pattern, "#") || strings.Contains(pattern, "//") ||
				strings.Trim(pattern, "*/") == "" || strings.ContainsAny(pattern, "[]\n") {
				t.Errorf("%s: %q", p.Name, pattern)
			}
		}
	}
	for _, name := range []string{"caches", "dependencies", "temporary", "trash", "system"} {
		if !names[name] {
			t.Errorf("there is no preset %s", name)
		}
	}
	ExcludePresets()[0].Patterns[0] = "changed"
	if ExcludePresets()[0].Patterns[0] == "changed" {
		t.Error("presets can be changed")
	}

	got, err := Excludes([]string{"trash", "caches", "trash"}, []string{"z", " ", "!.cache/", "", "a", "z"})
	n := len(got)
	if err != nil || n < 4 || !slices.Equal(got[n-4:], []string{"z", "!.cache/", "a", "z"}) || !slices.IsSorted(got[:n-4]) || !slices.Contains(got, ".Trash/") {
		t.Errorf("%q, %v; want those of the presets sorted, then the others as they are", got, err)
	}
	if got, err := Excludes(nil, nil); err != nil || got != nil {
		t.Errorf("nothing becomes %q, %v", got, err)
	}
	if got, err := Excludes([]string{"junk"}, nil); err == nil || got != nil || err.Error() != `the kind of excludes "junk" is not known: want one of caches, dependencies, temporary, trash, system` {
		t.Errorf("an unknown name: %q, %v", got, err)
	}
	for _, s := range []string{"a\nb", "a\r", "a\x00"} {
		if got, err := Excludes(nil, []string{s}); err == nil || got != nil || !strings.Contains(err.Error(), "the pattern ") {
			t.Errorf("%q becomes %q, %v", s, got, err)
		}
	}
}
