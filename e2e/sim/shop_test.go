//go:build linux

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/depot/actor"
	depotapp "github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// shop is an application of a host: a device of its own, which no policy is for, with folders of media. What a database adds to that, a dump in
// front of the media, is not what this simulation is about.
type shop struct {
	host  *device
	id    id.Application
	name  string
	media string
	rng   *rand.Rand
	day   int // of the last change
}

// timetable is a schedule of a shop as the test sees it: see [rule].
type timetable struct {
	*rule
	shop     *shop
	schedule id.ApplicationSchedule
	in       depotapp.Input
}

// owner of the shops' hosts.
const owner = "dan"

// hosts enrols the machines of the applications. Policies are made after it, and leave them out.
func (s *sim) enrolHosts() {
	s.t.Helper()
	p := s.person(owner)
	s.people[owner] = p
	for n, habit := range []habit{always, laptop} {
		d := p.enroll(fmt.Sprintf("host-%d", n), s.seed+uint64(n)+200, 0)
		d.on = habit(rand.New(rand.NewPCG(s.seed, uint64(n)+300)), s.now().Truncate(24*time.Hour), s.days+1)
		s.hosts = append(s.hosts, d)
	}
}

// openShops makes the applications and their schedules: daily, weekly, monthly and cron, in zones that change their clocks. Two of them
// fall on the same minute.
func (s *sim) openShops() {
	s.t.Helper()
	books, wine, club := s.shop(s.hosts[0], "Books"), s.shop(s.hosts[0], "Wine"), s.shop(s.hosts[1], "Club")
	day := func(d time.Weekday) func(time.Time) bool { return func(w time.Time) bool { return w.Weekday() == d } }
	both := func(a, b func(time.Time) bool) func(time.Time) bool {
		return func(w time.Time) bool { return a(w) && b(w) }
	}
	s.timetable(books, &rule{name: "nightly", match: at(3, 30), keep: keep{daily: 4, weekly: 2}}, "Europe/Athens", plan.Schedule{Kind: plan.Daily, Times: clocks("03:30")})
	s.timetable(books, &rule{name: "Sundays", match: both(at(2, 30), day(time.Sunday)), keep: keep{last: 3, monthly: 2}}, "America/New_York",
		plan.Schedule{Kind: plan.Weekly, Times: clocks("02:30"), Days: []time.Weekday{time.Sunday}})
	s.timetable(wine, &rule{name: "month", match: both(at(2, 30), func(w time.Time) bool { return w.Day() == 4 || w.AddDate(0, 0, 1).Day() == 1 }), keep: keep{days: 40}}, "Australia/Sydney",
		plan.Schedule{Kind: plan.Monthly, Times: clocks("02:30"), Dates: []int{4, 31}})
	s.timetable(club, &rule{name: "cron", match: both(either(at(9, 15), at(17, 15)), either(day(time.Tuesday), day(time.Thursday))), keep: keep{last: 5}}, "Europe/London",
		plan.Schedule{Kind: plan.Cron, Cron: "15 9,17 * * TUE,4"})
}

// shop registers an application, as `holdfast-agent app add` does.
func (s *sim) shop(host *device, name string) *shop {
	s.t.Helper()
	a := &shop{host: host, name: name, media: filepath.Join(s.dir, "media of "+name), rng: rand.New(rand.NewPCG(s.seed, uint64(len(s.tables))+400)), day: -1}
	s.ok(os.MkdirAll(a.media, 0o755))
	a.work(s, 0, s.now())
	app, err := application.New(name, "", []string{a.media}, nil)
	s.ok(err)
	c := s.device(host)
	defer c.Close()
	app.ID, err = c.RegisterApplication(context.Background(), name, "", 1)
	s.ok(err)
	s.ok(application.In(host.dir).Put(app))
	a.id = app.ID
	s.shops = append(s.shops, a)
	return a
}

// device is a connection with a host's token.
func (s *sim) device(host *device) *remote.Client {
	s.t.Helper()
	d, err := host.dir.Load()
	s.ok(err)
	c, err := host.owner.server().Dial(d.Token)
	s.ok(err)
	return c
}

func (s *sim) timetable(a *shop, r *rule, zoneName string, when plan.Schedule) {
	s.t.Helper()
	k := r.keep
	t := &timetable{rule: r, shop: a, in: depotapp.Input{Name: r.name, Enabled: true, Part: catalog.Media, Schedule: when, Zone: zoneName, Options: depotapp.Options{Level: "default"},
		Retention: plan.Retention{Days: k.days, Last: k.last, Daily: k.daily, Weekly: k.weekly, Monthly: k.monthly, Yearly: k.yearly}}}
	made, err := s.depot.Applications.CreateSchedule(context.Background(), actor.System(), a.id, t.in)
	s.ok(err)
	t.schedule, r.on, r.zone, r.slots = made.ID, true, zone(zoneName), map[time.Time]map[*device]bool{}
	r.for_ = func(d *device) bool { return d == a.host }
	r.eras = []era{{from: s.now(), match: r.match}}
	s.tables = append(s.tables, t)
}

// work is what becomes of the media in a day: one is new, one is another, one goes.
func (a *shop) work(s *sim, day int, now time.Time) {
	s.t.Helper()
	if day == a.day {
		return
	}
	a.day = day
	write := func(name string) {
		b := make([]byte, 2000+a.rng.IntN(6000))
		for i := range b {
			b[i] = byte(a.rng.Uint32())
		}
		path := filepath.Join(a.media, name)
		s.ok(os.WriteFile(path, b, 0o644))
		s.ok(os.Chtimes(path, now, now))
	}
	write("front.jpg")
	write(fmt.Sprintf("new %d.jpg", day))
	if list, _ := filepath.Glob(filepath.Join(a.media, "new *")); len(list) > 5 {
		s.ok(os.Remove(list[a.rng.IntN(len(list))]))
	}
}

// changeTable changes a schedule at a moment at which nothing is due by it.
func (s *sim) changeTable(t *timetable, fn func()) {
	s.t.Helper()
	ctx := context.Background()
	was := t.on
	s.closeTable(t)
	fn()
	var err error
	if t.on != was {
		_, err = s.depot.Applications.EnableSchedule(ctx, actor.System(), t.schedule, t.on)
	} else {
		var now map[id.ApplicationSchedule]*depotapp.Schedule
		now, err = s.depot.Applications.SchedulesByID(ctx, actor.System(), []id.ApplicationSchedule{t.schedule})
		s.ok(err)
		_, err = s.depot.Applications.UpdateSchedule(ctx, actor.System(), t.schedule, now[t.schedule].Revision, t.in)
	}
	s.ok(err)
	if t.on {
		t.eras = append(t.eras, era{from: s.now(), match: t.match})
	}
}

func (s *sim) closeTable(t *timetable) {
	e := &t.eras[len(t.eras)-1]
	if e.to.IsZero() {
		e.to = s.now()
		t.expect(*e, s.hosts)
	}
}

// shopEvents are what happens to the schedules, each once.
func (s *sim) shopEvents(now time.Time) {
	for _, t := range s.tables {
		switch t.name {
		case "nightly":
			if s.once("schedule of an application changed", 50, now) {
				s.changeTable(t, func() { t.match, t.in.Schedule.Times = either(at(1, 0), at(13, 0)), clocks("01:00", "13:00") })
			}
		case "cron":
			if s.once("schedule of an application off", 25, now) {
				s.changeTable(t, func() { t.on = false })
			}
			if s.once("schedule of an application on", 35, now) {
				s.changeTable(t, func() { t.on = true })
			}
		}
	}
}

// shopStops gives the times that matter for the applications.
func (s *sim) shopStops(now, until time.Time, consider func(time.Time)) {
	for _, t := range s.tables {
		if t.on {
			for _, slot := range slotsOf(t.match, t.zone, now, until) {
				consider(slot)
				break
			}
		}
	}
	for _, r := range s.openShopRuns() {
		d := s.hostOf(r.Device)
		if r.State == "waiting" && d.awake(r.Due) {
			consider(r.Due)
		} else if r.State == "running" {
			consider(now.Add(lease + time.Minute))
		} else if at, ok := d.wakes(now); ok {
			consider(at)
		}
	}
}

func (s *sim) hostOf(dev id.Device) *device {
	return s.hosts[slices.IndexFunc(s.hosts, func(d *device) bool { return d.id == dev })]
}
