package run_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TestTableInTheDocs holds that docs/runs.md has the table of arrows that the code has.
func TestTableInTheDocs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/runs.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+) \| (\S+) \| (\S+) \| (.+) \|$`).FindAllStringSubmatch(string(b), -1) {
		if m[1] != "from" && !strings.HasPrefix(m[1], "---") {
			got = append(got, strings.Join(m[1:], " | "))
		}
	}
	for _, a := range run.Arrows() {
		from := string(a.From)
		if from == "" {
			from = "–"
		}
		want = append(want, fmt.Sprintf("%s | %s | %s | %s", from, a.To, a.By, a.When))
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/runs.md has\n%s\nand the code\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestOnlyArrowsOfTheTable holds that a run moves along arrows and not otherwise, and never out of a final state.
func TestOnlyArrowsOfTheTable(t *testing.T) {
	t.Parallel()
	n := 0
	for _, from := range append([]run.State{""}, run.States...) {
		for _, to := range run.States {
			for _, by := range run.Makers {
				allowed := slices.ContainsFunc(run.Arrows(), func(a run.Arrow) bool { return a.From == from && a.To == to && a.By == by })
				after, err := run.Move(from, to, by)
				switch {
				case allowed && (err != nil || after != to):
					t.Errorf("%q -> %s by %s: %s, %v", from, to, by, after, err)
				case !allowed && (err == nil || after != from):
					t.Errorf("%q -> %s by %s is not in the table, and was made", from, to, by)
				case allowed && from.Over() && from != "":
					t.Errorf("%s is final, and left", from)
				}
				if allowed {
					n++
				}
			}
		}
	}
	if n != len(run.Arrows()) {
		t.Errorf("%d arrows were walked, the table has %d: it holds one twice, or one of an unknown maker", n, len(run.Arrows()))
	}
}

// waiting makes a run of the laptop's that is due, of a policy's slot, with two hours to its deadline.
func (w *world) waiting() id.Run {
	w.t.Helper()
	w.policy(hourly("Office"))
	w.nextHour()
	w.tick()
	return get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1 AND state = 'waiting'`, w.laptop.id)
}

// running is waiting, taken.
func (w *world) running() (id.Run, *run.Work) {
	w.t.Helper()
	n := w.waiting()
	return n, w.take(w.laptop)
}

const (
	lapse    = 3*time.Minute + time.Second // a lease
	deadline = 2*time.Hour + time.Second   // of the policy hourly
)

// walks makes every arrow of the table happen on a real database.
var walks = map[string]func(w *world) id.Run{
	"-waiting tick": func(w *world) id.Run { return w.waiting() },
	"-waiting person": func(w *world) id.Run {
		w.policy(hourly("Office"))
		r, err := w.BackUpNow(w.t.Context(), w.ann, w.laptop.id)
		w.ok(err)
		return r.ID
	},
	"-waiting device": func(w *world) id.Run {
		w.policy(hourly("Office"))
		r, err := w.StartByDevice(w.t.Context(), w.laptop.actor)
		w.ok(err)
		return r.ID
	},
	"-missed tick": func(w *world) id.Run {
		w.policy(hourly("Office"))
		w.nextHour()
		w.shift(deadline)
		w.tick()
		return get[id.Run](w, `SELECT id FROM runs WHERE device_id = $1 ORDER BY slot LIMIT 1`, w.laptop.id)
	},
	"waiting-running device": func(w *world) id.Run { n, _ := w.running(); return n },
	"waiting-cancelled person": func(w *world) id.Run {
		n := w.waiting()
		_, err := w.Cancel(w.t.Context(), w.ann, n)
		w.ok(err)
		return n
	},
	"waiting-cancelled device": func(w *world) id.Run {
		n := w.waiting()
		w.exec(`UPDATE policies SET enabled = false`)
		w.idle(w.laptop)
		return n
	},
	"waiting-cancelled sweep": func(w *world) id.Run {
		n := w.waiting()
		w.revoke(w.laptop)
		w.sweep()
		return n
	},
	"waiting-missed sweep": func(w *world) id.Run {
		n := w.waiting()
		w.shift(deadline)
		w.sweep()
		return n
	},
	"waiting-failed sweep": func(w *world) id.Run {
		n, _ := w.running()
		w.shift(lapse)
		w.sweep()
		w.is(run.Waiting, n)
		w.shift(deadline)
		w.sweep()
		return n
	},
	"running-succeeded device": func(w *world) id.Run {
		n, work := w.running()
		w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.snapshot(w.laptop)})
		return n
	},
	"running-warned device": func(w *world) id.Run {
		n, work := w.running()
		w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeSucceeded, Snapshot: w.commit(w.laptop, w.session(w.laptop), 3)})
		return n
	},
	"running-failed device": func(w *world) id.Run {
		n, work := w.running()
		w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: "NOTHING_FOUND"})
		return n
	},
	"running-cancelled device": func(w *world) id.Run {
		n, work := w.running()
		w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeCancelled})
		return n
	},
	"running-waiting device": func(w *world) id.Run {
		n, work := w.running()
		w.end(w.laptop, work, run.EndInput{Outcome: run.OutcomeFailed, Code: "UNAVAILABLE", Retry: true})
		return n
	},
	"running-succeeded sweep": func(w *world) id.Run {
		n, work := w.running()
		b := w.session(w.laptop)
		w.keep(w.laptop, work, b)
		w.commit(w.laptop, b, 0)
		w.shift(lapse)
		w.sweep()
		return n
	},
	"running-warned sweep": func(w *world) id.Run {
		n, work := w.running()
		b := w.session(w.laptop)
		w.keep(w.laptop, work, b)
		w.commit(w.laptop, b, 1)
		w.shift(lapse)
		w.sweep()
		return n
	},
	"running-cancelled sweep": func(w *world) id.Run {
		n, _ := w.running()
		_, err := w.Cancel(w.t.Context(), w.ann, n)
		w.ok(err)
		w.is(run.Running, n)
		w.shift(lapse)
		w.sweep()
		return n
	},
	"running-waiting sweep": func(w *world) id.Run {
		n, _ := w.running()
		w.shift(lapse)
		w.sweep()
		return n
	},
	"running-failed sweep": func(w *world) id.Run {
		n, _ := w.running()
		w.shift(deadline)
		w.sweep()
		return n
	},
}

// TestEveryArrow walks the table on a real database. After a walk, an end stays: whatever anybody does then changes nothing.
func TestEveryArrow(t *testing.T) {
	t.Parallel()
	to := map[string]run.State{}
	for _, a := range run.Arrows() {
		to[fmt.Sprintf("%s-%s %s", a.From, a.To, a.By)] = a.To
	}
	for name := range walks {
		if to[name] == "" {
			t.Errorf("the walk %s is along no arrow", name)
		}
	}
	inOneWorld(t, slices.Sorted(maps.Keys(to)), func(w *world, name string) {
		walk := walks[name]
		if walk == nil {
			w.t.Fatal("the arrow is never walked")
		}
		n := walk(w)
		w.is(to[name], n)
		if to[name].Over() {
			w.staysOver(n)
		}
	})
}

// staysOver has everybody try to move a run that has ended.
func (w *world) staysOver(n id.Run) {
	w.t.Helper()
	ctx := w.t.Context()
	before := w.dump(n)
	lease := get[int64](w, `SELECT lease FROM runs WHERE id = $1`, n)
	for _, l := range []int64{lease, lease + 1} {
		if _, err := w.Keep(ctx, w.laptop.actor, run.KeepInput{Runs: []id.Run{n}, Lease: l}); err == nil {
			w.t.Error("a heartbeat was heard")
		}
		for _, o := range []run.Outcome{run.OutcomeSucceeded, run.OutcomeFailed, run.OutcomeCancelled} {
			in := run.EndInput{Runs: []id.Run{n}, Lease: l, Outcome: o, Snapshot: w.snapshot(w.laptop), Code: "INTERNAL"}
			if got, err := w.End(ctx, w.laptop.actor, in); err == nil && got[0].State != w.run(n).State {
				w.t.Errorf("ended as %s", got[0].State)
			}
		}
	}
	w.Cancel(ctx, w.ann, n)     //nolint:errcheck // whether it minds is tested elsewhere
	w.Take(ctx, w.laptop.actor) //nolint:errcheck // a revoked device is refused
	w.shift(48 * time.Hour)
	w.sweep()
	w.tick()
	if after := w.dump(n); after != before {
		w.t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
}
