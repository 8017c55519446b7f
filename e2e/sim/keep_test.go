//go:build linux

package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// keep is a rule of retention.
type keep struct {
	days, last, daily, weekly, monthly, yearly int
}

// copyOf is what the rules look at.
type copyOf struct {
	ID      id.Snapshot
	At      time.Time `db:"created_at"`
	Pinned  bool
	Good    bool
	Trashed bool
}

// zoned is a rule of retention with its zone.
type zoned struct {
	keep
	zone *time.Location
}

// survivors says which of a device's snapshots stay, by the words of the manual: whatever any rule keeps, the newest one, the newest one without
// unreadable files, and what is pinned. Without rules all stay. It is written to be plain, not fast.
func survivors(now time.Time, rules []zoned, list []copyOf) map[id.Snapshot]bool {
	stay := map[id.Snapshot]bool{}
	newestFirst := slices.Clone(list)
	slices.SortFunc(newestFirst, func(a, b copyOf) int { return b.At.Compare(a.At) })
	good := slices.DeleteFunc(slices.Clone(newestFirst), func(c copyOf) bool { return !c.Good })
	firsts := func(n int, of []copyOf) {
		for _, c := range of[:min(n, len(of))] {
			stay[c.ID] = true
		}
	}
	firsts(1, newestFirst)
	firsts(1, good)
	for _, c := range list {
		if c.Pinned || len(rules) == 0 {
			stay[c.ID] = true
		}
	}
	for _, r := range rules {
		firsts(r.last, newestFirst)
		for _, c := range list {
			if age := now.Sub(c.At); age < time.Duration(r.days)*24*time.Hour {
				stay[c.ID] = true
			}
		}
		// One of each of so many days: names of days, of which the newest n have their newest snapshot.
		name := map[string]func(time.Time) string{
			"day":   func(t time.Time) string { return t.In(r.zone).Format("2006-01-02") },
			"week":  func(t time.Time) string { y, w := t.In(r.zone).ISOWeek(); return fmt.Sprintf("%d week %02d", y, w) },
			"month": func(t time.Time) string { return t.In(r.zone).Format("2006-01") },
			"year":  func(t time.Time) string { return t.In(r.zone).Format("2006") },
		}
		for what, n := range map[string]int{"day": r.daily, "week": r.weekly, "month": r.monthly, "year": r.yearly} {
			newest := map[string]copyOf{}
			var names []string
			for _, c := range newestFirst {
				day := name[what](c.At)
				if _, seen := newest[day]; !seen {
					newest[day] = c
					names = append(names, day)
				}
			}
			slices.Sort(names)
			slices.Reverse(names)
			for _, day := range names[:min(n, len(names))] {
				stay[newest[day].ID] = true
			}
		}
	}
	return stay
}
