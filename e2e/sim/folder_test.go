//go:build linux

package sim

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folder is somebody's home folder, which changes from day to day.
type folder struct {
	testing.TB
	path string
	rng  *rand.Rand
	skew time.Duration // of the clock by which its files are dated
	made int           // files so far
	away []string      // folders that are not mounted now
}

// file is what must come back of a file.
type file struct {
	hash [32]byte
	size int64
	time time.Time
}

// newFolder makes one in a folder that it has to itself.
func newFolder(t testing.TB, dir string, seed uint64, skew time.Duration) *folder {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(path, "home")
	f := &folder{TB: t, path: path, rng: rand.New(rand.NewPCG(seed, 7)), skew: skew}
	day := time.Date(2026, 12, 24, 17, 0, 0, 0, time.UTC)
	for i, ext := range []string{"docx", "xlsx", "docx", "txt", "tmp"} {
		f.text(fmt.Sprintf("Documents/old/paper %d.%s", i, ext), day)
		f.text(fmt.Sprintf("work/notes %d.%s", i, ext), day)
	}
	f.text("Documents/cache/junk.docx", day)
	f.text("mail/inbox.eml", day)
	for i := range 3 {
		f.noise(fmt.Sprintf("Pictures/sea %d.jpg", i), 30<<10, day)
	}
	f.day(0, day)
	return f
}

func (f *folder) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *folder) write(name string, content []byte, now time.Time) {
	f.Helper()
	full := filepath.Join(f.path, name)
	f.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	f.ok(os.WriteFile(full, content, 0o644))
	at := now.Add(f.skew).Add(time.Duration(f.rng.Int64N(1e9)))
	f.ok(os.Chtimes(full, at, at))
}

func (f *folder) text(name string, now time.Time) {
	var b strings.Builder
	for range 20 + f.rng.IntN(100) {
		fmt.Fprintf(&b, "line %d of %s\n", f.rng.IntN(1000), name)
	}
	f.write(name, []byte(b.String()), now)
}

func (f *folder) noise(name string, size int, now time.Time) {
	b := make([]byte, size)
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(f.rng.Uint32())
	}
	rand.NewChaCha8(seed).Read(b)
	f.write(name, b, now)
}

// day is what people do in a day: they edit, add, delete and rename; a large file is new each time; and one comes back to what it was
// days or weeks ago, when its old pieces are there, about to be cleaned away, or gone.
func (f *folder) day(n int, now time.Time) {
	if len(f.away) > 0 {
		return
	}
	f.text("Documents/plan.docx", now)
	f.text("mail/inbox.eml", now)
	f.text("work/main.go", now)
	f.noise("work/disk.img", 96<<10, now)
	f.made++
	f.text(fmt.Sprintf("Documents/new/letter %d.docx", f.made), now)
	if n%7 == 3 {
		f.noise(fmt.Sprintf("Pictures/day %d.jpg", n), 40<<10, now)
	}
	again := make([]byte, 64<<10)
	rand.NewChaCha8([32]byte{byte(f.rng.IntN(10))}).Read(again)
	f.write("work/again.bin", again, now)
	if list, _ := filepath.Glob(filepath.Join(f.path, "Documents/new/*")); len(list) > 4 {
		f.ok(os.Remove(list[f.rng.IntN(len(list))]))
		if from := list[f.rng.IntN(len(list))]; n%3 == 0 {
			if err := os.Rename(from, strings.Replace(from, "letter", "renamed letter", 1)); err != nil && !os.IsNotExist(err) {
				f.Fatal(err)
			}
		}
	}
}

// unmount takes folders away; mount brings all back.
func (f *folder) unmount(names ...string) {
	f.mount()
	for _, name := range names {
		f.ok(os.Rename(filepath.Join(f.path, name), filepath.Join(filepath.Dir(f.path), name)))
	}
	f.away = names
}

func (f *folder) mount() {
	for _, name := range f.away {
		f.ok(os.Rename(filepath.Join(filepath.Dir(f.path), name), filepath.Join(f.path, name)))
	}
	f.away = nil
}

// has reports whether a folder is there.
func (f *folder) has(name string) bool {
	_, err := os.Lstat(filepath.Join(f.path, name))
	return err == nil
}

// content is all files that are taken, by their names below the folder.
func (f *folder) content(takes func(path string) bool) map[string]file {
	f.Helper()
	m, err := contentOf(f.path)
	f.ok(err)
	maps.DeleteFunc(m, func(name string, _ file) bool { return !takes(name) })
	return m
}

// contentOf reads all files below a folder.
func contentOf(dir string) (map[string]file, error) {
	m := map[string]file{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		m[name] = file{sha256.Sum256(b), info.Size(), info.ModTime().UTC()}
		return err
	})
	return m, err
}

// differ says how two contents differ; "" if they do not.
func differ(want, got map[string]file) string {
	var lines []string
	for name, w := range want {
		if g, ok := got[name]; !ok {
			lines = append(lines, "lacks "+name)
		} else if g.hash != w.hash || g.size != w.size {
			lines = append(lines, "has another "+name)
		} else if !g.time.Equal(w.time) {
			lines = append(lines, fmt.Sprintf("dates %s %s, not %s", name, g.time, w.time))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			lines = append(lines, "has "+name+", which was not there")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// under reports whether a path lies in a folder; "" is the top.
func under(path, dir string) bool { return dir == "" || strings.HasPrefix(path, dir+"/") }

// ends reports whether a name has one of the extensions.
func ends(path string, extensions ...string) bool {
	return slices.Contains(extensions, filepath.Ext(path))
}
