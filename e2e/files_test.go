//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/e2e/same"
)

// noise returns n bytes that do not compress, the same ones for a seed.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// grow writes count files of up to maxSize bytes below dir, half text, half noise.
func grow(t *testing.T, dir string, seed uint64, count, maxSize int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range count {
		name := filepath.Join(dir, fmt.Sprintf("folder %d", i%7), fmt.Sprintf("file %d-%d", seed, i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		content := noise(seed*1_000_003+uint64(i), rng.IntN(maxSize))
		if i%2 == 0 {
			content = bytes.Repeat(fmt.Appendf(nil, "line %d of a text; ", i), len(content)/20)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// oddities makes one of everything that is hard to back up.
func oddities(t *testing.T, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(dir, 0o755))
	must(os.WriteFile(in("empty"), nil, 0o600))
	must(os.Mkdir(in("empty folder"), 0o700))
	must(os.WriteFile(in("\xff\xfe not UTF-8"), []byte("bytes"), 0o644))
	must(os.WriteFile(in("new\nline \x1b[31m"), []byte("odd name"), 0o644))
	must(os.WriteFile(in(strings.Repeat("n", 255)), []byte("255"), 0o644))
	must(os.Symlink("nowhere/at/all", in("dangling")))
	must(os.Symlink("..", in("up")))
	must(os.WriteFile(in("linked"), noise(1, 3<<20), 0o640))
	must(os.Link(in("linked"), in("linked too")))
	must(os.Mkdir(in("a"), 0o755))
	must(os.WriteFile(in("a-b"), []byte("sorts between a and a/b in bytes, after both in a tree"), 0o644))
	must(os.WriteFile(in("a/b"), []byte("b"), 0o644))
	must(unix.Mkfifo(in("pipe"), 0o622))
	must(os.WriteFile(in("setuid"), []byte("x"), 0o644))
	must(os.Chmod(in("setuid"), 0o755|os.ModeSetuid|os.ModeSetgid|os.ModeSticky))
	must(os.WriteFile(in("secret"), []byte("none may read"), 0o000))
	if err := unix.Setxattr(in("empty"), "user.note", []byte("binary \x00 value"), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	deep := dir
	for range 60 {
		deep = filepath.Join(deep, "a folder in a folder")
	}
	must(os.MkdirAll(deep, 0o755))
	must(os.WriteFile(filepath.Join(deep, "bottom"), []byte("deep"), 0o644))
	f, err := os.Create(in("sparse"))
	must(err)
	_, err = f.WriteAt([]byte("island"), 300<<20)
	must(err)
	must(f.Truncate(1 << 30))
	must(f.Close())
	must(os.WriteFile(in("old"), []byte("from another time"), 0o644))
	must(os.Chtimes(in("old"), time.Unix(1, 2), time.Unix(-86400*365, 123456789)))
	must(os.Chtimes(in("empty folder"), time.Unix(5, 0), time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)))
}

// mustMatch compares what was restored below back with the original, which kept its absolute path there.
func mustMatch(t *testing.T, original, back string) *same.Report {
	t.Helper()
	r, err := same.Trees(original, filepath.Join(back, original))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		t.Error(d)
	}
	return r
}
