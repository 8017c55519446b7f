package plan

import (
	"slices"
	"time"
)

// Item is what [Keep] knows of a snapshot.
type Item struct {
	At     time.Time // when it was committed, by the server's clock
	Pinned bool
	Good   bool // made without a file that could not be read
}

// Verdict is what becomes of a snapshot, and every reason why it is kept, in this order: "newest", "newest-good",
// "pinned", "future", "no-rule", "days", "last", "daily", "weekly", "monthly", "yearly".
type Verdict struct {
	Keep    bool
	Reasons []string
}

// reasons are bits, so that a reason comes once however many rules have it.
type reasons uint16

const (
	newest reasons = 1 << iota
	newestGood
	pinned
	future
	noRule
	byDays
	byLast
	byDay
	byWeek
	byMonth
	byYear
)

var reasonWords = [...]string{"newest", "newest-good", "pinned", "future", "no-rule", "days", "last", "daily", "weekly", "monthly", "yearly"}

func (r reasons) words() []string {
	var words []string
	for i, word := range reasonWords {
		if r>>i&1 != 0 {
			words = append(words, word)
		}
	}
	return words
}

// Keep decides about the snapshots of one device, given in any order; the verdicts are in the same. A snapshot is
// kept if any rule keeps it. In addition the newest one, the newest good one and pinned ones always are.
//
// Without rules, or with one that is zero, everything is kept; also with one that is not valid, since nothing may be
// deleted on doubt.
//
// What is newer than now is kept, too, and counts as nobody's newest: a clock that was wrong for a while pushes
// nothing out.
func Keep(now time.Time, rules []Rule, items []Item) []Verdict {
	why := make([]reasons, len(items))
	order := make([]int, 0, len(items)) // of what is not in the future, newest first
	for i, item := range items {
		if item.Pinned {
			why[i] |= pinned
		}
		if item.At.After(now) {
			why[i] |= future
			continue
		}
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := items[b].At.Compare(items[a].At); c != 0 {
			return c
		}
		if items[a].Good != items[b].Good { // of two at the same instant the good one counts as the newer
			if items[a].Good {
				return -1
			}
			return 1
		}
		return a - b
	})
	if len(order) > 0 {
		why[order[0]] |= newest
	}
	if i := slices.IndexFunc(order, func(i int) bool { return items[i].Good }); i >= 0 {
		why[order[i]] |= newestGood
	}
	if len(rules) == 0 {
		everything(why)
	}
	for _, rule := range rules {
		rule.keep(now, items, order, why)
	}
	verdicts := make([]Verdict, len(items))
	for i, r := range why {
		verdicts[i] = Verdict{Keep: r != 0, Reasons: r.words()}
	}
	return verdicts
}

func everything(why []reasons) {
	for i := range why {
		why[i] |= noRule
	}
}

// keep adds the rule's reasons. order has the items that count, newest first.
func (r Rule) keep(now time.Time, items []Item, order []int, why []reasons) {
	zone, err := LoadZone(r.Zone)
	if r.IsZero() || r.Retention.Validate() != nil || err != nil {
		everything(why)
		return
	}
	for n, i := range order {
		if n < r.Last {
			why[i] |= byLast
		}
		if items[i].At.After(now.Add(-time.Duration(r.Days) * 24 * time.Hour)) {
			why[i] |= byDays
		}
	}
	buckets(r.Daily, byDay, items, order, why, func(t time.Time) [3]int {
		y, m, d := t.In(zone).Date()
		return [3]int{y, int(m), d}
	})
	buckets(r.Weekly, byWeek, items, order, why, func(t time.Time) [3]int {
		y, w := t.In(zone).ISOWeek()
		return [3]int{y, w}
	})
	buckets(r.Monthly, byMonth, items, order, why, func(t time.Time) [3]int {
		y, m, _ := t.In(zone).Date()
		return [3]int{y, int(m)}
	})
	buckets(r.Yearly, byYear, items, order, why, func(t time.Time) [3]int {
		return [3]int{t.In(zone).Year()}
	})
}

// buckets gives the reason to the newest item of each of the first n buckets that order meets.
func buckets(n int, reason reasons, items []Item, order []int, why []reasons, bucket func(time.Time) [3]int) {
	seen := map[[3]int]struct{}{} // not only the last one: where a clock is put back over midnight a day comes twice
	for _, i := range order {
		if len(seen) >= n {
			return
		}
		b := bucket(items[i].At)
		if _, ok := seen[b]; !ok {
			seen[b] = struct{}{}
			why[i] |= reason
		}
	}
}
