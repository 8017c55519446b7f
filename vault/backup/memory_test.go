package backup_test

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// hole is a Remote that keeps nothing but counts.
type hole struct {
	bytes, packs, asked atomic.Int64
	ask                 bool
	delay               time.Duration
}

func (h *hole) Begin(context.Context, id.Snapshot) (backup.Session, error) { return h, nil }
func (h *hole) Info() backup.Info {
	return backup.Info{SpaceEmpty: !h.ask, Chunk: chunk.DefaultParams, MaxPack: pack.MaxSize, TTL: time.Minute}
}
func (h *hole) Missing(_ context.Context, ids []id.Object) ([]bool, error) {
	h.asked.Add(1)
	missing := make([]bool, len(ids))
	for i := range missing {
		missing[i] = true
	}
	return missing, nil
}
func (h *hole) Upload(_ context.Context, _ id.Pack, b []byte) error {
	time.Sleep(h.delay)
	h.bytes.Add(int64(len(b)))
	h.packs.Add(1)
	return nil
}
func (h *hole) Progress(context.Context, backup.Progress) error { return nil }
func (h *hole) Abort(context.Context) error                     { return nil }
func (h *hole) Commit(context.Context, backup.Commit) (id.Snapshot, error) {
	return id.Snapshot{1}, nil
}

// stream is a file that exists only while it is read.
type stream struct {
	size, left int64
	r          *rand.ChaCha8
	runs       [][2]int64 // of data; nil: all of it
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, _ := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, nil
}
func (s *stream) Close() error               { return nil }
func (s *stream) Stat() (backup.Stat, error) { return backup.Stat{Size: s.size}, nil }

// sparseStream knows about its holes.
type sparseStream struct{ *stream }

func (s sparseStream) NextData(from int64) (int64, int64, error) {
	for _, r := range s.runs {
		if from < r[1] {
			start := max(from, r[0])
			s.left = s.size - start
			return start, r[1], nil
		}
	}
	return from, from, nil
}

type files []*backup.Item

func (f files) Walk(_ context.Context, emit func(*backup.Item) error) error {
	for _, it := range f {
		if err := emit(it); err != nil {
			return err
		}
	}
	return nil
}

func streamed(path string, size int64, runs [][2]int64) *backup.Item {
	return &backup.Item{
		Entry: tree.Entry{Path: path, Type: tree.File, Size: size},
		Open: func() (backup.File, error) {
			s := &stream{size: size, left: size, r: rand.NewChaCha8([32]byte{path[0]}), runs: runs}
			if runs != nil {
				return sparseStream{s}, nil
			}
			return s, nil
		},
	}
}

// peak returns the largest heap, beyond what was there before, while f runs.
func peak(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc-min(before, m.HeapAlloc))
			}
		}
	}()
	f()
	close(quit)
	<-done
	return most
}

// Memory does not grow with the files, nor with a server that is slower than the disk. The ceiling is on the
// heap with all its garbage. Not parallel: it measures the whole process.
func TestBoundedMemory(t *testing.T) {
	const ceiling = 250 << 20
	r := newRig()
	h := &hole{ask: true, delay: 20 * time.Millisecond}
	const gigabyte, terabyte = 1 << 30, 1 << 40
	src := files{
		streamed("a", gigabyte/2, nil),
		streamed("b", gigabyte/4, nil),
		streamed("c", terabyte, [][2]int64{{0, 10}, {terabyte / 2, terabyte/2 + 5<<20}}),
		streamed("d", 8*terabyte, [][2]int64{}),
	}
	var res backup.Result
	most := peak(func() {
		var err error
		if res, err = backup.Run(t.Context(), r.config(), src, h, r.cache); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d MiB of heap, %d packs, %d questions", most>>20, h.packs.Load(), h.asked.Load())
	if most > ceiling {
		t.Errorf("%d MiB of heap", most>>20)
	}
	if res.Files != 4 || res.Bytes != gigabyte/2+gigabyte/4+9*terabyte || res.ProblemCount != 0 {
		t.Errorf("%+v", res)
	}
	if want := int64(gigabyte/2 + gigabyte/4 + 5<<20 + 10); res.NewBytes != want {
		t.Errorf("%d bytes were new, not %d", res.NewBytes, want)
	}
	// About eight hundred chunks are asked about. How many share a question depends on the machine.
	if n := h.asked.Load(); n > 400 {
		t.Errorf("%d questions", n)
	}
	for _, e := range r.cache.entries {
		if e.Path == "d" && (len(e.Chunks) != 1 || !e.Chunks[0].Hole) || e.Path == "a" && e.Inline() {
			t.Errorf("%+v", e)
		}
	}
}

// A source that does not know how long a file will be.
func TestUnknownSize(t *testing.T) {
	t.Parallel()
	r := newRig()
	it := streamed("dump", 300_000, nil)
	it.Size = -1
	res := r.run(t, files{it})
	if res.Bytes != 300_000 || res.ProblemCount != 0 || len(r.content(t, res.Root)["dump"]) != 300_000+len("file:") {
		t.Errorf("%+v", res)
	}
}
