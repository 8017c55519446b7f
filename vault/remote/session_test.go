package remote_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/remote/remotetest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// world is a server with one person and one device.
type world struct {
	*remotetest.Server
	person, device *remote.Client
	self           remote.Registered
}

func newWorld(t *testing.T, s *remotetest.Server, o remote.Options) *world {
	t.Helper()
	w := &world{Server: s}
	anyone := dial(t, s.URL, o)
	login, err := anyone.Join(t.Context(), remote.JoinInput{Token: s.Invite(remotetest.Invite{Email: "ada@example.org", Name: "Ada"}), Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	w.person = anyone.WithToken(login.Token)
	if w.self, err = w.person.RegisterDevice(t.Context(), remote.RegisterInput{Name: "laptop", Hostname: "h", OS: "linux", Arch: "amd64", PublicKey: []byte{1}, MAC: []byte{2}}); err != nil {
		t.Fatal(err)
	}
	w.device = anyone.WithToken(w.self.Token)
	return w
}

func (w *world) begin(t *testing.T) backup.Session {
	t.Helper()
	s, err := w.device.Begin(t.Context(), id.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// makePack returns a pack of one chunk and one node that refers to it.
func makePack(size int, fill byte) (name id.Pack, b []byte, node, data id.Object) {
	w := pack.NewWriter(nil)
	body := bytes.Repeat([]byte{fill}, size)
	data, node = id.Object{fill, 1}, id.Object{fill, 2}
	w.Add(data, func(dst []byte) []byte { return append(dst, body...) })
	w.AddNode(node, nil, []id.Object{data}, func(dst []byte) []byte { return append(dst, 'n', fill) })
	b, name = w.Finish()
	return name, b, node, data
}

func TestSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, remotetest.NewTLS(t), remote.Options{Unverified: true, RetryFor: 10 * time.Second})
	s := w.begin(t)
	if i := s.Info(); !i.SpaceEmpty || i.ParentUsable || i.MaxPack != 48<<20 || i.TTL != 2*time.Minute || i.ID.IsZero() || i.Chunk.Avg != 1<<20 {
		t.Errorf("info: %+v", i)
	}
	name, b, node, data := makePack(2<<20, 7)
	absent := id.Object{9}
	if _, err := s.Commit(t.Context(), backup.Commit{Root: node, Manifest: []byte("m")}); !errors.Is(err, fault.ObjectsMissing) {
		t.Errorf("an empty commit: %v", err)
	}
	if err := s.Upload(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	if err := s.Upload(t.Context(), name, b); err != nil {
		t.Errorf("twice: %v", err)
	}
	missing, err := s.Missing(t.Context(), []id.Object{node, absent, data, absent, absent, absent, absent, absent, node, absent})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range missing {
		if m != (i != 0 && i != 2 && i != 8) {
			t.Errorf("missing %d: %v", i, m)
		}
	}
	if none, err := s.Missing(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("missing of none: %v, %v", none, err)
	}
	if err := s.Progress(t.Context(), backup.Progress{Phase: backup.PhaseUpload, Files: 3, Bytes: 1 << 40}); err != nil {
		t.Error(err)
	}
	d, err := w.device.ThisDevice(t.Context())
	if err != nil || d.Active == nil || d.Active.Bytes != 1<<40 || d.ActiveBackup != s.Info().ID {
		t.Errorf("device: %+v, %v", d, err)
	}
	snap, err := s.Commit(t.Context(), backup.Commit{Root: node, Manifest: []byte("m"), Files: 1, Bytes: 2 << 20, Problems: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.person.Snapshot(t.Context(), snap)
	if err != nil || got.Root != node || string(got.Manifest) != "m" || got.Bytes != 2<<20 || got.DeviceName != "laptop" || got.Device != w.self.ID {
		t.Errorf("snapshot: %+v, %v", got, err)
	}
	if _, err := w.person.Snapshot(t.Context(), id.Snapshot{5}); !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown snapshot: %v", err)
	}
	other := w.begin(t)
	if err := other.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if err := other.Progress(t.Context(), backup.Progress{}); !errors.Is(err, fault.SessionExpired) {
		t.Errorf("after the end: %v", err)
	}

	// The way back, by person only.
	if _, err := w.device.Locate(t.Context(), []id.Object{node}); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a device asks where objects lie: %v", err)
	}
	places, err := w.person.Locate(t.Context(), []id.Object{absent, data, node})
	if err != nil || places[0].Stored || !places[1].Stored || places[1].Length != 2<<20 || places[2].Offset != 2<<20 {
		t.Fatalf("places: %+v, %v", places, err)
	}
	dst := make([]byte, 1<<20)
	if err := w.person.ReadPack(t.Context(), name, 512<<10, dst); err != nil || !bytes.Equal(dst, b[512<<10:1536<<10]) {
		t.Errorf("read: %v", err)
	}
	if w.Authorized("GET") {
		t.Error("a token went along with a signed address")
	}
}

// A pack's memory is the caller's as soon as Upload returns, however it returns.
func TestUploadLetsGo(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	w := newWorld(t, s, remote.Options{})
	session := w.begin(t)
	hook := func(op string, rw http.ResponseWriter, r *http.Request) bool {
		if op != "UploadPack" {
			return false
		}
		// Refused after the first bytes, as a full disk is; the rest is never read.
		io.ReadFull(r.Body, make([]byte, 1000))
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"errors":[{"message":"full","extensions":{"code":"STORAGE_FULL"}}]}`)
		return true
	}
	s.Set(func(s *remotetest.Server) { s.Hook = hook })
	name, b, _, _ := makePack(8<<20, 3)
	for range 5 {
		err := session.Upload(t.Context(), name, b)
		want(t, err, fault.StorageFull, "full")
		clear(b) // the race detector would see a reader
		for i := range b {
			b[i] = byte(i)
		}
	}
}

func TestUploadRepeats(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	w := newWorld(t, s, remote.Options{RetryFor: time.Minute})
	session := w.begin(t)
	var cut atomic.Int32
	hook := func(op string, rw http.ResponseWriter, r *http.Request) bool {
		if op == "UploadPack" && cut.Add(1) == 1 {
			io.ReadFull(r.Body, make([]byte, 100_000))
			panic(http.ErrAbortHandler)
		}
		return false
	}
	s.Set(func(s *remotetest.Server) { s.Hook = hook })
	s.Fail("UploadPack", fault.New(fault.HashMismatch, "damaged"))
	name, b, _, _ := makePack(1<<20, 3)
	if err := session.Upload(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	if n := s.Calls("UploadPack"); n != 3 || s.Packs() != 1 {
		t.Errorf("%d calls, %d packs", n, s.Packs())
	}
}

// The reply to a commit is lost: whether the repetition is answered or refused, the snapshot is found.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	for _, forgetful := range []bool{false, true} {
		s := remotetest.New(t)
		w := newWorld(t, s, remote.Options{RetryFor: time.Minute})
		session := w.begin(t)
		name, b, node, _ := makePack(1000, 3)
		if err := session.Upload(t.Context(), name, b); err != nil {
			t.Fatal(err)
		}
		var once atomic.Bool
		hook := func(op string, rw http.ResponseWriter, r *http.Request) bool {
			if op == "CommitSnapshot" && !once.Swap(true) {
				if forgetful {
					defer s.Fail("CommitSnapshot", fault.New(fault.SessionExpired, "void"))
				}
				s.ServeHTTP(lost{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			}
			return false
		}
		s.Set(func(s *remotetest.Server) { s.Hook = hook })
		snap, err := session.Commit(t.Context(), backup.Commit{Root: node, Manifest: []byte("sealed")})
		if err != nil || snap.IsZero() {
			t.Errorf("forgetful %v: %v", forgetful, err)
		}
	}
}

type lost struct{ h http.Header }

func (l lost) Header() http.Header         { return l.h }
func (l lost) Write(p []byte) (int, error) { return len(p), nil }
func (l lost) WriteHeader(int)             {}

func TestReadPack(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	w := newWorld(t, s, remote.Options{RetryFor: time.Minute})
	session := w.begin(t)
	name, b, node, _ := makePack(100_000, 3)
	if err := session.Upload(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 1000)
	want(t, w.person.ReadPack(t.Context(), name, 0, dst), fault.Internal, "never located")
	if _, err := w.person.Locate(t.Context(), []id.Object{node}); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		t.Helper()
		clear(dst)
		err := w.person.ReadPack(t.Context(), name, 5, dst)
		if err == nil && !bytes.Equal(dst, b[5:1005]) {
			t.Error("wrong bytes")
		}
		return err
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	// An address that is refused is asked for again, and one that is about to expire is not even tried.
	s.Expire()
	if err := read(); err != nil {
		t.Error(err)
	}
	if n := s.Calls("ObjectLocations"); n != 2 {
		t.Errorf("asked %d times where the pack lies", n)
	}
	s.Set(func(s *remotetest.Server) { s.URLTTL = time.Second })
	s.Expire()
	if err := read(); err != nil {
		t.Error(err)
	}
	if err := read(); err != nil || s.Calls("ObjectLocations") != 4 {
		t.Errorf("%v; asked %d times", err, s.Calls("ObjectLocations"))
	}
	s.Set(func(s *remotetest.Server) { s.URLTTL = time.Minute })
	if err := read(); err != nil {
		t.Error(err)
	}
	s.Fail("GET", fault.New(fault.Unavailable, "busy"))
	if err := read(); err != nil {
		t.Errorf("a busy server: %v", err)
	}
	var mode atomic.Value
	mode.Store("")
	hook := func(op string, rw http.ResponseWriter, r *http.Request) bool {
		if op != "GET" {
			return false
		}
		switch mode.Load() {
		case "gone":
			http.NotFound(rw, r)
		case "short":
			http.Error(rw, "", http.StatusRequestedRangeNotSatisfiable)
		case "whole":
			rw.Write(b)
		case "shifted":
			r.Header.Set("Range", "bytes=6-1005")
			return false
		case "refused":
			http.Error(rw, "", http.StatusForbidden)
		case "cut once":
			mode.Store("")
			rw.Header().Set("Content-Length", "1000")
			rw.Header().Set("Content-Range", "bytes 5-1004/200000")
			rw.WriteHeader(http.StatusPartialContent)
			rw.Write(b[:500])
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
	s.Set(func(s *remotetest.Server) { s.Hook = hook })
	for m, kind := range map[string]fault.Kind{"gone": fault.NotFound, "short": fault.BadPack, "whole": fault.Internal, "shifted": fault.BadPack, "refused": fault.Forbidden} {
		mode.Store(m)
		if err := read(); !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %s", m, err, kind)
		}
	}
	mode.Store("cut once")
	if err := read(); err != nil {
		t.Errorf("cut once: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	w := newWorld(t, s, remote.Options{UploadLimit: 1 << 20, DownloadLimit: 1 << 20})
	session := w.begin(t)
	name, b, node, _ := makePack(600<<10, 3)
	begun := time.Now()
	if err := session.Upload(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begun); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("600 KiB at 1 MiB/s took %v", d)
	}
	if _, err := w.person.Locate(t.Context(), []id.Object{node}); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	if err := w.person.ReadPack(t.Context(), name, 0, make([]byte, 600<<10)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begun); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("600 KiB back took %v", d)
	}
}

func TestSnapshotsAreAllListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, remotetest.New(t), remote.Options{})
	name, b, node, _ := makePack(1000, 3)
	var made []id.Snapshot
	for range 5 {
		s := w.begin(t)
		if err := s.Upload(t.Context(), name, b); err != nil {
			t.Fatal(err)
		}
		snap, err := s.Commit(t.Context(), backup.Commit{Root: node, Manifest: []byte("m")})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, snap)
	}
	for _, stop := range []int{1, 3, 9} {
		var got []id.Snapshot
		err := w.person.Snapshots(t.Context(), w.self.ID, func(s *remote.Snapshot) (bool, error) {
			got = append(got, s.ID)
			return len(got) < stop, nil
		})
		if err != nil || len(got) != min(stop, 5) || got[0] != made[4] {
			t.Errorf("stop at %d: %v, %v", stop, got, err)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := remotetest.New(t)
	w := newWorld(t, s, remote.Options{})
	done := errors.New("seen enough")
	events := make(chan remote.Event, 10)
	result := make(chan error, 1)
	var n atomic.Int32
	hook := func(op string, rw http.ResponseWriter, r *http.Request) bool {
		if op == "Watch" && n.Add(1) == 1 {
			panic(http.ErrAbortHandler) // the first connection is lost
		}
		return false
	}
	s.Set(func(s *remotetest.Server) { s.Hook = hook })
	var end sync.Once
	go func() {
		result <- w.person.Watch(t.Context(), []id.Device{{1}, w.self.ID}, func(e remote.Event) error {
			events <- e
			if e.State == "COMMITTED" {
				return done
			}
			return nil
		})
	}()
	session := w.begin(t)
	name, b, node, _ := makePack(1000, 3)
	if err := session.Upload(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for {
		// Events are hints: report until the watcher is there.
		if err := session.Progress(t.Context(), backup.Progress{Phase: backup.PhaseScan, Files: 42}); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-events:
			if e.State == "ACTIVE" && (e.Progress.Files != 42 || e.Device != w.self.ID || e.Backup != session.Info().ID) {
				t.Fatalf("event: %+v", e)
			}
			end.Do(func() {
				if _, err := session.Commit(t.Context(), backup.Commit{Root: node, Manifest: []byte("m")}); err != nil {
					t.Error(err)
				}
			})
			if e.State == "COMMITTED" && e.Snapshot.IsZero() {
				t.Error("no snapshot in the last event")
			}
		case err := <-result:
			if !errors.Is(err, done) {
				t.Errorf("watch: %v", err)
			}
			err = w.device.WithToken("hfs_unknown").Watch(t.Context(), []id.Device{w.self.ID}, func(remote.Event) error { return nil })
			want(t, err, fault.Unauthenticated, "revoked")
			return
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("no event")
		}
	}
}
