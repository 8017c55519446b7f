package catalog

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func TestBeginMakesOneSpacePerOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	d1, d2 := w.device(owner), w.device(owner)
	done := make(chan error, 2)
	for _, d := range []actor.Actor{d1, d2} {
		go func() {
			b, err := w.Begin(w.ctx, d, nil)
			if err == nil && (!b.SpaceEmpty || b.ParentUsable || b.ChunkAvg != 1<<20 || b.TTL != 2*time.Minute || b.MaxPack == 0 || b.Fence == 0) {
				t.Errorf("begun %+v", b)
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n := get[int](w, `SELECT count(*) FROM spaces`); n != 1 {
		t.Fatalf("%d spaces", n)
	}
	if w.bus.count() != 2 || !strings.HasPrefix(w.bus.msgs[0], "device:dev_") {
		t.Errorf("told %q", w.bus.msgs)
	}
}

func TestBeginVoidsTheOlderSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	first := w.begin(dev)
	second := w.begin(dev)
	if second.Fence <= first.Fence {
		t.Errorf("fence %d after %d", second.Fence, first.Fence)
	}
	_, err := w.upload(dev, first, chunks(object()))
	wantKind(t, err, fault.SessionExpired)
	if b := must(w.Backup(w.ctx, dev, first.ID))(t); b.State != Void || b.EndedAt == nil {
		t.Errorf("state %+v", b)
	}
	w.mustUpload(dev, second, chunks(object()))
	if b := w.begin(dev); b.SpaceEmpty {
		t.Error("the space is not empty any more")
	}
}

func TestBeginParent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev, sibling, stranger := w.device(owner), w.device(owner), w.device(w.user())
	sn, _ := w.backup(dev, 3)
	usable := func(d actor.Actor, p id.Snapshot) bool { return must(w.Begin(w.ctx, d, &p))(t).ParentUsable }
	if !usable(dev, sn.ID) {
		t.Error("the own parent must be usable")
	}
	if usable(sibling, sn.ID) || usable(stranger, sn.ID) || usable(dev, id.Snapshot{}.New()) {
		t.Error("a parent of another device, of another space, or none, must not be usable")
	}
	if err := w.DeleteSnapshot(w.ctx, owner, sn.ID); err != nil {
		t.Fatal(err)
	}
	if usable(dev, sn.ID) {
		t.Error("a deleted parent must not be usable")
	}
}

func TestBeginRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	for name, c := range map[string]struct {
		a    actor.Actor
		kind fault.Kind
	}{
		"nobody":  {actor.Actor{}, fault.Unauthenticated},
		"person":  {owner, fault.Forbidden},
		"system":  {actor.System(), fault.Forbidden},
		"unknown": {actor.Actor{User: owner.User, Device: id.Device{}.New()}, fault.Unauthenticated},
	} {
		_, err := w.Begin(w.ctx, c.a, nil)
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := w.begin(dev)
	w.exec(`UPDATE users SET suspended_at = now() WHERE id = $1`, owner.User)
	_, err := w.Begin(w.ctx, dev, nil)
	wantKind(t, err, fault.Forbidden)
	wantKind(t, w.Progress(w.ctx, dev, b.ID, b.Fence, BackupProgress{}), fault.Unauthenticated)
	w.exec(`UPDATE users SET suspended_at = NULL`)
	w.exec(`UPDATE devices SET revoked_at = now() WHERE id = $1`, dev.Device)
	_, err = w.Begin(w.ctx, dev, nil)
	wantKind(t, err, fault.Unauthenticated)
	_, err = w.upload(dev, b, chunks(object()))
	wantKind(t, err, fault.Unauthenticated)
}

// calls are all calls of a session.
func (w *world) calls(b *Begun) map[string]func(a actor.Actor) error {
	m := chunks(object())
	in := UploadInput{b.ID, b.Fence, m.name, int64(len(m.bytes))}
	return map[string]func(a actor.Actor) error{
		"missing":  func(a actor.Actor) error { _, err := w.Missing(w.ctx, a, b.ID, b.Fence, nil); return err },
		"admit":    func(a actor.Actor) error { return w.Admit(w.ctx, a, in) },
		"upload":   func(a actor.Actor) error { _, err := w.upload(a, b, m); return err },
		"progress": func(a actor.Actor) error { return w.Progress(w.ctx, a, b.ID, b.Fence, BackupProgress{}) },
		"commit":   func(a actor.Actor) error { _, err := w.commit(a, b, object()); return err },
		"abort":    func(a actor.Actor) error { return w.Abort(w.ctx, a, b.ID, b.Fence) },
	}
}

func TestSessionCallsAreFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	check := func(b *Begun, a actor.Actor, kind fault.Kind) {
		t.Helper()
		for name, call := range w.calls(b) {
			if err := call(a); fault.KindOf(err) != kind {
				t.Errorf("%s: %v, want %s", name, err, kind)
			}
		}
	}
	check(b, actor.Actor{}, fault.Unauthenticated)
	check(b, owner, fault.Forbidden)
	check(b, w.device(owner), fault.NotFound)    // the same owner's other device
	check(b, w.device(w.user()), fault.NotFound) // another user's
	check(&Begun{ID: id.Backup{}.New(), Fence: b.Fence}, dev, fault.NotFound)
	check(&Begun{ID: b.ID, Fence: b.Fence + 1}, dev, fault.SessionExpired)
	if n := get[int](w, `SELECT count(*) FROM packs`); n != 0 {
		t.Error("something was stored")
	}
	if b := must(w.Backup(w.ctx, dev, b.ID))(t); b.State != Active {
		t.Errorf("the session itself is %s", b.State)
	}
	if err := w.Abort(w.ctx, dev, b.ID, b.Fence); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(w.ctx, dev, b.ID, b.Fence); err != nil {
		t.Error("a repeated abort must be harmless:", err)
	}
	calls := w.calls(b)
	delete(calls, "abort")
	for name, call := range calls {
		if err := call(dev); fault.KindOf(err) != fault.SessionExpired {
			t.Errorf("after abort, %s: %v", name, err)
		}
	}
}

func TestLapsedSessionIsVoidForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	for _, name := range []string{"missing", "admit", "upload", "progress", "commit", "abort"} {
		b := w.begin(dev)
		w.exec(`UPDATE backups SET last_seen_at = now() - interval '121 s' WHERE id = $1`, b.ID)
		if got := must(w.Backup(w.ctx, dev, b.ID))(t); got.State != Void {
			t.Errorf("%s: a lapsed session reads as %s", name, got.State)
		}
		if m := must(w.ActiveBackup(w.ctx, dev, dev.Device))(t); m != nil {
			t.Errorf("%s: a lapsed session is no active backup", name)
		}
		told := w.bus.count()
		wantKind(t, w.calls(b)[name](dev), fault.SessionExpired)
		if st := get[string](w, `SELECT state FROM backups WHERE id = $1`, b.ID); st != "void" {
			t.Errorf("%s left the state %s", name, st)
		}
		if w.bus.count() == told {
			t.Errorf("%s: nobody was told", name)
		}
		w.exec(`UPDATE backups SET last_seen_at = now() WHERE id = $1`, b.ID)
		wantKind(t, w.calls(b)[name](dev), fault.SessionExpired)
	}
	w.begin(dev)
	w.exec(`UPDATE backups SET last_seen_at = now() - interval '121 s'`)
	if n, err := w.ExpireSessions(w.ctx); n != 1 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	if n, _ := w.ExpireSessions(w.ctx); n != 0 {
		t.Errorf("expired %d again", n)
	}
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	b := w.begin(dev)
	calls := w.calls(b)
	for _, name := range []string{"missing", "admit", "upload", "progress"} {
		w.exec(`UPDATE backups SET last_seen_at = now() - interval '100 s'`)
		if err := calls[name](dev); err != nil {
			t.Fatal(name, err)
		}
		if age := get[float64](w, `SELECT extract(epoch FROM clock_timestamp() - last_seen_at)::float8 FROM backups`); age > 50 {
			t.Errorf("%s is no heartbeat", name)
		}
	}
}

// A pack that arrives slowly keeps its session alive for as long as its bytes come.
func TestSlowUploadKeepsTheSessionAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shortTTL)
	dev := w.device(w.user())
	b := w.begin(dev)
	m := chunks(fresh(20)...)
	_, err := w.Upload(w.ctx, dev, UploadInput{b.ID, b.Fence, m.name, int64(len(m.bytes))}, &slow{m.bytes, 6, 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
}

// slow gives its bytes in pieces, with a pause before each.
type slow struct {
	b      []byte
	pieces int
	pause  time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	n := copy(p, s.b[:len(s.b)/s.pieces])
	s.b, s.pieces = s.b[n:], max(1, s.pieces-1)
	return n, nil
}

func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	p := BackupProgress{"upload", 1, 2, 3, 4, 5, 6}
	if err := w.Progress(w.ctx, dev, b.ID, b.Fence, p); err != nil {
		t.Fatal(err)
	}
	admin := actor.Actor{User: w.user().User, Role: actor.Admin}
	for name, a := range map[string]actor.Actor{"device": dev, "owner": owner, "admin": admin} {
		got := must(w.ActiveBackup(w.ctx, a, dev.Device))(t)
		if got == nil || *got.Progress != p || got.State != Active || got.DeviceID != dev.Device {
			t.Errorf("%s sees %+v", name, got)
		}
		if got := must(w.Backup(w.ctx, a, b.ID))(t); *got.Progress != p {
			t.Errorf("%s reads %+v", name, got)
		}
	}
	for name, a := range map[string]actor.Actor{"another": w.user(), "another's device": w.device(w.user()), "sibling": w.device(owner)} {
		if got, err := w.ActiveBackup(w.ctx, a, dev.Device); got != nil || err != nil {
			t.Errorf("%s sees %+v, %v", name, got, err)
		}
		_, err := w.Backup(w.ctx, a, b.ID)
		wantKind(t, err, fault.NotFound)
	}
	_, err := w.Backup(w.ctx, actor.Actor{}, b.ID)
	wantKind(t, err, fault.Unauthenticated)
	wantKind(t, w.Progress(w.ctx, dev, b.ID, b.Fence, BackupProgress{Files: -1}), fault.Invalid)
	wantKind(t, w.Progress(w.ctx, dev, b.ID, b.Fence, BackupProgress{Phase: strings.Repeat("x", 41)}), fault.Invalid)
}

func TestExclusive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	space := w.spaceOf(owner)
	nothing := func(context.Context, *sqlx.Tx) error { return nil }
	wantKind(t, w.Exclusive(w.ctx, id.Space{}.New(), nothing), fault.NotFound)
	wantKind(t, w.Exclusive(w.ctx, space, nothing), fault.Conflict)
	if err := w.Abort(w.ctx, dev, b.ID, b.Fence); err != nil {
		t.Fatal(err)
	}
	if err := w.Exclusive(w.ctx, space, nothing); err != nil {
		t.Fatal(err)
	}
	if n := get[int](w, `SELECT epoch FROM spaces`); n != 2 {
		t.Errorf("epoch %d", n)
	}
	if err := w.Exclusive(w.ctx, space, func(context.Context, *sqlx.Tx) error { return errDisk }); err == nil {
		t.Error("an error of fn must come out")
	}
	if n := get[int](w, `SELECT epoch FROM spaces`); n != 2 {
		t.Errorf("a failed sweep changed the epoch to %d", n)
	}
}

// sweep deletes what no snapshot of a space refers to, as cleaning will.
func sweep(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `TRUNCATE objects, nodes, packs CASCADE`)
	return err
}

// A writer that slept while its space was swept believes in objects that are gone. It can neither upload nor
// commit, whenever it wakes; the sweep waits for it only while it is alive.
func TestSuspendedWriter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	c := chunks(fresh(3)...)
	leaf := node{object(), nil, c.ids}
	w.mustUpload(dev, b, c, nodes(leaf))

	wantKind(t, w.Exclusive(w.ctx, w.spaceOf(owner), sweep), fault.Conflict)
	w.exec(`UPDATE backups SET last_seen_at = now() - interval '1 week'`)
	if err := w.Exclusive(w.ctx, w.spaceOf(owner), sweep); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE backups SET last_seen_at = now()`) // even a clock that jumps back does not revive it
	_, err := w.upload(dev, b, chunks(object()))
	wantKind(t, err, fault.SessionExpired)
	_, err = w.commit(dev, b, leaf.id)
	wantKind(t, err, fault.SessionExpired)
	_, err = w.Missing(w.ctx, dev, b.ID, b.Fence, c.ids)
	wantKind(t, err, fault.SessionExpired)

	// It recovers by beginning anew.
	b = w.begin(dev)
	for _, m := range must(w.Missing(w.ctx, dev, b.ID, b.Fence, c.ids))(t) {
		if !m {
			t.Error("a swept object counts as stored")
		}
	}
	w.mustUpload(dev, b, c, nodes(leaf))
	must(w.commit(dev, b, leaf.id))(t)
}

// While a sweep runs no upload inserts rows and no session begins. Without the space's lock in Begin this fails: a
// session would begin that the sweep does not know of.
func TestSweepShutsWritersOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev, other := w.device(owner), w.device(owner)
	b := w.begin(dev)
	m := chunks(fresh(3)...)
	// The upload has stored its pack and is about to write its rows.
	stored, proceed := make(chan bool), make(chan bool)
	w.store.on(func(op, name string) error {
		if op == "committed" && strings.Contains(name, "/packs/") {
			close(stored)
			<-proceed
		}
		return nil
	})
	uploaded := make(chan error, 1)
	go func() { _, err := w.upload(dev, b, m); uploaded <- err }()
	<-stored
	w.exec(`UPDATE backups SET last_seen_at = now() - interval '1 week'`)
	begun := make(chan error, 1)
	err := w.Exclusive(w.ctx, w.spaceOf(owner), func(ctx context.Context, tx *sqlx.Tx) error {
		close(proceed)
		go func() { _, err := w.Begin(w.ctx, other, nil); begun <- err }()
		select {
		case err := <-uploaded:
			t.Errorf("an upload ended during the sweep: %v", err)
			uploaded <- err
		case err := <-begun:
			t.Errorf("a session began during the sweep: %v", err)
			begun <- err
		case <-time.After(300 * time.Millisecond):
		}
		return sweep(ctx, tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-uploaded, fault.SessionExpired)
	if err := <-begun; err != nil {
		t.Error(err)
	}
	if n := get[int](w, `SELECT count(*) FROM packs`) + get[int](w, `SELECT count(*) FROM objects`); n != 0 {
		t.Errorf("%d rows were written by a void session", n)
	}
}

// An upload that has passed its check holds a sweep up until its rows are visible, though its session lapses meanwhile.
// Without the lock in Upload this fails: it would be acknowledged after a sweep that has not seen it.
func TestUploadHoldsTheSweepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	m := chunks(fresh(3)...)
	// Somebody else is about to insert the pack's row: the upload, past its check, waits in the middle of its transaction.
	tx := must(w.db.Beginx())(t)
	if _, err := tx.Exec(`INSERT INTO packs (space_id, name, size, objects) SELECT id, $1, 1, 1 FROM spaces`, m.name); err != nil {
		t.Fatal(err)
	}
	uploaded := make(chan error, 1)
	go func() { _, err := w.upload(dev, b, m); uploaded <- err }()
	for get[int](w, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	w.exec(`UPDATE backups SET last_seen_at = now() - interval '1 week'`)
	swept := make(chan error, 1)
	seen := -1
	go func() {
		swept <- w.Exclusive(w.ctx, w.spaceOf(owner), func(ctx context.Context, tx *sqlx.Tx) error {
			return tx.GetContext(ctx, &seen, `SELECT count(*) FROM objects`)
		})
	}()
	select {
	case err := <-swept:
		t.Errorf("the sweep did not wait for the upload: %v", err)
		swept <- err
	case <-time.After(300 * time.Millisecond):
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-uploaded; err != nil {
		t.Error(err)
	}
	if err := <-swept; err != nil {
		t.Error(err)
	}
	if seen != 3 {
		t.Errorf("the sweep saw %d of 3 acknowledged objects", seen)
	}
}

// A commit that is under way holds a sweep up until it is visible. Without the lock in Commit this fails: the sweep
// would delete objects of a snapshot that is about to exist.
func TestCommitHoldsTheSweepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	leaf := node{id: object()}
	w.mustUpload(dev, b, nodes(leaf))
	writing, proceed := make(chan bool), make(chan bool)
	w.store.on(func(op, name string) error {
		if op == "commit" && strings.Contains(name, "/snapshots/") {
			close(writing)
			<-proceed
		}
		return nil
	})
	committed := make(chan error, 1)
	go func() { _, err := w.commit(dev, b, leaf.id); committed <- err }()
	<-writing
	swept := make(chan error, 1)
	go func() {
		swept <- w.Exclusive(w.ctx, w.spaceOf(owner), func(ctx context.Context, tx *sqlx.Tx) error {
			var n int
			if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM snapshots`); err != nil {
				return err
			}
			if n != 1 {
				t.Errorf("the sweep sees %d snapshots while one is being committed", n)
			}
			return nil
		})
	}()
	select {
	case err := <-swept:
		t.Errorf("the sweep did not wait: %v", err)
		swept <- err
	case <-time.After(300 * time.Millisecond):
	}
	close(proceed)
	if err := <-committed; err != nil {
		t.Error(err)
	}
	if err := <-swept; err != nil {
		t.Error(err)
	}
}
