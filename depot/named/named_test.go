package named

import (
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" Shop ": "Shop", "e\u0301te\u0301": "été", "می\u200cخواهم": "می\u200cخواهم", strings.Repeat("é", 10): strings.Repeat("é", 10),
	} {
		if got, err := Clean("name", in, 10); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for in, sentence := range map[string]string{
		"": "name: must not be empty", " \t": "name: must not be empty", strings.Repeat("é", 11): "name: at most 10 characters",
		strings.Repeat("x", 41): "name: at most 10 characters of text", "a\xff": "name: at most 10 characters of text",
		"a\nb": "name: holds characters that cannot be shown", "a\u202eb": "name: holds characters that cannot be shown",
	} {
		if got, err := Clean("name", in, 10); fault.KindOf(err) != fault.Invalid || err.Error() != sentence {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestOptional(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "  ": "", " x ": "x"} {
		if got, err := Optional("title", in, 10); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{strings.Repeat(" ", 41), strings.Repeat("x", 11), "a\x00"} {
		if _, err := Optional("title", bad, 10); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	if Key("Shop Ⅳ") != Key("SHOP iv") || Key("Shop") == Key("Shops") {
		t.Error(Key("Shop Ⅳ"), Key("SHOP iv"))
	}
}
