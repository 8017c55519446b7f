//go:build unix

package daemon

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// saved makes a backup of what is in the home folder and returns its snapshot. The service runs.
func (r *rig) saved() *agent.Snapshot {
	r.Helper()
	r.w.Policy("all", []string{"~"}, nil)
	r.serve(r.config())
	v := r.ends(r.now().ID, "SUCCEEDED")
	s, err := r.a.FindSnapshot(r.Context(), v.Snapshot.String(), id.Device{})
	r.ok(err)
	return s
}

func (r *rig) self() agent.Device {
	r.Helper()
	d, err := r.a.FindDevice(r.Context(), "laptop")
	r.ok(err)
	return d
}

// restores orders a restore and waits for it.
func (r *rig) restores(s *agent.Snapshot, in agent.OrderInput, want string) (*remote.Run, *order.Report) {
	r.Helper()
	v, o, err := r.a.OrderRestore(r.Context(), r.self(), s, in)
	r.ok(err)
	got := r.ends(v.ID, want)
	report, err := r.a.Report(got, o)
	r.ok(err)
	if report == nil {
		r.Fatal("the device said nothing")
	}
	return got, report
}

func (r *rig) reads(path, want string) {
	r.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		r.Errorf("%s: %q, %v; want %q", path, b, err, want)
	}
}

func TestRestoreOrdered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file("docs/letter.docx", []byte("a letter"))
	r.file("docs/notes.txt", []byte("notes"))
	r.file("lost/photo.jpg", []byte("the sea"))
	s := r.saved()

	// To where it was: what is gone comes back, what differs stays, and folders in which somebody lives keep their mode.
	r.ok(os.RemoveAll(filepath.Join(r.home, "lost")))
	r.file("docs/letter.docx", []byte("a newer letter"))
	r.ok(os.Chmod(filepath.Join(r.home, "docs"), 0o750))
	got, report := r.restores(s, agent.OrderInput{}, "SUCCEEDED")
	if report.Files != 1 || report.Skipped != 2 || report.Error != "" || got.Snapshot != s.ID {
		t.Errorf("report %+v of snapshot %s", report, got.Snapshot)
	}
	r.reads(filepath.Join(r.home, "lost/photo.jpg"), "the sea")
	r.reads(filepath.Join(r.home, "docs/letter.docx"), "a newer letter")
	if st, err := os.Stat(filepath.Join(r.home, "docs")); err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("docs: %v", st.Mode())
	}

	// Overwritten, of one kind only.
	r.file("docs/notes.txt", []byte("newer notes"))
	_, report = r.restores(s, agent.OrderInput{Conflict: order.Overwrite, Extensions: []string{".docx"}, Paths: []string{filepath.Join(r.home, "docs")}}, "SUCCEEDED")
	if report.Files != 1 {
		t.Errorf("report: %+v", report)
	}
	r.reads(filepath.Join(r.home, "docs/letter.docx"), "a letter")
	r.reads(filepath.Join(r.home, "docs/notes.txt"), "newer notes")

	// Into a folder, beside what is there.
	to := filepath.Join(t.TempDir(), "back")
	r.restores(s, agent.OrderInput{To: to}, "SUCCEEDED")
	r.reads(filepath.Join(to, r.home, "docs/notes.txt"), "notes")

	// Not everything can be had: warned, with names for the owner and numbers for the server.
	got, report = r.restores(s, agent.OrderInput{To: to, Paths: []string{"/nowhere/at/all", filepath.Join(r.home, "docs")}}, "WARNED")
	if report.FailureCount != 1 || report.Failures[0].Path != "nowhere/at/all" || !maps.Equal(got.Causes, map[string]int64{"other": 1}) {
		t.Errorf("report %+v, causes %v", report, got.Causes)
	}

	// A folder that this system cannot have.
	got, report = r.restores(s, agent.OrderInput{To: `C:\back`}, "FAILED")
	if got.Code != string(fault.Invalid) || !strings.Contains(report.Error, "none of this system") {
		t.Errorf("code %s, report %+v", got.Code, report)
	}
	if _, err := r.a.Report(got, order.NewID()); !errors.Is(err, fault.Internal) {
		t.Errorf("the report of another order: %v", err)
	}
}

// An order is obeyed once, by the device that it is for, as long as it lives.
func TestOrdersThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.file("a", []byte("a"))
	s := r.saved()
	self := r.self()
	now := time.Now().UTC()
	good := order.Order{ID: order.NewID(), Device: self.ID, Snapshot: s.ID, Root: s.Manifest.Root, Issued: now, Expires: now.Add(time.Hour), Conflict: order.Overwrite}
	send := func(o order.Order) *remote.Run {
		t.Helper()
		sealed, err := o.Seal(r.a.Keys.Space(), self.PublicKey)
		r.ok(err)
		v, err := r.a.Client.OrderRestore(t.Context(), self.ID, s.ID, sealed)
		r.ok(err)
		return r.until(v.ID, (*remote.Run).Over)
	}
	if v := send(good); v.State != "SUCCEEDED" {
		t.Fatalf("%+v", v)
	}
	r.file("a", []byte("newer"))
	other, old := good, good
	other.ID, other.Device = order.NewID(), id.Device{}.New()
	old.ID, old.Issued, old.Expires = order.NewID(), now.Add(-3*time.Hour), now.Add(-2*time.Hour)
	for name, o := range map[string]order.Order{"a second time": good, "for another device": other, "after its life": old} {
		if v := send(o); v.State != "FAILED" || v.Code != codeRefused || len(v.Report) != 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	v, err := r.a.Client.OrderRestore(t.Context(), self.ID, s.ID, []byte("made by somebody else"))
	r.ok(err)
	if v := r.ends(v.ID, "FAILED"); v.Code != codeRefused {
		t.Errorf("forged: %+v", v)
	}
	r.reads(filepath.Join(r.home, "a"), "newer")
}

// A restore that is done, and of whose end the server did not hear, is told again and not done again.
func TestEndToldAgain(t *testing.T) {
	t.Parallel()
	r := newRigLease(t, 3*time.Second)
	r.file("a", []byte("a"))
	s := r.saved()
	r.ok(os.Remove(filepath.Join(r.home, "a")))

	// A service that did the work and could not tell: what it does is what do does, up to there.
	r2 := *r
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	r.ok(err)
	code, _, err := r.a.Code(t.Context())
	r.ok(err)
	device, err := agent.Enroll(t.Context(), agent.Server{URL: r.w.URL}, dir, agent.EnrollInput{Name: "desk", Code: code.String(), Home: r.home})
	r.ok(err)
	r2.dir, r2.device = dir, device
	d, err := r.a.FindDevice(t.Context(), "desk")
	r.ok(err)
	v, o, err := r.a.OrderRestore(t.Context(), d, s, agent.OrderInput{})
	r.ok(err)
	one, err := open(r2.config())
	r.ok(err)
	w, err := one.client.TakeWork(t.Context())
	r.ok(err)
	if len(w.Runs) != 1 || w.Runs[0].ID != v.ID {
		t.Fatalf("work: %+v", w)
	}
	working, k := one.keep(t.Context(), w)
	begun, res, _, err := one.restore(working, w, k)
	r.ok(err)
	k.stop()
	r.w.Shift(time.Hour) // the lease lapses before the end is told
	r.w.Tick()
	told := Done{Kind: remote.KindRestore, Restore: res}
	one.tellRestore(t.Context(), w, &told, judge(nil, nil, false), begun)
	if !errors.Is(told.Unheard, fault.Conflict) {
		t.Fatalf("told under a lease that had lapsed: %v", told.Unheard)
	}
	one.close()
	r.reads(filepath.Join(r.home, "a"), "a")
	r.file("a", []byte("newer"))

	r.w.Shift(time.Hour)
	r.w.Tick()
	r2.serve(r2.config())
	got := r.ends(v.ID, "SUCCEEDED")
	report, err := r.a.Report(got, o)
	if err != nil || report.Files != 1 || got.Attempts != 2 {
		t.Errorf("report %+v, %v, after %d attempts", report, err, got.Attempts)
	}
	r.reads(filepath.Join(r.home, "a"), "newer")
}
