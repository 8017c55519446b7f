package application

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/restore"
)

// A backup looks for what a killed restore left, and removes it: so no restore may be under way then, and none may begin.
func TestARestoreWaitsForBackups(t *testing.T) {
	t.Parallel()
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	done, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, enough)
	defer cancel()
	var began atomic.Bool
	_, err = Restore(ctx, dir, &App{Name: "Shop", Database: "sqlite:/nowhere"}, RestoreInput{
		Part: archive.Database, OnProgress: func(string, restore.Progress) { began.Store(true) },
	})
	if !errors.Is(err, enough) || began.Load() {
		t.Errorf("a restore beside a backup: %v, begun: %v", err, began.Load())
	}
}
