//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// small writes a program that runs another one in a mount namespace of its own, in which dir is a file
// system of the given size.
func small(t *testing.T, program, dir, size string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unshare := "unshare -m"
	if os.Geteuid() != 0 {
		unshare = "unshare -m --map-current-user --keep-caps"
	}
	name := filepath.Join(t.TempDir(), filepath.Base(program))
	script := fmt.Sprintf("#!/bin/sh\nexec %s sh -c 'mount -t tmpfs -o size=%s,mode=0777 tmpfs \"%s\" && exec \"$0\" \"$@\"' %s \"$@\"\n", unshare, size, dir, program)
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// remount changes the small file system while the program runs.
func remount(t *testing.T, pid int, dir, options string) {
	t.Helper()
	if out, err := exec.Command("nsenter", "-t", fmt.Sprint(pid), "-m", "mount", "-o", "remount,"+options, dir).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v\n%s", err, out)
	}
}

func TestServerDiskFull(t *testing.T) {
	t.Parallel()
	store := filepath.Join(passable(t)+"-small", "store")
	p := programs
	p.Holdfast = small(t, programs.Holdfast, store, "8m")
	s, err := stack.Up(t.Context(), p, passable(t), "--store", "file://"+store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	// The commands that make an account need no store.
	plain := s.With(programs)
	a := person(t, plain)
	files := filepath.Join(t.TempDir(), "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "noise"), noise(51, 30<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	r := a.Run(t.Context(), "backup", files, "--retry-for", "1s")
	if r.Code != 1 || !strings.Contains(r.Stderr, "full") {
		t.Errorf("a full server: exit code %d, and said:\n%s", r.Code, r.Stderr)
	}
	remount(t, s.Cmd.Process.Pid, store, "ro")
	if r := a.Run(t.Context(), "backup", files, "--retry-for", "1s"); r.Code != 1 || strings.Contains(r.Stderr, "goroutine") {
		t.Errorf("a read-only store: exit code %d, and said:\n%s", r.Code, r.Stderr)
	}
	remount(t, s.Cmd.Process.Pid, store, "rw,size=100m")
	mustBackup(t, a, files)
	back := t.TempDir()
	if err := a.Unlocked(t.Context(), "restore", "latest", "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, files, back)
}

func TestDeviceDiskFull(t *testing.T) {
	t.Parallel()
	s := server(t)
	a := person(t, s)
	files := filepath.Join(t.TempDir(), "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprint(i)), noise(uint64(60+i), 2<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustBackup(t, a, files)

	dir := filepath.Join(t.TempDir(), "small")
	p := programs
	// The listing is made inside, where the small file system can be seen.
	p.Agent = small(t, programs.Agent, dir, "9m")
	b := a.With(p)
	r := b.Unlocked(t.Context(), "restore", "latest", "--to", dir)
	if r.Code == 0 || !strings.Contains(r.Stderr+r.Stdout, "full") || strings.Contains(r.Stderr, "goroutine") {
		t.Errorf("a full disk: exit code %d, and said:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
