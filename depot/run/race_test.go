package run_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// together runs fns at the same time.
func together(fns ...func()) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for _, fn := range fns {
		ready.Add(1)
		done.Go(func() { ready.Done(); <-start; fn() })
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// times gives n of the same.
func times(n int, fn func(i int)) (fns []func()) {
	for i := range n {
		fns = append(fns, func() { fn(i) })
	}
	return fns
}

// servers is several of them on the same database.
func (w *world) servers(n int) (list []*run.Service) {
	for range n {
		list = append(list, w.service())
	}
	return list
}

// TestTicksAtOnce: however many workers tick, a slot is one row, and what was missed is told once.
func TestTicksAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.policy(hourly("A"))
	w.policy(hourly("B"))
	w.nextHour()
	w.nextHour()
	w.nextHour()
	servers := w.servers(6)
	together(times(len(servers), func(i int) {
		if err := servers[i].Tick(ctx); err != nil {
			t.Error(err)
		}
	})...)
	together(times(len(servers), func(i int) {
		if err := servers[i].Sweep(ctx); err != nil {
			t.Error(err)
		}
	})...)
	equal(t, "runs", w.states(w.box), []string{"missed", "missed", "waiting", "waiting", "waiting", "waiting"})
	equal(t, "told", w.told(w.bob), []string{"run.missed", "run.missed"})
}

// TestTakesAtOnce: of two agents with one token, and of two servers, one gets the work.
func TestTakesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	n := w.waiting()
	servers := w.servers(8)
	took := make([]*run.Work, len(servers))
	together(times(len(servers), func(i int) {
		got, err := servers[i].Take(ctx, w.laptop.actor)
		if err != nil {
			t.Error(err)
			return
		}
		took[i] = got
	})...)
	winners := 0
	for _, got := range took {
		if got != nil && len(got.Runs) > 0 {
			winners++
			w.keep(w.laptop, got, nil) // the lease that was handed out is the one that counts
		}
	}
	if r := w.run(n); winners != 1 || r.Attempts != 1 {
		t.Errorf("%d have taken it, in %d attempts", winners, r.Attempts)
	}
}

// TestOneDecides: of those that want to decide about a run at once, one does, and its decision is whole.
func TestOneDecides(t *testing.T) {
	t.Parallel()
	inOneWorld(t, []string{"1", "2", "3", "4"}, func(w *world, _ string) {
		t := w.t.(*testing.T)
		ctx := t.Context()
		n, work := w.running()
		w.exec(`UPDATE runs SET deadline_at = clock_timestamp() WHERE id = $1`, n)
		sn := w.snapshot(w.laptop)
		w.shift(lapse)
		servers := w.servers(5)
		var ended, failed, heard, cancelled error
		together(
			func() {
				_, ended = servers[0].End(ctx, w.laptop.actor, run.EndInput{Runs: []id.Run{n}, Lease: work.Lease, Outcome: run.OutcomeSucceeded, Snapshot: sn})
			},
			func() {
				_, failed = servers[1].End(ctx, w.laptop.actor, run.EndInput{Runs: []id.Run{n}, Lease: work.Lease, Outcome: run.OutcomeFailed, Code: "INTERNAL"})
			},
			func() {
				if err := servers[2].Sweep(ctx); err != nil {
					t.Error(err)
				}
			},
			func() {
				_, heard = servers[3].Keep(ctx, w.laptop.actor, run.KeepInput{Runs: []id.Run{n}, Lease: work.Lease})
			},
			func() { _, cancelled = servers[4].Cancel(ctx, w.ann, n) },
		)
		for _, err := range []error{ended, failed, heard, cancelled} {
			if err != nil && !errors.Is(err, fault.Conflict) {
				t.Error(err)
			}
		}
		r := w.run(n)
		told := w.told(w.ann)
		switch r.State {
		case run.Succeeded:
			equal(t, "told", told, []string{"run.first"})
			if *r.SnapshotID != *sn || r.Code != nil {
				t.Errorf("%+v", r)
			}
		case run.Failed:
			equal(t, "told", told, []string{"run.failed"})
			if r.SnapshotID != nil || *r.Code != "INTERNAL" && *r.Code != run.AgentLost {
				t.Errorf("%+v", r)
			}
		case run.Cancelled: // was asked to stop first, and then failed, or was silent
			equal(t, "told", told, nil)
			if r.SnapshotID != nil || r.Code != nil {
				t.Errorf("%+v", r)
			}
		default:
			t.Errorf("nobody has decided: %+v", r)
		}
		w.staysOver(n)
	})
}

// TestAsksAtOnce: impatient people get one backup.
func TestAsksAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.policy(hourly("Office"))
	servers := w.servers(6)
	got := make([]*run.Run, len(servers))
	together(append(times(len(servers), func(i int) {
		var err error
		if got[i], err = servers[i].BackUpNow(ctx, w.ann, w.laptop.id); err != nil {
			t.Error(err)
		}
	}), func() {
		if _, err := w.RunPolicy(ctx, w.boss, p.ID); err != nil {
			t.Error(err)
		}
	}, func() {
		if _, err := w.StartByDevice(ctx, w.laptop.actor); err != nil {
			t.Error(err)
		}
	})...)
	equal(t, "runs", w.states(w.laptop), []string{"waiting"})
	for _, r := range got {
		if r != nil && r.ID != got[0].ID {
			t.Error("two answers")
		}
	}
}

// TestAlarmsAtOnce: several workers raise one alarm.
func TestAlarmsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.snapshot(w.laptop)
	w.shift(8 * day)
	servers := w.servers(4)
	together(times(len(servers), func(i int) {
		if err := servers[i].Stale(t.Context()); err != nil {
			t.Error(err)
		}
	})...)
	if l := w.letters(w.boss); len(l) != 1 {
		t.Errorf("%+v", l)
	}
	if l := w.letters(w.ann); len(l) != 1 {
		t.Errorf("%+v", l)
	}
}
