//go:build unix

package local

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestFindClient(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A shell writes them: a file that this process had open for writing could not be run while another test forks.
	put := func(folder, script, mode string) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-c", `mkdir -p "$1" && cat >"$1/pg_quux" && chmod "$2" "$1/pg_quux"`, "sh", filepath.Join(dir, folder, "bin"), mode)
		cmd.Stdin = strings.NewReader("#!/bin/sh\n" + script + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, v := range []string{"9.6", "14", "16", "18"} {
		put(v, "echo 'pg_quux (PostgreSQL) "+v+".3 (Debian)'", "755")
	}
	put("15-broken", "exit 1", "755")
	put("15-odd", "echo pg_quux of somebody else", "755")
	put("15-closed", "echo 'pg_quux (PostgreSQL) 15.1'", "644")
	put("15-huge", "echo 'pg_quux (PostgreSQL) 99999999999999999999'", "755")
	places := []string{filepath.Join(dir, "*", "bin")}
	for server, want := range map[int]string{9: "9.6", 14: "14", 15: "16", 16: "16", 17: "18", 18: "18"} {
		got, err := findClient("pg_quux", server, places)
		if err != nil || got != filepath.Join(dir, want, "bin", "pg_quux") {
			t.Errorf("for a server %d: %s, %v", server, got, err)
		}
	}
	if _, err := findClient("pg_quux", 19, places); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "postgresql-client-19") || !strings.Contains(err.Error(), "18 (") {
		t.Errorf("too old: %v", err)
	}
	if _, err := findClient("pg_quux", 15, nil); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "found neither") {
		t.Errorf("none: %v", err)
	}
}

// The real one is where the server's programs are.
func TestFindClientOfThisMachine(t *testing.T) {
	t.Parallel()
	if p, err := FindClient("pg_dump", 9); err != nil || !filepath.IsAbs(p) {
		t.Errorf("%s, %v", p, err)
	}
}
