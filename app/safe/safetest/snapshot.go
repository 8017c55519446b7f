package safetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// File is an entry of a snapshot with its content.
type File struct {
	tree.Entry
	Pieces [][]byte // of a file: what it is stored in
}

// Text is a file of one piece.
func Text(path, content string) File {
	f := File{Entry: tree.Entry{Path: path, Mode: 0o644, ModTime: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).UnixNano()}}
	if content != "" {
		f.Pieces = [][]byte{[]byte(content)}
	}
	return f
}

// Dir is a folder.
func Dir(path string) File {
	return File{Entry: tree.Entry{Path: path, Type: tree.Dir, Mode: 0o755, ModTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()}}
}

// Noise returns bytes that do not compress.
func Noise(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b) //nolint:errcheck // it never fails
	return b
}

// Large is a file of n pieces of 1 MiB that do not compress. Only the first distinct ones are stored: the others repeat them.
func Large(path string, n, distinct int) (f File, piece func(i int) []byte) {
	f = File{Entry: tree.Entry{Path: path, Mode: 0o644}}
	for i := range n {
		if i < distinct {
			f.Pieces = append(f.Pieces, Noise(1<<20, byte(i)))
		} else {
			f.Pieces = append(f.Pieces, f.Pieces[i%distinct])
		}
	}
	return f, func(i int) []byte { return f.Pieces[i%distinct] }
}

// Snapshot stores files, which it sorts, as a snapshot of the device, and returns it as the API has it.
func (w *World) Snapshot(t testing.TB, change func(*manifest.Manifest), files ...File) talk.Sealed {
	t.Helper()
	space := w.Account.Space()
	out := &vaulttest.Writer{Remote: w.Remote, Sealer: seal.New(space.Content)}
	b := tree.NewBuilder(space.Chunker, out)
	list := tree.NewListWriter(out)
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return tree.Compare(a.Path, b.Path) })
	m := manifest.Manifest{Device: w.DeviceID, DeviceName: "laptop", Hostname: "laptop.example.org", OS: "linux/amd64", Roots: []string{"/home/ada"},
		Started: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), Finished: time.Date(2026, 5, 6, 7, 9, 0, 0, time.UTC), AgentVersion: "test"}
	for i := range files {
		e := files[i].Entry
		if e.Type == tree.File && e.ChunkCount == 0 {
			for _, p := range files[i].Pieces {
				c, err := out.Chunk(p)
				check(err)
				check(list.Add(ctx, c))
			}
			check(list.Finish(ctx, &e))
		}
		check(b.Add(ctx, &e))
		if e.Type == tree.File {
			m.Files++
			m.Bytes += e.Size
		}
	}
	root, err := b.Finish(ctx)
	check(err)
	check(out.Flush())
	m.Root = root.Key
	if change != nil {
		change(&m)
	}
	sealed, err := m.Seal(space, w.Account.IdentityPublic())
	check(err)
	o := root.Key.ID()
	return talk.Sealed{ID: id.Snapshot{}.New().String(), Device: w.DeviceID.String(), Root: o[:], Manifest: sealed}
}
