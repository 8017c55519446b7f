//go:build linux

package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// lease is how long a device that has work may be silent, as docs/runs.md says.
const lease = 3 * time.Minute

// entry is a run as it should be. What happens to it is worked out from what the simulation did to the world; the server's rows are only
// compared with it.
type entry struct {
	id       id.Run
	rule     *rule // nil: somebody asked for it
	dev      *device
	slot     time.Time
	due      time.Time
	deadline time.Time
	state    string
	attempts int
	until    time.Time // running: when its lease lapses
	snapshot id.Snapshot
	warned   bool // of the snapshot
	told     bool // the server knows which session made it

	past []string // what happened to it, for people
	or   []string // what it may be instead: something happened within seconds of a limit, or to a worker that was killed
}

func (e *entry) open() bool { return e.state == "waiting" || e.state == "running" }

func (e *entry) String() string {
	by := "asked for"
	if e.rule != nil {
		by = e.rule.name
	}
	return fmt.Sprintf("%s of %s, slot %s, due %s, deadline %s: %s after %d attempts (%s)", by, e.dev.name, e.slot.Format(stamp), e.due.Format(stamp),
		e.deadline.Format(stamp), e.state, e.attempts, strings.Join(e.past, "; "))
}

const stamp = "Mon 2 Jan 15:04:05"

// moment is when something happened: between two readings of the server's clock.
type moment struct{ from, to time.Time }

// reached reports whether a limit had been reached, and whether that is certain.
func (m moment) reached(limit time.Time) (yes, sure bool) {
	return !limit.After(m.from), !limit.After(m.from) || limit.After(m.to)
}

// settle is what the server decides about a run that nobody speaks for when it looks. It reports whether it is certain.
func (e *entry) settle(at moment) (sure bool) {
	over, certain := at.reached(e.deadline)
	switch {
	case e.state == "waiting" && !e.dev.revoked.IsZero():
		e.state = "cancelled"
	case e.state == "waiting" && over && e.attempts == 0:
		e.state = "missed"
	case e.state == "waiting" && over:
		e.state = "failed"
	case e.state == "waiting":
		return certain
	case e.state == "running":
		lapsed, certainly := at.reached(e.until)
		switch {
		case !lapsed:
			return certainly
		case e.told && !e.snapshot.IsZero() && e.warned:
			e.state = "warned"
		case e.told && !e.snapshot.IsZero():
			e.state = "succeeded"
		case !e.dev.revoked.IsZero():
			e.state = "cancelled"
		case over:
			e.state = "failed"
		default:
			e.state = "waiting"
			return certain
		}
	}
	return true
}

// perhaps lets something happen to an entry that may as well not have happened.
func (e *entry) perhaps(happen func()) {
	before := e.state
	happen()
	if e.state != before {
		e.or = append(e.or, before)
	}
}

// ledger is all runs as they should be.
type ledger struct {
	*world
	rules   []*rule
	devices []*device
	all     map[id.Run]*entry
	live    map[id.Run]*entry // that are open, or were before the last comparison
	fuzzy   int               // how often two outcomes were possible
	checked int
}

// row is a run as the server has it.
type row struct {
	ID       id.Run
	Device   id.Device  `db:"device_id"`
	Policy   *id.Policy `db:"policy_id"`
	Trigger  string
	Slot     *time.Time
	State    string
	Attempts int
	Due      time.Time    `db:"due_at"`
	Deadline time.Time    `db:"deadline_at"`
	Snapshot *id.Snapshot `db:"snapshot_id"`
	Code     *string
}

// compare reads the runs that are open, new, or were open before, and says what is not as it should be. at is when the runs that are new were made.
func (l *ledger) compare(when string, at moment) {
	l.t.Helper()
	var known []string
	for run := range l.live {
		known = append(known, run.UUID())
	}
	var rows []row
	l.ok(l.depot.DB.Select(&rows, `SELECT id, device_id, policy_id, trigger, slot, state, attempts, due_at, deadline_at, snapshot_id, code
		FROM runs WHERE application_id IS NULL AND (state IN ('waiting', 'running') OR id = ANY ($1::uuid[]) OR created_at >= $2)`, pq.Array(known), at.from))
	seen := map[id.Run]bool{}
	for _, r := range rows {
		seen[r.ID] = true
		e := l.all[r.ID]
		if e == nil {
			if e = l.enter(r, at); e == nil {
				continue
			}
		}
		if e.state != r.State {
			if !slices.Contains(e.or, r.State) {
				l.t.Errorf("%s: the server says %s (%d attempts, code %s, now %s) of what should be %s", when, r.State, r.Attempts, deref(r.Code), at.to.Format(stamp), e)
			}
			e.state = r.State
		}
		if len(e.or) > 0 {
			l.fuzzy++
			if e.state == "running" && r.Attempts > e.attempts {
				e.until = at.to.Add(lease)
			}
			e.attempts, e.due, e.or = r.Attempts, r.Due, nil
		}
		if e.attempts != r.Attempts {
			l.t.Errorf("%s: the server counts %d attempts of %s", when, r.Attempts, e)
			e.attempts = r.Attempts
		}
		if e.state == "succeeded" || e.state == "warned" {
			if r.Snapshot == nil || e.dev.snapshots[*r.Snapshot] == nil {
				l.t.Errorf("%s: there is no snapshot of %s", when, e)
			}
		}
		l.checked++
		if !e.open() {
			delete(l.live, e.id)
		}
	}
	for run, e := range l.live {
		if !seen[run] {
			l.t.Errorf("%s: the server has lost %s", when, e)
			delete(l.live, run)
		}
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// enter takes a new row into the ledger, if there should be one.
func (l *ledger) enter(r row, at moment) *entry {
	e := &entry{id: r.ID, due: r.Due.UTC(), deadline: r.Deadline.UTC(), state: "waiting"}
	for _, d := range l.devices {
		if d.id == r.Device {
			e.dev = d
		}
	}
	if r.Trigger == "schedule" {
		e.slot = r.Slot.UTC()
		i := slices.IndexFunc(l.rules, func(u *rule) bool { return r.Policy != nil && u.id == *r.Policy })
		if i < 0 {
			l.t.Errorf("a run of no policy: %+v", r)
			return nil
		}
		e.rule = l.rules[i]
		// Whether there should be such a slot, slots compares for all of them at once.
		match := e.rule.match
		for _, era := range e.rule.eras {
			if e.slot.After(era.from) && !e.slot.After(era.to) {
				match = era.match
			}
		}
		if first, last := e.rule.opens(e.slot), e.rule.opens(e.slot.Add(e.rule.spread)); e.due.Before(first) || e.due.After(last) {
			l.t.Errorf("%s: due neither from %s nor to %s", e, first.Format(stamp), last.Format(stamp))
		}
		end := e.rule.deadline(e.slot, match)
		if !end.After(e.due) {
			end = e.due.Add(time.Hour)
		}
		if !end.Equal(e.deadline) {
			l.t.Errorf("%s: the deadline should be %s", e, end.Format(stamp))
		}
		if over, sure := at.reached(end); !sure {
			e.or = []string{"missed"}
		} else if over {
			e.state = "missed"
		}
	}
	l.all[e.id], l.live[e.id] = e, e
	return e
}

// slots says which slots have no run, or more than one, and which runs no slot.
func (l *ledger) slots() {
	l.t.Helper()
	type key struct {
		r    *rule
		d    *device
		slot time.Time
	}
	have := map[key]int{}
	for _, e := range l.all {
		if e.rule != nil {
			have[key{e.rule, e.dev, e.slot}]++
		}
	}
	var wrong []string
	n := 0
	for _, r := range l.rules {
		for slot, devices := range r.slots {
			for d := range devices {
				n++
				k := key{r, d, slot}
				if have[k] != 1 {
					wrong = append(wrong, fmt.Sprintf("%d runs for the slot %s of %s on %s", have[k], slot.Format(stamp), r.name, d.name))
				}
				delete(have, k)
			}
		}
	}
	for k := range have {
		wrong = append(wrong, fmt.Sprintf("a run where there is no slot: %s of %s on %s", k.slot.Format(stamp), k.r.name, k.d.name))
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		l.t.Fatalf("%d slots are not accounted for:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 20)], "\n"))
	}
	l.t.Logf("%d slots, each accounted for once", n)
}

func deref(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}
