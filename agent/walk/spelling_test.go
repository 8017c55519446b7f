package walk

import (
	"path/filepath"
	"testing"
)

// Where names have no case, roots are spelled as the file system has them.
func TestSpelling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names      []string
		name, want string
	}{
		{[]string{"Users", "Windows"}, "users", "Users"},
		{[]string{"Users", "users"}, "users", "users"},
		{[]string{"ÄRGER"}, "ärger", "ÄRGER"},
		{[]string{"Users"}, "User", "User"},
		{nil, "x", "x"},
	} {
		if got := spelling(c.names, c.name); got != c.want {
			t.Errorf("%q among %q is %q, want %q", c.name, c.names, got, c.want)
		}
	}
	dir := t.TempDir()
	if got := spelled(split(filepath.Dir(dir)), filepath.Base(dir)); got != filepath.Base(dir) {
		t.Errorf("%q", got)
	}
	if got := spelled(split(filepath.Join(dir, "nothing")), "x"); got != "x" {
		t.Errorf("%q", got)
	}
}
