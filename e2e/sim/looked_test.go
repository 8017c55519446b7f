//go:build linux

package sim

import (
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// looked works out what a look must have led to.
func (s *sim) looked(k *look) {
	s.t.Helper()
	for _, sn := range k.fresh {
		k.snapshots[sn.ID] = k.files
		k.times = append(k.times, sn.At.UTC())
		s.made[sn.ID] = sn.At
		s.written += sn.Uploaded
		s.backups++
	}
	if k.kind.name != "" && k.met {
		s.met[k.kind.name]++
	}
	if s.stop == nil {
		if len(k.done) > 0 {
			s.t.Errorf("%s has done something although the server is away: %+v", k.name, k.done)
		}
		return
	}
	if k.err != nil && !k.met {
		s.t.Errorf("%s looked for work at %s, nothing was in the way, and it failed: %v", k.name, k.at.from.Format(stamp), k.err)
	}
	if k.kind.name == cleanedBefore && k.commits > len(k.done) {
		s.t.Errorf("%s had to commit %d times at %s, because a worker cleaned meanwhile", k.name, k.commits, k.at.from.Format(stamp))
	}
	taken, unsure := s.take(k)
	if unsure {
		return
	}
	if len(taken) == 0 {
		if len(k.done) > 0 && len(k.or(s)) == 0 {
			s.t.Errorf("%s has done something at %s although nothing was due: %+v", k.name, k.at.from.Format(stamp), k.done)
		}
		return
	}
	if len(k.done) > 0 {
		s.sameRuns(k, taken)
	}
	state := s.outcome(k.device)
	for _, e := range taken {
		e.attempts++
		e.past = append(e.past, k.at.from.Format(stamp)+" taken, "+k.what())
		switch {
		case k.met && k.kind.plan.dead && !(k.kind.plan.at == "EndRuns" && k.kind.plan.unsaid):
			e.state, e.until, e.snapshot, e.told = "running", k.at.to.Add(lease), id.Snapshot{}, k.named
			if len(k.fresh) > 0 {
				e.snapshot, e.warned = k.fresh[0].ID, k.fresh[0].Problems > 0
			}
		case k.met && k.kind.stops && len(k.done) > 0 && k.done[0].Err != nil:
			e.attempts--
		default:
			e.state = state
		}
	}
	if len(k.fresh) > 0 { // the folders of this backup are expected next time
		saved := map[string]bool{}
		for _, r := range s.effective(k.device) {
			for _, root := range r.roots {
				saved[root] = k.folder.has(root) || k.saved[root]
			}
		}
		if !k.kind.plan.dead || !k.met || k.kind.plan.at == "EndRuns" {
			k.saved = saved
		}
		if want := state == "warned"; want != (k.fresh[0].Problems > 0) {
			s.t.Errorf("%s has made a snapshot with %d problems at %s, with %v away", k.name, k.fresh[0].Problems, k.at.from.Format(stamp), k.folder.away)
		}
	}
}

// what says what happened in a look.
func (k *look) what() string {
	switch {
	case k.kind.name == "":
		return "no trouble"
	case k.met:
		return k.kind.name
	}
	return k.kind.name + ", but not met"
}

// take is what the server hands out: it settles the device's runs, and then gives either nothing, if some are under way, or all that is due, if one of
// them may begin. unsure says that the answer hangs on seconds.
func (s *sim) take(k *look) (taken []*entry, unsure bool) {
	var due []*entry
	free := false
	for _, e := range s.live {
		if e.dev != k.device {
			continue
		}
		if !e.settle(k.at) {
			unsure = true
		}
		switch {
		case e.state == "running":
			return nil, unsure
		case e.state == "waiting" && e.due.After(k.at.from) && !e.due.After(k.at.to):
			unsure = true
		case e.state == "waiting" && !e.due.After(k.at.from):
			due = append(due, e)
			opens := s.opensFor(e, k.at.from)
			free = free || !opens.After(k.at.from)
			if opens.After(k.at.from) != s.opensFor(e, k.at.to).After(k.at.to) {
				unsure = true
			}
		}
	}
	if unsure {
		for _, e := range s.live {
			if e.dev == k.device {
				e.or = append(e.or, anything...)
			}
		}
		return nil, true
	}
	if !free {
		for _, e := range due {
			e.due = s.opensFor(e, k.at.from)
		}
		return nil, false
	}
	return due, false
}

// opensFor is when the window lets a run begin: at once if somebody asked for it, or if its policy does not apply any more.
func (s *sim) opensFor(e *entry, t time.Time) time.Time {
	if e.rule == nil || !slices.Contains(s.effective(e.dev), e.rule) {
		return t
	}
	return e.rule.opens(t)
}

// or returns what the device's runs may be otherwise.
func (k *look) or(s *sim) (all []string) {
	for _, e := range s.live {
		if e.dev == k.device {
			all = append(all, e.or...)
		}
	}
	return all
}

// outcome is how a backup ends that nothing hinders: failed if not one of its folders is there, warned if one is away that was there.
func (s *sim) outcome(d *device) string {
	there, vanished := false, false
	for _, r := range s.effective(d) {
		for _, root := range r.roots {
			there = there || d.folder.has(root)
			vanished = vanished || !d.folder.has(root) && d.saved[root]
		}
	}
	switch {
	case !there:
		return "failed"
	case vanished:
		return "warned"
	}
	return "succeeded"
}

// sameRuns says if a device took other runs than those that were due.
func (s *sim) sameRuns(k *look, taken []*entry) {
	s.t.Helper()
	want, got := map[id.Run]bool{}, map[id.Run]bool{}
	for _, e := range taken {
		want[e.id] = true
	}
	for _, r := range k.done[0].Runs {
		got[r.ID] = true
	}
	for _, e := range taken {
		if !got[e.id] {
			s.t.Errorf("%s did not take at %s: %s", k.name, k.at.from.Format(stamp), e)
		}
	}
	for run := range got {
		if !want[run] {
			s.t.Errorf("%s took at %s what was not due: %s", k.name, k.at.from.Format(stamp), s.all[run])
		}
	}
}
