//go:build unix

package daemon

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The main line: a policy's slots come, the device is rung, and one snapshot answers all of them.
func TestBackupByPolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file("letter.docx", []byte("a letter"))
	r.file("pictures/sea.jpg", []byte("the sea"))
	r.file("tool.exe", []byte("a tool"))
	r.file("elsewhere/notes.txt", []byte("notes"))
	r.w.Policy("letters", []string{"~"}, func(in *policy.Input) { in.Extensions = []string{".docx"}; in.SpreadMinutes = 0 })
	r.w.Policy("pictures", []string{"~/pictures", "~/no-such-folder", `C:\Data`}, func(in *policy.Input) { in.SpreadMinutes = 0; in.Level = policy.Better })
	stop := r.serve(r.config())

	asked := r.now()
	got := r.ends(asked.ID, "SUCCEEDED")
	want := map[string]int64{"letter.docx": 8, "pictures/sea.jpg": 7}
	if h := r.holds(got.Snapshot); !maps.Equal(h, want) {
		t.Errorf("the snapshot holds %v, want %v", h, want)
	}
	if got.Progress.Files != 2 || got.Trigger != "OWNER" || len(got.Report) != 0 {
		t.Errorf("the run: %+v", got)
	}
	snap, err := r.a.FindSnapshot(t.Context(), "latest", r.device.ID)
	r.ok(err)
	if !snap.Scheduled || len(snap.Manifest.Roots) != 1 || snap.Manifest.Roots[0] != r.home {
		t.Errorf("the snapshot: scheduled %v, roots %q", snap.Scheduled, snap.Manifest.Roots)
	}

	// Two policies, of which slots come while the machine is off: one snapshot.
	r.file("letter.docx", []byte("another letter"))
	r.ok(stop())
	r.w.Shift(48 * time.Hour)
	r.w.Tick()
	r.serve(r.config())
	var runs []*remote.Run
	r.ok(r.a.Client.Runs(t.Context(), id.Device{}, func(v *remote.Run) (bool, error) {
		if v.Trigger == "SCHEDULE" {
			runs = append(runs, v)
		}
		return true, nil
	}))
	snapshots := map[id.Snapshot]bool{}
	done := 0
	for _, v := range runs {
		if v.State == "MISSED" {
			continue // a slot whose deadline had passed before anybody looked
		}
		done++
		snapshots[r.ends(v.ID, "SUCCEEDED").Snapshot] = true
	}
	if done < 2 || len(snapshots) != 1 {
		t.Errorf("%d runs with %d snapshots", done, len(snapshots))
	}
	for s := range snapshots {
		if h := r.holds(s); h["letter.docx"] != 14 {
			t.Errorf("the second snapshot holds %v", h)
		}
	}
	for _, secret := range []string{"letter.docx", "sea.jpg", r.home} {
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, secret) && !strings.Contains(line, "level=DEBUG") {
				t.Errorf("a name is logged: %s", line)
			}
		}
	}
}

// A root that was saved and is gone is a warning, not a silence; and what is found nowhere is a failure that says so to the
// owner alone.
func TestRootsThatVanish(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file("disk/a", []byte("a"))
	r.file("kept/b", []byte("b"))
	r.w.Policy("all", []string{"~/disk", "~/kept", "~/never"}, nil)
	r.serve(r.config())
	r.ends(r.now().ID, "SUCCEEDED")
	r.ok(os.RemoveAll(filepath.Join(r.home, "disk")))
	got := r.ends(r.now().ID, "WARNED")
	if !maps.Equal(got.Causes, map[string]int64{"vanished": 1}) {
		t.Errorf("causes: %v", got.Causes)
	}
	r.ok(os.RemoveAll(filepath.Join(r.home, "kept")))
	got = r.ends(r.now().ID, "FAILED")
	note, err := r.a.Note(got)
	if got.Code != codeNothingFound || err != nil || !strings.Contains(note, "nothing can be backed up") {
		t.Errorf("code %s, note %q, %v", got.Code, note, err)
	}
	if l := r.dir.Last(); l == nil || l.Error == "" {
		t.Errorf("last: %+v", l)
	}
	other := *got
	other.ID = id.Run{}.New()
	if _, err := r.a.Note(&other); !errors.Is(err, fault.Internal) {
		t.Errorf("the note on another run: %v", err)
	}
}

// slow makes a policy by which a backup takes for ever, until it is changed.
func (r *rig) slow() *policy.Policy {
	r.Helper()
	content := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{7}).Read(content)
	r.file("big", content)
	return r.w.Policy("slow", []string{"~"}, func(in *policy.Input) { in.UploadLimit = 16 << 10 })
}

func running(v *remote.Run) bool { return v.State == "RUNNING" && v.Progress.Phase != "" }

// stops cancels a run, which must be over soon, long before the next heartbeat that nothing but time brings.
func (r *rig) stops(v id.Run) *remote.Run {
	r.Helper()
	began := time.Now()
	_, err := r.a.Client.CancelRun(r.Context(), v)
	r.ok(err)
	got := r.ends(v, "CANCELLED")
	if took := time.Since(began); took > 5*time.Second {
		r.Errorf("it took %v to stop", took)
	}
	return got
}

// throttled reports whether an upload sleeps in the limiter: there is nothing new for a heartbeat to say.
func throttled(v *remote.Run) bool { return running(v) && v.Progress.Bytes == 8<<20 }

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.slow()
	stop := r.serve(r.config())
	v := r.now()
	r.until(v.ID, throttled)
	if got := r.stops(v.ID); !got.Snapshot.IsZero() {
		t.Errorf("it made a snapshot: %+v", got)
	}
	// The service goes on.
	v = r.now()
	r.until(v.ID, running)
	if err := stop(); err != nil {
		t.Errorf("the service ended with %v", err)
	}
}

// Stopped in the midst of a backup, the service gives it back, and the next start does it.
func TestStop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.slow()
	stop := r.serve(r.config())
	v := r.now()
	r.until(v.ID, running)
	began := time.Now()
	if err := stop(); err != nil {
		t.Fatalf("the service ended with %v", err)
	}
	if took := time.Since(began); took > farewell+5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	got := r.until(v.ID, func(*remote.Run) bool { return true })
	if got.State != "WAITING" || got.Attempts != 0 {
		t.Errorf("given back as %s after %d attempts", got.State, got.Attempts)
	}
	r.ok(r.w.Policies.Delete(t.Context(), actor.System(), p.ID))
	r.w.Policy("fast", []string{"~"}, nil)
	r.serve(r.config())
	r.ends(v.ID, "SUCCEEDED")
}

// A service that was killed says nothing. Its lease lapses, and the next one does the work; what it had stored is found.
func TestLapse(t *testing.T) {
	t.Parallel()
	r := newRigLease(t, 3*time.Second)
	r.file("a", []byte("a"))
	r.w.Policy("all", []string{"~"}, nil)
	held, err := r.dir.Lock() // a backup by hand, for which the service waits
	r.ok(err)
	r.serve(r.config())
	v := r.now()
	r.until(v.ID, func(v *remote.Run) bool { return v.State == "RUNNING" })
	r.w.Shift(time.Hour) // beyond the lease; the heartbeats that follow keep it all the same
	r.until(v.ID, func(v *remote.Run) bool { return v.State == "RUNNING" && v.Attempts == 1 })
	r.w.Shift(time.Hour)
	r.w.Tick()
	got := r.until(v.ID, func(v *remote.Run) bool { return v.Attempts == 2 || v.State == "WAITING" })
	if got.Code != "AGENT_LOST" && got.State == "WAITING" {
		t.Errorf("lapsed: %+v", got)
	}
	r.w.Shift(10 * time.Minute) // the pause after a failure
	r.w.Tick()
	r.until(v.ID, func(v *remote.Run) bool { return v.State == "RUNNING" && v.Attempts == 2 })
	held()
	r.ends(v.ID, "SUCCEEDED")
}

// The server goes away and comes back: the service comes back, too, and looks at once.
func TestServerAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file("a", []byte("a"))
	r.w.Policy("all", []string{"~"}, nil)
	r.serve(r.config())
	r.ends(r.now().ID, "SUCCEEDED")
	r.w.Down()
	r.w.Up()
	r.ends(r.now().ID, "SUCCEEDED")
}

// In the midst of a backup, too.
func TestServerAwayDuringBackup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{9}).Read(content)
	r.file("big", content)
	r.w.Policy("all", []string{"~"}, func(in *policy.Input) { in.UploadLimit = 1 << 20 })
	r.serve(r.config())
	v := r.now()
	r.until(v.ID, running)
	r.w.Down()
	r.w.Up()
	if got := r.ends(v.ID, "SUCCEEDED"); got.Attempts != 1 {
		t.Errorf("it took %d attempts", got.Attempts)
	}
}

// Awake after sleep, the service connects again and looks at once, however long it would have waited.
func TestAwake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file("a", []byte("a"))
	r.w.Policy("all", []string{"~"}, nil)
	cfg := r.config()
	cfg.Spread = time.Hour
	s, err := open(cfg)
	r.ok(err)
	defer s.close()
	ended := make(chan error, 2)
	go func() { ended <- s.listen(t.Context()) }()
	<-s.rings // the first ring
	r.w.Down()
	for !strings.Contains(r.log.String(), "not listening") {
		time.Sleep(time.Millisecond)
	}
	r.w.Up()
	s.awake()
	<-s.rings // its own
	r.now()
	<-s.rings // the server's: it listens again
}

// A device that was revoked stops, and says so; it does not try again.
func TestRevoked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ended := make(chan error, 1)
	r.file("a", []byte("a"))
	r.w.Policy("all", []string{"~"}, nil)
	go func() { ended <- Run(t.Context(), r.config()) }()
	r.ends(r.now().ID, "SUCCEEDED")
	r.ok(r.a.Revoke(t.Context(), r.device.ID))
	select {
	case err := <-ended:
		if !errors.Is(err, fault.Unauthenticated) || agent.Advice(err) == "" {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
	if err := Run(t.Context(), r.config()); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("started again: %v", err)
	}
}
