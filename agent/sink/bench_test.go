//go:build linux || darwin

package sink

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// overHTTP reads packs from files through a server on the loopback interface, as the real remote does.
type overHTTP struct {
	*vaulttest.Remote
	url string
}

func serve(b *testing.B, r *vaulttest.Remote) *overHTTP {
	dir := b.TempDir()
	for _, p := range r.Packs() {
		if err := os.WriteFile(filepath.Join(dir, p.String()), r.Pack(p), 0o600); err != nil {
			b.Fatal(err)
		}
		r.Truncate(p, 0)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(s.Close)
	return &overHTTP{r, s.URL}
}

func (r *overHTTP) ReadPack(ctx context.Context, p id.Pack, offset int64, dst []byte) error {
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/"+p.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, dst)
	return err
}

// BenchmarkRestore restores trees of files like those of an office, over the loopback interface.
func BenchmarkRestore(b *testing.B) {
	for _, set := range []struct {
		name        string
		files, size int
	}{
		{"office", 2_000, 105_000},
		{"small", 20_000, 2_000},
		{"large", 2, 96 << 20},
	} {
		b.Run(set.name, func(b *testing.B) {
			remote := new(vaulttest.Remote)
			sealer := seal.New(seal.ContentKey{1})
			root := office(b, &vaulttest.Writer{Remote: remote, Sealer: sealer, Level: seal.LevelFast}, set.files, set.size)
			served := serve(b, remote)
			debug.FreeOSMemory()
			peak := watch()
			b.SetBytes(root.Bytes)
			before := cpuTime()
			for b.Loop() {
				b.StopTimer()
				// Removed at the end only: ext4 is slow to hand out inodes that were freed just now.
				dir := b.TempDir()
				s, err := Open(dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				res, err := restore.Run(context.Background(), restore.Config{Objects: restore.NewObjects(served, sealer, restore.Options{}), Root: root.Key}, s)
				if err != nil || res.FailureCount != 0 || res.Files != root.Files {
					b.Fatal(res, err)
				}
			}
			b.ReportMetric(float64(root.Files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
			b.ReportMetric(float64(peak())/1e6, "peak-MB")
			b.ReportMetric((cpuTime()-before).Seconds()*1e3/float64(b.N), "cpu-ms/op") // of both sides
		})
	}
}

// watch begins to look at how much memory the program has from the system, and returns what tells the most.
func watch() (peak func() uint64) {
	end, result := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.Sys-m.HeapReleased)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-end:
				result <- most
				return
			}
		}
	}()
	return func() uint64 { close(end); return <-result }
}

func cpuTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// office stores a tree of files whose content compresses by half.
func office(b *testing.B, w *vaulttest.Writer, files, size int) tree.Root {
	ctx := context.Background()
	t := tree.NewBuilder([32]byte{2}, w)
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields(strings.Repeat("the annual report of this institution was approved by its board on Monday after noon ", 3))
	add := func(e *tree.Entry) {
		e.ModTime = 1_700_000_000_123_456_789
		if err := t.Add(ctx, e); err != nil {
			b.Fatal(err)
		}
	}
	block := make([]byte, 0, 1<<20)
	for i := range files {
		if i%50 == 0 {
			if i%1000 == 0 {
				add(&tree.Entry{Path: fmt.Sprintf("d%04d", i/1000), Type: tree.Dir, Mode: 0o755})
			}
			add(&tree.Entry{Path: fmt.Sprintf("d%04d/e%06d", i/1000, i/50), Type: tree.Dir, Mode: 0o755})
		}
		e := &tree.Entry{Path: fmt.Sprintf("d%04d/e%06d/f%07d.docx", i/1000, i/50, i), Mode: 0o644}
		var chunks []tree.Chunk
		for left := size/2 + r.IntN(size); left > 0; {
			n := min(left, 1<<20)
			block = block[:0]
			for len(block) < n {
				if r.IntN(2) == 0 {
					block = fmt.Appendf(block, "%016x", r.Uint64())
				} else {
					block = append(append(block, words[r.IntN(len(words))]...), ' ')
				}
			}
			c, err := w.Chunk(block[:n])
			if err != nil {
				b.Fatal(err)
			}
			chunks = append(chunks, c)
			left -= n
		}
		if err := t.PutChunks(ctx, e, chunks); err != nil {
			b.Fatal(err)
		}
		add(e)
	}
	root, err := t.Finish(ctx)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		b.Fatal(err)
	}
	return root
}
