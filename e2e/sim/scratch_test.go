//go:build linux

package sim

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// scratch returns a folder for the test: in memory if there is room, since nothing here is about power cuts, and a shared disk that has to
// sync for others as well would be what the simulation mostly waits for.
func scratch(t testing.TB) string {
	t.Helper()
	const memory, enough = "/dev/shm", 2 << 30
	var fs unix.Statfs_t
	if err := unix.Statfs(memory, &fs); err != nil || int64(fs.Bavail)*fs.Bsize < enough {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "holdfast-sim-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
