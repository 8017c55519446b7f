package local

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dirsByFD says that children reach their folders through descriptors (see [Local.childDir]): /proc/self/fd/N leads straight
// to the folder, whoever may pass the ones above it.
const dirsByFD = true

// procAttr makes a child that keeps out of the terminal's signals and gets a signal when the thread that forked it ends.
func procAttr(whenOrphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: whenOrphaned}
}

// knowsHolders says that [holders] can be relied on.
const knowsHolders = true

// holders returns the living processes whose working directory is dir. PostgreSQL (each of its processes) and redis-server
// work in their data directories, so whoever is left there from an earlier life is found, whatever any pid file says.
// A zombie has no working directory and does not count.
func holders(dir string) []int {
	want, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Other users' processes are unreadable unless we are root; they cannot work in a folder of mode 0700.
		if cwd, err := os.Stat(filepath.Join("/proc", e.Name(), "cwd")); err != nil || !os.SameFile(want, cwd) {
			continue
		}
		// An operator's shell may stand in the folder too: only the servers count.
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil {
			continue
		}
		exe = strings.TrimSuffix(filepath.Base(exe), " (deleted)")
		if exe == "postgres" || strings.HasPrefix(exe, "redis-") || strings.HasPrefix(exe, "valkey-") {
			pids = append(pids, pid)
		}
	}
	return pids
}
