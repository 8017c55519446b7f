package export_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/archive/export"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
)

// options are of an archive of some entries, whose pieces a remote has.
func options(remote *vaulttest.Remote, sealer *seal.Sealer, entries ...*tree.Entry) export.Options {
	return export.Options{
		Objects: restore.NewObjects(remote, sealer, restore.Options{}),
		Walk: func(_ context.Context, fn func(*tree.Entry) error) error {
			for _, e := range entries {
				if err := fn(e); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// files are n files of one piece each, of which a remote has the first so many.
func files(t *testing.T, n, stored int) (export.Options, []*tree.Entry) {
	t.Helper()
	remote, sealer := new(vaulttest.Remote), seal.New(seal.ContentKey{1})
	w := &vaulttest.Writer{Remote: remote, Sealer: sealer}
	var list []*tree.Entry
	for i := range n {
		p := fmt.Appendf(nil, "content of %d", i)
		c := tree.Chunk{Key: sealer.Key(p), Size: int64(len(p))}
		if i < stored {
			if _, err := w.Chunk(p); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, &tree.Entry{Path: fmt.Sprintf("d/%06d", i), Mode: 0o640, Size: c.Size, Chunks: []tree.Chunk{c}, ChunkCount: 1})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return options(remote, sealer, list...), list
}

func TestManyFilesComeInBatches(t *testing.T) {
	t.Parallel()
	o, list := files(t, 2500, 2500)
	var last export.Totals
	o.Progress = func(now export.Totals) { last = now }
	var b bytes.Buffer
	r, err := export.WriteZIP(t.Context(), &b, o)
	if err != nil || r.Files != 2500 || r.Failed != 0 || last != r.Totals {
		t.Fatalf("%+v, %v, told %+v", r, err, last)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(z.File) != 2500 {
		t.Fatal(err)
	}
	for i, f := range z.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(rc)
		if err != nil || f.Name != list[i].Path || string(content) != fmt.Sprint("content of ", i) || f.Mode().Perm() != 0o640 {
			t.Fatalf("%s: %q, %v, %v", f.Name, content, f.Mode(), err)
		}
	}
}

// More than 65,535 entries are more than an old ZIP counts.
func TestSoManyFilesThatOldFormatsEnd(t *testing.T) {
	t.Parallel()
	var list []*tree.Entry
	for i := range 70_000 {
		list = append(list, &tree.Entry{Path: fmt.Sprint(i)})
	}
	var b bytes.Buffer
	if _, err := export.WriteZIP(t.Context(), &b, options(new(vaulttest.Remote), seal.New(seal.ContentKey{}), list...)); err != nil {
		t.Fatal(err)
	}
	if z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil || len(z.File) != 70_000 {
		t.Errorf("%v", err)
	}
}

func TestAllThatIsMissingIsCounted(t *testing.T) {
	t.Parallel()
	o, list := files(t, 1500, 100)
	list[0].Chunks[0].Size++ // the tree is wrong about it
	var b bytes.Buffer
	r, err := export.WriteZIP(t.Context(), &b, o)
	if err != nil || r.Files != 99 || r.Failed != 1401 || len(r.Failures) != 1000 || !strings.Contains(r.Failures[0].Err.Error(), "the tree says") {
		t.Fatalf("%d files, %d failed, %d listed, %v", r.Files, r.Failed, len(r.Failures), err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(archive.Lacking)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil || !strings.Contains(string(text), "lacks 1401 files") || !strings.Contains(string(text), "and 401 more") {
		t.Errorf("%v: %.200s", err, text)
	}
}

// full takes so many bytes and no more.
type full struct{ left int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrorsEndAnArchive(t *testing.T) {
	t.Parallel()
	o, list := files(t, 1200, 1000)
	list[500] = &tree.Entry{Path: "large", Size: 8 << 20, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 8 << 20, Hole: true}}}
	list[600] = &tree.Entry{Path: "hole", Size: 1 << 20, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 1 << 20, Hole: true}}}
	list[700] = &tree.Entry{Path: "link", Type: tree.Symlink, Link: strings.Repeat("x", 100_000)}
	list[800] = &tree.Entry{Path: "dir", Type: tree.Dir}
	list[900] = &tree.Entry{Path: "pipe", Type: tree.FIFO}
	o = options(new(vaulttest.Remote), seal.New(seal.ContentKey{}), list...)
	o2, _ := files(t, 1200, 1000)
	o.Objects = o2.Objects
	counted := &full{1 << 30}
	if _, err := export.WriteZIP(t.Context(), counted, o); err != nil {
		t.Fatal(err)
	}
	size := 1<<30 - counted.left
	for left := 0; left < size; left += size / 97 { // wherever it becomes full
		if _, err := export.WriteZIP(t.Context(), &full{left}, o); !errors.Is(err, errFull) {
			t.Fatalf("room for %d of %d bytes: %v", left, size, err)
		}
	}
	broken := errors.New("the tree is broken")
	walk := o.Walk
	o.Walk = func(ctx context.Context, fn func(*tree.Entry) error) error { return errors.Join(walk(ctx, fn), broken) }
	if _, err := export.WriteZIP(t.Context(), io.Discard, o); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	o.Walk = walk
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(export.Totals) { cancel() }
	if _, err := export.WriteZIP(ctx, io.Discard, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	o.Progress = nil
	o.Name = func(path string) string { return path + strings.Repeat("x", 1<<16) }
	if _, err := export.WriteZIP(t.Context(), io.Discard, o); err == nil {
		t.Error("a name that no ZIP can hold")
	}
	short := &tree.Entry{Path: "short", Size: 9 << 20, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 8 << 20, Hole: true}}}
	if _, err := export.WriteZIP(t.Context(), io.Discard, options(new(vaulttest.Remote), seal.New(seal.ContentKey{}), short)); err == nil {
		t.Error("a file that is shorter than the tree says")
	}
}
