//go:build !race

// The race detector slows program and collector unevenly, and takes memory of its own: a
// ceiling on the heap means nothing under it.

package backup_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
)

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
