package sheet_test

import (
	"testing"

	"github.com/holdfast-backup/holdfast/wire/sheet"
)

func TestText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "Ann": "Ann", "a=b, c-d; e": "a=b, c-d; e", "ann@example.org": "ann@example.org",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t'=1", "\rx": "'\rx", "\nx": "'\nx", "＝1": "'＝1",
		"Ann;=1+1": "Ann;'=1+1", `Ann;"=1+1"`: `Ann;"'=1+1"`, `"=1`: `"'=1`, "a\t@b": "a\t'@b", ";;-": ";;'-", `a"=b`: `a"=b`, "\xff": "�",
	} {
		if got := sheet.Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
