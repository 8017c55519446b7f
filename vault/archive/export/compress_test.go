package export_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/archive/export"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
)

// stored is a tree in a remote.
type stored struct {
	t       *testing.T
	remote  *vaulttest.Remote
	sealer  *seal.Sealer
	writer  *vaulttest.Writer
	entries []*tree.Entry
}

func newStored(t *testing.T) *stored {
	s := &stored{t: t, remote: new(vaulttest.Remote), sealer: seal.New(seal.ContentKey{1})}
	s.writer = &vaulttest.Writer{Remote: s.remote, Sealer: s.sealer}
	return s
}

// add stores a file in pieces of at most 4 MiB.
func (s *stored) add(path string, content []byte, mode uint32) {
	s.t.Helper()
	e := &tree.Entry{Path: path, Mode: mode, Size: int64(len(content)), ModTime: time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC).UnixNano()}
	for len(content) > 0 {
		n := min(len(content), 4<<20)
		c, err := s.writer.Chunk(content[:n])
		if err != nil {
			s.t.Fatal(err)
		}
		e.Chunks = append(e.Chunks, c)
		content = content[n:]
	}
	e.ChunkCount = int64(len(e.Chunks))
	s.entries = append(s.entries, e)
}

func (s *stored) options() export.Options {
	s.t.Helper()
	if err := s.writer.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return options(s.remote, s.sealer, s.entries...)
}

// reader builds the tree.
func (s *stored) reader() *tree.Reader {
	s.t.Helper()
	b := tree.NewBuilder([32]byte{}, s.writer)
	for _, e := range s.entries {
		if err := b.Add(s.t.Context(), e); err != nil {
			s.t.Fatal(err)
		}
	}
	root, err := b.Finish(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.writer.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return tree.Open(restore.NewObjects(s.remote, s.sealer, restore.Options{}), root.Key)
}

func noise(n int) []byte {
	p := make([]byte, n)
	rand.Read(p)
	return p
}

func TestFilesAreCompressedWhereItPays(t *testing.T) {
	t.Parallel()
	s := newStored(t)
	text := []byte(strings.Repeat("a line of a dump\n", 600_000))
	want := map[string][]byte{"large.sql": text, "large.jpg": noise(9 << 20), "small.txt": text[:5000], "small.jpg": noise(5000), "tiny": text[:50], "empty": nil}
	for _, name := range []string{"empty", "large.jpg", "large.sql", "small.jpg", "small.txt", "tiny"} {
		s.add(name, want[name], 0o640)
	}
	s.entries = append(s.entries, &tree.Entry{Path: "zeros", Size: 1 << 20, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 1 << 20, Hole: true}}})
	want["zeros"] = make([]byte, 1<<20)
	for _, compress := range []bool{false, true} {
		o := s.options()
		o.Compress = compress
		var b bytes.Buffer
		if r, err := export.WriteZIP(t.Context(), &b, o); err != nil || r.Files != 7 || r.Failed != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(got, want[f.Name]) {
				t.Errorf("%s: %v, %d bytes", f.Name, err, len(got))
			}
			pays := strings.HasSuffix(f.Name, ".sql") || strings.HasSuffix(f.Name, ".txt") || f.Name == "zeros"
			if (f.Method == zip.Deflate) != (compress && pays) {
				t.Errorf("%s: method %d with %t", f.Name, f.Method, compress)
			}
		}
	}
}

// A large file of which not even the beginning can be read is listed, since nothing of it was written.
func TestALargeFileThatIsLost(t *testing.T) {
	t.Parallel()
	s := newStored(t)
	s.add("good", []byte("good"), 0o600)
	s.entries = append(s.entries,
		&tree.Entry{Path: "lost", Size: 8 << 20, ChunkCount: 2, Chunks: []tree.Chunk{{Key: s.sealer.Key([]byte("?")), Size: 4 << 20}, {Size: 4 << 20, Hole: true}}},
		&tree.Entry{Path: "short", Size: 8 << 20, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 100, Hole: true}}})
	o := s.options()
	o.Compress = true
	r, err := export.WriteZIP(t.Context(), io.Discard, o)
	if err != nil || r.Files != 1 || r.Failed != 2 || r.Failures[0].Path != "lost" || r.Failures[1].Path != "short" {
		t.Fatalf("%+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	walk := o.Walk
	o.Walk = func(_ context.Context, fn func(*tree.Entry) error) error { return walk(ctx, fn) }
	o.Progress = func(export.Totals) { cancel() }
	if _, err := export.WriteZIP(ctx, io.Discard, o); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

// The programs that every system has read what was written: names, times, modes, links and contents, and the dump.
func TestPlainToolsRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tool := func(stdin io.Reader, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Stdin = dir, stdin
		cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	tool(nil, "sqlite3", "old.db", "CREATE TABLE t (a TEXT, b BLOB); INSERT INTO t VALUES ('ä;''\n', x'00ff'); CREATE VIEW v AS SELECT count(*) AS n FROM t;")
	dumped := tool(nil, "sqlite3", "-readonly", "old.db", ".dump")

	s := newStored(t)
	s.add("database.sql", []byte(dumped), 0o600)
	s.entries = append(s.entries, &tree.Entry{Path: "media", Type: tree.Dir, Mode: 0o755})
	s.add("media/Größe 東京.bin", noise(5<<20), 0o640)
	s.entries = append(s.entries, &tree.Entry{Path: "media/link", Type: tree.Symlink, Link: "Größe 東京.bin", Mode: 0o777})
	s.add("media/run.sh", []byte("#!/bin/sh\n"), 0o755)
	reader := s.reader()
	o := s.options()
	o.Walk, o.Compress = export.Tree(reader), true
	to, err := os.Create(filepath.Join(dir, "backup.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export.WriteZIP(t.Context(), to, o); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}

	tool(nil, "unzip", "-q", "backup.zip", "-d", "out")
	tool(strings.NewReader(string(must(os.ReadFile(filepath.Join(dir, "out/database.sql"))))), "sqlite3", "-bail", "new.db")
	if again := tool(nil, "sqlite3", "-readonly", "new.db", ".dump"); again != dumped {
		t.Errorf("the database is\n%s\nand was\n%s", again, dumped)
	}
	if target, err := os.Readlink(filepath.Join(dir, "out/media/link")); err != nil || target != "Größe 東京.bin" {
		t.Errorf("%q, %v", target, err)
	}
	info, err := os.Stat(filepath.Join(dir, "out/media/run.sh"))
	if err != nil || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)) {
		t.Errorf("%v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "out/media/Größe 東京.bin")); err != nil || info.Size() != 5<<20 {
		t.Errorf("%v, %v", info, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
