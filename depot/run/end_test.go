package run_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestSuccessIsLookedAt holds that a device does not decide alone that its backup succeeded.
func TestSuccessIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	old := w.snapshot(w.laptop)
	n, work := w.running()
	other, unknown := w.snapshot(w.desk), id.Snapshot{}.New()
	for name, sn := range map[string]*id.Snapshot{"none": nil, "an unknown one": &unknown, "another device's": other, "an old one": old} {
		_, err := w.End(ctx, w.laptop.actor, run.EndInput{Runs: []id.Run{n}, Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: sn})
		if fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v", name, err)
		}
		w.is(run.Running, n)
	}
	equal(t, "told", w.told(w.ann), nil)
	got := w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.commit(w.laptop, w.session(w.laptop), 2),
		Causes: []run.Cause{{"permission", 1}, {"io", 1}, {"io", 0}, {"vanished", 0}}})[0]
	if got.State != run.Warned || got.Progress.Problems != 2 || fmt.Sprint(got.Causes) != "[{io 1} {permission 1}]" || got.Code != nil || got.Text() != nil {
		t.Errorf("%+v", got)
	}
}

// TestFailures walks the attempts of a run.
func TestFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := hourly("Office")
	in.Schedule.Cron, in.DeadlineMinutes = "0 0 * * *", 120
	w.policy(in)
	w.goTo(w.now().Truncate(24 * time.Hour).Add(24*time.Hour + time.Second))
	w.tick()
	fail := run.EndInput{Outcome: run.OutcomeFailed, Code: "UNAVAILABLE", Retry: true, Files: 5, Bytes: 6, UploadedBytes: 7}
	for attempt, wait := range []time.Duration{time.Minute, 5 * time.Minute} {
		work := w.take(w.laptop)
		got := w.end(w.laptop, work, fail)[0]
		if got.State != run.Waiting || got.Attempts != attempt+1 || *got.Code != "UNAVAILABLE" {
			t.Fatalf("%+v", got)
		}
		again, err := w.End(t.Context(), w.laptop.actor, run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeFailed, Code: "INTERNAL"})
		w.ok(err) // said again, because the answer was lost: nothing new
		if again[0].State != run.Waiting || *again[0].Code != "UNAVAILABLE" {
			t.Errorf("%+v", again[0])
		}
		if _, err := w.Keep(t.Context(), w.laptop.actor, run.KeepInput{Runs: ids(work.Runs), Lease: work.Lease}); fault.KindOf(err) != fault.Conflict {
			t.Error(err)
		}
		if look := w.idle(w.laptop); look < wait-2*time.Second || look > wait+time.Second {
			t.Errorf("after attempt %d, look again in %s", attempt+1, look)
		}
		equal(t, "told", w.told(w.ann), nil)
		w.shift(wait + time.Second)
	}
	work := w.take(w.laptop)
	if r := work.Runs[0]; r.Code != nil || r.Progress != (run.Progress{}) {
		t.Errorf("an attempt begins with what is left of the last: %+v", r)
	}
	got := w.end(w.laptop, work, fail)[0]
	if got.State != run.Failed || got.Attempts != 3 || *got.Code != "UNAVAILABLE" || got.Progress.Files != 5 {
		t.Errorf("%+v", got)
	}
	letters := w.letters(w.ann)
	if len(letters) != 1 || letters[0].Title != "The backup of “laptop” failed" || letters[0].Kind != "run.failed" ||
		!strings.Contains(letters[0].Body, "could not be reached") || !strings.Contains(letters[0].Body, "by the policy “Office”") {
		t.Errorf("%+v", letters)
	}

	// What a retry would come too late for fails at once.
	desk := w.take(w.desk)
	w.shift(2*time.Hour - 8*time.Minute)
	w.keep(w.desk, desk, nil)
	w.goTo(desk.Runs[0].DeadlineAt.Add(-30 * time.Second))
	if got := w.end(w.desk, desk, fail)[0]; got.State != run.Failed {
		t.Errorf("%+v", got)
	}
}

// TestGivingBack is an agent that is stopped again and again: no attempt is used up by it.
func TestGivingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, work := w.running()
	for range 5 {
		got := w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: run.AgentStopped, Retry: true})[0]
		if got.State != run.Waiting || got.Attempts != 0 {
			t.Fatalf("%+v", got)
		}
		if work = w.take(w.laptop); work.Runs[0].ID != n {
			t.Fatal("not at once")
		}
	}
	// Without retry it is a failure like any other.
	if got := w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: run.AgentStopped})[0]; got.State != run.Failed {
		t.Errorf("%+v", got)
	}
}

// TestEndOfACancelledRun: who asked to stop gets what they asked for, unless it was done by then.
func TestEndOfACancelledRun(t *testing.T) {
	t.Parallel()
	type end struct {
		in   run.EndInput
		want run.State
	}
	ends := map[string]end{
		"cancelled":          {run.EndInput{Outcome: run.OutcomeCancelled}, run.Cancelled},
		"failed":             {run.EndInput{Outcome: run.OutcomeFailed, Code: "INTERNAL"}, run.Cancelled},
		"failed for a while": {run.EndInput{Outcome: run.OutcomeFailed, Code: "UNAVAILABLE", Retry: true}, run.Cancelled},
		"given back":         {run.EndInput{Outcome: run.OutcomeFailed, Code: run.AgentStopped, Retry: true}, run.Cancelled},
		"succeeded":          {run.EndInput{Outcome: run.OutcomeSucceeded}, run.Succeeded},
	}
	inOneWorld(t, slices.Sorted(maps.Keys(ends)), func(w *world, name string) {
		c := ends[name]
		n, work := w.running()
		_, err := w.Cancel(w.t.Context(), w.ann, n)
		w.ok(err)
		if !w.keep(w.laptop, work, nil) {
			w.t.Error("the device does not hear of it")
		}
		if c.in.Outcome == run.OutcomeSucceeded {
			c.in.Snapshot = w.snapshot(w.laptop)
		}
		if got := w.end(w.laptop, work, c.in)[0]; got.State != c.want || got.Code != nil || got.Cancelling {
			w.t.Errorf("%+v", got)
		} else if text := got.Text(); (text != nil) != (c.want == run.Succeeded) || text != nil && !strings.Contains(*text, "too late") {
			w.t.Errorf("it says %v", text)
		}
	})
}

// TestEndIsChecked refuses what no agent says, and changes nothing.
func TestEndIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, work := w.running()
	good := run.EndInput{Runs: []id.Run{n}, Lease: work.Lease, Outcome: run.OutcomeFailed, Code: "INTERNAL"}
	with := func(change func(*run.EndInput)) run.EndInput {
		in := good
		change(&in)
		return in
	}
	many := make([]run.Cause, 21)
	for i := range many {
		many[i] = run.Cause{Cause: strings.Repeat("a", i%20+1), Count: 1}
	}
	before := w.dump(n)
	for name, c := range map[string]struct {
		who  actor.Actor
		in   run.EndInput
		kind fault.Kind
	}{
		"a person":           {w.ann, good, fault.Forbidden},
		"nobody":             {actor.Actor{}, good, fault.Unauthenticated},
		"another device":     {w.desk.actor, good, fault.NotFound},
		"another lease":      {w.laptop.actor, with(func(in *run.EndInput) { in.Lease++ }), fault.Conflict},
		"no runs":            {w.laptop.actor, with(func(in *run.EndInput) { in.Runs = nil }), fault.Invalid},
		"no outcome":         {w.laptop.actor, with(func(in *run.EndInput) { in.Outcome = "" }), fault.Invalid},
		"no code":            {w.laptop.actor, with(func(in *run.EndInput) { in.Code = "" }), fault.Invalid},
		"a sentence as code": {w.laptop.actor, with(func(in *run.EndInput) { in.Code = "cannot read /home/ann/secret" }), fault.Invalid},
		"a name as cause":    {w.laptop.actor, with(func(in *run.EndInput) { in.Causes = []run.Cause{{"/home/ann/secret", 1}} }), fault.Invalid},
		"a negative cause":   {w.laptop.actor, with(func(in *run.EndInput) { in.Causes = []run.Cause{{"io", -1}} }), fault.Invalid},
		"too many causes":    {w.laptop.actor, with(func(in *run.EndInput) { in.Causes = many }), fault.Invalid},
		"a negative count":   {w.laptop.actor, with(func(in *run.EndInput) { in.Files = -1 }), fault.Invalid},
		"a huge report":      {w.laptop.actor, with(func(in *run.EndInput) { in.Report = make([]byte, run.MaxReport+1) }), fault.TooLarge},
	} {
		if _, err := w.End(t.Context(), c.who, c.in); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	if w.dump(n) != before {
		t.Error("something has changed")
	}
}

// TestReport is for the owner alone.
func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	n, work := w.running()
	if got, err := w.SealedReport(ctx, w.ann, n); err != nil || got != nil {
		t.Error(got, err)
	}
	report := bytes.Repeat([]byte{7}, run.MaxReport)
	in := run.EndInput{Outcome: run.OutcomeFailed, Code: "INTERNAL", Report: report}
	w.end(w.laptop, work, in)
	in.Report = []byte("another one")
	w.end(w.laptop, work, in) // said again: the first word counts
	if got, err := w.SealedReport(ctx, w.ann, n); err != nil || !bytes.Equal(got, report) {
		t.Error(len(got), err)
	}
	for _, a := range []actor.Actor{w.bob, w.boss} {
		if got, err := w.SealedReport(ctx, a, n); err != nil || got != nil {
			t.Error(len(got), err)
		}
	}
	_, err := w.SealedReport(ctx, w.laptop.actor, n)
	w.want(err, fault.Forbidden)
}

// TestWordsOfEnds is what owners are told of what went well, or nearly.
func TestWordsOfEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.policy(hourly("Office"))
	backup := func(problems int) {
		t.Helper()
		w.nextHour()
		w.tick()
		w.end(w.laptop, w.take(w.laptop), run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.commit(w.laptop, w.session(w.laptop), problems)})
	}
	restore := func(in run.EndInput) {
		t.Helper()
		_, err := w.OrderRestore(ctx, w.ann, w.laptop.id, *w.snapshot(w.laptop), []byte("order"))
		w.ok(err)
		w.end(w.laptop, w.take(w.laptop), in)
	}
	backup(0)
	backup(0)
	backup(1)
	restore(run.EndInput{Outcome: run.OutcomeSucceeded, Files: 1})
	restore(run.EndInput{Outcome: run.OutcomeSucceeded, Files: 1234567, Causes: []run.Cause{{"io", 12}}})
	restore(run.EndInput{Outcome: run.OutcomeFailed, Code: "ORDER_REFUSED"})
	restore(run.EndInput{Outcome: run.OutcomeCancelled})
	want := []struct{ kind, severity, title, body string }{
		{"run.first", "success", "The first backup of “laptop” is done", "1,200 files of this device are saved."},
		{"run.succeeded", "success", "“laptop” is backed up", "1,200 files are saved by the policy “Office” for "},
		{"run.warned", "warning", "1 file of “laptop” could not be read", "1,200 files are saved"},
		{"restore.finished", "success", "A restore on “laptop” has ended", "1 file was restored."},
		{"restore.finished", "warning", "A restore on “laptop” has ended", "1,234,567 files were restored, 12 were not."},
		{"restore.failed", "error", "A restore on “laptop” failed", "The device refused the order: "},
	}
	got := w.letters(w.ann)
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, l := range got {
		if l.Kind != want[i].kind || l.Severity != want[i].severity || l.Title != want[i].title || !strings.HasPrefix(l.Body, want[i].body) {
			t.Errorf("%+v, want %+v", l, want[i])
		}
	}
	equal(t, "the readers' ring", w.bell.take("notices:" + w.ann.User.String())[5:], []string{""})
	if n := get[int](w, `SELECT count(*) FROM notifications WHERE user_id <> $1`, w.ann.User); n != 0 {
		t.Errorf("%d notifications for others", n)
	}

	// A first backup with files that could not be read is both.
	w.sweep()
	w.told(w.bob)
	w.end(w.box, w.take(w.box), run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.commit(w.box, w.session(w.box), 5)})
	equal(t, "a first one with warnings", w.told(w.bob), []string{"run.warned", "run.first"})
}
