package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// world is a catalog over a database of its own and a store in memory that tests can break.
type world struct {
	*Service
	t     testing.TB
	ctx   context.Context
	db    *sqlx.DB
	mem   *mem.Store
	store *faulty
	bus   *recorder
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), db: pgtest.New(t), mem: mem.New(), bus: &recorder{}}
	w.store = &faulty{Store: w.mem}
	cfg := Config{DB: w.db, Store: w.store, Bus: w.bus, Sign: func(space id.Space, p id.Pack, size int64) (string, time.Time) {
		return "/packs/" + p.String(), time.Now().Add(time.Hour)
	}}
	for _, c := range change {
		c(&cfg)
	}
	w.Service = New(cfg)
	return w
}

func shortTTL(cfg *Config) { cfg.SessionTTL = time.Second }

// user makes a person.
func (w *world) user() actor.Actor {
	w.t.Helper()
	u := id.User{}.New()
	w.exec(`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle,
		recovery_auth_hash, recovery_bundle, identity_public) VALUES ($1, $2, $2, 'n', 'staff', '', 1, 1, 1, '', '', '', '', '')`, u, u.String())
	ses := id.Session{}.New()
	w.exec(`INSERT INTO sessions (id, user_id, token_hash, client, address, created_at, last_seen_at, expires_at)
		VALUES ($1, $2, $3, 'c', 'a', now(), now(), now() + interval '1 day')`, ses, u, ses[:])
	return actor.Actor{User: u, Role: actor.Staff, Session: ses}
}

// device makes a device of a person.
func (w *world) device(owner actor.Actor) actor.Actor {
	w.t.Helper()
	d := id.Device{}.New()
	w.exec(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		VALUES ($1, $2, $4, 'h', 'linux', 'amd64', '1', '', '', $3)`, d, owner.User, d[:], d.String())
	return actor.Actor{User: owner.User, Device: d}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(query, args...); err != nil {
		w.t.Fatal(err)
	}
}

func get[T any](w *world, query string, args ...any) (v T) {
	w.t.Helper()
	if err := w.db.Get(&v, query, args...); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) begin(dev actor.Actor) *Begun {
	w.t.Helper()
	return must(w.Begin(w.ctx, dev, nil))(w.t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got error %v (%s), want %s", err, fault.KindOf(err), kind)
	}
}

// A made is a pack with its name and the ids of what it holds.
type made struct {
	name  id.Pack
	bytes []byte
	ids   []id.Object
}

func object() (o id.Object) { rand.Read(o[:]); return o }

func body(n int) func([]byte) []byte {
	return func(dst []byte) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return append(dst, b...)
	}
}

// chunks packs file chunks.
func chunks(ids ...id.Object) made {
	w := pack.NewWriter(nil)
	for _, o := range ids {
		w.Add(o, body(32))
	}
	b, name := w.Finish()
	return made{name, b, ids}
}

type node struct {
	id          id.Object
	nodes, data []id.Object
}

func nodes(list ...node) made {
	w := pack.NewWriter(nil)
	var m made
	for _, n := range list {
		w.AddNode(n.id, n.nodes, n.data, body(48))
		m.ids = append(m.ids, n.id)
	}
	m.bytes, m.name = w.Finish()
	return m
}

func fresh(n int) []id.Object {
	ids := make([]id.Object, n)
	for i := range ids {
		ids[i] = object()
	}
	return ids
}

func (w *world) upload(dev actor.Actor, b *Begun, m made) (bool, error) {
	return w.Upload(w.ctx, dev, UploadInput{b.ID, b.Fence, m.name, int64(len(m.bytes))}, strings.NewReader(string(m.bytes)))
}

func (w *world) mustUpload(dev actor.Actor, b *Begun, packs ...made) {
	w.t.Helper()
	for _, m := range packs {
		if _, err := w.upload(dev, b, m); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) commit(dev actor.Actor, b *Begun, root id.Object) (*Snapshot, error) {
	return w.Commit(w.ctx, dev, CommitInput{Backup: b.ID, Fence: b.Fence, Root: root, Manifest: []byte("sealed"), Files: 3, Bytes: 300, UploadedBytes: 30})
}

// backup makes a whole backup of n chunks under a tree of two levels.
func (w *world) backup(dev actor.Actor, n int) (*Snapshot, []made) {
	w.t.Helper()
	b := w.begin(dev)
	c := chunks(fresh(n)...)
	leaf := node{object(), nil, c.ids}
	root := node{object(), []id.Object{leaf.id}, nil}
	tree := nodes(leaf, root)
	w.mustUpload(dev, b, c, tree)
	return must(w.commit(dev, b, root.id))(w.t), []made{c, tree}
}

func (w *world) spaceOf(a actor.Actor) id.Space {
	w.t.Helper()
	return get[id.Space](w, `SELECT public_id FROM spaces WHERE owner_id = $1`, a.User)
}

// corrupt changes a pack in the store.
func (w *world) corrupt(owner actor.Actor, m made) {
	w.t.Helper()
	if !w.mem.Corrupt(packName(w.spaceOf(owner), m.name), func(b []byte) []byte { b[3] ^= 1; return b }) {
		w.t.Fatal("no such pack")
	}
}

func (w *world) lose(owner actor.Actor, m made) {
	w.t.Helper()
	if err := w.mem.Delete(w.ctx, packName(w.spaceOf(owner), m.name)); err != nil {
		w.t.Fatal(err)
	}
}

// readable checks that every object can be read as it was uploaded, by its location.
func (w *world) readable(owner actor.Actor, packs ...made) {
	w.t.Helper()
	for _, m := range packs {
		entries := must(pack.ReadIndex(strings.NewReader(string(m.bytes)), int64(len(m.bytes))))(w.t)
		loc := must(w.Locations(w.ctx, owner, m.ids))(w.t)
		for i, e := range entries {
			at, off, n := row(loc.Table, i)
			if at == absent {
				w.t.Fatalf("object %d is absent", i)
			}
			p := must(id.ParsePack(loc.Packs[at].Name))(w.t)
			f := must(w.OpenPack(w.ctx, w.spaceOf(owner), p))(w.t)
			if f.Size != int64(loc.Packs[at].Size) {
				w.t.Fatalf("size %d, location says %d", f.Size, loc.Packs[at].Size)
			}
			r := must(f.Range(int64(off), int64(n)))(w.t)
			got := must(io.ReadAll(r))(w.t)
			r.Close()
			if p == m.name && string(got) != string(m.bytes[e.Offset:e.Offset+e.Length]) || len(got) != int(e.Length) {
				w.t.Fatalf("object %d has other bytes", i)
			}
		}
	}
}

func row(table []byte, i int) (at, off, n uint32) {
	return binary.BigEndian.Uint32(table[12*i:]), binary.BigEndian.Uint32(table[12*i+4:]), binary.BigEndian.Uint32(table[12*i+8:])
}

// recorder is a bus that remembers.
type recorder struct {
	mu   sync.Mutex
	msgs []string
}

func (r *recorder) Publish(_ context.Context, topic string, msg []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.msgs = append(r.msgs, topic+" "+string(msg))
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.msgs)
}

// faulty is a store that fails or waits where a test says so.
type faulty struct {
	blob.Store
	mu     sync.Mutex
	before func(op, name string) error // what to do before an operation: create, write, commit, committed, open, stat, list, delete
}

func (f *faulty) on(hook func(op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = hook
}

func (f *faulty) call(op, name string) error {
	f.mu.Lock()
	hook := f.before
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, name)
}

func (f *faulty) Create(ctx context.Context) (blob.Pending, error) {
	if err := f.call("create", ""); err != nil {
		return nil, err
	}
	p, err := f.Store.Create(ctx)
	return &faultyPending{p, f}, err
}

func (f *faulty) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := f.call("open", name); err != nil {
		return nil, err
	}
	return f.Store.Open(ctx, name, off, n)
}

func (f *faulty) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := f.call("stat", name); err != nil {
		return blob.Info{}, err
	}
	return f.Store.Stat(ctx, name)
}

func (f *faulty) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := f.call("list", prefix); err != nil {
		return err
	}
	return f.Store.List(ctx, prefix, fn)
}

func (f *faulty) Delete(ctx context.Context, name string) error {
	if err := f.call("delete", name); err != nil {
		return err
	}
	return f.Store.Delete(ctx, name)
}

type faultyPending struct {
	blob.Pending
	f *faulty
}

func (p *faultyPending) Write(b []byte) (int, error) {
	if err := p.f.call("write", ""); err != nil {
		return 0, err
	}
	return p.Pending.Write(b)
}

func (p *faultyPending) Commit(ctx context.Context, name string) error {
	if err := p.f.call("commit", name); err != nil {
		return err
	}
	if err := p.Pending.Commit(ctx, name); err != nil {
		return err
	}
	return p.f.call("committed", name)
}

var errDisk = errors.New("the disk is on fire")

func sum(b []byte) id.Pack { return sha256.Sum256(b) }

var system = actor.System()

// names lists the store.
func (w *world) names() (names []string) {
	w.t.Helper()
	if err := w.mem.List(w.ctx, "", func(i blob.Info) error { names = append(names, i.Name); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return names
}
