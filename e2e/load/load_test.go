//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// TestLoad is the measurement in small, so that it works on the day when it is wanted.
func TestLoad(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "holdfast-load-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	c := config{Dir: dir, Idle: 50, Backups: 5, Log: func(text string) { t.Log(text) }}
	if c.Programs, err = stack.Build(filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	r, err := run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if len(r.one) != 50 || len(r.all) != 50 || len(r.took) != 5 || r.sent == 0 {
		t.Errorf("%d and %d rings, %d backups of %d bytes", len(r.one), len(r.all), len(r.took), r.sent)
	}
	for _, u := range []int64{r.bare.RSS, r.idle.RSS, r.busy.RSS, r.busy.Peak, r.busy.Children, r.busiest} {
		if u < 1<<20 || u > 500<<20 {
			t.Errorf("a program takes %d bytes of memory", u)
		}
	}
	if !strings.Contains(r.String(), "| with 50 subscriptions |") {
		t.Errorf("the report:\n%s", r)
	}
}
