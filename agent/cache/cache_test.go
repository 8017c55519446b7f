package cache_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/agent/cache"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/id"
)

var meta = backup.CacheMeta{
	Snapshot: id.Snapshot{1, 2}, Binding: id.Object{3}, Nodes: []id.Object{{4}, {5}}, Files: 6, Bytes: 7,
}

// write makes a cache of these entries.
func write(t testing.TB, c *cache.File, m backup.CacheMeta, entries []backup.Cached) {
	t.Helper()
	w, err := c.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range entries {
		if err := w.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(m); err != nil {
		t.Fatal(err)
	}
}

// read returns what a cache holds; nil, false if there is none.
func read(t testing.TB, c *cache.File) (m backup.CacheMeta, entries []backup.Cached, ok bool) {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		return m, nil, false
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return r.Meta(), entries, true
		}
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, *e)
	}
}

// sample returns n entries of all kinds.
func sample(n int) []backup.Cached {
	entries := make([]backup.Cached, n)
	for i := range entries {
		e := &entries[i]
		e.Path = fmt.Sprintf("home/u/documents/%04d/a-file-with-a-name-%06d.docx", i/100, i)
		e.Mode, e.Size, e.ModTime, e.UID, e.GID, e.User, e.Group = 0o644, 12345, 1_700_000_000_123_456_789, 1000, 1000, "user", "staff"
		e.Fingerprint = backup.Fingerprint{Ctime: 1_700_000_000_123_456_789, Inode: uint64(i) << 20, Dev: 65024}
		e.Chunks = []tree.Chunk{{Key: seal.Key{byte(i), byte(i >> 8)}, Size: 12345}}
		e.ChunkCount = 1
	}
	return entries
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 20, 60)
		chunks := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) tree.Chunk {
			c := tree.Chunk{Size: rapid.Int64Range(1, 1<<50).Draw(rt, "size"), Hole: rapid.Bool().Draw(rt, "hole")}
			if !c.Hole {
				c.Key = seal.Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "key"))
			}
			return c
		}), 1, 64)
		want := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) backup.Cached {
			e := backup.Cached{Entry: tree.Entry{
				Path: text.Draw(rt, "path"), Type: tree.Type(rapid.IntRange(0, 5).Draw(rt, "type")), Mode: rapid.Uint32().Draw(rt, "mode"),
				Size: rapid.Int64Min(0).Draw(rt, "size"), ModTime: rapid.Int64().Draw(rt, "mtime"),
				UID: rapid.Uint32().Draw(rt, "uid"), GID: rapid.Uint32().Draw(rt, "gid"), User: text.Draw(rt, "user"), Group: text.Draw(rt, "group"),
				Link: text.Draw(rt, "link"), HardLink: rapid.Uint64().Draw(rt, "hardlink"), Rdev: rapid.Uint64().Draw(rt, "rdev"),
			}, Fingerprint: backup.Fingerprint{
				Ctime: rapid.Int64().Draw(rt, "ctime"), Inode: rapid.Uint64().Draw(rt, "inode"), Dev: rapid.Uint64().Draw(rt, "dev"),
			}}
			for range rapid.IntRange(0, 2).Draw(rt, "xattrs") {
				e.Xattrs = append(e.Xattrs, tree.Xattr{Name: text.Draw(rt, "name"), Value: []byte(text.Draw(rt, "value"))})
			}
			switch rapid.IntRange(0, 2).Draw(rt, "content") {
			case 1:
				e.Chunks = chunks.Draw(rt, "chunks")
				e.ChunkCount = int64(len(e.Chunks))
			case 2:
				e.ChunkList = seal.Key{1, 2}
				e.ChunkCount = 1000
			}
			return e
		}), 0, 300).Draw(rt, "entries")
		c := cache.New(filepath.Join(dir, "cache"))
		write(t, c, meta, want)
		m, got, ok := read(t, c)
		if !ok || !reflect.DeepEqual(m, meta) || len(got) != len(want) {
			rt.Fatalf("%v %+v, %d entries of %d", ok, m, len(got), len(want))
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				rt.Fatalf("entry %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

func TestNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := cache.New(filepath.Join(dir, "cache"))
	if _, _, ok := read(t, c); ok {
		t.Error("a cache out of nothing")
	}
	w, err := c.Create()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range sample(3000) {
		if err := w.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	w.Abort()
	if err := w.Commit(meta); err == nil {
		t.Error("committed after Abort")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := cache.New(filepath.Join(dir, "cache"))
	write(t, c, meta, sample(10))
	r, err := c.Open() // the old one is being read while it is replaced
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	other := meta
	other.Snapshot[0]++
	write(t, c, other, sample(20))
	if e, err := r.Next(); err != nil || e.Path != sample(1)[0].Path {
		t.Errorf("%v, %v", e, err)
	}
	if m, got, ok := read(t, c); !ok || m.Snapshot != other.Snapshot || len(got) != 20 {
		t.Errorf("%+v, %d entries", m, len(got))
	}
	st, err := os.Stat(filepath.Join(dir, "cache"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Whatever happens to the file, what is read is a beginning of what was written, or nothing.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "cache")
	c := cache.New(path)
	want := sample(4000) // several blocks
	write(t, c, meta, want)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	some := 0
	try := func(what string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, got, ok := read(t, c)
		if ok && !reflect.DeepEqual(m, meta) || len(got) > len(want) {
			t.Fatalf("%s: %+v, %d entries", what, m, len(got))
		}
		if ok && len(got) == len(want) {
			t.Errorf("%s: nobody noticed", what)
		}
		if len(got) > 0 {
			some++
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("%s: entry %d is wrong", what, i)
			}
		}
	}
	step := len(sound)/150 + 1
	for i := 0; i < len(sound); i += step {
		b := append([]byte{}, sound...)
		b[i] ^= 0x40
		try(fmt.Sprint("byte ", i), b)
		try(fmt.Sprint("cut at ", i), sound[:i])
	}
	for i := range 28 {
		b := append([]byte{}, sound...)
		b[i]++
		try(fmt.Sprint("header byte ", i), b)
	}
	try("more behind", append(append([]byte{}, sound...), 0))
	if some == 0 {
		t.Error("damage in the middle should leave the beginning")
	}
}

func TestUnusablePlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := cache.New(filepath.Join(dir, "missing", "cache")).Create(); err == nil || !strings.Contains(err.Error(), "cache") {
		t.Errorf("%v", err)
	}
	if r, err := cache.New(dir).Open(); err == nil || r != nil {
		t.Errorf("a folder is no cache: %v, %v", r, err)
	}
	w, err := cache.New(filepath.Join(dir, "cache")).Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(meta); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func BenchmarkRead(b *testing.B) {
	c := cache.New(filepath.Join(b.TempDir(), "cache"))
	write(b, c, meta, sample(200_000))
	b.ReportAllocs()
	for b.Loop() {
		r, err := c.Open()
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			if _, err := r.Next(); err != nil {
				break
			}
			n++
		}
		r.Close()
		if n != 200_000 {
			b.Fatal(n)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	c := cache.New(filepath.Join(b.TempDir(), "cache"))
	entries := sample(200_000)
	b.ReportAllocs()
	for b.Loop() {
		write(b, c, meta, entries)
	}
}
