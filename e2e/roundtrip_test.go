//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// oneLeaf is what a leaf of a tree and its ancestors take at the most, in a pack of their own.
const oneLeaf = 60_000

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	a := person(t, server(t))
	files, back := filepath.Join(t.TempDir(), "files"), t.TempDir()
	grow(t, files, 1, 300, 40_000)
	oddities(t, filepath.Join(files, "odd"))

	first := mustBackup(t, a, files)
	if first.Problems != 0 || first.Files < 310 || first.UploadedBytes == 0 {
		t.Errorf("first backup: %+v", first)
	}
	again := mustBackup(t, a, files)
	if again.Files != first.Files || again.Bytes != first.Bytes {
		t.Errorf("the same files count %+v, then %+v", first, again)
	}
	// Other tests change the times of the folders above: the one leaf that holds those may be written again.
	if again.UploadedBytes > oneLeaf {
		t.Errorf("an unchanged backup uploaded %d bytes", again.UploadedBytes)
	}
	if err := a.Unlocked(t.Context(), "restore", "latest", "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	r := mustMatch(t, files, back)
	if r.Files < 310 || r.Links != 1 {
		t.Errorf("compared %+v", r)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(back, files, "odd", "sparse"), &st); err != nil || st.Blocks > 2048 {
		t.Errorf("the sparse file of 1 GiB takes %d blocks: %v", st.Blocks, err)
	}
	if err := a.Unlocked(t.Context(), "verify", again.Snapshot).Err(); err != nil {
		t.Error(err)
	}
}

// A second device of the same person stores nothing twice, and the local cache is disposable.
func TestDeduplication(t *testing.T) {
	t.Parallel()
	a := person(t, server(t))
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 2, 200, 60_000)
	first := mustBackup(t, a, files)

	b := a.Another(filepath.Join(t.TempDir(), "state"))
	if err := b.Enroll(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	second := mustBackup(t, b, files)
	if second.Bytes != first.Bytes || second.UploadedBytes > first.UploadedBytes/20 {
		t.Errorf("the first device uploaded %d bytes, the second, with the same files, %d", first.UploadedBytes, second.UploadedBytes)
	}

	moved := filepath.Join(filepath.Dir(files), "renamed")
	if err := os.Rename(files, moved); err != nil {
		t.Fatal(err)
	}
	third := mustBackup(t, a, moved)
	if third.UploadedBytes > first.UploadedBytes/20 {
		t.Errorf("renaming the folder cost %d bytes of %d", third.UploadedBytes, first.UploadedBytes)
	}
}

func TestSelectionAndConflicts(t *testing.T) {
	t.Parallel()
	a := person(t, server(t))
	files := filepath.Join(t.TempDir(), "files")
	for name, content := range map[string]string{
		"letters/one.docx": "first", "letters/two.pdf": "second", "photos/three.JPG": "third", "cache/four.tmp": "fourth",
	} {
		p := filepath.Join(files, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b := mustBackup(t, a, files, "--ext", ".docx,.pdf,.jpg", "--exclude", "cache"); b.Files != 3 {
		t.Errorf("--ext and --exclude left %d files, want 3", b.Files)
	}

	back := t.TempDir()
	at := func(name string) string { return filepath.Join(back, files, name) }
	restore := func(want int, args ...string) {
		t.Helper()
		r := a.Unlocked(t.Context(), append([]string{"restore", "latest", "--to", back}, args...)...)
		if r.Code != want {
			t.Errorf("restore %v: exit code %d, want %d\n%s%s", args, r.Code, want, r.Stdout, r.Stderr)
		}
	}
	exists := func(name string) bool { _, err := os.Lstat(at(name)); return err == nil }
	restore(0, "--ext", ".pdf")
	if exists("letters/one.docx") || !exists("letters/two.pdf") {
		t.Error("--ext .pdf restored the wrong files")
	}
	restore(0, "--path", filepath.Join(files, "photos"))
	if exists("letters/one.docx") || !exists("photos/three.JPG") {
		t.Error("--path restored the wrong files")
	}
	restore(0)

	mine := []byte("edited since")
	for _, c := range []struct{ rule, want string }{{"skip", "edited since"}, {"keep-both", "edited since"}, {"overwrite", "second"}} {
		if err := os.WriteFile(at("letters/two.pdf"), mine, 0o644); err != nil {
			t.Fatal(err)
		}
		restore(0, "--conflict", c.rule)
		if got, err := os.ReadFile(at("letters/two.pdf")); err != nil || string(got) != c.want {
			t.Errorf("--conflict %s left %q, want %q (%v)", c.rule, got, c.want, err)
		}
		names, err := os.ReadDir(at("letters"))
		if err != nil {
			t.Fatal(err)
		}
		if both := len(names) == 3; both != (c.rule == "keep-both") && c.rule != "overwrite" {
			t.Errorf("--conflict %s: %v", c.rule, names)
		}
	}
	restore(2, "--conflict", "whatever")
}
