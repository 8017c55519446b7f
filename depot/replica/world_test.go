package replica_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/open"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// world is a store on disk with a catalog, a replica on disk that can be made to fail, and a clock that can be moved.
type world struct {
	*replica.Service
	t       *testing.T
	ctx     context.Context
	db      *sqlx.DB
	shift   func(time.Duration)
	dir     string // of the store
	there   string // of the replica
	store   blob.Store
	catalog *catalog.Service
	faulty  *blobtest.Faulty // the replica, once it was opened
	cfg     replica.Config
	ann     actor.Actor
	device  actor.Actor
	packs   map[id.Snapshot][]id.Pack
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), packs: map[id.Snapshot][]id.Pack{}}
	w.db, _, w.shift = pgtest.NewShifted(t)
	root := t.TempDir()
	w.dir, w.there = filepath.Join(root, "store"), filepath.Join(root, "replica")
	w.ok(open.Init(w.ctx, "file://"+w.dir))
	var err error
	w.store, err = open.OpenURL(w.ctx, "file://"+w.dir)
	w.ok(err)
	w.cfg = replica.Config{
		DB: w.db, Store: w.store, StoreURL: "file://" + w.dir, URLs: []string{"file://" + w.there},
		KeepDays: func(context.Context) (int, error) { return 30, nil },
		Open: func(ctx context.Context, url string) (blob.Store, error) {
			s, err := open.OpenURL(ctx, url)
			if err != nil {
				return nil, err
			}
			w.faulty = blobtest.NewFaulty(s)
			return w.faulty, nil
		},
	}
	w.begin()
	w.catalog = catalog.New(catalog.Config{DB: w.db, Store: w.store, Quarantine: -1, Grace: -1, Spares: func(ctx context.Context) []blob.Store { return w.Stores(ctx) },
		Sign: func(id.Space, id.Pack, int64) (string, time.Time) { return "", time.Time{} }})
	w.ann, w.device = w.person("ann")
	return w
}

// person makes somebody with a device.
func (w *world) person(name string) (who, device actor.Actor) {
	w.t.Helper()
	who = actor.Actor{User: id.User{}.New(), Role: actor.Staff}
	w.exec(`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle,
		recovery_auth_hash, recovery_bundle, identity_public) VALUES ($1, $2, $2, $2, 'staff', '', 1, 1, 1, '', '', '', '', '')`, who.User, name)
	device = actor.Actor{User: who.User, Device: id.Device{}.New()}
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		VALUES ($1, $2, $3, 'h', 'linux', 'amd64', '1', '', '', $3::text::bytea)`, device.Device, who.User, name)
	return who, device
}

// begin makes the service anew, as a process that starts does.
func (w *world) begin() {
	w.t.Helper()
	var err error
	w.Service, err = replica.New(w.cfg)
	w.ok(err)
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.Exec(query, args...)
	w.ok(err)
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	w.ok(w.db.Get(&n, query, args...))
	return n
}

// backup makes a snapshot of its own two packs.
func (w *world) backup() id.Snapshot {
	w.t.Helper()
	b, err := w.catalog.Begin(w.ctx, w.device, nil)
	w.ok(err)
	put := func(pw *pack.Writer) id.Pack {
		body, name := pw.Finish()
		_, err := w.catalog.Upload(w.ctx, w.device, catalog.UploadInput{Backup: b.ID, Fence: b.Fence, Name: name, Size: int64(len(body))}, strings.NewReader(string(body)))
		w.ok(err)
		return name
	}
	bytes := func(dst []byte) []byte { return append(dst, rand.Text()...) }
	var chunk, root id.Object
	rand.Read(chunk[:])
	rand.Read(root[:])
	data, tree := pack.NewWriter(nil), pack.NewWriter(nil)
	data.Add(chunk, bytes)
	tree.AddNode(root, nil, []id.Object{chunk}, bytes)
	names := []id.Pack{put(data), put(tree)}
	sn, err := w.catalog.Commit(w.ctx, w.device, catalog.CommitInput{Backup: b.ID, Fence: b.Fence, Root: root, Manifest: []byte("sealed"), Files: 1, Bytes: 26})
	w.ok(err)
	w.packs[sn.ID] = names
	return sn.ID
}

func (w *world) space() id.Space {
	w.t.Helper()
	var s id.Space
	w.ok(w.db.Get(&s, `SELECT public_id FROM spaces WHERE owner_id = $1`, w.ann.User))
	return s
}

// collect cleans, as the worker does.
func (w *world) collect() {
	w.t.Helper()
	_, err := w.catalog.Collect(w.ctx, actor.System(), w.space(), catalog.GCOptions{})
	w.ok(err)
}

func (w *world) copy() replica.Report {
	w.t.Helper()
	r, err := w.Copy(w.ctx, actor.System())
	w.ok(err)
	return r
}

// state returns how the one replica is doing.
func (w *world) state() replica.State {
	w.t.Helper()
	list, err := w.States(w.ctx, actor.System())
	w.ok(err)
	if len(list) != 1 {
		w.t.Fatalf("%+v", list)
	}
	return list[0]
}

func (w *world) now() time.Time {
	w.t.Helper()
	var at time.Time
	w.ok(w.db.Get(&at, `SELECT clock_timestamp()`))
	return at
}

// contents reads a store: names and bytes.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	s, err := open.OpenURL(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range blobtest.Names(t, s, "") {
		found[name] = string(blobtest.Get(t, s, name, 0, -1))
	}
	return found
}

// same fails unless the replica holds exactly what the store holds.
func (w *world) same() {
	w.t.Helper()
	here, there := contents(w.t, w.dir), contents(w.t, w.there)
	for name, b := range here {
		if other, ok := there[name]; !ok {
			w.t.Errorf("the replica lacks %s", name)
		} else if other != b {
			w.t.Errorf("%s has other bytes in the replica", name)
		}
	}
	for name := range there {
		if _, ok := here[name]; !ok {
			w.t.Errorf("the replica has %s, too", name)
		}
	}
}

// complete fails if the replica has a record of a snapshot and not all of its packs.
func (w *world) complete() {
	w.t.Helper()
	there := contents(w.t, w.there)
	for sn, packs := range w.packs {
		if _, ok := there[catalog.SnapshotName(w.space(), sn)]; !ok {
			continue
		}
		for _, p := range packs {
			if _, ok := there[catalog.PackName(w.space(), p)]; !ok {
				w.t.Errorf("the replica has the record of %s and lacks a pack of it", sn)
			}
		}
	}
}

// file returns where a pack lies in one of the two folders.
func (w *world) file(dir string, sn id.Snapshot, n int) string {
	return filepath.Join(dir, filepath.FromSlash(catalog.PackName(w.space(), w.packs[sn][n])))
}

// rot changes a byte of a file.
func (w *world) rot(file string) {
	w.t.Helper()
	b, err := os.ReadFile(file)
	w.ok(err)
	b[2] ^= 1
	w.ok(os.WriteFile(file, b, 0o600))
}

func has(store map[string]string, names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { _, ok := store[n]; return !ok })
}

// hooked is a store that lets a test look at every commit.
type hooked struct {
	blob.Store
	mu   sync.Mutex
	hook func(name string)
}

func (h *hooked) Create(ctx context.Context) (blob.Pending, error) {
	p, err := h.Store.Create(ctx)
	return &hookedPending{p, h}, err
}

type hookedPending struct {
	blob.Pending
	h *hooked
}

func (p *hookedPending) Commit(ctx context.Context, name string) error {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	if p.h.hook != nil {
		p.h.hook(name)
	}
	return p.Pending.Commit(ctx, name)
}
