// Package blobtest checks that a blob.Store keeps the law written in package blob, and makes stores that fail on
// purpose for the tests of others: see [Faulty].
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Run checks a kind of store. open returns a fresh, empty one each time.
func Run(t *testing.T, open func(*testing.T) blob.Store) {
	for _, test := range []struct {
		name string
		fn   func(*testing.T, blob.Store)
	}{
		{"RoundTrip", testRoundTrip},
		{"Ranges", testRanges},
		{"NotFound", testNotFound},
		{"Names", testNames},
		{"Pending", testPending},
		{"Abandoned", testAbandoned},
		{"SameAgain", testSameAgain},
		{"Delete", testDelete},
		{"List", testList},
		{"ListMany", testListMany},
		{"Cancelled", testCancelled},
		{"Concurrent", testConcurrent},
		{"NeverPartial", testNeverPartial},
		{"URL", testURL},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.fn(t, open(t))
		})
	}
}

// Bytes returns n bytes that look random and are the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// Put stores data under name, or ends the test.
func Put(t testing.TB, s blob.Store, name string, data []byte) {
	t.Helper()
	if err := put(t.Context(), s, name, data); err != nil {
		t.Fatalf("put %s (%d bytes): %v", name, len(data), err)
	}
}

func put(ctx context.Context, s blob.Store, name string, data []byte) error {
	p, err := s.Create(ctx)
	if err != nil {
		return err
	}
	defer p.Abort()
	if _, err := p.Write(data); err != nil {
		return err
	}
	return p.Commit(ctx, name)
}

// Get returns a blob's bytes from off on, or ends the test.
func Get(t testing.TB, s blob.Store, name string, off, n int64) []byte {
	t.Helper()
	b, err := get(t.Context(), s, name, off, n)
	if err != nil {
		t.Fatalf("get %s [%d:+%d]: %v", name, off, n, err)
	}
	return b
}

func get(ctx context.Context, s blob.Store, name string, off, n int64) ([]byte, error) {
	r, err := s.Open(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// Names returns the names under prefix, sorted, or ends the test.
func Names(t testing.TB, s blob.Store, prefix string) []string {
	t.Helper()
	names := []string{}
	if err := s.List(t.Context(), prefix, func(i blob.Info) error {
		names = append(names, i.Name)
		return nil
	}); err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	slices.Sort(names)
	return names
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want %s", what, err, kind)
	}
}

func testRoundTrip(t *testing.T, s blob.Store) {
	for i, size := range []int{0, 1, 4096, 100_000, 6 << 20} {
		name := fmt.Sprintf("spaces/x/packs/%02x/%d", i, size)
		data := Bytes(uint64(i), size)
		began := time.Now()
		Put(t, s, name, data)
		if got := Get(t, s, name, 0, -1); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes came back wrong (got %d)", name, size, len(got))
		}
		info, err := s.Stat(t.Context(), name)
		if err != nil || info.Name != name || info.Size != int64(size) {
			t.Errorf("stat %s: %+v, %v", name, info, err)
		}
		// Clocks of stores may count whole seconds.
		if info.ModTime.Before(began.Add(-2*time.Second)) || info.ModTime.After(time.Now().Add(2*time.Second)) {
			t.Errorf("stat %s: time %v is not that of the commit %v", name, info.ModTime, began)
		}
	}
}

func testRanges(t *testing.T, s blob.Store) {
	data := Bytes(1, 10_000)
	Put(t, s, "a", data)
	Put(t, s, "empty", nil)
	for _, r := range []struct{ off, n int64 }{
		{0, 0}, {0, 1}, {0, 10_000}, {0, 10_001}, {1, 100}, {9_999, 1}, {9_999, 100}, {10_000, 0}, {10_000, 1},
		{10_000, -1}, {20_000, 5}, {20_000, -1}, {5_000, -1}, {0, -1}, {5_000, 0}, {5_000, 1 << 40},
	} {
		want := data[min(r.off, int64(len(data))):]
		if r.n >= 0 {
			want = want[:min(r.n, int64(len(want)))]
		}
		if got := Get(t, s, "a", r.off, r.n); !bytes.Equal(got, want) {
			t.Errorf("[%d:+%d]: got %d bytes, want %d (or others)", r.off, r.n, len(got), len(want))
		}
		if got := Get(t, s, "empty", r.off, r.n); len(got) != 0 {
			t.Errorf("empty [%d:+%d]: got %d bytes", r.off, r.n, len(got))
		}
	}
	_, err := s.Open(t.Context(), "a", -1, 5)
	wantKind(t, "open at -1", err, fault.Invalid)
}

func testNotFound(t *testing.T, s blob.Store) {
	ctx := t.Context()
	Put(t, s, "dir/file", []byte("x"))
	for _, name := range []string{"nothing", "dir/nothing", "dir", "dir/file/below", "no/such/dir/at/all"} {
		_, err := s.Open(ctx, name, 0, -1)
		wantKind(t, "open "+name, err, fault.NotFound)
		_, err = s.Open(ctx, name, 5, 0)
		wantKind(t, "open nothing of "+name, err, fault.NotFound)
		_, err = s.Stat(ctx, name)
		wantKind(t, "stat "+name, err, fault.NotFound)
		if err := s.Delete(ctx, name); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if got := Names(t, s, ""); !slices.Equal(got, []string{"dir/file"}) {
		t.Errorf("left: %q", got)
	}
}

func testNames(t *testing.T, s blob.Store) {
	ctx := t.Context()
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", ".spool/x", "a/.b", "A", "ä", "a b", "a\x00b", `a\b`,
		strings.Repeat("a", 201), strings.Repeat("a/", 256) + "a"} {
		wantKind(t, fmt.Sprintf("put %q", name), put(ctx, s, name, []byte("x")), fault.Invalid)
		_, err := s.Open(ctx, name, 0, -1)
		wantKind(t, fmt.Sprintf("open %q", name), err, fault.Invalid)
		_, err = s.Stat(ctx, name)
		wantKind(t, fmt.Sprintf("stat %q", name), err, fault.Invalid)
		wantKind(t, fmt.Sprintf("delete %q", name), s.Delete(ctx, name), fault.Invalid)
	}
	for _, name := range []string{"a", "0", "a.b-c_d", "spaces/0197c1f0-0000-7000-8000-000000000000/packs/ab/" + strings.Repeat("ab", 32)} {
		Put(t, s, name, []byte(name))
		if got := Get(t, s, name, 0, -1); string(got) != name {
			t.Errorf("%q: got %q", name, got)
		}
	}
}

func testPending(t *testing.T, s blob.Store) {
	ctx := t.Context()
	p, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	data := Bytes(2, 50_000)
	for part := range slices.Chunk(data, 777) {
		if n, err := p.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if p.Size() != int64(len(data)) {
		t.Errorf("size %d, want %d", p.Size(), len(data))
	}
	got := make([]byte, 1000)
	if n, err := p.ReadAt(got, 12_345); n != len(got) || err != nil || !bytes.Equal(got, data[12_345:13_345]) {
		t.Errorf("read back: %d, %v", n, err)
	}
	if n, err := p.ReadAt(got, 49_900); n != 100 || err != io.EOF || !bytes.Equal(got[:n], data[49_900:]) {
		t.Errorf("read back at the end: %d, %v", n, err)
	}
	if n, err := p.Write([]byte("tail")); n != 4 || err != nil {
		t.Errorf("write after reading back: %d, %v", n, err)
	}
	if err := p.Commit(ctx, "p"); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(ctx, "q"); err == nil {
		t.Error("a second commit succeeded")
	}
	if _, err := p.Write([]byte("x")); err == nil {
		t.Error("a write after commit succeeded")
	}
	if _, err := p.ReadAt(got, 0); err == nil {
		t.Error("a read after commit succeeded")
	}
	p.Abort()
	p.Abort()
	if got := Get(t, s, "p", 0, -1); !bytes.Equal(got, append(data, "tail"...)) {
		t.Error("the blob differs from what was written")
	}
	if got := Names(t, s, ""); !slices.Equal(got, []string{"p"}) {
		t.Errorf("names: %q", got)
	}
}

// testAbandoned: what is not committed, for whatever reason, has no name.
func testAbandoned(t *testing.T, s blob.Store) {
	ctx := t.Context()
	for _, end := range []string{"abort", "crash", "bad name"} {
		p, err := s.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p.Write(Bytes(3, 100_000))
		switch end {
		case "abort":
			p.Abort()
			if err := p.Commit(ctx, "aborted"); err == nil {
				t.Error("commit after abort succeeded")
			}
		case "crash":
			t.Cleanup(p.Abort) // nobody ever ends it while we look
		case "bad name":
			wantKind(t, "commit", p.Commit(ctx, "../bad"), fault.Invalid)
		}
		if got := Names(t, s, ""); len(got) != 0 {
			t.Errorf("after %s: %q is visible", end, got)
		}
	}
}

func testSameAgain(t *testing.T, s blob.Store) {
	data := Bytes(4, 1_000_000)
	Put(t, s, "a/b", data)
	r, err := s.Open(t.Context(), "a/b", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	Put(t, s, "a/b", data)
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, rest...), data) {
		t.Errorf("a reader that was at work: %v", err)
	}
	if got := Get(t, s, "a/b", 0, -1); !bytes.Equal(got, data) {
		t.Error("the blob changed")
	}
	if got := Names(t, s, ""); !slices.Equal(got, []string{"a/b"}) {
		t.Errorf("names: %q", got)
	}
}

func testDelete(t *testing.T, s blob.Store) {
	ctx := t.Context()
	Put(t, s, "a/b", []byte("1"))
	Put(t, s, "a/c", []byte("2"))
	for range 2 {
		if err := s.Delete(ctx, "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Stat(ctx, "a/b")
	wantKind(t, "stat", err, fault.NotFound)
	if got := Names(t, s, ""); !slices.Equal(got, []string{"a/c"}) {
		t.Errorf("names: %q", got)
	}
	Put(t, s, "a/b", []byte("3"))
	if got := Get(t, s, "a/b", 0, -1); string(got) != "3" {
		t.Errorf("put again after delete: %q", got)
	}
}

func testList(t *testing.T, s blob.Store) {
	if got := Names(t, s, ""); len(got) != 0 {
		t.Fatalf("a fresh store has %q", got)
	}
	sizes := map[string]int64{"a": 1, "ab": 2, "a/b": 3, "a/bc/d": 4, "a/b-c": 5, "b/b": 6}
	// "a" and "a/b" together are impossible on a file system and needless for us.
	delete(sizes, "a")
	for name, size := range sizes {
		Put(t, s, name, make([]byte, size))
	}
	for _, prefix := range []string{"", "a", "ab", "abc", "a/", "a/b", "a/bc", "a/bc/", "a/bc/d", "a/bc/d/", "b", "b/b", "c", "c/d/e", "/", "..", "A", "../"} {
		want := map[string]int64{}
		for name, size := range sizes {
			if strings.HasPrefix(name, prefix) {
				want[name] = size
			}
		}
		got := map[string]int64{}
		if err := s.List(t.Context(), prefix, func(i blob.Info) error {
			if _, twice := got[i.Name]; twice {
				t.Errorf("%q: %s twice", prefix, i.Name)
			}
			if time.Since(i.ModTime).Abs() > time.Minute {
				t.Errorf("%q: %s has time %v", prefix, i.Name, i.ModTime)
			}
			got[i.Name] = i.Size
			return nil
		}); err != nil {
			t.Errorf("list %q: %v", prefix, err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("list %q: got %v, want %v", prefix, got, want)
		}
	}
	stop := errors.New("enough")
	seen := 0
	if err := s.List(t.Context(), "", func(blob.Info) error { seen++; return stop }); !errors.Is(err, stop) || seen != 1 {
		t.Errorf("fn's error: got %v after %d", err, seen)
	}
}

// testListMany goes beyond one page of any store (S3: 1,000).
func testListMany(t *testing.T, s blob.Store) {
	const n = 1203
	want := make([]string, n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				if err := put(t.Context(), s, want[i], []byte{byte(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		want[i] = fmt.Sprintf("many/%02x/%05d", i%16, i)
		next <- i
	}
	close(next)
	wg.Wait()
	slices.Sort(want)
	if got := Names(t, s, "many/"); !slices.Equal(got, want) {
		t.Errorf("%d names, want %d", len(got), n)
	}
}

func testCancelled(t *testing.T, s blob.Store) {
	Put(t, s, "a", []byte("x"))
	p, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	p.Write([]byte("y"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"create": func() error { _, err := s.Create(ctx); return err }(),
		"open":   func() error { _, err := get(ctx, s, "a", 0, -1); return err }(),
		"stat":   func() error { _, err := s.Stat(ctx, "a"); return err }(),
		"list":   s.List(ctx, "", func(blob.Info) error { return nil }),
		"delete": s.Delete(ctx, "a"),
		"commit": p.Commit(ctx, "b"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := Names(t, s, ""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("names: %q", got)
	}
}

func testConcurrent(t *testing.T, s blob.Store) {
	const workers, blobs = 8, 12
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range blobs {
				// Half of the names are shared: several write the same bytes at once.
				name := fmt.Sprintf("own/%d/%d", w, i)
				seed := uint64(w*1000 + i)
				if i%2 == 0 {
					name, seed = fmt.Sprintf("shared/%d", i), uint64(i)
				}
				data := Bytes(seed, 20_000+i)
				if err := put(t.Context(), s, name, data); err != nil {
					t.Errorf("put %s: %v", name, err)
					return
				}
				got, err := get(t.Context(), s, name, 0, -1)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("get %s right after commit: %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := len(Names(t, s, "")), blobs/2+workers*blobs/2; got != want {
		t.Errorf("%d blobs, want %d", got, want)
	}
}

// testNeverPartial reads and lists while a blob comes into being again and again.
func testNeverPartial(t *testing.T, s blob.Store) {
	data := Bytes(5, 2<<20)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 10 {
			name := fmt.Sprintf("p/%d", i)
			p, err := s.Create(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for part := range slices.Chunk(data, 256<<10) {
				p.Write(part)
			}
			if err := p.Commit(t.Context(), name); err != nil {
				t.Error(err)
			}
			p.Abort()
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for i := range 10 {
					got, err := get(t.Context(), s, fmt.Sprintf("p/%d", i), 0, -1)
					if errors.Is(err, fault.NotFound) {
						break
					}
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("a reader met %d of %d bytes: %v", len(got), len(data), err)
						return
					}
				}
				if err := s.List(t.Context(), "p/", func(i blob.Info) error {
					if i.Size != int64(len(data)) {
						t.Errorf("listed with %d bytes", i.Size)
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testURL(t *testing.T, s blob.Store) {
	data := Bytes(6, 10_000)
	Put(t, s, "a/b", data)
	u, ok, err := s.URL(t.Context(), "a/b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return // the server hands the bytes out
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", u, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=100-299")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusPartialContent || !bytes.Equal(got, data[100:300]) {
		t.Errorf("ranged GET: status %d, %d bytes, %v", resp.StatusCode, len(got), err)
	}
}
