package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// history is what should be true of one space: a model that knows nothing of packs, marks or quarantines.
type history struct {
	*world
	rnd     *rand.Rand
	owner   actor.Actor
	devices []actor.Actor
	chunks  []id.Object                 // that were ever sent: what backups choose from, besides new ones
	trees   map[id.Snapshot][]id.Object // all objects of each snapshot that is live or can be taken back
	deleted map[id.Snapshot]bool        // those that can be taken back
	of      map[id.Snapshot]id.Device   // who made it
	good    map[id.Snapshot]bool        // without problems
	made    map[id.Device][]id.Snapshot // in their order
	pinned  map[id.Snapshot]bool
}

func newHistory(w *world, seed uint64, devices int) *history {
	h := &history{world: w, rnd: rand.New(rand.NewPCG(seed, 1)), owner: w.user(), trees: map[id.Snapshot][]id.Object{}, deleted: map[id.Snapshot]bool{},
		of: map[id.Snapshot]id.Device{}, good: map[id.Snapshot]bool{}, made: map[id.Device][]id.Snapshot{}, pinned: map[id.Snapshot]bool{}}
	for range devices {
		h.devices = append(h.devices, w.device(h.owner))
	}
	return h
}

// backup is a whole backup as an agent makes it: it asks what is missing, sends that in some packs, and commits; or breaks off.
func (h *history) backup() {
	dev := h.devices[h.rnd.IntN(len(h.devices))]
	b := h.begin(dev)
	data := map[id.Object]bool{}
	for range 1 + h.rnd.IntN(40) {
		if len(h.chunks) > 0 && h.rnd.IntN(3) > 0 {
			data[h.chunks[h.rnd.IntN(len(h.chunks))]] = true
		} else {
			data[object()] = true
		}
	}
	var ids []id.Object
	for o := range data {
		ids = append(ids, o)
	}
	slices.SortFunc(ids, func(a, b id.Object) int { return slices.Compare(a[:], b[:]) })
	var send []id.Object
	for i, miss := range must(h.Missing(h.ctx, dev, b.ID, b.Fence, ids))(h.t) {
		if miss {
			send = append(send, ids[i])
		}
	}
	h.chunks = append(h.chunks, send...)
	root := node{id: object()}
	tree := []id.Object{root.id}
	var leaves []node
	for part := range slices.Chunk(ids, 1+h.rnd.IntN(15)) {
		leaf := node{object(), nil, part}
		leaves, root.nodes, tree = append(leaves, leaf), append(root.nodes, leaf.id), append(tree, leaf.id)
	}
	n := 100 + h.rnd.IntN(400)
	if len(send) > 0 {
		at := h.rnd.IntN(len(send))
		h.mustUpload(dev, b, told(n, send[at:], leaves...))
		if at > 0 {
			h.mustUpload(dev, b, told(n, send[:at]))
		}
	} else {
		h.mustUpload(dev, b, told(n, nil, leaves...))
	}
	if h.rnd.IntN(6) == 0 {
		if h.rnd.IntN(2) == 0 {
			h.Abort(h.ctx, dev, b.ID, b.Fence)
		} else {
			h.exec(`UPDATE backups SET last_seen_at = now() - interval '1 day' WHERE id = $1`, b.ID)
		}
		return
	}
	h.mustUpload(dev, b, told(n, nil, root))
	in := CommitInput{Backup: b.ID, Fence: b.Fence, Root: root.id, Manifest: []byte("sealed"), Problems: int64(h.rnd.IntN(3) / 2)}
	sn := must(h.Commit(h.ctx, dev, in))(h.t)
	if err := pg.InTx(h.ctx, h.db, func(tx *sqlx.Tx) error { return MarkScheduled(h.ctx, tx, dev.Device, sn.ID) }); err != nil {
		h.t.Fatal(err)
	}
	h.trees[sn.ID] = append(tree, ids...)
	h.of[sn.ID], h.good[sn.ID] = dev.Device, in.Problems == 0
	h.made[dev.Device] = append(h.made[dev.Device], sn.ID)
}

// some returns a snapshot that is deleted, or not; the zero one if there is none.
func (h *history) some(deleted bool) (sn id.Snapshot) {
	var list []id.Snapshot
	for s := range h.trees {
		if h.deleted[s] == deleted {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return sn
	}
	slices.SortFunc(list, func(a, b id.Snapshot) int { return slices.Compare(a[:], b[:]) })
	return list[h.rnd.IntN(len(list))]
}

func (h *history) delete() {
	if sn := h.some(false); !sn.IsZero() {
		switch err := h.DeleteSnapshot(h.ctx, h.owner, sn); {
		case h.pinned[sn]:
			wantKind(h.t, err, fault.Conflict)
		case err != nil:
			h.t.Fatal(err)
		default:
			h.deleted[sn] = true
		}
	}
}

func (h *history) undelete() {
	if sn := h.some(true); !sn.IsZero() {
		must(h.RestoreDeleted(h.ctx, h.owner, sn))(h.t)
		delete(h.deleted, sn)
	}
}

func (h *history) pin() {
	if sn := h.some(false); !sn.IsZero() {
		h.pinned[sn] = !h.pinned[sn]
		must(h.PinSnapshot(h.ctx, h.owner, sn, h.pinned[sn]))(h.t)
	}
}

// retire applies a rule to a device, and checks that its newest snapshot and its newest good one are left.
func (h *history) retire() {
	dev := h.devices[h.rnd.IntN(len(h.devices))].Device
	must(h.Retain(h.ctx, system, dev, []plan.Rule{{Retention: plan.Retention{Last: 1 + h.rnd.IntN(3)}}}))(h.t)
	newest, newestGood := true, true
	for _, sn := range slices.Backward(h.made[dev]) {
		if h.trees[sn] == nil || h.deleted[sn] {
			continue
		}
		_, err := h.Snapshot(h.ctx, h.owner, sn)
		if err != nil {
			wantKind(h.t, err, fault.NotFound)
			h.deleted[sn] = true
		}
		if err != nil && (newest || newestGood && h.good[sn] || h.pinned[sn]) {
			h.t.Fatalf("retention deleted what it must not: newest %v, newest good %v, pinned %v", newest, newestGood && h.good[sn], h.pinned[sn])
		}
		newest, newestGood = false, newestGood && !h.good[sn]
	}
}

// purge lets the undo windows of some deletions end.
func (h *history) purge() {
	for sn := range h.deleted {
		if h.rnd.IntN(2) == 0 {
			h.exec(`UPDATE snapshots SET purge_after = now() WHERE id = $1`, sn)
			delete(h.trees, sn)
			delete(h.deleted, sn)
		}
	}
}

func (h *history) clean() {
	o := GCOptions{Win: -1}
	if h.rnd.IntN(2) == 0 {
		o.Budget = 4 << 10 // 192 chunks: several passes
	}
	r := h.collect(h.owner, o)
	if h.rnd.IntN(2) == 0 {
		h.exec(`UPDATE packs SET swept_at = swept_at - interval '2 days'`)
	}
	if r.Busy {
		h.t.Error("no backup runs, and yet it is busy")
	}
	h.bounded()
}

// bounded checks that what is stored is not much more than what is needed.
func (h *history) bounded() {
	if n := get[int](h.world, `SELECT count(*) FROM packs WHERE swept_at IS NULL AND objects > shadowed + dead AND dead_bytes > size * 0.4`); n != 0 {
		h.t.Errorf("%d packs are mostly dead after a cleaning", n)
	}
	live := map[id.Object]bool{}
	for _, tree := range h.trees {
		for _, o := range tree {
			live[o] = true
		}
	}
	if n := get[int](h.world, `SELECT count(*) FROM objects`); n != len(live) {
		h.t.Errorf("%d objects are stored, %d are needed", n, len(live))
	}
}

// verify checks every object of every snapshot that is live or can be taken back.
func (h *history) verify() {
	h.t.Helper()
	h.sound()
	for sn, tree := range h.trees {
		if !h.check(h.owner, tree) {
			h.t.Fatalf("the snapshot %s (deleted: %v) has lost an object", sn, h.deleted[sn])
		}
	}
}

// Random histories of backups, deletions, retention and cleaning, against the model.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(newWorld(t, func(cfg *Config) { cfg.Grace = -1 }), seed, 2)
			acts := []func(){h.backup, h.backup, h.backup, h.delete, h.delete, h.undelete, h.pin, h.retire, h.purge, h.clean, h.clean,
				func() { must(h.Scrub(h.ctx, system, time.Hour, nil))(t) },
				func() {
					if r := must(h.RebuildIndex(h.ctx, system, nil))(t); r.Damaged+r.Missing+r.Incomplete+r.Foreign != 0 {
						t.Errorf("%+v", r)
					}
				}}
			h.backup()
			for range 120 {
				acts[h.rnd.IntN(len(acts))]()
				if h.rnd.IntN(8) == 0 {
					h.verify()
				}
				if t.Failed() {
					return
				}
			}
			h.clean()
			h.verify()
			h.exec(`UPDATE snapshots SET pinned_at = NULL`)
			clear(h.pinned)
			for h.some(false) != (id.Snapshot{}) {
				h.delete()
			}
			h.exec(`UPDATE snapshots SET purge_after = now()`)
			h.collect(h.owner, all)
			h.exec(`UPDATE packs SET swept_at = swept_at - interval '2 days'`)
			h.collect(h.owner, all)
			if names := h.names(); len(names) != 1 {
				t.Errorf("everything was deleted, and the store has %d blobs", len(names))
			}
		})
	}
}

// Two devices write into one space, their owner deletes, and two cleaners never rest.
func TestCleaningBesideWriters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, atOnce)
	owner := w.user()
	shared := fresh(60) // what both devices have, over and over
	space := make(chan id.Space, 1)
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	var swept, busy int64
	var cleaners, writers sync.WaitGroup
	w.backup(w.device(owner), 1)
	space <- w.spaceOf(owner)
	at := <-space
	var mu sync.Mutex
	for range 2 {
		cleaners.Go(func() {
			for ctx.Err() == nil {
				r, err := w.Collect(ctx, system, at, GCOptions{Win: -1, Budget: 1 << 10})
				if err != nil && !errors.Is(err, fault.Conflict) && ctx.Err() == nil {
					t.Errorf("cleaning: %v", err)
				}
				mu.Lock()
				swept += r.Objects
				if r.Busy {
					busy++
				}
				mu.Unlock()
			}
		})
	}
	for n := range 2 {
		dev := w.device(owner)
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 2))
			for range 15 {
				ids := slices.Clone(shared[rnd.IntN(30):][:30])
				rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				ids = append(ids, fresh(3)...)
				b, err := w.Begin(w.ctx, dev, nil)
				if err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				missing, err := w.Missing(w.ctx, dev, b.ID, b.Fence, ids)
				if err != nil {
					t.Errorf("missing: %v", err)
					return
				}
				var send []id.Object
				for i, m := range missing {
					if m {
						send = append(send, ids[i])
					}
				}
				leaf := node{object(), nil, ids}
				if _, err := w.upload(dev, b, told(50, send, leaf)); err != nil {
					t.Errorf("upload: %v", err)
					return
				}
				sn, err := w.commit(dev, b, leaf.id)
				if err != nil {
					t.Errorf("a writer was deceived: %v", err)
					return
				}
				if !w.check(owner, append(ids, leaf.id)) {
					t.Error("a live snapshot has lost an object")
					return
				}
				if err := w.DeleteSnapshot(w.ctx, owner, sn.ID); err != nil {
					t.Errorf("delete: %v", err)
					return
				}
			}
		})
	}
	writers.Wait()
	stop()
	cleaners.Wait()
	w.sound()
	r := w.collect(owner, all)
	t.Logf("%d objects were swept beside the writers, %d at the end; %d times it was busy", swept, r.Objects, busy)
	if n := get[int](w, `SELECT count(*) FROM objects`); n != 3 { // the first backup's
		t.Errorf("%d objects are left", n)
	}
}
