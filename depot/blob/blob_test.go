package blob

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// TestCheckName: what passes is a safe relative path on any file system.
func TestCheckName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOf(rapid.RuneFrom([]rune("ab0._-/\\ Aä\x00"))).Draw(t, "name")
		err := CheckName(name)
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatalf("%q: %v", name, err)
		}
		if err == nil && (strings.Contains("/"+name, "/.") || strings.ContainsAny(name, "\\ Aä\x00") || strings.Contains("/"+name+"/", "//")) {
			t.Fatalf("%q was let through", name)
		}
	})
	if err := CheckName("spaces/0197c1f0-0000-7000-8000-000000000000/packs/ab/" + strings.Repeat("ab", 32)); err != nil {
		t.Error(err)
	}
}
