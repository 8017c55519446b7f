package backup_test

import (
	"context"
	"io"
	"math/rand/v2"
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
