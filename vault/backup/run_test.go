package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// noise returns n bytes that do not compress.
func noise(n int, seed uint64) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7}).Read(b)
	return string(b)
}

// sample is a world with a bit of everything.
func sample() *world {
	w := newWorld()
	w.write("home/u/notes.txt", "notes")
	w.write("home/u/empty", "")
	w.write("home/u/big", noise(400<<10, 1)) // far more than 64 chunks
	w.write("home/u/middle", noise(40<<10, 2))
	w.write("home/u/twin", noise(40<<10, 2))
	w.set("home/u/link", thing{typ: tree.Symlink, link: "notes.txt", mode: 0o777})
	w.set("home/u/pipe", thing{typ: tree.FIFO, mode: 0o600})
	for i := range 600 {
		w.write(fmt.Sprintf("srv/many/%03d", i), fmt.Sprint("file ", i))
	}
	w.write("srv/\xff\xfe", "no text")
	return w
}

func check(t *testing.T, r *rig, w *world, res backup.Result) {
	t.Helper()
	if got, want := r.content(t, res.Root), w.want(); !maps.Equal(got, want) {
		for p := range want {
			if got[p] != want[p] {
				t.Errorf("%q: %d bytes, want %d", p, len(got[p]), len(want[p]))
			}
		}
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	r, w := newRig(), sample()
	res := r.run(t, w)
	check(t, r, w, res)
	if n := r.depot.Calls("Missing"); n != 0 {
		t.Errorf("an empty space was asked %d times", n)
	}
	m := r.manifest(t)
	if m.Root != res.Root || m.Files != 606 || res.Files != 606 || m.Dirs != 4 || m.ProblemCount != 0 || m.DeviceName != "laptop" {
		t.Errorf("manifest %+v", m)
	}
	if res.UploadedBytes != r.uploaded() || res.NewBytes < 400<<10 || res.NewBytes > res.Bytes {
		t.Errorf("result %+v", res)
	}

	t.Run("unchanged", func(t *testing.T) {
		before, opens := r.uploaded(), w.opens
		again := r.run(t, w)
		if again.Root != res.Root || again.Snapshot == res.Snapshot {
			t.Errorf("root %v and snapshot %v after %v and %v", again.Root, again.Snapshot, res.Root, res.Snapshot)
		}
		if r.uploaded() != before || w.opens != opens || again.Reused != 606 {
			t.Errorf("%d bytes uploaded, %d files opened, %d reused", r.uploaded()-before, w.opens-opens, again.Reused)
		}
		if n := r.depot.Calls("Missing"); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("changed", func(t *testing.T) {
		before, opens := r.uploaded(), w.opens
		w.write("srv/many/300", "other")
		w.write("home/u/big", noise(1000, 9)+string(w.files["home/u/big"].data))
		w.remove("home/u/empty")
		again := r.run(t, w)
		check(t, r, w, again)
		if n := r.uploaded() - before; n == 0 || n > 100<<10 {
			t.Errorf("%d bytes uploaded", n)
		}
		if n := w.opens - opens; n != 2 {
			t.Errorf("%d files opened", n)
		}
	})
	t.Run("without cache", func(t *testing.T) {
		before := r.uploaded()
		r.cache = &memCache{}
		again := r.run(t, w)
		check(t, r, w, again)
		if r.uploaded() != before {
			t.Errorf("%d bytes uploaded", r.uploaded()-before)
		}
		if n := r.depot.Calls("Missing"); n == 0 || n > 30 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("cache of a vanished parent", func(t *testing.T) {
		r.depot.Forget()
		opens := w.opens
		again := r.run(t, w)
		check(t, r, w, again)
		if n := w.opens - opens; n != 605 {
			t.Errorf("%d files opened", n)
		}
	})
	t.Run("cache of another space", func(t *testing.T) {
		r.cache.meta.Binding[0]++
		opens := w.opens
		check(t, r, w, r.run(t, w))
		if n := w.opens - opens; n != 605 {
			t.Errorf("%d files opened", n)
		}
	})
	t.Run("half a cache", func(t *testing.T) {
		r.cache.damage = 300
		before := r.uploaded()
		check(t, r, w, r.run(t, w))
		r.cache.damage = 0
		if r.uploaded() != before {
			t.Errorf("%d bytes uploaded", r.uploaded()-before)
		}
	})
}

func TestEmptySource(t *testing.T) {
	t.Parallel()
	r, w := newRig(), newWorld()
	res := r.run(t, w)
	check(t, r, w, res)
	w.write("a", "a")
	check(t, r, w, r.run(t, w))
}

// An incremental snapshot is the same tree as a fresh one, whatever happened in between.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r, w := newRig(), newWorld()
		names := rapid.SampledFrom([]string{"a", "b", "a/x", "a/x/y", "a-b", "a/z", "c/d/e", "c/d", "c", "long"})
		for range rapid.IntRange(1, 4).Draw(rt, "snapshots") {
			for range rapid.IntRange(0, 6).Draw(rt, "edits") {
				p := names.Draw(rt, "path")
				switch rapid.IntRange(0, 5).Draw(rt, "edit") {
				case 0:
					w.remove(p)
				case 1:
					w.remove(p)
					w.set(p, thing{typ: tree.Symlink, link: rapid.StringN(1, 5, 10).Draw(rt, "link")})
				default:
					w.remove(p)
					for i, c := range p { // no file stays where a folder must be
						if above := w.files[p[:i]]; c == '/' && above != nil && above.typ != tree.Dir {
							w.remove(p[:i])
						}
					}
					n := rapid.SampledFrom([]int{0, 1, 511, 512, 5000, 9000, 200_000}).Draw(rt, "size")
					w.write(p, noise(n, rapid.Uint64Range(0, 3).Draw(rt, "content")))
				}
			}
			res := r.run(t, w)
			check(t, r, w, res)
			fresh := newRig()
			if other := fresh.run(t, w); other.Root != res.Root {
				rt.Fatal("the incremental tree differs from a fresh one")
			}
		}
	})
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	expired := fault.New(fault.SessionExpired, "void")
	for _, call := range []string{"Upload", "Missing", "Commit", "Begin"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			r, w := newRig(), sample()
			if call == "Missing" {
				r.run(t, newWorld())
			}
			r.depot.Fail = func(c string, n int) error {
				if c == call && n == 0 {
					return expired
				}
				return nil
			}
			r.depot.Reset()
			res := r.run(t, w)
			check(t, r, w, res)
			if n := r.depot.Calls("Begin"); n != 2 {
				t.Errorf("%d sessions", n)
			}
			if n := r.depot.Calls("Abort"); n != 0 {
				t.Errorf("a void session was aborted")
			}
		})
	}
	t.Run("heartbeat", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.TTL = 20 * time.Millisecond
		var once sync.Once
		w.hook = func(p string) {
			if p == "srv" {
				once.Do(func() {
					r.depot.Expire()
					time.Sleep(100 * time.Millisecond)
				})
			}
		}
		check(t, r, w, r.run(t, w))
		if n := r.depot.Calls("Begin"); n != 2 {
			t.Errorf("%d sessions", n)
		}
	})
	t.Run("again and again", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.Fail = func(c string, n int) error {
			if c == "Commit" {
				return expired
			}
			return nil
		}
		_, err := backup.Run(t.Context(), r.config(), w, r.depot, r.cache)
		// The first stored everything; then there were three that stored nothing.
		if !errors.Is(err, fault.SessionExpired) || r.depot.Calls("Begin") != 4 {
			t.Errorf("%v after %d sessions", err, r.depot.Calls("Begin"))
		}
	})
	t.Run("again and again, but each stores something", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.Fail = func(c string, n int) error {
			if c != "Commit" || n == 6 {
				return nil
			}
			w.write(fmt.Sprintf("srv/more %d", n), strings.Repeat(fmt.Sprint(n), 1000))
			return expired
		}
		check(t, r, w, r.run(t, w))
		if n := r.depot.Calls("Begin"); n != 7 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	r, w := newRig(), sample()
	r.depot.TTL = 20 * time.Millisecond
	w.hook = func(p string) {
		if p == "srv" {
			time.Sleep(60 * time.Millisecond)
		}
	}
	var shown []backup.Progress
	cfg := r.config()
	cfg.OnProgress = func(p backup.Progress) { shown = append(shown, p) }
	if _, err := backup.Run(t.Context(), cfg, w, r.depot, r.cache); err != nil {
		t.Fatal(err)
	}
	if n := r.depot.Calls("Progress"); n < 5 {
		t.Errorf("%d heartbeats", n)
	}
	if last := shown[len(shown)-1]; last.Phase != backup.PhaseCommit || last.Files != 606 || last.TotalFiles != 606 ||
		last.Bytes != last.TotalBytes || last.UploadedBytes != r.uploaded() {
		t.Errorf("last progress %+v", last)
	}
}

// What the server lost comes back, wherever it was referred to from.
func TestObjectsMissing(t *testing.T) {
	t.Parallel()
	for _, keep := range []int{0, 2, 10, 100} {
		t.Run(fmt.Sprint("every ", keep), func(t *testing.T) {
			t.Parallel()
			r, w := newRig(), sample()
			r.run(t, w)
			for i, o := range r.depot.Objects() { // in no order
				if keep == 0 || i%keep == 0 {
					r.depot.Drop(o)
				}
			}
			res := r.run(t, w)
			check(t, r, w, res)
		})
	}
	t.Run("lost uploads", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.Fail = func(c string, n int) error {
			if c == "Commit" && n == 0 {
				r.depot.Drop(r.depot.Objects()...)
			}
			return nil
		}
		check(t, r, w, r.run(t, w))
		if r.depot.Calls("Begin") != 2 || r.depot.Calls("Abort") != 1 {
			t.Errorf("%d sessions, %d aborted", r.depot.Calls("Begin"), r.depot.Calls("Abort"))
		}
	})
	t.Run("for ever", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.Fail = func(c string, n int) error {
			if c == "Commit" {
				r.depot.Drop(r.depot.Objects()...)
			}
			return nil
		}
		_, err := backup.Run(t.Context(), r.config(), w, r.depot, r.cache)
		if !errors.Is(err, fault.ObjectsMissing) || r.cache.valid || r.depot.Calls("Begin") != 3 {
			t.Errorf("%v, cache %v, %d sessions", err, r.cache.valid, r.depot.Calls("Begin"))
		}
	})
}

func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	full := fault.New(fault.StorageFull, "full")
	for _, call := range []string{"Begin", "Missing", "Upload", "Commit"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			r, w := newRig(), sample()
			first := newWorld()
			first.write("x", "x")
			r.run(t, first)
			cached := r.cache.meta
			r.depot.Reset()
			r.depot.Fail = func(c string, n int) error {
				if c == call {
					return full
				}
				return nil
			}
			_, err := backup.Run(t.Context(), r.config(), w, r.depot, r.cache)
			if !errors.Is(err, fault.StorageFull) {
				t.Errorf("%v", err)
			}
			if n := r.depot.Calls("Abort"); (n != 1) != (call == "Begin") {
				t.Errorf("aborted %d times", n)
			}
			if r.cache.meta.Snapshot != cached.Snapshot {
				t.Error("the cache was replaced")
			}
			r.depot.Fail = nil
			check(t, r, w, r.run(t, w))
		})
	}
	t.Run("damaged on the way", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.Fail = func(c string, n int) error {
			if c == "Upload" && n%2 == 0 {
				return fault.New(fault.HashMismatch, "damaged")
			}
			return nil
		}
		check(t, r, w, r.run(t, w))
	})
	t.Run("heartbeats fail", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		r.depot.TTL = 5 * time.Millisecond
		r.depot.Fail = func(c string, n int) error {
			if c == "Progress" {
				return fault.New(fault.Unavailable, "later")
			}
			return nil
		}
		check(t, r, w, r.run(t, w))
	})
	t.Run("walk fails", func(t *testing.T) {
		t.Parallel()
		r, w := newRig(), sample()
		_, err := backup.Run(t.Context(), r.config(), failing{w}, r.depot, r.cache)
		if err == nil || err.Error() != "no root" || r.depot.Calls("Abort") != 1 || r.depot.Calls("Commit") != 0 {
			t.Errorf("%v", err)
		}
	})
}

type failing struct{ *world }

func (f failing) Walk(ctx context.Context, emit func(*backup.Item) error) error {
	if err := f.world.Walk(ctx, emit); err != nil {
		return err
	}
	return errors.New("no root")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"walk", "Upload", "Missing", "Commit"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			r, w := newRig(), sample()
			if at == "Missing" {
				first := newWorld()
				first.write("x", "x")
				r.run(t, first)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if at == "walk" {
				w.hook = func(p string) {
					if p == "srv/many" {
						cancel()
					}
				}
			}
			r.depot.Fail = func(c string, n int) error {
				if c == at {
					cancel()
					return ctx.Err()
				}
				return nil
			}
			_, err := backup.Run(ctx, r.config(), w, r.depot, r.cache)
			if !errors.Is(err, context.Canceled) || r.depot.Calls("Abort") != 1 {
				t.Errorf("%v, aborted %d times", err, r.depot.Calls("Abort"))
			}
		})
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	r, w := newRig(), sample()
	w.write("p/denied", "x").open = func(*memFile) error { return fs.ErrPermission }
	w.write("p/gone", "x").open = func(*memFile) error { return fs.ErrNotExist }
	w.write("p/broken", noise(30000, 4)).open = func(f *memFile) error {
		n := 0
		f.read = func() error {
			if n++; n == 1 {
				return &backup.Unreadable{Cause: backup.IO, Err: errors.New("bad block")}
			}
			return nil
		}
		return nil
	}
	w.write("p/unlisted", "x").err = fs.ErrPermission
	w.set("p/closed", thing{typ: tree.Dir, mode: 0o700}).err = fs.ErrPermission
	w.write("p/"+strings.Repeat("n", 1100), "too long a name")

	// once changes after it was listed, and is then still; always changes whenever it is read.
	once := w.write("p/once", "before")
	opened := 0
	once.open = func(*memFile) error {
		if opened++; opened == 1 {
			once.data, once.ctime = []byte("after it was listed"), once.ctime+1
		}
		return nil
	}
	always := w.write("p/always", "0")
	always.open = func(f *memFile) error {
		f.read = func() error {
			always.ctime++
			return nil
		}
		return nil
	}
	grows := w.write("p/grows", "log")
	grows.open = func(f *memFile) error {
		f.read = func() error {
			grows.data = append(grows.data, " and more"...)
			f.data = grows.data
			return nil
		}
		return nil
	}

	res := r.run(t, w)
	causes := map[string]string{}
	for _, p := range res.Problems {
		causes[p.Path] = p.Cause
	}
	want := map[string]string{
		"p/denied": "permission", "p/gone": "vanished", "p/broken": "io", "p/unlisted": "permission", "p/closed": "permission",
		"p/always": "changed", "p/grows": "changed", "p/" + strings.Repeat("n", 1100): "too-long",
	}
	if !maps.Equal(causes, want) || res.ProblemCount != int64(len(want)) {
		t.Errorf("problems %v (%d)", causes, res.ProblemCount)
	}
	got := r.content(t, res.Root)
	for _, p := range []string{"p/denied", "p/gone", "p/broken", "p/unlisted", "p/" + strings.Repeat("n", 1100)} {
		if _, ok := got[p]; ok {
			t.Errorf("%.20q is in the snapshot", p)
		}
	}
	if got["p/closed"] != "dir:" || got["p/once"] != "file:after it was listed" || got["p/always"] != "file:0" {
		t.Errorf("%q %q %q", got["p/closed"], got["p/once"], got["p/always"])
	}
	if !strings.HasPrefix(got["p/grows"], "file:log and more") {
		t.Errorf("%q", got["p/grows"])
	}
	if m := r.manifest(t); m.ProblemCount != int64(len(want)) || len(m.Problems) != len(want) {
		t.Errorf("manifest lists %v", m.Problems)
	}
}

func TestManyProblems(t *testing.T) {
	t.Parallel()
	r, w := newRig(), newWorld()
	const n = manifest.MaxProblems + 500
	for i := range n {
		w.write(fmt.Sprintf("%05d", i), "x").err = fs.ErrPermission
	}
	res := r.run(t, w)
	if res.ProblemCount != n || len(res.Problems) != manifest.MaxProblems {
		t.Errorf("%d counted, %d listed", res.ProblemCount, len(res.Problems))
	}
}

func TestCacheFails(t *testing.T) {
	t.Parallel()
	r, w := newRig(), sample()
	r.cache.err = errors.New("disk full")
	res := r.run(t, w)
	check(t, r, w, res)
	if res.CacheErr == nil {
		t.Error("nobody was told")
	}
	if _, err := backup.Run(t.Context(), r.config(), w, r.depot, nil); err != nil {
		t.Errorf("without a cache: %v", err)
	}
}

// A file that changed within a tick of the clock before it was read is read again the next time.
func TestJustChanged(t *testing.T) {
	t.Parallel()
	r, w := newRig(), newWorld()
	w.write("old", "x")
	w.write("new", "x").ctime = time.Now().Add(time.Second).UnixNano()
	r.run(t, w)
	opens := w.opens
	if res := r.run(t, w); w.opens != opens+1 || res.Reused != 1 {
		t.Errorf("%d files opened, %d reused", w.opens-opens, res.Reused)
	}
}
