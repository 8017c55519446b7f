package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRetentionsThatAreNotValid(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Retention{
		"days: -1 is not from 0 to 36500": {Days: -1}, "last: 36501 is not": {Last: 36501}, "daily: -7 is not": {Daily: -7},
		"weekly: 99999999 is not": {Weekly: 99999999}, "monthly: -1 is not": {Monthly: -1}, "yearly: -1 is not": {Yearly: -1},
	} {
		if err := r.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", r, err, want)
		}
		if err := (Rule{r, ""}).Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("a rule of %+v: %v; want %q", r, err, want)
		}
	}
	if err := (Rule{Retention{Daily: 7}, "Europe/Atlantis"}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "zone: ") {
		t.Errorf("a rule in Atlantis: %v", err)
	}
	if err := (Rule{Retention{MaxKeep, MaxKeep, MaxKeep, MaxKeep, MaxKeep, MaxKeep}, "Europe/Athens"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestRetentionsInWords(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Retention{
		"everything, for ever": {},
		"all of the last 30 days, the last 5, 7 daily, 4 weekly, 12 monthly and 3 yearly": {30, 5, 7, 4, 12, 3},
		"all of the last 24 hours and the last one":                                       {Days: 1, Last: 1},
		"12 monthly": {Monthly: 12},
	} {
		if got := r.String(); got != want || r.IsZero() != (r == Retention{}) {
			t.Errorf("%+v is said as %q, and zero is %v; want %q", r, got, r.IsZero(), want)
		}
	}
}

// Each item is a time, then "!" if it is pinned and "-" if it is not good; each verdict is its reasons.
func TestKeep(t *testing.T) {
	t.Parallel()
	const now = "2024-03-15T12:00Z"
	tests := []struct {
		name  string
		rules []Rule
		items string
		want  string // in the same order; "·" is not kept
	}{
		{"no rule", nil, "2024-03-14T02:00Z 2020-01-01T00:00Z", "newest,newest-good,no-rule no-rule"},
		{"a rule that is zero beside another", []Rule{{Retention{Last: 1}, ""}, {}}, "2024-03-14T02:00Z 2020-01-01T00:00Z", "newest,newest-good,no-rule,last no-rule"},
		{"a rule that is not valid", []Rule{{Retention{Last: 1, Daily: -1}, ""}}, "2024-03-14T02:00Z 2020-01-01T00:00Z", "newest,newest-good,no-rule no-rule"},
		{"a number that is too large", []Rule{{Retention{Days: 1 << 40}, ""}}, "2024-03-14T02:00Z 2020-01-01T00:00Z", "newest,newest-good,no-rule no-rule"},
		{"a zone that is not known", []Rule{{Retention{Last: 1}, "Europe/Atlantis"}}, "2024-03-14T02:00Z 2020-01-01T00:00Z", "newest,newest-good,no-rule no-rule"},
		{"the newest, and the newest good one", []Rule{{Retention{Yearly: 1}, ""}}, "2024-03-10T02:00Z 2024-03-12T02:00Z 2024-03-14T02:00Z- 2024-03-13T02:00Z-",
			"· newest-good newest,yearly ·"},
		{"none is good", []Rule{{Retention{Last: 1}, ""}}, "2024-03-10T02:00Z- 2024-03-12T02:00Z-", "· newest,last"},
		{"pinned", []Rule{{Retention{Last: 1}, ""}}, "2019-01-01T00:00Z! 2019-01-01T00:00Z 2024-03-14T02:00Z", "pinned · newest,newest-good,last"},
		{"a pin pushes nothing out and makes no room", []Rule{{Retention{Last: 2}, ""}}, "2024-03-14T02:00Z! 2024-03-13T02:00Z 2024-03-12T02:00Z",
			"newest,newest-good,pinned,last last ·"},
		{"days are 24 hours, and end exactly", []Rule{{Retention{Days: 2}, ""}}, "2024-03-15T12:00Z 2024-03-13T12:00:00.000000001Z 2024-03-13T12:00Z", "newest,newest-good,days days ·"},
		{"days of a change of the clocks, too", []Rule{{Retention{Days: 5}, "America/New_York"}}, "2024-03-15T12:00Z 2024-03-10T08:30-04:00 2024-03-10T07:59-04:00", "newest,newest-good,days days ·"},
		{"the future takes no place", []Rule{{Retention{Last: 1, Daily: 1}, ""}}, "2024-03-15T12:00:00.000000001Z 2031-01-01T00:00Z- 2024-03-14T02:00Z 2024-03-13T02:00Z",
			"future future newest,newest-good,last,daily ·"},
		{"now is not the future", []Rule{{Retention{Last: 1}, ""}}, now + " 2024-03-14T02:00Z", "newest,newest-good,last ·"},
		{"the newest of each day, for days that have one", []Rule{{Retention{Daily: 3}, ""}},
			"2024-03-15T01:00Z 2024-03-15T11:00Z 2024-03-10T23:59Z 2024-03-10T00:00Z 2024-02-01T05:00Z 2024-01-01T00:00Z",
			"· newest,newest-good,daily daily · daily ·"},
		{"the day is the zone's", []Rule{{Retention{Daily: 2}, "Asia/Tokyo"}}, "2024-03-14T14:59Z 2024-03-14T15:00Z 2024-03-14T15:01Z", "daily · newest,newest-good,daily"},
		{"and without one it is UTC's", []Rule{{Retention{Daily: 2}, ""}}, "2024-03-14T14:59Z 2024-03-14T15:00Z 2024-03-13T15:01Z", "· newest,newest-good,daily daily"},
		{"ISO weeks end on Sunday, also over a year's end", []Rule{{Retention{Weekly: 2}, ""}}, "2024-12-29T23:59Z! 2024-01-07T23:00Z 2024-01-01T00:00Z 2023-12-31T23:00Z 2023-12-25T00:00Z",
			"pinned,future newest,newest-good,weekly · weekly ·"},
		{"weeks, months and years are the zone's, too", []Rule{{Retention{Weekly: 2}, "Asia/Tokyo"}, {Retention{Monthly: 2}, "Asia/Tokyo"}, {Retention{Yearly: 2}, "Asia/Tokyo"}},
			// 2023-12-31 was a Sunday: in Tokyo the first two are of another week, month and year.
			"2023-12-31T15:30Z 2023-12-31T15:00Z 2023-12-31T14:59Z 2023-12-31T14:58Z", "newest,newest-good,weekly,monthly,yearly · weekly,monthly,yearly ·"},
		{"months and years", []Rule{{Retention{Monthly: 2, Yearly: 3}, ""}}, "2024-03-01T00:00Z 2024-02-29T23:59Z 2024-02-01T00:00Z 2023-12-31T00:00Z 2022-06-01T00:00Z 2021-01-01T00:00Z",
			"newest,newest-good,monthly,yearly monthly · yearly yearly ·"},
		{"any rule", []Rule{{Retention{Daily: 1}, ""}, {Retention{Last: 2}, ""}, {Retention{Last: 1}, ""}}, "2024-03-14T03:00Z 2024-03-14T02:00Z 2024-03-13T02:00Z",
			"newest,newest-good,last,daily last ·"},
		{"at one instant: good before not, then the first", []Rule{{Retention{Last: 1}, ""}}, "2024-03-14T02:00Z- 2024-03-14T02:00Z 2024-03-14T02:00Z", "· newest,newest-good,last ·"},
		{"likewise in another order", []Rule{{Retention{Last: 1}, ""}}, "2024-03-14T02:00Z 2024-03-14T02:00Z- 2024-03-14T02:00Z!", "newest,newest-good,last · pinned"},
		{"a day that comes twice, where clocks go back over midnight", []Rule{{Retention{Daily: 2}, "America/St_Johns"}},
			// On 2010-11-07 at 00:01 the clocks went back to 23:01 of the 6th.
			"2010-11-07T00:00:30-02:30 2010-11-06T23:30-03:30 2010-11-06T23:45-02:30 2010-11-05T12:00-02:30", "daily newest,newest-good,daily · ·"},
		{"nothing", []Rule{{Retention{Last: 1}, ""}}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var items []Item
			for _, f := range strings.Fields(tt.items) {
				items = append(items, Item{at(t, strings.TrimRight(f, "!-")), strings.HasSuffix(f, "!"), !strings.HasSuffix(f, "-")})
			}
			var got []string
			for _, v := range Keep(at(t, now), tt.rules, items) {
				word := strings.Join(v.Reasons, ",")
				if !v.Keep {
					word += "·"
				}
				got = append(got, word)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("\n got %s\nwant %s", s, tt.want)
			}
		})
	}
}

// keepSlowly is Keep by its definition: for each item it looks at all others. It does without instants that are equal.
func keepSlowly(now time.Time, rules []Rule, items []Item) []bool {
	kept := make([]bool, len(items))
	for i, item := range items {
		newer := func(than time.Time, more func(Item) bool) (n int) {
			for _, other := range items {
				if other.At.After(than) && !other.At.After(now) && more(other) {
					n++
				}
			}
			return n
		}
		all := func(Item) bool { return true }
		good := func(i Item) bool { return i.Good }
		kept[i] = item.Pinned || item.At.After(now) || len(rules) == 0 || newer(item.At, all) == 0 || item.Good && newer(item.At, good) == 0
		for _, r := range rules {
			zone, err := LoadZone(r.Zone)
			if err != nil || r.IsZero() || r.Validate() != nil || newer(item.At, all) < r.Last || now.Sub(item.At) < time.Duration(r.Days)*24*time.Hour {
				kept[i] = true
				continue
			}
			week := func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }
			for _, b := range []struct {
				n    int
				name func(time.Time) string
			}{
				{r.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }}, {r.Weekly, week},
				{r.Monthly, func(t time.Time) string { return t.Format("2006-01") }}, {r.Yearly, func(t time.Time) string { return t.Format("2006") }},
			} {
				mine := b.name(item.At.In(zone))
				buckets := map[string]bool{} // of newer ones
				newer(item.At, func(i Item) bool { buckets[b.name(i.At.In(zone))] = true; return true })
				kept[i] = kept[i] || !buckets[mine] && len(buckets) < b.n
			}
		}
	}
	return kept
}

var keepNow = time.Date(2024, 11, 3, 6, 30, 0, 0, time.UTC) // where New York goes back

func ruleSets() *rapid.Generator[[]Rule] {
	n := func() *rapid.Generator[int] {
		return rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 4), rapid.IntRange(-1, 40))
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule {
		return Rule{Retention{n().Draw(t, "days"), n().Draw(t, "last"), n().Draw(t, "daily"), n().Draw(t, "weekly"), n().Draw(t, "monthly"), n().Draw(t, "yearly")},
			rapid.SampledFrom(zonesOfNote).Draw(t, "zone")}
	}), 0, 3)
}

// histories draws snapshots at different instants, in any order.
func histories() *rapid.Generator[[]Item] {
	return rapid.Custom(func(t *rapid.T) []Item {
		unit := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 5 * time.Hour, 24 * time.Hour, 20 * 24 * time.Hour}).Draw(t, "unit")
		ages := rapid.SliceOfNDistinct(rapid.IntRange(-5, 100), 0, 30, rapid.ID[int]).Draw(t, "ages")
		items := make([]Item, len(ages))
		for i, age := range ages {
			items[i] = Item{keepNow.Add(-time.Duration(age) * unit), rapid.IntRange(0, 9).Draw(t, "pinned") == 0, rapid.IntRange(0, 3).Draw(t, "bad") > 0}
		}
		return items
	})
}

func survivors(items []Item, verdicts []Verdict) (kept []Item) {
	for i, v := range verdicts {
		if v.Keep {
			kept = append(kept, items[i])
		}
	}
	return kept
}

func TestKeepIsWhatItsDefinitionSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules, items := ruleSets().Draw(t, "rules"), histories().Draw(t, "items")
		verdicts := Keep(keepNow, rules, items)
		for i, want := range keepSlowly(keepNow, rules, items) {
			if v := verdicts[i]; v.Keep != want || v.Keep != (len(v.Reasons) > 0) {
				t.Fatalf("item %d of %v under %v: %+v; want %v", i, items, rules, v, want)
			}
		}
	})
}

func TestKeepHasPrinciples(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules, items := ruleSets().Draw(t, "rules"), histories().Draw(t, "items")
		verdicts := Keep(keepNow, rules, items)

		left := survivors(items, verdicts)
		for i, v := range Keep(keepNow, rules, left) {
			if !v.Keep {
				t.Fatalf("asked again about what is left, it lets %v go", left[i])
			}
		}

		if more := ruleSets().Draw(t, "more rules"); len(rules) > 0 {
			for i, v := range Keep(keepNow, append(slices.Clone(rules), more...), items) {
				if verdicts[i].Keep && !v.Keep {
					t.Fatalf("with more rules %v is let go", items[i])
				}
			}
		}

		var past []Item
		for _, item := range items {
			if !item.At.After(keepNow) {
				past = append(past, item)
			}
		}
		if got, want := survivors(past, verdictsOfPast(items, verdicts)), survivors(past, Keep(keepNow, rules, past)); !slices.Equal(got, want) {
			t.Fatalf("with a future %v are kept, without it %v", got, want)
		}
		if len(past) > 0 {
			newest := slices.MaxFunc(past, func(a, b Item) int { return a.At.Compare(b.At) })
			if !slices.Contains(left, newest) {
				t.Fatalf("the newest, %v, is let go", newest)
			}
		}

		if len(items) > 0 {
			pin := rapid.IntRange(0, len(items)-1).Draw(t, "pin")
			pinnedItems := slices.Clone(items)
			pinnedItems[pin].Pinned = true
			for i, v := range Keep(keepNow, rules, pinnedItems) {
				if i != pin && v.Keep != verdicts[i].Keep {
					t.Fatalf("a pin on %v changes %v", items[pin], items[i])
				}
			}
		}

		order := rapid.Permutation(indexes(len(items))).Draw(t, "order")
		shuffled := make([]Item, len(items))
		for i, from := range order {
			shuffled[i] = items[from]
		}
		for i, v := range Keep(keepNow, rules, shuffled) {
			if !slices.Equal(v.Reasons, verdicts[order[i]].Reasons) {
				t.Fatalf("in another order %v has %v instead of %v", shuffled[i], v.Reasons, verdicts[order[i]].Reasons)
			}
		}
	})
}

func verdictsOfPast(items []Item, verdicts []Verdict) (past []Verdict) {
	for i, item := range items {
		if !item.At.After(keepNow) {
			past = append(past, verdicts[i])
		}
	}
	return past
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func BenchmarkKeep(b *testing.B) {
	rules := []Rule{
		{Retention{Days: 30, Last: 10, Daily: 60, Weekly: 52, Monthly: 60, Yearly: 10}, "Europe/Athens"},
		{Retention{Daily: 3650, Weekly: 520}, "America/New_York"},
	}
	r := rand.New(rand.NewPCG(1, 2))
	items := make([]Item, 10_000)
	for i := range items {
		items[i] = Item{keepNow.Add(-time.Duration(r.Int64N(int64(10 * 365 * 24 * time.Hour)))), false, true}
	}
	for b.Loop() {
		Keep(keepNow, rules, items)
	}
}
