//go:build linux

package sim

import (
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// rule is a policy as the test sees it: what it tells the server, and beside that, in words of its own, what the server
// is to make of it. Nothing here asks package plan.
type rule struct {
	name   string
	id     id.Policy
	rev    int
	input  policy.Input
	zone   *time.Location
	on     bool
	match  func(wall time.Time) bool      // whether a clock that shows this means a slot
	for_   func(*device) bool             // whether it is for a device
	takes  func(path string) bool         // whether it saves a file, by its path below the home folder
	roots  []string                       // below the home folder; "": all of it
	keep   keep                           // its retention
	due    time.Duration                  // its deadline; 0: by itself
	spread time.Duration                  //
	open   func(wall time.Time) bool      // whether the window is open when the clock shows this; nil: always
	eras   []era                          // when which match held
	slots  map[time.Time]map[*device]bool // every slot, and for whom
}

// era is a span of time in which a rule had slots.
type era struct {
	from, to time.Time // a slot belongs to it if from < slot <= to
	match    func(wall time.Time) bool
}

// wall is what a clock in a zone shows, as a time in UTC.
func wall(t time.Time, zone *time.Location) time.Time {
	l := t.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
}

// slotsOf looks at every minute. A slot is the first minute at which the clock shows its time, or a later one: a time that is left out in
// spring is due when the clock is put forward, one that comes twice in autumn is due once.
func slotsOf(match func(time.Time) bool, zone *time.Location, from, to time.Time) (list []time.Time) {
	t := from.Truncate(time.Minute).Add(-3 * time.Hour)
	latest := wall(t, zone) // the latest time that was shown
	for t = t.Add(time.Minute); !t.After(to); t = t.Add(time.Minute) {
		due := false
		for now := wall(t, zone); latest.Before(now); {
			latest = latest.Add(time.Minute)
			due = due || match(latest)
		}
		if due && t.After(from) {
			list = append(list, t.UTC())
		}
	}
	return list
}

// opens returns the first minute from t on at which the window is open; t itself if it is.
func (r *rule) opens(t time.Time) time.Time {
	if r.open == nil || r.open(wall(t, r.zone)) {
		return t
	}
	for m := t.Truncate(time.Minute).Add(time.Minute); ; m = m.Add(time.Minute) {
		if r.open(wall(m, r.zone)) {
			return m
		}
	}
}

// deadline says until when a slot can be begun: as the policy says, or until its next slot, a day at most, but an hour at least after the last device
// may begin.
func (r *rule) deadline(slot time.Time, match func(time.Time) bool) time.Time {
	if r.due > 0 {
		return slot.Add(r.due)
	}
	end := slot.Add(24 * time.Hour)
	if list := slotsOf(match, r.zone, slot, end); len(list) > 0 {
		end = list[0]
	}
	if least := r.opens(slot.Add(r.spread)).Add(time.Hour); end.Before(least) {
		end = least
	}
	return end
}

// expect lists the slots of a span that has passed, for the devices that the rule was for then.
func (r *rule) expect(e era, devices []*device) {
	for _, slot := range slotsOf(e.match, r.zone, e.from, e.to) {
		for _, d := range devices {
			if r.for_(d) && slot.After(d.born) && (d.revoked.IsZero() || slot.Before(d.revoked)) {
				if r.slots[slot] == nil {
					r.slots[slot] = map[*device]bool{}
				}
				r.slots[slot][d] = true
			}
		}
	}
}

func at(hour, minute int) func(time.Time) bool {
	return func(w time.Time) bool { return w.Hour() == hour && w.Minute() == minute }
}

func either(list ...func(time.Time) bool) func(time.Time) bool {
	return func(w time.Time) bool {
		return slices.ContainsFunc(list, func(m func(time.Time) bool) bool { return m(w) })
	}
}

func clocks(texts ...string) (list []plan.Clock) {
	for _, text := range texts {
		c, err := plan.ParseClock(text)
		if err != nil {
			panic(err)
		}
		list = append(list, c)
	}
	return list
}

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}
