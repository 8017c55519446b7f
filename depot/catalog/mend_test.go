package catalog

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// withSpares gives a world two spare stores: one that can be made to fail, and a good one.
func withSpares(t *testing.T) (w *world, first *blobtest.Faulty, second *mem.Store) {
	t.Helper()
	first, second = blobtest.NewFaulty(mem.New()), mem.New()
	w = newWorld(t, func(cfg *Config) {
		cfg.Spares = func(context.Context) []blob.Store { return []blob.Store{first, second} }
	})
	return w, first, second
}

func (w *world) spared(to blob.Store, space id.Space, packs ...made) {
	w.t.Helper()
	for _, m := range packs {
		blobtest.Put(w.t, to, packName(space, m.name), m.bytes)
	}
}

// TestMend: what is wrong or lost comes from the first spare store that has it right; readers have it at once.
func TestMend(t *testing.T) {
	t.Parallel()
	w, first, second := withSpares(t)
	ann := w.user()
	_, packs := w.backup(w.device(ann), 3)
	space := w.spaceOf(ann)
	w.spared(first, space, packs...)
	w.spared(second, space, packs...)
	first.Flip(packName(space, packs[0].name), 5)
	for name, harm := range map[string]func(){
		"lost":                  func() { w.lose(ann, packs[0]) },
		"wrong":                 func() { w.corrupt(ann, packs[0]) },
		"the first breaks off":  func() { w.corrupt(ann, packs[1]); first.Fail(blobtest.Read, 0, 1, blobtest.ErrGone) },
		"the first is not open": func() { w.lose(ann, packs[1]); first.Fail(blobtest.Open, 0, 1, blobtest.ErrGone) },
	} {
		harm()
		r := must(w.Scrub(w.ctx, system, 0, nil))(t)
		if r.Mended != 1 || r.Damaged+r.Missing != 0 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Text, "fetched back") {
			t.Errorf("%s: %+v", name, r)
		}
		w.readable(ann, packs...)
		if n := get[int](w, `SELECT count(*) FROM packs WHERE damaged_at IS NOT NULL`); n != 0 {
			t.Errorf("%s: %d packs are flagged", name, n)
		}
	}
}

// TestMendLater: what no spare store has right is flagged, and mended when one has it.
func TestMendLater(t *testing.T) {
	t.Parallel()
	w, first, second := withSpares(t)
	ann := w.user()
	sn, packs := w.backup(w.device(ann), 3)
	space := w.spaceOf(ann)
	w.spared(first, space, packs[0])
	first.Flip(packName(space, packs[0].name), 5)
	w.corrupt(ann, packs[0])
	w.lose(ann, packs[1])
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Mended != 0 || r.Damaged != 1 || r.Missing != 1 {
		t.Errorf("%+v", r)
	}
	first.Heal()
	// A damaged pack is read where it is right, before any scrub.
	f := must(w.OpenPack(w.ctx, space, packs[0].name))(t)
	if b, err := io.ReadAll(f); err != nil || string(b) != string(packs[0].bytes) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	w.spared(second, space, packs[1])
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Mended != 2 || r.Incomplete != 0 {
		t.Errorf("%+v", r)
	}
	w.readable(ann, packs...)
	if ok := get[bool](w, `SELECT complete FROM nodes n JOIN snapshots s ON s.root = n.id WHERE s.id = $1`, sn.ID); !ok {
		t.Error("the snapshot does not count as complete")
	}
}

// TestMendFails: a store that fails ends the scrub, and leaves the pack to the next one.
func TestMendFails(t *testing.T) {
	t.Parallel()
	w, first, _ := withSpares(t)
	ann := w.user()
	_, packs := w.backup(w.device(ann), 3)
	w.spared(first, w.spaceOf(ann), packs...)
	name := packName(w.spaceOf(ann), packs[0].name)
	for _, op := range []string{"create", "write", "delete", "commit", "committed"} {
		w.corrupt(ann, packs[0])
		w.store.on(func(o, _ string) error {
			if o == op {
				return fault.Wrap(errDisk, fault.Unavailable, "the store")
			}
			return nil
		})
		if _, err := w.Scrub(w.ctx, system, 0, nil); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", op, err)
		}
		w.store.on(nil)
		must(w.Scrub(w.ctx, system, 0, nil))(t)
		w.readable(ann, packs...)
	}
	// Somebody sent it again while it was fetched.
	w.lose(ann, packs[0])
	w.store.on(func(o, n string) error {
		if o == "create" {
			w.store.on(nil)
			blobtest.Put(t, w.mem, name, packs[0].bytes)
		}
		return nil
	})
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Mended != 1 {
		t.Errorf("%+v", r)
	}
	w.readable(ann, packs...)
	// Or it was unlinked: then it does not come back.
	w.lose(ann, packs[0])
	w.store.on(func(o, n string) error {
		if o == "create" {
			w.store.on(nil)
			w.exec(`DELETE FROM packs WHERE name = $1`, packs[0].name)
		}
		return nil
	})
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Mended != 0 || r.Missing != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := w.mem.Stat(w.ctx, name); !errors.Is(err, fault.NotFound) {
		t.Errorf("it came back: %v", err)
	}
}

// TestCommitted: whoever copies elsewhere is told of each new snapshot, once.
func TestCommitted(t *testing.T) {
	t.Parallel()
	told := 0
	w := newWorld(t, func(cfg *Config) { cfg.Committed = func(context.Context) { told++ } })
	dev := w.device(w.user())
	w.backup(dev, 2)
	w.backup(dev, 2)
	if told != 2 {
		t.Error(told)
	}
	if _, err := w.commit(dev, w.begin(dev), object()); err == nil || told != 2 {
		t.Error(err, told)
	}
}

// TestNamesForReplicas: depot/replica takes apart what this package puts together.
func TestNamesForReplicas(t *testing.T) {
	t.Parallel()
	space, sn, p := id.Space{}.New(), id.Snapshot{}.New(), id.Pack{1, 2}
	if s, got, ok := ParsePackName(PackName(space, p)); !ok || s != space || got != p {
		t.Error(s, got, ok)
	}
	for name, deletion := range map[string]bool{SnapshotName(space, sn): false, DeletionName(space, sn): true} {
		if got, del, ok := ParseSnapshotName(name); !ok || got != sn || del != deletion || !strings.HasPrefix(name, SnapshotsPrefix(space)) {
			t.Error(name, got, del, ok)
		}
		if _, _, ok := ParsePackName(name); ok {
			t.Error(name)
		}
	}
	if _, _, ok := ParseSnapshotName(SpaceName(space)); ok || !strings.HasPrefix(SpaceName(space), Prefix) {
		t.Error(SpaceName(space))
	}
}
