//go:build linux

// Package sim lives through ninety days of backups in a minute and proves from outside that they happen by themselves. Ten
// devices of three people have daily, weekly, monthly and cron policies in five time zones; they sleep, are killed in the midst of a backup, lose
// requests and answers; the server is restarted, workers are killed or away or two at once, Redis is emptied or away. All of it is the real
// thing: the server over HTTP, its database and Redis, the store on disk, the agent's own service on real folders that
// change every day. Only the database's clock is moved (see pgtest.NewShifted), and it is the only one that decides anything: the
// agents' clocks stay months behind it, and date their files up to two days off either way.
//
// Two more machines have applications with schedules of their own (see [shop]), which live through the same.
//
// Beside the world runs a [ledger]: plain rules, written from the documentation and not from the code, that say what must have become of
// every slot, which snapshots must be there, and what must come back from each.
//
// From stop to stop the clock jumps over time in which nothing is due and nobody wakes. A device looks for work when something is due for
// it, when it wakes, and now and then for nothing; what it could have taken at other times it did not take, in the ledger either.
//
//	HOLDFAST_SIM_SEED=n  another life; a failure prints the seed of its own
//	HOLDFAST_SIM_DAYS=n  a longer or shorter one
package sim

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// sim is a life.
type sim struct {
	*ledger
	rng    *rand.Rand
	seed   uint64
	people map[string]*person
	hosts  []*device // of applications
	shops  []*shop
	tables []*timetable
	days   int
	end    time.Time

	stops, looks, backups int
	retired               int   // snapshots that rules have deleted
	written               int64 // bytes of packs
	made, deleted, gone   map[id.Snapshot]time.Time
	cleanAt               time.Time
	pinned                map[id.Snapshot]bool
	spent                 map[string]time.Duration
	met                   map[string]int       // troubles, by name
	last                  map[string]time.Time // when a task was done last
	field                 id.Group
	bobIsOut              bool      // of it
	day                   int       // of which the folders' changes were made
	awayUntil             time.Time // the workers
	deafUntil             time.Time // Redis
	downUntil             time.Time // the server
}

func number(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number", name, text)
	}
	return n
}

func TestNinetyDays(t *testing.T) {
	t.Parallel()
	seed := number(t, "HOLDFAST_SIM_SEED", 1+int(time.Now().UnixNano()%1_000_000))
	t.Logf("HOLDFAST_SIM_SEED=%d", seed)
	s := &sim{
		ledger: &ledger{world: newWorld(t), all: map[id.Run]*entry{}, live: map[id.Run]*entry{}},
		rng:    rand.New(rand.NewPCG(uint64(seed), 1)), seed: uint64(seed), days: number(t, "HOLDFAST_SIM_DAYS", 90),
		people: map[string]*person{}, met: map[string]int{}, spent: map[string]time.Duration{}, last: map[string]time.Time{},
		made: map[id.Snapshot]time.Time{}, gone: map[id.Snapshot]time.Time{}, deleted: map[id.Snapshot]time.Time{}, pinned: map[id.Snapshot]bool{},
	}
	s.jump(begins)
	s.end = begins.AddDate(0, 0, s.days)
	for _, name := range people {
		s.people[name] = s.person(name)
		s.join(name, 0)
	}
	s.enrolHosts()
	s.policies()
	s.openShops()
	began := time.Now()
	for now := s.now(); now.Before(s.end); now = s.now() {
		s.pause(now)
		s.jump(s.nextStop())
	}
	t.Logf("%d days in %s: %d stops, %d looks, %d backups, %d comparisons of runs, of which %d with two outcomes; troubles %v",
		s.days, time.Since(began).Round(time.Second), s.stops, s.looks, s.backups, s.checked, s.fuzzy, s.met)
	s.spend("end", s.epilogue)
	t.Logf("time spent: %v", s.spent)
}

// join enrols those of a person's devices that come on a day.
func (s *sim) join(owner string, day int) {
	s.t.Helper()
	for n, m := range cast {
		if m.owner == owner && m.day == day {
			d := s.people[owner].enroll(m.name, s.seed+uint64(n), m.skew)
			d.on = m.habit(rand.New(rand.NewPCG(s.seed, uint64(n)+100)), s.now().Truncate(24*time.Hour), s.days+1)
			s.devices = append(s.devices, d)
		}
	}
}

// nextStop is the next time at which something happens.
func (s *sim) nextStop() time.Time {
	now := s.now()
	next := now.Add(8 * time.Hour)
	consider := func(t time.Time) {
		if t = t.Add(30 * time.Second); t.After(now) && t.Before(next) {
			next = t
		}
	}
	for _, r := range s.rules {
		if r.on {
			for _, slot := range slotsOf(r.match, r.zone, now, next) {
				consider(slot)
				break
			}
		}
	}
	s.shopStops(now, next, consider)
	waits := map[*device]bool{}
	for _, e := range s.live {
		waits[e.dev] = true
		if e.state == "waiting" && e.dev.awake(e.due) {
			consider(e.due)
		}
		if e.state == "running" && e.dev.awake(e.until.Add(time.Minute)) {
			consider(e.until.Add(time.Minute))
		}
	}
	for d := range waits {
		if t, ok := d.wakes(now); ok {
			consider(t)
		}
	}
	if soon := now.Add(30 * time.Minute); next.Before(soon) {
		next = soon
	}
	// Half a minute beside full minutes, at which slots, windows and deadlines are.
	return next.Truncate(time.Minute).Add(30 * time.Second)
}

// pause is one stop of the clock.
func (s *sim) pause(now time.Time) {
	s.stops++
	s.fate(now)
	s.folders(now)
	s.events(now)
	s.spend("workers", func() { s.compare("after the workers' turn", s.turn(now)) })
	s.spend("devices", func() { s.compare("after the devices' turn", s.lookAll(now)) })
	s.spend("hosts", func() { s.lookHosts(now) })
	s.spend("care", func() { s.careFor(now) })
}

// spend notes how long something takes in our time.
func (s *sim) spend(what string, do func()) {
	began := time.Now()
	do()
	s.spent[what] += time.Since(began)
}

// once reports whether it is time for something that happens on one day of the ninety, scaled to the length of the life.
func (s *sim) once(name string, day int, now time.Time) bool {
	if s.met[name] > 0 || now.Before(begins.AddDate(0, 0, day*s.days/90)) {
		return false
	}
	rules := slices.Clone(s.rules)
	for _, t := range s.tables {
		rules = append(rules, t.rule)
	}
	for _, r := range rules { // not within a minute of a slot
		if len(slotsOf(r.match, r.zone, now.Add(-2*time.Minute), now.Add(2*time.Minute))) > 0 {
			return false
		}
	}
	s.met[name]++
	return true
}

// fate is what happens to the server and to Redis.
func (s *sim) fate(now time.Time) {
	const maybe = 1000
	switch roll := s.rng.IntN(maybe); {
	case roll < 20:
		s.met["redis emptied"]++
		s.wipe()
	case roll < 24 && s.redis != nil:
		s.met["redis away"]++
		s.redisDown()
		s.deafUntil = now.Add(time.Duration(1+s.rng.IntN(40)) * time.Hour)
	case roll < 30:
		s.met["workers away"]++
		s.awayUntil = now.Add(time.Duration(1+s.rng.IntN(50)) * time.Hour)
	case roll < 45 && s.stop != nil:
		s.met["server restarted"]++
		s.down()
		s.up()
	case roll < 50 && s.stop != nil:
		s.met["server away"]++
		s.down()
		s.downUntil = now.Add(time.Duration(1+s.rng.IntN(10)) * time.Hour)
	}
	if s.redis == nil && !now.Before(s.deafUntil) {
		s.redisUp()
	}
	if s.stop == nil && !now.Before(s.downUntil) {
		s.up()
	}
}

// folders lets a day's work pass over every home folder, and takes folders of some devices away.
func (s *sim) folders(now time.Time) {
	day := int(now.Sub(begins) / (24 * time.Hour))
	if day == s.day && day > 0 {
		return
	}
	s.day = day
	for _, d := range s.devices {
		if d.owner.email == "bob@example.org" {
			d.folder.mount()
			switch s.rng.IntN(14) {
			case 0, 1:
				s.met["folder unmounted"]++
				d.folder.unmount("mail")
			case 2:
				s.met["all folders unmounted"]++
				d.folder.unmount("mail", "Documents", "Pictures", "work")
			}
		}
		d.folder.day(day, now)
	}
}

// events are what people do to policies and devices, each once.
func (s *sim) events(now time.Time) {
	ctx := context.Background()
	field := s.rules[len(s.rules)-1]
	for _, m := range cast {
		if m.day > 0 && s.stop != nil && s.once("enrolled "+m.name, m.day, now) {
			s.join(m.owner, m.day)
		}
	}
	s.shopEvents(now)
	if s.once("policy off", 30, now) {
		s.change(field, func() { field.on = false })
	}
	if s.once("policy on", 44, now) {
		s.change(field, func() { field.on = true })
	}
	if s.once("schedule changed", 55, now) {
		s.change(field, func() {
			field.match = either(at(11, 0), at(22, 0))
			field.input.Schedule.Times = clocks("11:00", "22:00")
		})
	}
	if s.once("member left", 62, now) {
		s.regroup(true)
	}
	if s.once("member back", 69, now) {
		s.regroup(false)
	}
	if s.once("device revoked", 75, now) {
		for _, d := range s.devices {
			if d.name == "bob-desk" {
				s.ok(s.workers[0].TickPolicies(ctx)) // its slots are those until now
				s.compare("before a device is revoked", moment{now, s.now()})
				_, err := s.depot.Fleet.Revoke(ctx, actor.System(), d.id)
				s.ok(err)
				d.revoked = s.now()
			}
		}
	}
	for i, day := range []int{10, 36, 57, 81} {
		if s.stop != nil && s.once("evening "+strconv.Itoa(i), day, now) {
			for _, p := range people {
				s.evening(s.people[p])
			}
		}
	}
}
