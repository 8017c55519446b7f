package restore_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/id"
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
