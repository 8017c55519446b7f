package backup_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
)

// small chunks, so that small files have many.
var small = chunk.Params{Min: 512, Avg: 2048, Max: 8192}

// rig is a space, a depot and a cache.
type rig struct {
	account *keyring.Account
	depot   *vaulttest.Remote
	cache   *memCache
}

var account = sync.OnceValue(func() *keyring.Account {
	a, err := keyring.NewAccount()
	if err != nil {
		panic(err)
	}
	return a
})

func newRig() *rig {
	return &rig{account: account(), depot: &vaulttest.Remote{Chunk: small}, cache: &memCache{}}
}

func (r *rig) config() backup.Config {
	return backup.Config{
		Space: r.account.Space(), Identity: r.account.IdentityPublic(),
		Manifest: manifest.Manifest{DeviceName: "laptop", Hostname: "host", OS: "linux", Roots: []string{"/"}, AgentVersion: "0"},
	}
}

func (r *rig) run(t testing.TB, src backup.Source) backup.Result {
	t.Helper()
	res, err := backup.Run(t.Context(), r.config(), src, r.depot, r.cache)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// uploaded returns how many bytes of packs the depot took so far.
func (r *rig) uploaded() int64 {
	in, _ := r.depot.Bytes()
	return in
}

// manifest opens the newest one.
func (r *rig) manifest(t testing.TB) *manifest.Manifest {
	t.Helper()
	all := r.depot.Snapshots()
	m, err := manifest.Open(r.account, all[len(all)-1].Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// content reads the whole tree back: path -> type and bytes.
func (r *rig) content(t testing.TB, root seal.Key) map[string]string {
	t.Helper()
	got := map[string]string{}
	objects := restore.NewObjects(r.depot, seal.New(r.account.Space().Content), restore.Options{})
	reader := tree.Open(objects, root)
	if err := reader.Walk(t.Context(), "", func(e *tree.Entry) error {
		var b []byte
		var err error
		if e.Type == tree.File {
			b, err = io.ReadAll(restore.OpenFile(t.Context(), objects, e))
		}
		got[e.Path] = e.Type.String() + ":" + string(b) + e.Link
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// memCache is a Cache in memory.
type memCache struct {
	meta    backup.CacheMeta
	entries []backup.Cached
	valid   bool
	damage  int // entries after which reading stops; 0: none
	err     error
}

func (c *memCache) Open() (backup.CacheReader, error) {
	if !c.valid {
		return nil, c.err
	}
	n := len(c.entries)
	if c.damage > 0 {
		n = min(n, c.damage)
	}
	return &memReader{meta: c.meta, left: c.entries[:n]}, nil
}

func (c *memCache) Create() (backup.CacheWriter, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &memWriter{c: c}, nil
}

type memReader struct {
	meta backup.CacheMeta
	left []backup.Cached
}

func (r *memReader) Meta() backup.CacheMeta { return r.meta }
func (r *memReader) Close() error           { return nil }
func (r *memReader) Next() (*backup.Cached, error) {
	if len(r.left) == 0 {
		return nil, io.EOF
	}
	e := r.left[0]
	r.left = r.left[1:]
	return &e, nil
}

type memWriter struct {
	c       *memCache
	entries []backup.Cached
}

func (w *memWriter) Add(e *backup.Cached) error {
	w.entries = append(w.entries, *e)
	return nil
}

func (w *memWriter) Commit(m backup.CacheMeta) error {
	w.c.meta, w.c.entries, w.c.valid = m, w.entries, true
	return nil
}

func (w *memWriter) Abort() {}

// world is a Source in memory.
type world struct {
	files map[string]*thing
	clock int64
	hook  func(path string) // before each entry is emitted
	opens int
	mu    sync.Mutex
}

type thing struct {
	typ   tree.Type
	data  []byte
	link  string
	mode  uint32
	ctime int64
	inode uint64

	open func(f *memFile) error // before an open succeeds
	err  error                  // of the listing
}

func newWorld() *world { return &world{files: map[string]*thing{}, clock: 1e18} }

// set writes a file, or whatever t is, and the folders above it.
func (w *world) set(path string, t thing) *thing {
	for i, c := range path {
		if c == '/' && w.files[path[:i]] == nil {
			w.set(path[:i], thing{typ: tree.Dir, mode: 0o755})
		}
	}
	w.clock += 1e9 + 1
	t.ctime = w.clock
	if old := w.files[path]; old != nil {
		t.inode = old.inode
	} else {
		t.inode = uint64(w.clock)
	}
	w.files[path] = &t
	return &t
}

func (w *world) write(path, data string) *thing {
	return w.set(path, thing{data: []byte(data), mode: 0o644})
}

func (w *world) remove(path string) {
	for p := range w.files {
		if tree.Within(p, path) {
			delete(w.files, p)
		}
	}
}

// want is what content should return.
func (w *world) want() map[string]string {
	m := map[string]string{}
	for p, t := range w.files {
		m[p] = t.typ.String() + ":" + string(t.data) + t.link
	}
	return m
}

func (w *world) Walk(ctx context.Context, emit func(*backup.Item) error) error {
	paths := make([]string, 0, len(w.files))
	for p := range w.files {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, tree.Compare)
	for _, p := range paths {
		if w.hook != nil {
			w.hook(p)
		}
		t := w.files[p]
		it := &backup.Item{Entry: tree.Entry{Path: p, Type: t.typ, Mode: t.mode, ModTime: t.ctime}, Err: t.err}
		it.Fingerprint = backup.Fingerprint{Ctime: t.ctime, Inode: t.inode}
		if t.typ == tree.File {
			it.Size = int64(len(t.data))
			it.Open = func() (backup.File, error) {
				w.mu.Lock()
				w.opens++
				w.mu.Unlock()
				f := &memFile{t: t}
				if t.open != nil {
					if err := t.open(f); err != nil {
						return nil, err
					}
				}
				f.data = t.data
				return f, nil
			}
		}
		it.Load = func(_ backup.File, e *tree.Entry) error {
			e.User, e.Link = "somebody", t.link
			return nil
		}
		if err := emit(it); err != nil {
			return err
		}
	}
	return nil
}

type memFile struct {
	t    *thing
	data []byte
	pos  int
	read func() error // before every Read
}

func (f *memFile) Read(p []byte) (int, error) {
	if f.read != nil {
		if err := f.read(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.data[f.pos:])
	f.pos += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *memFile) Close() error { return nil }

func (f *memFile) Stat() (backup.Stat, error) {
	return backup.Stat{
		Size: int64(len(f.t.data)), ModTime: f.t.ctime, Mode: f.t.mode,
		Fingerprint: backup.Fingerprint{Ctime: f.t.ctime, Inode: f.t.inode},
	}, nil
}
