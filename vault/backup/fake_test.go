package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// small chunks, so that small files have many.
var small = chunk.Params{Min: 512, Avg: 2048, Max: 8192}

// depot is a Remote in memory. It keeps the promises of the real one: packs are checked, a commit is complete,
// a new session voids the one before. fail, if set, is asked before every call.
type depot struct {
	fail   func(call string, n int) error // n counts the calls of this name, from 1
	params chunk.Params
	ttl    time.Duration

	mu        sync.Mutex
	calls     map[string]int
	objects   map[id.Object]object
	snapshots map[id.Snapshot]id.Object
	manifest  []byte
	live      *session
	uploaded  int64
	beats     []backup.Progress
	parents   []id.Snapshot
}

type object struct {
	body        []byte
	nodes, data []id.Object
}

func newDepot() *depot {
	return &depot{
		params: small, ttl: time.Minute, calls: map[string]int{},
		objects: map[id.Object]object{}, snapshots: map[id.Snapshot]id.Object{},
	}
}

// call counts, and fails if it should. d.mu is held when it returns nil.
func (d *depot) call(ctx context.Context, name string, s *session) error {
	d.mu.Lock()
	d.calls[name]++
	n, fail := d.calls[name], d.fail
	d.mu.Unlock()
	if fail != nil {
		if err := fail(name, n); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	if s != nil && d.live != s {
		d.mu.Unlock()
		return fault.New(fault.SessionExpired, "void")
	}
	return nil
}

// count returns how often a call was made.
func (d *depot) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[name]
}

func (d *depot) Begin(ctx context.Context, parent id.Snapshot) (backup.Session, error) {
	if err := d.call(ctx, "begin", nil); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	_, usable := d.snapshots[parent]
	d.parents = append(d.parents, parent)
	d.live = &session{d: d, info: backup.Info{
		ParentUsable: usable, SpaceEmpty: len(d.objects) == 0, Chunk: d.params, MaxPack: pack.MaxSize, TTL: d.ttl,
	}}
	return d.live, nil
}

// expire voids the living session.
func (d *depot) expire() {
	d.mu.Lock()
	d.live = nil
	d.mu.Unlock()
}

type session struct {
	d    *depot
	info backup.Info
}

func (s *session) Info() backup.Info { return s.info }

func (s *session) Missing(ctx context.Context, ids []id.Object) ([]bool, error) {
	if err := s.d.call(ctx, "missing", s); err != nil {
		return nil, err
	}
	defer s.d.mu.Unlock()
	if len(ids) > backup.MaxAsk {
		return nil, fault.New(fault.TooLarge, "%d ids", len(ids))
	}
	missing := make([]bool, len(ids))
	for i, o := range ids {
		_, ok := s.d.objects[o]
		missing[i] = !ok
	}
	return missing, nil
}

// lost is what a fail function returns for an upload that is acknowledged and not stored.
var lost = fmt.Errorf("lost")

func (s *session) Upload(ctx context.Context, name id.Pack, b []byte) error {
	err := s.d.call(ctx, "upload", s)
	if err == lost {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.d.mu.Unlock()
	entries, err := pack.ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return fault.Wrap(err, fault.BadPack, "bad pack")
	}
	for _, e := range entries {
		s.d.objects[e.ID] = object{slices.Clone(b[e.Offset : e.Offset+e.Length]), e.Nodes, e.Data}
	}
	s.d.uploaded += int64(len(b))
	return nil
}

func (s *session) Progress(ctx context.Context, p backup.Progress) error {
	if err := s.d.call(ctx, "progress", s); err != nil {
		return err
	}
	defer s.d.mu.Unlock()
	s.d.beats = append(s.d.beats, p)
	return nil
}

func (s *session) Commit(ctx context.Context, c backup.Commit) (id.Snapshot, error) {
	if err := s.d.call(ctx, "commit", s); err != nil {
		return id.Snapshot{}, err
	}
	defer s.d.mu.Unlock()
	var missing []byte
	done := map[id.Object]bool{}
	var visit func(o id.Object)
	visit = func(o id.Object) {
		if done[o] {
			return
		}
		done[o] = true
		v, ok := s.d.objects[o]
		if !ok {
			missing = append(missing, o[:]...)
			return
		}
		for _, r := range append(slices.Clone(v.nodes), v.data...) {
			visit(r)
		}
	}
	visit(c.Root)
	if missing != nil {
		return id.Snapshot{}, &fault.Error{Kind: fault.ObjectsMissing, Message: "incomplete", Data: missing}
	}
	snap := id.Snapshot{byte(len(s.d.snapshots) + 1), 1}
	s.d.snapshots[snap] = c.Root
	s.d.manifest = c.Manifest
	s.d.live = nil
	return snap, nil
}

func (s *session) Abort(ctx context.Context) error {
	if err := s.d.call(ctx, "abort", s); err != nil {
		return err
	}
	s.d.live = nil
	s.d.mu.Unlock()
	return nil
}

// rig is a space, a depot and a cache.
type rig struct {
	account *keyring.Account
	depot   *depot
	cache   *memCache
	sealer  *seal.Sealer
}

var account = sync.OnceValue(func() *keyring.Account {
	a, err := keyring.NewAccount()
	if err != nil {
		panic(err)
	}
	return a
})

func newRig() *rig {
	a := account()
	return &rig{account: a, depot: newDepot(), cache: &memCache{}, sealer: seal.New(a.Space().Content)}
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

// Nodes implements tree.Source over the depot.
func (r *rig) Nodes(_ context.Context, keys []seal.Key) ([][]byte, error) {
	r.depot.mu.Lock()
	defer r.depot.mu.Unlock()
	var all [][]byte
	for _, k := range keys {
		p, err := r.sealer.Open(nil, k, r.depot.objects[k.ID()].body)
		if err != nil {
			return nil, fmt.Errorf("object %s: %w", k.ID(), err)
		}
		all = append(all, p)
	}
	return all, nil
}

// content reads the whole tree back: path -> type and bytes (the length, for files too long to hold).
func (r *rig) content(t testing.TB, root seal.Key) map[string]string {
	t.Helper()
	got := map[string]string{}
	reader := tree.Open(r, root)
	if err := reader.Walk(t.Context(), "", func(e *tree.Entry) error {
		var b bytes.Buffer
		err := reader.Chunks(t.Context(), e, func(c tree.Chunk) error {
			if c.Hole {
				b.Write(make([]byte, c.Size))
				return nil
			}
			p, err := r.Nodes(t.Context(), []seal.Key{c.Key})
			if err == nil {
				b.Write(p[0])
			}
			return err
		})
		got[e.Path] = e.Type.String() + ":" + b.String() + e.Link
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
