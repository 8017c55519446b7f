package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

var ctx = context.Background()

// world is a snapshot in a depot in memory, and what is in its files.
type world struct {
	*vaulttest.Remote
	sealer  *seal.Sealer
	root    tree.Root
	entries []*tree.Entry
	content map[string][]byte
	chunks  map[string][]id.Object
}

// spec is a file to be. Its content is cut into pieces of chunk bytes; a piece of zeros becomes a hole.
type spec struct {
	tree.Entry
	content []byte
	chunk   int
}

func newWorld(t testing.TB, specs []spec) *world {
	t.Helper()
	w := &world{Remote: new(vaulttest.Remote), sealer: seal.New(seal.ContentKey{1}), content: map[string][]byte{}, chunks: map[string][]id.Object{}}
	out := &vaulttest.Writer{Remote: w.Remote, Sealer: w.sealer, PackSize: 100 << 10}
	b := tree.NewBuilder([32]byte{2}, out)
	slices.SortFunc(specs, func(a, b spec) int { return tree.Compare(a.Path, b.Path) })
	for i := range specs {
		e := &specs[i].Entry
		var chunks []tree.Chunk
		for piece := range slices.Chunk(specs[i].content, max(1, specs[i].chunk)) {
			if specs[i].chunk > 1 && bytes.Count(piece, []byte{0}) == len(piece) {
				chunks = append(chunks, tree.Chunk{Size: int64(len(piece)), Hole: true})
				continue
			}
			c, err := out.Chunk(piece)
			if err != nil {
				t.Fatal(err)
			}
			chunks = append(chunks, c)
			w.chunks[e.Path] = append(w.chunks[e.Path], c.Key.ID())
		}
		if e.Type == tree.File {
			w.content[e.Path] = specs[i].content
			if err := b.PutChunks(ctx, e, chunks); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Add(ctx, e); err != nil {
			t.Fatal(err)
		}
		w.entries = append(w.entries, e)
	}
	var err error
	if w.root, err = b.Finish(ctx); err == nil {
		err = out.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Reset()
	return w
}

func (w *world) objects() *restore.Objects {
	return restore.NewObjects(w.Remote, w.sealer, restore.Options{})
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	var s [32]byte
	s[0], s[1], s[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	rand.NewChaCha8(s).Read(b)
	return b
}

// mixed is a little of everything.
func mixed() []spec {
	sparse := make([]byte, 300_000)
	copy(sparse[120_000:], noise(5000, 99))
	list := []spec{
		{Entry: tree.Entry{Path: "home", Type: tree.Dir, Mode: 0o755}},
		{Entry: tree.Entry{Path: "home/empty-dir", Type: tree.Dir, Mode: 0o500}},
		{Entry: tree.Entry{Path: "home/empty", Mode: 0o600}},
		{Entry: tree.Entry{Path: "home/link", Type: tree.Symlink, Link: "../x"}},
		{Entry: tree.Entry{Path: "home/hard-1", HardLink: 9}, content: noise(900, 1), chunk: 500},
		{Entry: tree.Entry{Path: "home/z/hard-2", HardLink: 9}, content: noise(900, 1), chunk: 500},
		{Entry: tree.Entry{Path: "home/sparse"}, content: sparse, chunk: 10_000},
		{Entry: tree.Entry{Path: "home/large"}, content: noise(700_000, 2), chunk: 4_000}, // a list of 175 chunks
		{Entry: tree.Entry{Path: "home/same"}, content: bytes.Repeat([]byte("abcdefgh"), 4000), chunk: 800},
		{Entry: tree.Entry{Path: "home/\xff\xfe.docx"}, content: []byte("not UTF-8"), chunk: 100},
		{Entry: tree.Entry{Path: "home/" + strings.Repeat("n", 255)}, content: []byte("long"), chunk: 100},
		{Entry: tree.Entry{Path: strings.Repeat("deep/", 300) + "end.DOCX"}, content: []byte("deep"), chunk: 100},
	}
	for i := range 200 {
		list = append(list, spec{Entry: tree.Entry{Path: fmt.Sprintf("home/many/%03d/%d.txt", i/10, i), ModTime: int64(i)}, content: noise(i*7, uint64(1000+i)), chunk: 1000})
	}
	for i := range 20 {
		list = append(list, spec{Entry: tree.Entry{Path: fmt.Sprintf("home/many/%03d", i), Type: tree.Dir, Mode: 0o700, ModTime: 77}})
	}
	return append(list, spec{Entry: tree.Entry{Path: "home/many", Type: tree.Dir}}, spec{Entry: tree.Entry{Path: "home/z", Type: tree.Dir}})
}

// memory is a Sink that keeps what it gets, and complains about what a Sink may rely on.
type memory struct {
	mu       sync.Mutex
	files    map[string][]byte
	done     map[string]string // path: what it is
	links    map[string]string
	finished []string
	open     int
	closed   bool
	ok       bool
	broken   []string
	fail     func(op, path string) error
	existing map[string]restore.State
}

func newMemory() *memory {
	return &memory{files: map[string][]byte{}, done: map[string]string{}, links: map[string]string{}}
}

func (m *memory) check(op, path string) error {
	if i := strings.LastIndexByte(path, '/'); i >= 0 && m.done[path[:i]] != "dir" && m.existing[path[:i]] != restore.Folder {
		m.broken = append(m.broken, op+" "+path+" before its folder")
	}
	for i := range path {
		if path[i] == '/' && slices.Contains(m.finished, path[:i]) && op != "FinishDir" {
			m.broken = append(m.broken, op+" "+path+" after its folder was finished")
		}
	}
	if m.closed {
		m.broken = append(m.broken, op+" after Close")
	}
	if m.fail != nil {
		return m.fail(op, path)
	}
	return nil
}

func (m *memory) Stat(path string, _ *tree.Entry) (restore.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.existing[path], nil
}

func (m *memory) set(op, path, what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(op, path); err != nil {
		return err
	}
	if m.done[path] != "" {
		m.broken = append(m.broken, path+" twice")
	}
	m.done[path] = what
	return nil
}

func (m *memory) Mkdir(path string, _ *tree.Entry, _ bool) error { return m.set("Mkdir", path, "dir") }
func (m *memory) FinishDir(path string, _ *tree.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.check("FinishDir", path)
	m.finished = append(m.finished, path)
	return err
}
func (m *memory) Make(path string, e *tree.Entry, _ bool) error {
	return m.set("Make", path, e.Type.String()+" "+e.Link)
}
func (m *memory) Link(path, old string, _ *tree.Entry, _ bool) error {
	m.mu.Lock()
	m.links[path] = old
	m.mu.Unlock()
	return m.set("Link", path, "link")
}
func (m *memory) Close(ok bool) error {
	m.closed, m.ok = true, ok
	return nil
}

type memoryFile struct {
	m    *memory
	path string
	e    *tree.Entry
	mu   sync.Mutex
	data []byte
}

func (m *memory) Create(path string, e *tree.Entry, _ bool) (restore.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("Create", path); err != nil {
		return nil, err
	}
	m.open++
	return &memoryFile{m: m, path: path, e: e, data: make([]byte, e.Size)}, nil
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m.mu.Lock()
	err := f.m.check("WriteAt", f.path)
	f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return copy(f.data[off:], p), nil
}

func (f *memoryFile) Commit() error {
	f.m.mu.Lock()
	f.m.open--
	f.m.mu.Unlock()
	err := f.m.set("Commit", f.path, "file")
	if err == nil {
		f.m.mu.Lock()
		f.m.files[f.path] = f.data
		f.m.mu.Unlock()
	}
	return err
}

func (f *memoryFile) Discard() {
	f.m.mu.Lock()
	f.m.open--
	f.m.mu.Unlock()
}

// verify checks that everything under a final name is right, and returns how many files are missing.
func (w *world) verify(t *testing.T, m *memory) (missing int) {
	t.Helper()
	for path, data := range m.files {
		if !bytes.Equal(data, w.content[path]) {
			t.Errorf("%q has a wrong content", path)
		}
	}
	for _, e := range w.entries {
		if m.done[e.Path] == "" && e.Type == tree.File {
			missing++
		}
	}
	for _, b := range m.broken {
		t.Error(b)
	}
	if !m.closed {
		t.Error("it was not closed")
	}
	return missing
}

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
