package talk

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestEveryPathHasATextThatTurnsBack(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"home/ada/naïve.txt": "home/ada/naïve.txt",
		"a\xffb":             "a\uFFFDFFb",
		"\xc3":               "\uFFFDC3",
		"\uFFFD41":           "\uFFFDEF\uFFFDBF\uFFFDBD41",
	} {
		if got := Text(path); got != want {
			t.Errorf("Text(%q) = %q, want %q", path, got, want)
		}
	}
	for _, text := range []string{"\uFFFD", "\uFFFDZ1", "\uFFFD4", "\xff", "x\uFFFD"} {
		if got := Raw(text); got != text {
			t.Errorf("Raw(%q) = %q", text, got)
		}
	}
	seen := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		path := string(rapid.SliceOf(rapid.SampledFrom([]byte("aé\uFFFD\xff41EFBD"))).Draw(t, "path"))
		text := Text(path)
		if !utf8.ValidString(text) || Raw(text) != path {
			t.Fatalf("%q became %q, and that %q", path, text, Raw(text))
		}
		if other, ok := seen[text]; ok && other != path {
			t.Fatalf("%q and %q have one text", path, other)
		}
		seen[text] = path
		var back string
		b, err := json.Marshal(text)
		if err != nil || json.Unmarshal(b, &back) != nil || back != text {
			t.Fatalf("JSON changed %q", text)
		}
	})
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Kind{
		"Report.DOCX": Document, "a.b.xlsx": Spreadsheet, "talk.key": Presentation, "x.JPEG": Image, "x.tar.gz": Archive, "main.go": Source,
		"box.mbox": Mail, "data.sqlite3": Database, "song.flac": Audio, "film.mkv": Video, ".bashrc": Other, "noext": Other, "dot.": Other, "v1.2 final": Other,
		"x.notanextension": Other,
	} {
		if got := KindOf(name); got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
	seen := map[string]Kind{}
	for k := range kinds {
		if back, ok := ParseKind(k.String()); !ok || back != k {
			t.Errorf("%v is read as %v", k, back)
		}
		for _, ext := range k.Extensions() {
			if other, ok := seen[ext]; ok {
				t.Errorf("%s is %v and %v", ext, k, other)
			}
			seen[ext] = k
			if KindOf("x"+ext) != k {
				t.Errorf("%s is not %v", ext, k)
			}
		}
	}
	if kinds.String() != "other" || kinds.Extensions() != nil {
		t.Error("there is a kind beyond the last")
	}
	if _, ok := ParseKind("furniture"); ok {
		t.Error("furniture is a kind")
	}
	var list []Kind
	b, err := json.Marshal([]Kind{Image, Mail})
	if err != nil || string(b) != `["image","mail"]` || json.Unmarshal([]byte(`["mail","furniture"]`), &list) != nil || list[0] != Mail || list[1] != Other {
		t.Errorf("JSON: %s, %v", b, list)
	}
}
