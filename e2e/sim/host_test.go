//go:build linux

package sim

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// shopRun is a run of an application as the server has it.
type shopRun struct {
	ID          id.Run
	Device      id.Device              `db:"device_id"`
	Application id.Application         `db:"application_id"`
	Schedule    id.ApplicationSchedule `db:"schedule_id"`
	Slot        time.Time
	State       string
	Attempts    int
	Due         time.Time    `db:"due_at"`
	Deadline    time.Time    `db:"deadline_at"`
	Ended       *time.Time   `db:"ended_at"`
	Snapshot    *id.Snapshot `db:"snapshot_id"`
}

func (s *sim) shopRuns(where string, args ...any) (list []shopRun) {
	s.t.Helper()
	s.ok(s.depot.DB.Select(&list, `SELECT id, device_id, application_id, schedule_id, slot, state, attempts, due_at, deadline_at, ended_at, snapshot_id
		FROM runs WHERE application_id IS NOT NULL AND `+where+` ORDER BY slot, id`, args...))
	return list
}

func (s *sim) openShopRuns() []shopRun { return s.shopRuns(`state IN ('waiting', 'running')`) }

// lookHosts is the hosts' turn: each that is awake and has a reason looks for work, through a trouble now and then. A look that nothing was in the way of
// leaves nothing behind that was due: each run has succeeded, or its deadline had passed.
func (s *sim) lookHosts(now time.Time) {
	s.t.Helper()
	for _, a := range s.shops {
		a.work(s, int(now.Sub(begins)/(24*time.Hour)), now)
	}
	open := s.openShopRuns()
	for _, d := range s.hosts {
		mine := slices.DeleteFunc(slices.Clone(open), func(r shopRun) bool { return r.Device != d.id })
		due := slices.ContainsFunc(mine, func(r shopRun) bool { return r.State == "running" || !r.Due.After(now) })
		awake := d.awake(now)
		fresh := awake && !d.was
		if d.was = awake; !awake || !due && !fresh && s.rng.IntN(30) > 0 {
			continue
		}
		k := &look{device: d}
		if due && s.rng.IntN(5) == 0 {
			kinds := s.troubles()
			k.kind = kinds[s.rng.IntN(len(kinds))]
		}
		if s.stop == nil && k.kind.alone {
			k.kind = kind{}
		}
		s.ok(s.look(k))
		s.looks++
		s.lookedHost(k, mine)
	}
}

func (s *sim) lookedHost(k *look, before []shopRun) {
	s.t.Helper()
	for _, sn := range k.fresh {
		var app id.Application
		s.ok(s.depot.DB.Get(&app, `SELECT application_id FROM snapshots WHERE id = $1`, sn.ID))
		a := s.shops[slices.IndexFunc(s.shops, func(a *shop) bool { return a.id == app })]
		files, err := contentOf(a.media)
		s.ok(err)
		k.snapshots[sn.ID] = files
		s.made[sn.ID] = sn.At
		s.written += sn.Uploaded
		s.backups++
	}
	if k.met && k.kind.name != "" {
		s.met["application: "+k.kind.name]++
	}
	if s.stop == nil || k.met {
		return
	}
	if k.err != nil {
		s.t.Errorf("%s looked for work at %s, nothing was in the way, and it failed: %v", k.name, k.at.from.Format(stamp), k.err)
	}
	if slices.ContainsFunc(before, func(r shopRun) bool { return r.State == "running" }) {
		return // of an attempt that was killed: its lease lapses first, and may have lapsed or not
	}
	for _, r := range before {
		if r.Due.After(k.at.from) {
			continue
		}
		is := s.shopRuns(`id = $1`, r.ID)[0]
		over, sure := k.at.reached(r.Deadline)
		want := "succeeded"
		if over && r.Attempts == 0 {
			want = "missed"
		} else if over {
			want = "failed"
		}
		if sure && is.State != want {
			s.t.Errorf("%s looked for work at %s: the run of the slot %s, due %s, deadline %s, is %s, not %s", k.name, k.at.from.Format(stamp), r.Slot.Format(stamp), r.Due.Format(stamp),
				r.Deadline.Format(stamp), is.State, want)
		}
	}
}

// shopCopies are the live snapshots that a schedule made.
func (s *sim) shopCopies(t *timetable) (list []copyOf) {
	s.t.Helper()
	s.ok(s.depot.DB.Select(&list, `SELECT id, created_at, pinned_at IS NOT NULL AS pinned, problems = 0 AS good, false AS trashed
		FROM snapshots WHERE schedule_id = $1 AND deleted_at IS NULL`, t.schedule))
	return list
}

// closeShops accounts for every slot of every schedule, and for what each run left.
func (s *sim) closeShops() {
	s.t.Helper()
	type key struct {
		t    *timetable
		slot time.Time
	}
	have, by, count := map[key]int{}, map[id.Snapshot]id.Run{}, map[string]int{}
	for _, r := range s.shopRuns(`true`) {
		i := slices.IndexFunc(s.tables, func(t *timetable) bool { return t.schedule == r.Schedule })
		t := s.tables[i]
		have[key{t, r.Slot.UTC()}]++
		count[r.State]++
		wrong := ""
		match := t.match
		for _, e := range t.eras {
			if r.Slot.After(e.from) && !r.Slot.After(e.to) {
				match = e.match
			}
		}
		if want := t.deadline(r.Slot, match); !want.Equal(r.Deadline) {
			wrong = "the deadline should be " + want.Format(stamp)
		}
		switch {
		case r.State == "succeeded" && (r.Snapshot == nil || t.shop.host.snapshots[*r.Snapshot] == nil):
			wrong = "it has no snapshot"
		case r.State == "succeeded" && !by[*r.Snapshot].IsZero():
			wrong = "it shares its snapshot with another run"
		case r.State == "succeeded":
			by[*r.Snapshot] = r.ID
		case r.State == "missed" && r.Attempts > 0, r.State == "failed" && r.Attempts == 0, r.Ended == nil, r.Ended.Before(r.Deadline):
			wrong = "it should not have ended so"
		}
		if wrong != "" {
			s.t.Errorf("the slot %s of %s of %s, deadline %s, %s after %d attempts: %s", r.Slot.Format(stamp), t.name, t.shop.name, r.Deadline.Format(stamp), r.State, r.Attempts, wrong)
		}
	}
	n := 0
	for _, t := range s.tables {
		for slot := range t.slots {
			n++
			if k := (key{t, slot}); have[k] != 1 {
				s.t.Errorf("%d runs for the slot %s of %s of %s", have[k], slot.Format(stamp), t.name, t.shop.name)
			} else {
				delete(have, k)
			}
		}
	}
	for k := range have {
		s.t.Errorf("a run where there is no slot: %s of %s of %s", k.slot.Format(stamp), k.t.name, k.t.shop.name)
	}
	var wrong []id.Snapshot // a rule is for what a run of its schedule made, and for nothing else
	s.ok(s.depot.DB.Select(&wrong, `SELECT id FROM snapshots sn WHERE application_id IS NOT NULL AND (schedule_id IS NOT NULL) <> EXISTS (
		SELECT FROM runs r WHERE r.snapshot_id = sn.id AND r.state = 'succeeded' AND r.schedule_id = coalesce(sn.schedule_id, r.schedule_id))`))
	if len(wrong) > 0 {
		s.t.Errorf("snapshots that are taken for a schedule's and are none, or the other way about: %v", wrong)
	}
	s.t.Logf("%d slots of applications, each accounted for once: %v", n, count)
	if s.days >= 60 && (count["succeeded"] < n/2 || count["missed"] == 0) {
		s.t.Errorf("of %d slots of applications there are %v: this tests too little", n, count)
	}
}

// restoreShops brings every surviving snapshot of the applications back.
func (s *sim) restoreShops() (n, files int) {
	s.t.Helper()
	ctx, p := context.Background(), s.people[owner]
	for _, a := range s.shops {
		s.ok(p.a.ApplicationSnapshots(ctx, a.id, func(v *agent.Snapshot) (bool, error) {
			s.ok(v.Err)
			dir := filepath.Join(s.dir, "restored")
			defer os.RemoveAll(dir)
			r, err := p.a.Restore(ctx, v, agent.ReadInput{To: dir})
			if err != nil || r.FailureCount > 0 {
				s.t.Errorf("the backup of %s of %s: %v, %+v", v.CreatedAt.Format(stamp), a.name, err, r.Failures)
				return true, nil
			}
			got, err := contentOf(filepath.Join(dir, "media"))
			s.ok(err)
			if text := differ(a.host.snapshots[v.ID], got); text != "" {
				s.t.Errorf("the backup of %s of %s:\n%s", v.CreatedAt.Format(stamp), a.name, text)
			}
			n, files = n+1, files+len(got)
			return true, nil
		}))
	}
	return n, files
}

// untoldShops says of which missed or failed runs of applications nobody was told.
func (s *sim) untoldShops() {
	s.t.Helper()
	var list []string
	s.ok(s.depot.DB.Select(&list, `
		SELECT r.state || ' ' || r.slot FROM runs r JOIN devices d ON d.id = r.device_id WHERE r.application_id IS NOT NULL AND r.state IN ('missed', 'failed') AND NOT EXISTS (
			SELECT FROM notifications n WHERE n.kind = 'application.' || r.state AND n.user_id = d.user_id AND n.device_id = r.device_id
				AND n.created_at BETWEEN r.ended_at - interval '10 s' AND r.ended_at + interval '10 s')`))
	if len(list) > 0 {
		s.t.Errorf("nobody was told of runs of applications: %s", strings.Join(list, ", "))
	}
}
