package catalog

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	c := chunks(fresh(3)...)
	leaf := node{object(), nil, c.ids}
	root := node{object(), []id.Object{leaf.id}, c.ids[:1]}
	// Out of order: the root before what it refers to.
	w.mustUpload(dev, b, nodes(root), nodes(leaf), c)
	before := time.Now().Add(-time.Second)
	sn := must(w.commit(dev, b, root.id))(t)
	if sn.DeviceID != dev.Device || !bytes.Equal(sn.Root, root.id[:]) || string(sn.Manifest) != "sealed" || sn.Files != 3 || sn.Bytes != 300 ||
		sn.UploadedBytes != 30 || sn.CreatedAt.Before(before) || sn.CreatedAt.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v", sn)
	}
	if got := must(w.Backup(w.ctx, owner, b.ID))(t); got.State != Committed || *got.SnapshotID != sn.ID || got.EndedAt == nil {
		t.Errorf("%+v", got)
	}
	// Repeated: the same. With another fence: not.
	if again := must(w.commit(dev, b, root.id))(t); again.ID != sn.ID || !again.CreatedAt.Equal(sn.CreatedAt) {
		t.Errorf("%+v", again)
	}
	_, err := w.commit(dev, &Begun{ID: b.ID, Fence: b.Fence - 1}, root.id)
	wantKind(t, err, fault.SessionExpired)
	_, err = w.upload(dev, b, chunks(object()))
	wantKind(t, err, fault.SessionExpired)

	// The record says it all.
	raw := must(w.get(w.ctx, snapshotName(w.spaceOf(owner), sn.ID), record.MaxSize))(t)
	r := must(record.ParseSnapshot(raw))(t)
	if r.ID != sn.ID || r.Device != dev.Device || r.Backup != b.ID || r.Root != root.id || !r.Created.Equal(sn.CreatedAt) || r.Space != w.spaceOf(owner) {
		t.Errorf("%+v", r)
	}
	// An unchanged tree again: another snapshot.
	b = w.begin(dev)
	if again := must(w.commit(dev, b, root.id))(t); again.ID == sn.ID {
		t.Error("a second session made no snapshot")
	}
}

func TestCommitMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	b := w.begin(dev)
	c := chunks(fresh(3)...)
	gone := object()
	leaf := node{object(), nil, append([]id.Object{gone}, c.ids...)}
	inner := object() // a node that never came
	root := node{object(), []id.Object{leaf.id, inner}, nil}
	w.mustUpload(dev, b, c, nodes(leaf, root))
	missing := func(err error) []id.Object {
		t.Helper()
		wantKind(t, err, fault.ObjectsMissing)
		var f *fault.Error
		errors.As(err, &f)
		var ids []id.Object
		for part := range slices.Chunk(f.Data, 16) {
			ids = append(ids, id.Object(part))
		}
		return ids
	}
	_, err := w.commit(dev, b, root.id)
	if got := missing(err); len(got) != 2 || !slices.Contains(got, gone) || !slices.Contains(got, inner) {
		t.Errorf("missing %v, want %v and %v", got, gone, inner)
	}
	if n := get[int](w, `SELECT (SELECT count(*) FROM snapshots) + (SELECT count(*) FROM nodes WHERE complete)`); n != 0 || w.blobs("/snapshots/") != 0 {
		t.Error("a refused commit left something")
	}
	unknown := object()
	_, err = w.commit(dev, b, unknown)
	if got := missing(err); len(got) != 1 || got[0] != unknown {
		t.Errorf("missing %v", got)
	}
	// A chunk is no node.
	_, err = w.commit(dev, b, c.ids[0])
	missing(err)
	// What is missing may be sent, and the commit repeated.
	w.mustUpload(dev, b, chunks(gone), nodes(node{id: inner}))
	must(w.commit(dev, b, root.id))(t)
	if n := get[int](w, `SELECT count(*) FROM nodes WHERE NOT complete`); n != 0 {
		t.Errorf("%d nodes are not marked", n)
	}

	// At most a thousand are listed.
	b = w.begin(dev)
	wide := node{object(), nil, fresh(30_000)}
	w.mustUpload(dev, b, nodes(wide))
	_, err = w.commit(dev, b, wide.id)
	if got := missing(err); len(got) != MaxListed {
		t.Errorf("%d are listed", len(got))
	}
	// Somebody else's objects do not count.
	other := w.device(w.user())
	b = w.begin(other)
	w.mustUpload(other, b, nodes(leaf))
	_, err = w.commit(other, b, leaf.id)
	if got := missing(err); len(got) != 4 {
		t.Errorf("%d are missing in another space, want 4", len(got))
	}
	// Nodes that refer to each other in a ring end the walk all the same.
	b = w.begin(dev)
	x, y := object(), object()
	w.mustUpload(dev, b, nodes(node{x, []id.Object{y}, nil}, node{y, []id.Object{x, y}, nil}))
	must(w.commit(dev, b, x))(t)
}

func TestCommitRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	b := w.begin(dev)
	leaf := node{id: object()}
	w.mustUpload(dev, b, nodes(leaf))
	good := CommitInput{Backup: b.ID, Fence: b.Fence, Root: leaf.id, Manifest: []byte("m")}
	for name, c := range map[string]struct {
		change func(*CommitInput)
		kind   fault.Kind
	}{
		"no root":        {func(in *CommitInput) { in.Root = id.Object{} }, fault.Invalid},
		"no manifest":    {func(in *CommitInput) { in.Manifest = nil }, fault.Invalid},
		"large manifest": {func(in *CommitInput) { in.Manifest = make([]byte, MaxManifest+1) }, fault.TooLarge},
		"negative":       {func(in *CommitInput) { in.Problems = -1 }, fault.Invalid},
	} {
		in := good
		c.change(&in)
		if _, err := w.Commit(w.ctx, dev, in); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(w.Commit(w.ctx, dev, good))(t)
}

// The store fails while the record is written, or the database does after it: nothing is visible, and the repeat
// makes one snapshot, with one record.
func TestCommitSurvivesTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	leaf, other := node{id: object()}, node{id: object()}
	w.mustUpload(dev, b, nodes(leaf, other))
	for _, step := range []string{"open", "create", "write", "commit", "committed"} {
		w.store.on(func(op, name string) error {
			if op == step {
				return errDisk
			}
			return nil
		})
		if _, err := w.commit(dev, b, leaf.id); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", step, err)
		}
		if n := get[int](w, `SELECT count(*) FROM snapshots`); n != 0 {
			t.Errorf("%s: a snapshot is visible", step)
		}
	}
	w.store.on(nil)
	if w.blobs("/snapshots/") != 1 {
		t.Fatal("the record should be in the store")
	}
	// The agent changed its mind about what to commit: another id, another record.
	sn := must(w.commit(dev, b, other.id))(t)
	if sn.ID == id.Snapshot(b.ID) || w.blobs("/snapshots/") != 2 {
		t.Error("two snapshots share a record")
	}
	// Or it repeats what it did: the same record.
	b = w.begin(dev)
	w.store.on(func(op, name string) error {
		if op == "committed" {
			return errDisk
		}
		return nil
	})
	w.commit(dev, b, leaf.id)
	w.store.on(nil)
	sn = must(w.commit(dev, b, leaf.id))(t)
	r := must(record.ParseSnapshot(must(w.get(w.ctx, snapshotName(w.spaceOf(owner), sn.ID), record.MaxSize))(t)))(t)
	if w.blobs("/snapshots/") != 3 || !r.Created.Equal(sn.CreatedAt) {
		t.Error("the repeat did not take the record that was there")
	}
}

// A rebuild may find the record of a commit whose transaction failed before the agent repeats it.
func TestCommitAfterItsRecordWasAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	b := w.begin(dev)
	leaf := node{id: object()}
	w.mustUpload(dev, b, nodes(leaf))
	w.store.on(func(op, name string) error {
		if op == "committed" {
			return errDisk
		}
		return nil
	})
	w.commit(dev, b, leaf.id)
	w.store.on(nil)
	if r := must(w.RebuildIndex(w.ctx, system, nil))(t); r.Restored != 1 {
		t.Fatalf("%+v", r)
	}
	sn := must(w.commit(dev, b, leaf.id))(t)
	if sn.ID != id.Snapshot(b.ID) || get[int](w, `SELECT count(*) FROM snapshots`) != 1 {
		t.Error("not the same snapshot")
	}
}

func TestConcurrentCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	shared := chunks(fresh(50)...)
	var list []node
	root := node{id: object()}
	for range 20 {
		n := node{object(), nil, shared.ids}
		list = append(list, n)
		root.nodes = append(root.nodes, n.id)
	}
	tree := nodes(append(list, root)...)
	var wg sync.WaitGroup
	for range 6 {
		dev := w.device(owner)
		wg.Go(func() {
			b, err := w.Begin(w.ctx, dev, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for _, m := range []made{tree, shared} {
				if _, err := w.upload(dev, b, m); err != nil {
					t.Error(err)
				}
			}
			ids := make(chan id.Snapshot, 3)
			for range 3 { // each commit in triplicate
				go func() {
					sn, err := w.commit(dev, b, root.id)
					if err != nil {
						t.Error(err)
						sn = &Snapshot{}
					}
					ids <- sn.ID
				}()
			}
			if a, b, c := <-ids, <-ids, <-ids; a != b || b != c {
				t.Error("a session made several snapshots")
			}
		})
	}
	wg.Wait()
	if n := get[int](w, `SELECT count(*) FROM snapshots`); n != 6 {
		t.Errorf("%d snapshots", n)
	}
	if p := must(w.Snapshots(w.ctx, owner, SnapshotFilter{}, 10, ""))(t); len(p.Snapshots) != 6 || strings.TrimSpace(p.Snapshots[0].Cursor()) == "" {
		t.Errorf("%+v", p)
	}
}
