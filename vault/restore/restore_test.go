package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

func TestRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mixed())
	m := newMemory()
	var last restore.Progress
	res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key, OnProgress: func(p restore.Progress) { last = p }}, m)
	if err != nil || res.FailureCount != 0 || res.Files != w.root.Files || res.Bytes != w.root.Bytes || !m.ok || m.open != 0 {
		t.Fatal(res, err, m.open)
	}
	if missing := w.verify(t, m); missing != 0 {
		t.Errorf("%d files are missing", missing)
	}
	if m.links["home/z/hard-2"] != "home/hard-1" || m.done["home/link"] != "symlink ../x" || res.Others != 1 {
		t.Error(m.links, res)
	}
	for i, f := range m.finished {
		for _, g := range m.finished[:i] {
			if tree.Within(f, g) {
				t.Errorf("%q was finished before %q", g, f)
			}
		}
	}
	if res.Dirs != 24 || last.Files != res.Files || last.Bytes != res.Bytes || last.TotalFiles != res.Files {
		t.Errorf("%+v %+v", res, last)
	}
	if n := w.Calls("Locate"); n > 12 {
		t.Errorf("%d questions", n)
	}
	if n := w.Calls("ReadPack"); n > 24 {
		t.Errorf("%d reads of %d packs", n, len(w.Packs()))
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mixed())
	for name, tc := range map[string]struct {
		sel     restore.Select
		want    []string
		files   int64
		missing string
	}{
		"file":       {restore.Select{Paths: []string{"home/many/003/33.txt"}}, []string{"home", "home/many", "home/many/003", "home/many/003/33.txt"}, 1, ""},
		"folder":     {restore.Select{Paths: []string{"/home/many/003/", "home/many/003/33.txt"}}, nil, 10, ""},
		"extension":  {restore.Select{Extensions: []string{"docx"}}, nil, 2, ""},
		"both":       {restore.Select{Paths: []string{"home"}, Extensions: []string{".DocX"}}, []string{"home", "home/\xff\xfe.docx"}, 1, ""},
		"missing":    {restore.Select{Paths: []string{"home/empty", "nowhere"}}, []string{"home", "home/empty"}, 1, "nowhere"},
		"empty dir":  {restore.Select{Paths: []string{"home/empty-dir"}}, []string{"home", "home/empty-dir"}, 0, ""},
		"no match":   {restore.Select{Extensions: []string{"xyz"}}, []string{}, 0, ""},
		"second one": {restore.Select{Paths: []string{"home/z"}}, []string{"home", "home/z", "home/z/hard-2"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key, Select: tc.sel}, m)
			if err != nil || res.Files != tc.files {
				t.Fatal(res, err)
			}
			if tc.missing != "" && (res.FailureCount != 1 || res.Failures[0].Path != tc.missing || !errors.Is(res.Failures[0].Err, fault.NotFound)) {
				t.Error(res.Failures)
			}
			w.verify(t, m)
			if tc.want != nil && len(m.done) != len(tc.want) {
				t.Errorf("%v", m.done)
			}
			for _, p := range tc.want {
				if m.done[p] == "" {
					t.Errorf("%q is missing", p)
				}
			}
		})
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, []spec{
		{Entry: tree.Entry{Path: "d", Type: tree.Dir}}, {Entry: tree.Entry{Path: "d/same"}, content: []byte("s"), chunk: 9}, {Entry: tree.Entry{Path: "d/other.txt"}, content: []byte("o"), chunk: 9},
		{Entry: tree.Entry{Path: "d/folder"}, content: []byte("f"), chunk: 9}, {Entry: tree.Entry{Path: "d/sub", Type: tree.Dir}}, {Entry: tree.Entry{Path: "d/sub/x"}, content: []byte("x"), chunk: 9},
		{Entry: tree.Entry{Path: "d/new", Type: tree.Symlink, Link: "x"}},
	})
	for _, tc := range []struct {
		rule           restore.Conflict
		want           string
		files, skipped int64
		failures       int
	}{
		{restore.Skip, "d/new", 0, 1, 4}, // other.txt, folder, sub and sub/x
		{restore.Overwrite, "d/new d/other.txt d/same d/sub d/sub/x", 3, 0, 1},
		{restore.KeepBoth, "d/folder (restored) d/new d/other (restored 2).txt d/sub (restored) d/sub (restored)/x", 3, 1, 0},
	} {
		m := newMemory()
		m.existing = map[string]restore.State{"d": restore.Folder, "d/same": restore.Identical, "d/other.txt": restore.Different, "d/other (restored).txt": restore.Different, "d/folder": restore.Folder, "d/sub": restore.Different}
		res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key, Conflict: tc.rule}, m)
		if err != nil || res.Files != tc.files || res.Skipped != tc.skipped || len(res.Failures) != tc.failures {
			t.Errorf("%d: %+v %v", tc.rule, res, err)
		}
		var got []string
		for p := range m.done {
			if p != "d" {
				got = append(got, p)
			}
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%d: %s, want %s", tc.rule, s, tc.want)
		}
		for _, b := range m.broken {
			t.Error(b)
		}
	}
}

// Every byte of a pack, flipped, is found out: what is restored is right, and the rest is reported.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	var specs []spec
	for i := range 4 {
		specs = append(specs, spec{Entry: tree.Entry{Path: fmt.Sprint("f", i)}, content: noise(60, uint64(i)), chunk: 25})
	}
	w := newWorld(t, specs)
	p := w.Packs()[0]
	b := w.Pack(p)
	index, err := pack.ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	last := index[len(index)-1]
	bodies := int(last.Offset + last.Length)
	for i := range b {
		b[i] ^= 0x40
		m := newMemory()
		res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
		missing := w.verify(t, m)
		if err == nil && int64(missing) != res.FailureCount {
			t.Errorf("byte %d: %d files are missing, %+v", i, missing, res)
		}
		v, verr := restore.Verify(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, 100)
		if (verr == nil) != (err == nil) || v.FailureCount != res.FailureCount {
			t.Errorf("byte %d: verification says %+v %v, restore %+v %v", i, v, verr, res, err)
		}
		if i < bodies && err == nil && res.FailureCount == 0 {
			t.Errorf("byte %d: nobody noticed", i)
		}
		b[i] ^= 0x40
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mixed())
	m := newMemory()
	w.Hide(w.chunks["home/hard-1"][0], w.chunks["home/many/007/77.txt"][0])
	res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
	if missing := w.verify(t, m); err != nil || missing != 3 || res.FailureCount != 3 || m.open != 0 {
		t.Error(missing, res, err)
	}
	for _, f := range res.Failures {
		if !errors.Is(f.Err, fault.ObjectsMissing) {
			t.Error(f)
		}
	}
	w.Hide()

	m = newMemory()
	w.Hide(w.root.Key.ID())
	if _, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m); !errors.Is(err, fault.ObjectsMissing) || !m.closed || m.ok {
		t.Error(err)
	}
	w.Hide()

	// A pack cut off: what lay behind is reported.
	at, err := w.Locate(ctx, w.chunks["home/large"][:1])
	if err != nil {
		t.Fatal(err)
	}
	w.Truncate(at[0].Pack, 10_000)
	m = newMemory()
	res, err = restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
	if missing := w.verify(t, m); err != nil || missing == 0 || res.FailureCount != int64(missing) {
		t.Error(missing, res, err)
	}
}

// Damage on the way is healed by reading again; what stays damaged is not.
func TestDamagedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mixed())
	var mu sync.Mutex
	seen := map[string]bool{}
	w.Corrupt = func(p id.Pack, off int64, dst []byte) {
		mu.Lock()
		defer mu.Unlock()
		if k := fmt.Sprint(p, off, len(dst)); !seen[k] && len(dst) > 5000 {
			seen[k] = true
			dst[len(dst)/2] ^= 1
		}
	}
	m := newMemory()
	res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
	if missing := w.verify(t, m); err != nil || missing != 0 || res.FailureCount != 0 {
		t.Error(missing, res, err)
	}
}

func TestServerGone(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"Locate", "ReadPack"} {
		for after := range 4 {
			w := newWorld(t, mixed())
			w.Fail = func(o string, n int) error {
				if o == op && n >= after {
					return fault.New(fault.Unavailable, "the server is gone")
				}
				return nil
			}
			m := newMemory()
			_, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
			if w.verify(t, m); !errors.Is(err, fault.Unavailable) || m.ok || m.open > 3 {
				t.Errorf("%s after %d: %v, %d files left open", op, after, err, m.open)
			}
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	for after := range 12 {
		w := newWorld(t, mixed())
		ctx, cancel := context.WithCancel(ctx)
		n := 0
		m := newMemory()
		m.fail = func(op, path string) error {
			if op == "WriteAt" {
				if n++; n == after*40+1 {
					cancel()
				}
			}
			return nil
		}
		_, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
		if w.verify(t, m); !errors.Is(err, context.Canceled) || m.ok {
			t.Errorf("after %d: %v", after, err)
		}
	}
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		op, path string
		failures int64
	}{
		{"Create", "home/large", 1}, {"WriteAt", "home/large", 1}, {"Commit", "home/large", 1}, {"Make", "home/link", 1}, {"Link", "home/z/hard-2", 1},
		{"Create", "home/hard-1", 1}, // the other name takes its place
		{"Mkdir", "home/many/003", 11}, {"FinishDir", "home/many/003", 1},
	} {
		w := newWorld(t, mixed())
		m := newMemory()
		m.fail = func(op, path string) error {
			if op == tc.op && path == tc.path {
				return errors.New("no")
			}
			return nil
		}
		res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
		if w.verify(t, m); err != nil || res.FailureCount != tc.failures || m.open > 0 && tc.op != "Commit" {
			t.Errorf("%s %s: %+v %v, %d open", tc.op, tc.path, res, err, m.open)
		}
	}
	for _, op := range []string{"Create", "WriteAt", "Commit", "Mkdir", "Make"} {
		w := newWorld(t, mixed())
		m := newMemory()
		m.fail = func(o, path string) error {
			if o == op {
				return fault.New(fault.StorageFull, "the disk is full")
			}
			return nil
		}
		_, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
		if w.verify(t, m); !errors.Is(err, fault.StorageFull) || m.ok {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// Many small files cost few calls, also when each call takes its time.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	var specs []spec
	for i := range 20_000 {
		specs = append(specs, spec{Entry: tree.Entry{Path: fmt.Sprintf("%05d", i)}, content: noise(100, uint64(i)), chunk: 200})
	}
	w := newWorld(t, specs)
	w.Delay = 5 * time.Millisecond
	m := newMemory()
	res, err := restore.Run(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, m)
	if missing := w.verify(t, m); err != nil || missing != 0 || res.FailureCount != 0 {
		t.Fatal(missing, res, err)
	}
	if l, r := w.Calls("Locate"), w.Calls("ReadPack"); l > 12 || r > 2*len(w.Packs())+10 {
		t.Errorf("%d questions and %d reads", l, r)
	}
	if _, out := w.Bytes(); out > 2*w.size() {
		t.Errorf("%d bytes read, %d are stored", out, w.size())
	}
}

func (w *world) size() (n int64) {
	for _, p := range w.Packs() {
		n += int64(len(w.Pack(p)))
	}
	return n
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mixed())
	res, err := restore.Verify(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, 100)
	if err != nil || res.FailureCount != 0 || res.Objects < int64(len(w.Objects())) {
		t.Errorf("%+v %v, %d objects", res, err, len(w.Objects()))
	}
	half, err := restore.Verify(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, 50)
	if all := float64(res.Objects); err != nil || float64(half.Objects) < all/4 || float64(half.Objects) > all*3/4 {
		t.Errorf("half of %d objects is %d: %v", res.Objects, half.Objects, err)
	}
	if none, err := restore.Verify(ctx, restore.Config{Objects: w.objects(), Root: w.root.Key}, 0); err != nil || none.Objects > 40 {
		t.Errorf("%+v %v", none, err)
	}
}

// failing takes one byte.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 1, f.err }

func TestOpenFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mixed())
	o := w.objects()
	for _, e := range w.entries {
		var b bytes.Buffer
		f := restore.OpenFile(ctx, o, e)
		n, err := io.Copy(&b, f) // by WriteTo
		if e.Type == tree.File && (err != nil || n != e.Size || !bytes.Equal(b.Bytes(), w.content[e.Path])) {
			t.Errorf("%q: %d bytes are written, %v", e.Path, n, err)
		}
		f.Close()
		f = restore.OpenFile(ctx, o, e)
		got, err := io.ReadAll(f)
		if e.Type != tree.File {
			if err == nil {
				t.Errorf("%q opened", e.Path)
			}
		} else if err != nil || !bytes.Equal(got, w.content[e.Path]) {
			t.Errorf("%q: %d bytes, %v", e.Path, len(got), err)
		}
		f.Close()
	}
	for _, e := range w.entries {
		if e.Path == "home/large" {
			cut := restore.OpenFile(ctx, o, e)
			full := errors.New("full")
			if n, err := io.Copy(failing{full}, cut); n != 1 || err != full {
				t.Errorf("%d bytes, %v", n, err)
			}
			if got, err := io.ReadAll(cut); err != nil || !bytes.Equal(got, w.content[e.Path][1:]) {
				t.Errorf("what was not written is gone: %d bytes, %v", len(got), err)
			}
			gone, cancel := context.WithCancel(ctx)
			cut = restore.OpenFile(gone, o, e)
			cancel()
			if _, err := io.ReadAll(cut); !errors.Is(err, context.Canceled) {
				t.Errorf("after the end: %v", err)
			}
			w.Hide(w.chunks[e.Path][100])
			if _, err := io.ReadAll(restore.OpenFile(ctx, o, e)); !errors.Is(err, fault.ObjectsMissing) {
				t.Error(err)
			}
			if _, err := io.Copy(io.Discard, restore.OpenFile(ctx, o, e)); !errors.Is(err, fault.ObjectsMissing) {
				t.Errorf("written: %v", err)
			}
			f := restore.OpenFile(ctx, o, e)
			f.Close()
			if _, err := f.Read(make([]byte, 1)); err == nil {
				t.Error("read after Close")
			}
		}
	}
}
