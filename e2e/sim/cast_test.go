//go:build linux

package sim

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// begins is when the simulation begins. Within the ninety days that follow clocks are put forward in America and Europe and back in Australia,
// February ends, and so do months of 30 and 31 days.
var begins = time.Date(2027, 2, 15, 0, 10, 30, 0, time.UTC)

// member is a device of the cast.
type member struct {
	name, owner string
	habit       habit
	skew        time.Duration // of its clock: what its files are dated by
	day         int           // on which it is enrolled
}

const twoDays = 48 * time.Hour

// people own devices.
var people = []string{"ada", "bob", "cyn"}

var cast = []member{
	{"ada-server", "ada", always, 0, 0},
	{"ada-desk", "ada", office, twoDays, 0},
	{"ada-laptop", "ada", laptop, -twoDays, 0},
	{"bob-laptop", "bob", laptop, 0, 0},
	{"bob-desk", "bob", office, -twoDays, 0},
	{"bob-travels", "bob", traveller, twoDays, 0},
	{"cyn-server", "cyn", always, twoDays, 0},
	{"cyn-laptop", "cyn", laptop, 0, 0},
	{"cyn-desk", "cyn", office, 0, 0},
	{"cyn-late", "cyn", laptop, -twoDays, 30},
}

// policies makes the rules. Of bob's devices none saves the whole home folder, so that folders of theirs can vanish.
func (s *sim) policies() {
	ctx := context.Background()
	group := func(name string, owners ...string) id.Group {
		var users []id.User
		for _, o := range owners {
			users = append(users, s.people[o].id)
		}
		g, err := s.depot.Policies.CreateGroup(ctx, actor.System(), name, users)
		s.ok(err)
		return g.ID
	}
	bureau, field := group("Bureau", "ada", "cyn"), group("Field", "bob")
	s.field = field
	owned := func(owners ...string) func(*device) bool {
		return func(d *device) bool {
			return strings.Contains(strings.Join(owners, " "), strings.Split(d.name, "-")[0])
		}
	}
	named := func(names ...string) func(*device) bool {
		return func(d *device) bool { return strings.Contains(strings.Join(names, " "), d.name) }
	}
	ids := func(names ...string) (list []id.Device) {
		for _, d := range slices.Concat(s.devices, s.hosts) {
			if named(names...)(d) {
				list = append(list, d.id)
			}
		}
		return list
	}
	weekday := func(days ...time.Weekday) func(time.Time) bool {
		return func(w time.Time) bool {
			for _, d := range days {
				if w.Weekday() == d {
					return true
				}
			}
			return false
		}
	}
	both := func(a, b func(time.Time) bool) func(time.Time) bool {
		return func(w time.Time) bool { return a(w) && b(w) }
	}
	hours := func(from, to int) func(time.Time) bool {
		return func(w time.Time) bool { return from <= w.Hour() && w.Hour() < to }
	}

	// Half past three does not come in Athens on 28 March.
	s.rule(&rule{name: "letters by night", for_: func(d *device) bool { return d.name != "cyn-server" && d.name != "cyn-desk" }, match: at(3, 30), roots: []string{"Documents", "mail"},
		takes: func(p string) bool {
			return (under(p, "Documents") || under(p, "mail")) && ends(p, ".docx", ".xlsx", ".eml") && !strings.Contains(p, "/cache/")
		},
		keep: keep{daily: 5, weekly: 3, monthly: 2}, spread: 20 * time.Minute,
		input: policy.Input{Targets: policy.Targets{Everyone: true, ExceptDevices: ids("cyn-server", "cyn-desk", "host-0", "host-1")}, Roots: []string{"~/Documents", "~/mail"},
			Extensions: []string{".docx", "xlsx", ".eml"}, Excludes: []string{"cache/"}, Zone: "Europe/Athens",
			Schedule: plan.Schedule{Kind: plan.Daily, Times: clocks("03:30")}}})

	// Half past two does not come in New York on Sunday 14 March.
	s.rule(&rule{name: "all of it by week", for_: owned("ada", "cyn"), match: both(at(2, 30), weekday(time.Sunday)), roots: []string{""},
		takes: func(p string) bool { return !strings.Contains("/"+p, "/cache/") && !ends(p, ".tmp") },
		keep:  keep{last: 2, monthly: 3}, spread: 40 * time.Minute, due: 72 * time.Hour, open: hours(1, 5),
		input: policy.Input{Targets: policy.Targets{Groups: []id.Group{bureau}}, Roots: []string{"~"}, Excludes: []string{"cache/", "*.tmp"}, Zone: "America/New_York",
			DeadlineMinutes: 72 * 60, Window: &plan.Window{From: 1 * 60, To: 5 * 60}, Level: policy.Fast,
			Schedule: plan.Schedule{Kind: plan.Weekly, Times: clocks("02:30"), Days: []time.Weekday{time.Sunday}}}})

	// Sydney has half past two twice on 4 April. The 31st is the last day of every month.
	s.rule(&rule{name: "pictures by month", for_: func(d *device) bool { return !owned("bob")(d) || !s.bobIsOut }, roots: []string{"Pictures"},
		match: both(at(2, 30), func(w time.Time) bool {
			return w.Day() == 4 || w.Day() == 15 || w.AddDate(0, 0, 1).Day() == 1
		}),
		takes: func(p string) bool { return under(p, "Pictures") }, keep: keep{days: 12, yearly: 1},
		input: policy.Input{Targets: policy.Targets{Groups: []id.Group{bureau, field}}, Roots: []string{"~/Pictures"}, Presets: []string{"images"}, Zone: "Australia/Sydney",
			Level: policy.None, Schedule: plan.Schedule{Kind: plan.Monthly, Times: clocks("02:30"), Dates: []int{4, 15, 31}}}})

	s.rule(&rule{name: "work by cron", for_: named("ada-server", "cyn-laptop", "cyn-server"), roots: []string{"work"},
		match: both(either(at(9, 15), at(17, 15)), weekday(time.Tuesday, time.Thursday)),
		takes: func(p string) bool { return under(p, "work") && filepath.Base(p) != "disk.img" }, keep: keep{days: 3}, due: 90 * time.Minute,
		input: policy.Input{Targets: policy.Targets{Devices: ids("ada-server", "cyn-laptop", "cyn-server")}, Roots: []string{"~/work"}, MaxFileSize: 90 << 10, Zone: "Europe/London",
			DeadlineMinutes: 90, Schedule: plan.Schedule{Kind: plan.Cron, Cron: "15 9,17 * * TUE,4"}}})

	// Lord Howe Island changes its clocks by half an hour.
	s.rule(&rule{name: "field work", for_: func(d *device) bool { return d.name == "bob-laptop" && !s.bobIsOut }, match: either(at(12, 15), at(23, 45)), roots: []string{"work"},
		takes: func(p string) bool { return under(p, "work") }, keep: keep{last: 7}, due: 4 * time.Hour, spread: 5 * time.Minute,
		input: policy.Input{Targets: policy.Targets{Groups: []id.Group{field}, ExceptDevices: ids("bob-travels", "bob-desk")}, Roots: []string{"~/work"}, Zone: "Australia/Lord_Howe",
			DeadlineMinutes: 240, Schedule: plan.Schedule{Kind: plan.Daily, Times: clocks("23:45", "12:15")}}})
}

// rule makes a policy of a rule.
func (s *sim) rule(r *rule) {
	s.t.Helper()
	r.input.Name, r.input.Enabled = r.name, true
	r.input.SpreadMinutes = int(r.spread / time.Minute)
	k := r.keep
	r.input.Retention = plan.Retention{Days: k.days, Last: k.last, Daily: k.daily, Weekly: k.weekly, Monthly: k.monthly, Yearly: k.yearly}
	if r.input.Level == "" {
		r.input.Level = policy.Default
	}
	p, err := s.depot.Policies.Create(context.Background(), actor.System(), r.input)
	s.ok(err)
	r.id, r.rev, r.on, r.zone, r.slots = p.ID, p.Revision, true, zone(r.input.Zone), map[time.Time]map[*device]bool{}
	r.eras = []era{{from: s.now(), match: r.match}}
	s.rules = append(s.rules, r)
}

// effective returns the rules that are for a device now.
func (s *sim) effective(d *device) (list []*rule) {
	for _, r := range s.rules {
		if r.on && r.for_(d) && d.revoked.IsZero() {
			list = append(list, r)
		}
	}
	return list
}

// close ends the era of a rule: the slots up to now are what the rule said until now.
func (s *sim) close(r *rule) {
	e := &r.eras[len(r.eras)-1]
	if !e.to.IsZero() {
		return
	}
	e.to = s.now()
	r.expect(*e, s.devices)
}

// change changes a rule at a moment at which nothing is due by it.
func (s *sim) change(r *rule, fn func()) {
	s.t.Helper()
	s.close(r)
	fn()
	p, err := s.depot.Policies.Get(context.Background(), actor.System(), r.id)
	s.ok(err)
	if r.on != p.Enabled {
		p, err = s.depot.Policies.Enable(context.Background(), actor.System(), r.id, r.on)
	} else {
		p, err = s.depot.Policies.Update(context.Background(), actor.System(), r.id, p.Revision, r.input)
	}
	s.ok(err)
	r.rev = p.Revision
	if r.on {
		r.eras = append(r.eras, era{from: s.now(), match: r.match})
	}
}

// regroup lets bob leave the group that two policies are for, or come back.
func (s *sim) regroup(out bool) {
	s.t.Helper()
	var held []*rule
	for _, r := range s.rules {
		if r.on && slices.Contains(r.input.Targets.Groups, s.field) {
			s.close(r)
			held = append(held, r)
		}
	}
	change := policy.GroupChange{Add: []id.User{s.people["bob"].id}}
	if out {
		change = policy.GroupChange{Remove: change.Add}
	}
	_, err := s.depot.Policies.UpdateGroup(context.Background(), actor.System(), s.field, change)
	s.ok(err)
	s.bobIsOut = out
	for _, r := range held {
		r.eras = append(r.eras, era{from: s.now(), match: r.match})
	}
}
