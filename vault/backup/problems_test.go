package backup_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/backup"
)

// TestReason: a list of problems has the path already, so that the reason does not repeat it.
func TestReason(t *testing.T) {
	t.Parallel()
	_, missing := os.Lstat(filepath.Join(t.TempDir(), "stick"))
	var at *fs.PathError
	if !errors.As(missing, &at) {
		t.Fatalf("%v is no error of a path", missing)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{missing, at.Err.Error()},
		{&backup.Unreadable{Cause: backup.Vanished, Err: missing}, at.Err.Error()},
		{errors.New("the disk is gone"), "the disk is gone"},
		{fmt.Errorf("attributes of it: %w", missing), "attributes of it: " + missing.Error()}, // what was said on the way stays
	} {
		if got := backup.Reason(c.err); got != c.want {
			t.Errorf("the reason of %q is %q, want %q", c.err, got, c.want)
		}
	}
}
