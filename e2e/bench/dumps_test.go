//go:build linux

package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/backup"
)

func TestPipedIsReadOnce(t *testing.T) {
	t.Parallel()
	p := &piped{in: strings.NewReader("rows"), made: 7}
	items := 0
	err := p.Walk(t.Context(), func(it *backup.Item) error {
		items++
		if it.Path != dumpName || it.Size != -1 {
			t.Errorf("%s of %d bytes", it.Path, it.Size)
		}
		if _, err := it.Open(); err != nil {
			t.Error(err)
		}
		if _, err := it.Open(); err == nil {
			t.Error("it was opened twice")
		}
		return nil
	})
	if err != nil || items != 1 {
		t.Errorf("%d items, %v", items, err)
	}
}

func TestPipeNeedsADevice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := pipe(t.Context(), strings.NewReader(""), dir); err == nil {
		t.Error("a folder without a device was taken")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pipe(t.Context(), strings.NewReader(""), file); err == nil {
		t.Error("a file was taken for a state folder")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{5})
	rng.Read(text) // random: it cannot be compressed
	name := func(what string, b []byte) string {
		p := filepath.Join(dir, what)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := name("first", text)
	same, err := bounds(first, first)
	if err != nil {
		t.Fatal(err)
	}
	if len(same) != len(averages) {
		t.Errorf("%d sizes, want %d", len(same), len(averages))
	}
	for _, b := range same {
		if b.second != 0 || b.newPlain != 0 || b.plain != 1<<20 || b.first <= 1<<20 || b.chunks < 1 {
			t.Errorf("the same dump twice: %+v", b)
		}
	}
	text[1<<19] ^= 1
	changed, err := bounds(first, name("second", text))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range changed {
		if b.newPlain < 1 || b.newPlain > int64(8*b.avg) || b.second <= b.newPlain {
			t.Errorf("one byte changed: %+v", b)
		}
	}
	if _, err := bounds(filepath.Join(dir, "gone"), first); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the first: %v", err)
	}
	if _, err := bounds(first, filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the second: %v", err)
	}
	if n, err := alone(first); err != nil || n <= 1<<20 {
		t.Errorf("alone it takes %d, %v", n, err)
	}
}
