//go:build linux

package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/agent/daemon"
	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// anything is what a run may be if something happened to it within seconds of a limit.
var anything = []string{"waiting", "running", "succeeded", "warned", "failed", "missed", "cancelled"}

// killed returns a context that ends by itself after some milliseconds.
func (s *sim) killed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(s.rng.IntN(20_000))*time.Microsecond)
}

// turn is what workers do at every stop: one of them as a rule, two at once, one that is killed in the midst of it, or none.
func (s *sim) turn(now time.Time) moment {
	s.t.Helper()
	if now.Before(s.awayUntil) {
		return moment{now, now}
	}
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	kill, twice := s.rng.IntN(20) == 0, s.rng.IntN(8) == 0
	if kill {
		s.met["worker killed"]++
		ctx, cancel = s.killed()
	}
	defer cancel()
	work := func(d *depot.Depot) error {
		var errs []error
		for _, t := range often {
			errs = append(errs, t.do(d, ctx))
		}
		return errors.Join(errs...)
	}
	var g errgroup.Group
	g.Go(func() error { return work(s.workers[0]) })
	if twice {
		s.met["two workers"]++
		g.Go(func() error { return work(s.workers[1]) })
	}
	if err := g.Wait(); err != nil && !kill {
		s.t.Fatal(err)
	}
	m := moment{now, s.now()}
	for _, e := range s.live {
		e.perhapsIf(kill, func() {
			if !e.settle(m) {
				e.or = append(e.or, anything...)
			}
		})
	}
	return m
}

// perhapsIf is perhaps if, and otherwise for certain.
func (e *entry) perhapsIf(maybe bool, happen func()) {
	if maybe {
		e.perhaps(happen)
	} else {
		happen()
	}
}

// kind is a trouble that a device can meet in a look.
type kind struct {
	name  string
	plan  trouble
	alone bool // no other device looks meanwhile
	stops bool // the agent is stopped politely
}

const cleanedBefore = "cleaned before the commit"

// troubles lists them. Those that end with dead are a kill of the device, or of its line, at the worst moments.
func (s *sim) troubles() []kind {
	cleaned := kind{name: cleanedBefore, plan: trouble{at: "CommitSnapshot", before: func() {
		if err := collect(context.Background(), s.workers[1]); err != nil {
			s.t.Error(err)
		}
	}}}
	return []kind{
		cleaned, cleaned, cleaned, cleaned, cleaned,
		{name: "killed when it had taken work", plan: trouble{at: "TakeWork", unsaid: true, dead: true}},
		{name: "killed before its first pack", plan: trouble{at: "UploadPack", lost: true, dead: true}},
		{name: "killed before the commit", plan: trouble{at: "CommitSnapshot", lost: true, dead: true}},
		{name: "killed after the commit", plan: trouble{at: "CommitSnapshot", unsaid: true, dead: true}},
		{name: "killed before it said the end", plan: trouble{at: "EndRuns", lost: true, dead: true}},
		{name: "killed when it had said the end", plan: trouble{at: "EndRuns", unsaid: true, dead: true}},
		{name: "the answer to the commit lost", plan: trouble{at: "CommitSnapshot", unsaid: true}},
		{name: "the answer to the end lost", plan: trouble{at: "EndRuns", unsaid: true}},
		{name: "a pack lost", plan: trouble{at: "UploadPack", lost: true}},
		{name: "stopped", plan: trouble{at: "BeginBackup"}, stops: true},
		{name: "the server restarted in a backup", plan: trouble{at: "UploadPack", before: func() { s.down(); s.up() }}, alone: true},
		{name: "the server restarted before a commit", plan: trouble{at: "CommitSnapshot", before: func() { s.down(); s.up() }}, alone: true},
		{name: "Redis emptied in a backup", plan: trouble{at: "UploadPack", before: s.wipe}, alone: true},
	}
}

// look is one look of one device, and what came of it.
type look struct {
	*device
	kind  kind
	at    moment
	done  []daemon.Done
	err   error
	met   bool // the trouble
	named bool // the server knows the session

	commits int // that were tried
	files   map[string]file
	fresh   []snapshot
}

// snapshot is one that a look has made.
type snapshot struct {
	ID       id.Snapshot
	At       time.Time `db:"created_at"`
	Problems int64
	Uploaded int64 `db:"uploaded_bytes"`
}

// lookAll is the devices' turn: those that are awake and have a reason look for work, several at once; sometimes while a worker cleans.
func (s *sim) lookAll(now time.Time) moment {
	s.t.Helper()
	due := map[*device]bool{}
	for _, e := range s.live {
		if e.state == "waiting" && !e.due.After(now) || e.state == "running" {
			due[e.dev] = true
		}
	}
	var together, alone []*look
	for _, d := range s.devices {
		awake := d.awake(now) && d.revoked.IsZero()
		fresh := awake && !d.was
		d.was = awake
		if !awake || !due[d] && !fresh && s.rng.IntN(30) > 0 {
			continue
		}
		k := &look{device: d}
		if due[d] && s.rng.IntN(6) == 0 {
			kinds := s.troubles()
			k.kind = kinds[s.rng.IntN(len(kinds))]
		}
		if k.kind.alone {
			alone = append(alone, k)
		} else {
			together = append(together, k)
		}
	}
	if s.stop == nil { // nobody is reached
		together = append(together, alone...)[:min(1, len(together)+len(alone))]
		alone = nil
	}
	var g errgroup.Group
	g.SetLimit(4)
	if len(together) > 0 && !now.Before(s.awayUntil) && s.rng.IntN(12) == 0 {
		s.met["cleaned meanwhile"]++
		g.Go(func() error { return collect(context.Background(), s.workers[1]) })
	}
	for _, k := range together {
		g.Go(func() error { return s.look(k) })
	}
	err := g.Wait()
	for _, k := range alone {
		err = errors.Join(err, s.look(k))
	}
	s.ok(err)
	for _, k := range slices.Concat(together, alone) {
		s.looks++
		s.looked(k)
	}
	return moment{now, s.now()}
}

// look lets a device look for work.
func (s *sim) look(k *look) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	patience := 5 * time.Second
	plan := k.kind.plan
	if k.kind.stops {
		plan.before = cancel
	}
	if plan.dead {
		patience = time.Millisecond
	}
	k.line.prepare(plan)
	rules := s.effective(k.device)
	k.files = k.folder.content(func(path string) bool {
		return slices.ContainsFunc(rules, func(r *rule) bool { return r.takes(path) })
	})
	if k.at.from, err = s.clock(); err != nil {
		return err
	}
	k.done, k.err = k.device.look(ctx, patience)
	if k.at.to, err = s.clock(); err != nil {
		return err
	}
	k.met, k.named, k.commits = k.line.met(plan)
	return s.depot.DB.Select(&k.fresh, `SELECT id, created_at, problems, uploaded_bytes FROM snapshots WHERE device_id = $1 AND created_at >= $2 ORDER BY created_at`, k.id, k.at.from)
}

// clock is now for those who may not end the test.
func (w *world) clock() (at time.Time, err error) {
	err = w.depot.DB.Get(&at, `SELECT clock_timestamp()`)
	return at.UTC(), err
}
