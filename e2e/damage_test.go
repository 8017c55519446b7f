//go:build linux

package e2e

import (
	"bytes"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// packs returns the files of the packs below a server's data.
func packs(t *testing.T, s *stack.Server) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(filepath.Join(s.Data, "store", "spaces"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(p, "/packs/") {
			names = append(names, p)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("packs below %s: %v, %v", s.Data, names, err)
	}
	return names
}

// A pack that decays on the server's disk is found by scrub and by restore; nothing wrong is written as
// right; and the next backup of a device that still has the files heals it.
func TestDamagedPack(t *testing.T) {
	t.Parallel()
	s := ownServer(t)
	a := person(t, s)
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 71, 60, 200_000)
	mustBackup(t, a, files)

	var largest string
	for _, p := range packs(t, s) {
		if largest == "" || sizeOf(t, p) > sizeOf(t, largest) {
			largest = p
		}
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(b); off += 100_003 { // many objects, not all
		b[off] ^= 0x40
	}
	if err := os.WriteFile(largest, b, 0o600); err != nil {
		t.Fatal(err)
	}

	back := t.TempDir()
	r := a.Unlocked(t.Context(), "restore", "latest", "--to", back)
	if r.Code != 1 && r.Code != 3 {
		t.Errorf("restore from a damaged pack: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	right, wrong := 0, 0
	err = filepath.WalkDir(filepath.Join(back, files), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		got, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(strings.TrimPrefix(p, back))
		if err != nil {
			t.Errorf("%s should not be there: %v", p, err)
			return nil
		}
		if bytes.Equal(got, want) {
			right++
		} else {
			wrong++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if wrong > 0 || right == 0 || right == 60 {
		t.Errorf("%d files were restored right and %d wrong", right, wrong)
	}
	if r := a.Unlocked(t.Context(), "verify", "latest"); r.Code != 1 {
		t.Errorf("verify: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}

	if r := s.Holdfast(t.Context(), "scrub", "--all"); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, filepath.Base(largest)) {
		t.Errorf("scrub: exit code %d, and said:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if err := os.RemoveAll(filepath.Join(a.State, "cache")); err != nil {
		t.Fatal(err)
	}
	mustBackup(t, a, files)
	if err := a.Unlocked(t.Context(), "verify", "latest").Err(); err != nil {
		t.Errorf("after the next backup: %v", err)
	}
}

// The index and the list of snapshots come back from the store alone.
func TestRebuildIndex(t *testing.T) {
	t.Parallel()
	s := ownServer(t)
	a := person(t, s)
	files, back := filepath.Join(t.TempDir(), "files"), t.TempDir()
	grow(t, files, 73, 80, 100_000)
	first := mustBackup(t, a, files)
	grow(t, files, 74, 20, 100_000)
	second := mustBackup(t, a, files)

	psql(t, s, `TRUNCATE snapshots, nodes, objects, packs CASCADE`)
	if r := a.Unlocked(t.Context(), "restore", first.Snapshot, "--to", back); r.Code == 0 {
		t.Error("restored from an empty index: the test tests nothing")
	}
	if err := s.Holdfast(t.Context(), "rebuild-index").Err(); err != nil {
		t.Fatal(err)
	}
	if ids := snapshots(t, a); len(ids) != 2 {
		t.Errorf("snapshots after rebuild-index: %v", ids)
	}
	for _, id := range []string{first.Snapshot, second.Snapshot} {
		if err := a.Unlocked(t.Context(), "verify", id).Err(); err != nil {
			t.Error(err)
		}
	}
	if err := a.Unlocked(t.Context(), "restore", second.Snapshot, "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, files, back)
	if again := mustBackup(t, a, files); again.UploadedBytes > oneLeaf {
		t.Errorf("the backup after rebuild-index uploaded %d bytes", again.UploadedBytes)
	}
}

func sizeOf(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// psql changes the server's database behind its back.
func psql(t *testing.T, s *stack.Server, statement string) {
	t.Helper()
	url, err := s.DatabaseURL()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
