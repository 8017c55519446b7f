//go:build linux || darwin || freebsd

package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "store")
	if err := Init(root); err != nil {
		t.Fatal(err)
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	free, total, err := s.Room(t.Context())
	if err != nil || free < 0 || total < free || total < 1<<20 {
		t.Errorf("%d of %d bytes are free, %v", free, total, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Room(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Room(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
