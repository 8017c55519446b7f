package application

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/backup"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMediaAreCalledByTheirLabels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b", "img", "x.jpg"), "x")
	write(t, filepath.Join(dir, "b", "app.log"), "log")
	write(t, filepath.Join(dir, "b", "log", "old"), "log")
	write(t, filepath.Join(dir, "a", "doc.pdf"), "pdf")
	walked := func(a *App, logs bool) (paths []string) {
		t.Helper()
		if err := a.walkMedia(t.Context(), logs, t.TempDir(), func(it *backup.Item) error {
			paths = append(paths, it.Path)
			return it.Err
		}); err != nil {
			t.Fatal(err)
		}
		return paths
	}
	one, err := New("Shop", "", []string{filepath.Join(dir, "b")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := walked(one, false), []string{"media", "media/app.log", "media/img", "media/img/x.jpg", "media/log", "media/log/old"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := walked(one, true), []string{"media", "media/img", "media/img/x.jpg"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	two, err := New("Shop", "", []string{filepath.Join(dir, "b"), filepath.Join(dir, "a")}, []string{"log/", "*.log"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := walked(two, false), []string{"media", "media/a", "media/a/doc.pdf", "media/b", "media/b/img", "media/b/img/x.jpg"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
