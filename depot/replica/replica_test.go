package replica_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/open"
	"github.com/holdfast-backup/holdfast/depot/blob/s3/s3test"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestCopy: what there was before and what comes after, deletions and their withdrawal, copies of the database.
func TestCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.backup()
	meta := "meta/2026-01-02t03-04-05z-" + hexOf("sealed") + ".age"
	blobtest.Put(t, w.store, meta, []byte("sealed"))
	blobtest.Put(t, w.store, "meta/notes", []byte("not ours"))
	if r := w.copy(); r.Packs != 2 || r.Records != 3 || r.Bytes == 0 {
		t.Errorf("%+v", r)
	}
	w.ok(os.Remove(w.dir + "/meta/notes"))
	w.same()
	if st := w.state(); st.LagPacks != 0 || st.LagSince != nil || st.Packs != 2 || st.Bytes == 0 || st.ReachedAt == nil || st.Error != "" || !st.Configured {
		t.Errorf("%+v", st)
	}
	if r := w.copy(); !r.Idle() {
		t.Errorf("nothing to do: %+v", r)
	}
	second := w.backup()
	if st := w.state(); st.LagPacks != 2 || st.LagBytes == 0 || st.LagSince == nil || st.Packs != 2 {
		t.Errorf("%+v", st)
	}
	w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, first))
	if r := w.copy(); r.Packs != 2 || r.Records != 2 {
		t.Errorf("%+v", r)
	}
	w.same()
	_, err := w.catalog.RestoreDeleted(w.ctx, w.ann, first)
	w.ok(err)
	if r := w.copy(); r.Deleted != 1 {
		t.Errorf("%+v", r)
	}
	w.same()
	w.complete()
	if n := w.count(`SELECT count(*) FROM snapshots WHERE id IN ($1, $2)`, first, second); n != 2 {
		t.Error(n)
	}
	if _, err := w.Copy(w.ctx, w.ann); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
	if _, err := w.States(w.ctx, w.ann); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
}

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// TestKilled: a pass that ends at any step is continued by the next, and the replica is never half of a snapshot.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.backup()
	w.copy()
	for _, op := range []blobtest.Op{blobtest.Create, blobtest.Write, blobtest.Commit, blobtest.Acked, blobtest.Stat, blobtest.List, blobtest.Delete} {
		sn := w.backup()
		_, other := w.backup(), w.backup()
		w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, other))
		failures := 0
		for n := 0; ; n++ {
			w.faulty.Fail(op, n, 1, blobtest.ErrGone)
			_, err := w.Copy(w.ctx, actor.System())
			w.faulty.Heal()
			w.complete()
			if err == nil {
				break
			}
			failures++
			if st := w.state(); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), w.there) || st.FailingSince == nil || st.Error == "" {
				t.Fatalf("%s: %v, %+v", op, err, st)
			}
			w.begin() // the process is another one
			if _, err := w.Copy(w.ctx, actor.System()); err == nil {
				w.same()
				w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, sn))
				sn = w.backup()
			}
		}
		if failures == 0 && op != blobtest.Delete {
			t.Errorf("%s never failed", op)
		}
		w.same()
		if st := w.state(); st.FailingSince != nil || st.Error != "" || st.LagSince != nil {
			t.Errorf("%s: %+v", op, st)
		}
	}
}

// TestPacksFirst: in the middle of a pass, too, a record is there only after its packs; even if it is written while packs are copied.
func TestPacksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.backup()
	h := &hooked{}
	inner := w.cfg.Open
	w.cfg.Open = func(ctx context.Context, url string) (blob.Store, error) {
		s, err := inner(ctx, url)
		h.Store = s
		return h, err
	}
	w.begin()
	late := 0
	h.hook = func(name string) {
		if strings.Contains(name, "/packs/") && late < 3 {
			late++
			w.backup()
		}
		w.complete()
	}
	w.copy()
	h.hook = nil
	w.copy()
	if late != 3 {
		t.Error("nothing came meanwhile")
	}
	w.same()
}

// TestTurns: a space with much to copy leaves others their turn, and its records still come last.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 4 {
		w.backup()
	}
	ann, annas := w.device, w.space()
	w.ann, w.device = w.person("bob")
	bobs := w.backup()
	h := &hooked{}
	inner := w.cfg.Open
	w.cfg.Open = func(ctx context.Context, url string) (blob.Store, error) {
		s, err := inner(ctx, url)
		h.Store = s
		return h, err
	}
	w.begin()
	w.InPortions(1, 2)
	var order []string
	h.hook = func(name string) {
		switch {
		case !strings.HasPrefix(name, catalog.SnapshotsPrefix(annas)) && strings.Contains(name, "/snapshots/"):
			order = append(order, "bob's record")
		case strings.Contains(name, "/snapshots/"):
			order = append(order, "a record")
		case strings.HasPrefix(name, catalog.SpaceName(annas)[:20]) && strings.Contains(name, "/packs/"):
			order = append(order, "a pack")
		}
	}
	w.copy()
	if got := strings.Join(order, ", "); got != "a pack, a pack, bob's record, a pack, a pack, a pack, a pack, a pack, a pack, a record, a record, a record, a record" {
		t.Error(got)
	}
	w.same()
	if w.count(`SELECT count(*) FROM snapshots WHERE id = $1`, bobs) != 1 || ann == w.device {
		t.Error("bob has nothing")
	}
}

// TestAway: a replica that is away for a day is not made anew, is told of, and catches up.
func TestAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.backup()
	w.copy()
	w.ok(os.Rename(w.there, w.there+".away"))
	w.backup()
	fails := func() {
		t.Helper()
		if _, err := w.Copy(w.ctx, actor.System()); !errors.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	fails()
	w.begin()
	fails()
	w.ok(os.Mkdir(w.there, 0o700)) // the mount point
	fails()
	if len(w.Stores(w.ctx)) != 0 {
		t.Error("it can be read from")
	}
	if st := w.state(); st.Trouble != "" {
		t.Error(st.Trouble)
	}
	w.shift(61 * time.Minute)
	fails()
	if st := w.state(); !strings.Contains(st.Trouble, "has failed for 61 minutes: ") {
		t.Errorf("%q", st.Trouble)
	}
	w.shift(24 * time.Hour)
	fails()
	st := w.state()
	if st.LagPacks != 2 || st.LagSince == nil || w.now().Sub(*st.LagSince) < 25*time.Hour || !strings.Contains(st.Trouble, "has failed for 25 hours: ") {
		t.Errorf("%+v, %q", st, st.Trouble)
	}
	w.exec(`UPDATE replicas SET failing_since = NULL`)
	if text := w.state().Trouble; !strings.Contains(text, "has lacked something for 25 hours") {
		t.Errorf("%q", text)
	}
	w.ok(os.Remove(w.there))
	w.ok(os.Rename(w.there+".away", w.there))
	w.copy()
	w.same()
	st = w.state()
	if text := st.Trouble; text != "" || st.LagSince != nil {
		t.Errorf("%q", text)
	}
	w.shift(72 * time.Hour)
	w.copy()
	if text := w.state().Trouble; !strings.Contains(text, "was not compared with the store for 4 days") {
		t.Errorf("%q", text)
	}
	w.shift(2 * time.Hour)
	st = w.state()
	if text := st.Trouble; st.Configured || !strings.Contains(text, "is in no worker's configuration") {
		t.Errorf("%q", text)
	}
}

// TestSilent: a replica that does not answer is a failure, too; one that is slow and gets something is not.
func TestSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.backup()
	w.copy()
	w.backup()
	w.faulty.Slow(time.Hour)
	ctx, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := w.Copy(ctx, actor.System()); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	if st := w.state(); st.FailingSince == nil || !strings.Contains(st.Error, "did not answer") {
		t.Errorf("%+v", st)
	}
	ctx, stop := context.WithCancel(w.ctx)
	stop()
	if _, err := w.Copy(ctx, actor.System()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.faulty.Heal()
	w.copy()
	w.same()
}

// TestUnreadable: what is wrong in the store does not reach the replica and holds up nothing else; mended, it is copied.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := w.backup(), w.backup()
	file := w.file(w.dir, bad, 0)
	w.rot(file)
	sound := w.file(w.dir, good, 1)
	hidden, err := os.ReadFile(sound)
	w.ok(err)
	w.ok(os.Remove(sound))
	if r := w.copy(); r.Packs != 2 || r.Unreadable != 2 {
		t.Errorf("%+v", r)
	}
	there := contents(t, w.there)
	if has(there, catalog.PackName(w.space(), w.packs[bad][0])) || !has(there, catalog.PackName(w.space(), w.packs[bad][1]), catalog.SnapshotName(w.space(), good)) {
		t.Error("the wrong ones were copied")
	}
	if st := w.state(); st.LagPacks != 2 || st.FailingSince != nil {
		t.Errorf("%+v", st)
	}
	if r := w.copy(); !r.Idle() {
		t.Errorf("it is tried again at once: %+v", r)
	}
	w.rot(file) // back
	w.ok(os.WriteFile(sound, hidden, 0o600))
	w.shift(2 * time.Minute)
	if r := w.copy(); r.Packs != 2 {
		t.Errorf("%+v", r)
	}
	w.same()

	// Records and copies of the database, likewise.
	third := w.backup()
	record := w.dir + "/" + catalog.SnapshotName(w.space(), third)
	w.rot(record)
	name := "/meta/2026-01-02t03-04-05z-" + hexOf("sealed") + ".age"
	w.ok(os.Mkdir(w.dir+"/meta", 0o700))
	w.ok(os.WriteFile(w.dir+name, []byte("Sealed"), 0o600))
	if r := w.copy(); r.Packs != 2 || r.Unreadable != 2 || r.Records != 0 {
		t.Errorf("%+v", r)
	}
	if w.state().LagSince == nil {
		t.Error("it counts as complete")
	}
	w.rot(record)
	w.ok(os.WriteFile(w.dir+name, []byte("sealed"), 0o600))
	if r := w.copy(); r.Records != 2 {
		t.Errorf("%+v", r)
	}
	w.same()
}

// TestStoreAway: a store that does not answer deletes nothing and marks nothing as unreadable.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sn := w.backup()
	away := blobtest.NewFaulty(w.store)
	w.cfg.Store = away
	w.begin()
	for _, op := range []blobtest.Op{blobtest.Open, blobtest.List, blobtest.Stat} {
		away.Fail(op, 0, -1, blobtest.ErrGone)
		if _, err := w.Copy(w.ctx, actor.System()); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", op, err)
		}
		away.Heal()
	}
	// A bad sector: the store answers, and this one blob breaks off.
	away.Fail(blobtest.Read, 0, 1, blobtest.ErrGone)
	if r := w.copy(); r.Unreadable != 1 {
		t.Errorf("%+v", r)
	}
	w.shift(2 * time.Minute)
	w.copy()
	w.same()
	away.Fail(blobtest.Read, 0, 1, blobtest.ErrGone)
	w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, sn))
	if r := w.copy(); r.Unreadable != 1 || w.state().LagSince == nil {
		t.Errorf("%+v", r)
	}
	w.copy()
	w.same()
}

// TestLeave: what has left the store leaves the replica a month later, unless it is known again or the store has it.
func TestLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, kept := w.backup(), w.backup()
	old2 := w.backup()
	oldMeta, newMeta := "meta/2026-01-02t03-04-05z-"+hexOf("old")+".age", "meta/2026-02-02t03-04-05z-"+hexOf("new")+".age"
	blobtest.Put(t, w.store, oldMeta, []byte("old"))
	w.copy()
	blobtest.Put(t, w.store, newMeta, []byte("new"))
	w.ok(w.store.Delete(w.ctx, oldMeta))
	for _, sn := range []id.Snapshot{old, old2} {
		w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, sn))
	}
	w.copy()
	w.shift(8 * 24 * time.Hour)
	// Younger copies of the database than the clock says are none: theirs says a month ago.
	w.collect()
	names := []string{catalog.SnapshotName(w.space(), old), catalog.DeletionName(w.space(), old),
		catalog.PackName(w.space(), w.packs[old][0]), catalog.PackName(w.space(), w.packs[old][1])}
	saved := contents(t, w.dir)
	if slicesHas(saved, names) {
		t.Fatal("nothing left the store")
	}
	before := contents(t, w.there)
	w.shift(29 * 24 * time.Hour)
	w.copy()
	if there := contents(t, w.there); !has(there, names...) {
		t.Error("it left too early")
	}
	// One of old2's packs is back in the store without anybody knowing, and the other is known again.
	stray, known := catalog.PackName(w.space(), w.packs[old2][0]), catalog.PackName(w.space(), w.packs[old2][1])
	blobtest.Put(t, w.store, stray, []byte(before[stray]))
	w.exec(`INSERT INTO packs (space_id, name, size, objects) SELECT id, $1, $2, 1 FROM spaces`, w.packs[old2][1], len(before[known]))
	blobtest.Put(t, w.store, known, []byte(before[known]))
	w.shift(2 * 24 * time.Hour)
	w.exec(`DELETE FROM replica_gone WHERE what = $1`, w.packs[old][1][:]) // nobody wrote down that it left
	if r := w.copy(); r.Deleted == 0 {
		t.Errorf("%+v", r)
	}
	there := contents(t, w.there)
	if slicesHas(there, names[:3]) {
		t.Error("it stays for ever")
	}
	if !has(there, names[3], stray, known, catalog.SnapshotName(w.space(), kept), newMeta) {
		t.Error("too much has left")
	}
	if has(there, oldMeta) {
		t.Error("the old copy of the database stays for ever")
	}
	if n := w.count(`SELECT count(*) FROM replica_gone`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// slicesHas reports whether a store has any of the names.
func slicesHas(store map[string]string, names []string) bool {
	for _, n := range names {
		if has(store, n) {
			return true
		}
	}
	return false
}

// TestRebuild: a replica alone is enough to find everything again, and is a store that backups go on in.
func TestRebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.backup()
	}
	deleted := w.backup()
	w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, deleted))
	w.copy()
	w.ok(os.RemoveAll(w.dir))
	there, err := open.OpenURL(w.ctx, "file://"+w.there)
	w.ok(err)
	fresh := catalog.New(catalog.Config{DB: pgtest.New(t), Store: there})
	r, err := fresh.RebuildIndex(w.ctx, actor.System(), nil)
	if err != nil || r.Adopted != 8 || r.Restored != 4 || r.Incomplete+r.Damaged+r.Missing+r.Foreign != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	// With its own database, too: then the store has only moved.
	moved := catalog.New(catalog.Config{DB: w.db, Store: there})
	if r, err := moved.Scrub(w.ctx, actor.System(), 0, nil); err != nil || r.Verified != 8 || len(r.Problems) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	w.catalog = moved
	w.backup()
}

// TestOneAtATime: two processes do not copy to one replica at once, and two replicas do not wait for each other.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.backup()
	second := w.there + "2"
	w.cfg.URLs = append(w.cfg.URLs, "file://"+second)
	h := &hooked{}
	inner := w.cfg.Open
	var once sync.Once
	w.cfg.Open = func(ctx context.Context, url string) (blob.Store, error) {
		s, err := inner(ctx, url)
		if err != nil || !strings.HasSuffix(url, "2") {
			return s, err
		}
		h.Store = s
		h.hook = func(string) {
			once.Do(func() {
				if r, err := w.Copy(w.ctx, actor.System()); err != nil || r.Bytes > 0 && w.count(`SELECT count(*) FROM replicas WHERE reached_at IS NOT NULL`) != 1 {
					t.Errorf("beside another: %+v, %v", r, err)
				}
			})
		}
		return h, nil
	}
	w.begin()
	w.copy()
	w.same()
	if len(contents(t, second)) != len(contents(t, w.dir)) {
		t.Error("the second replica lacks something")
	}
	// One that is away does not hinder the other.
	w.ok(os.Rename(second, second+".away"))
	w.begin()
	w.backup()
	if _, err := w.Copy(w.ctx, actor.System()); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	w.same()
	// One that nobody names is forgotten after a week.
	w.cfg.URLs = w.cfg.URLs[:1]
	w.begin()
	w.shift(6 * 24 * time.Hour)
	w.copy()
	if n := w.count(`SELECT count(*) FROM replicas`); n != 2 {
		t.Error(n)
	}
	w.shift(2 * 24 * time.Hour)
	w.copy()
	if n := w.count(`SELECT count(*) FROM replicas`); n != 1 {
		t.Error(n)
	}
}

// TestBucket: a replica in a bucket of another provider, with keys of its own.
func TestBucket(t *testing.T) { // not parallel: sets the environment
	server := s3test.Start(t)
	server.Bucket(t, "copies")
	t.Setenv("OFFSITE_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("OFFSITE_SECRET_ACCESS_KEY", s3test.SecretKey)
	w := newWorld(t)
	w.cfg.Open = nil
	w.cfg.URLs = []string{"s3://copies/here?keys=OFFSITE&region=us-east-1&endpoint=" + server.Endpoint}
	w.begin()
	sn := w.backup()
	w.backup()
	w.ok(w.catalog.DeleteSnapshot(w.ctx, w.ann, sn))
	if r := w.copy(); r.Packs != 4 {
		t.Errorf("%+v", r)
	}
	there, err := open.OpenURL(w.ctx, w.cfg.URLs[0])
	w.ok(err)
	for name, b := range contents(t, w.dir) {
		if got := blobtest.Get(t, there, name, 0, -1); !bytes.Equal(got, []byte(b)) {
			t.Errorf("%s differs", name)
		}
	}
	w.ok(there.Delete(w.ctx, catalog.PackName(w.space(), w.packs[sn][0])))
	if r, err := w.Check(w.ctx, actor.System(), 0); err != nil || r.Missing != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if r := w.copy(); r.Packs != 1 {
		t.Errorf("%+v", r)
	}
	w.rot(w.file(w.dir, sn, 1))
	if r, err := w.catalog.Scrub(w.ctx, actor.System(), 0, nil); err != nil || r.Mended != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseURLs(t *testing.T) {
	t.Parallel()
	list, err := replica.ParseURLs(" file:///a, s3://b/c\nfile:///d ")
	if err != nil || strings.Join(list, " ") != "file:///a s3://b/c file:///d" {
		t.Errorf("%q, %v", list, err)
	}
	if list, err := replica.ParseURLs(" , "); err != nil || len(list) != 0 {
		t.Errorf("%q, %v", list, err)
	}
	for _, bad := range []string{"/a", "file:///a,file:///a/", "s3://b,s3://b/", "file:///a,ftp://x", "file:///1,file:///2,file:///3,file:///4,file:///5,file:///6,file:///7,file:///8,file:///9"} {
		if _, err := replica.ParseURLs(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	dir := t.TempDir()
	w := &world{t: t}
	w.ok(os.Mkdir(dir+"/store", 0o700))
	w.ok(os.Symlink(dir+"/store", dir+"/link"))
	for _, url := range []string{"file://" + dir + "/store", "file://" + dir + "/link", "file://relative"} {
		if _, err := replica.New(replica.Config{StoreURL: "file://" + dir + "/store", URLs: []string{url}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", url, err)
		}
	}
}
