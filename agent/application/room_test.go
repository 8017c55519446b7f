package application

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// restoringOf is a restore of media with these chunks, one file for each, of one kilobyte a chunk.
func restoringOf(t *testing.T, files map[string][]tree.Chunk) *restoring {
	t.Helper()
	remote, sealer := new(vaulttest.Remote), seal.New(seal.ContentKey{1})
	w := &vaulttest.Writer{Remote: remote, Sealer: sealer}
	b := tree.NewBuilder([32]byte{1}, w)
	for _, path := range []string{"database.sql", "media", "media/a", "media/b", "media/c"} {
		e := &tree.Entry{Path: path, Type: tree.Dir}
		if chunks, ok := files[path]; ok {
			e.Type = tree.File
			if err := b.PutChunks(t.Context(), e, chunks); err != nil {
				t.Fatal(err)
			}
		} else if path != "media" {
			continue
		}
		if err := b.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Finish(t.Context())
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &restoring{tree: tree.Open(restore.NewObjects(remote, sealer, restore.Options{}), root.Key)}
}

func TestRoomThatMediaNeed(t *testing.T) {
	t.Parallel()
	kib := func(n int) (list []tree.Chunk) { // of content that nobody reads
		for i := range n {
			list = append(list, tree.Chunk{Key: seal.Key{byte(i), 1}, Size: 1024})
		}
		return list
	}
	hole := tree.Chunk{Size: 1 << 50, Hole: true}
	r := restoringOf(t, map[string][]tree.Chunk{"database.sql": kib(99), "media/a": kib(10), "media/b": kib(4), "media/c": append(kib(1), hole)})
	to := t.TempDir()
	needs := func(rule restore.Conflict, want int64) {
		t.Helper()
		r.in.Conflict = rule
		if got, err := r.need(t.Context(), "media", to); err != nil || got != want<<10 {
			t.Errorf("%d bytes (%v), want %d", got, err, want<<10)
		}
	}
	needs(restore.Overwrite, 15)
	write(t, filepath.Join(to, "a"), strings.Repeat("x", 8<<10))
	needs(restore.Overwrite, 2+4+1+8) // a grows by 2, and lies there twice while it is written
	needs(restore.Skip, 4+1)

	if err := r.fits(t.Context(), "media", filepath.Join(to, "not", "yet")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(to, "not")); err == nil {
		t.Error("looking made a folder")
	}
	if err := r.fits(t.Context(), "media", filepath.Join(to, "a", "under a file")); !errors.Is(err, fault.Invalid) {
		t.Errorf("a folder below a file: %v", err)
	}
	huge := make([]tree.Chunk, 1<<16) // half a TiB
	for i := range huge {
		huge[i] = tree.Chunk{Key: seal.Key{byte(i), byte(i >> 8), 2}, Size: seal.MaxPlain}
	}
	r = restoringOf(t, map[string][]tree.Chunk{"media/b": huge})
	if room, err := room(to); err != nil || room > seal.MaxPlain<<16 {
		t.Skipf("this disk has room for everything: %d bytes (%v)", room, err)
	}
	if err := r.fits(t.Context(), "media", to); !errors.Is(err, fault.StorageFull) || !strings.Contains(err.Error(), "nothing was restored") {
		t.Errorf("more than there is room for: %v", err)
	}
}
