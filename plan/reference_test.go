package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A reference knows a schedule by whether a wall, taken apart, is one of its times. It looks at every minute.
type reference struct {
	s     Schedule
	match func(month time.Month, day, last, hour, minute int, weekday time.Weekday) bool
	flow  bool
}

// slots walks through the instants minute by minute. The clock's changes all fall on full minutes.
func (r reference) slots(after, until time.Time, loc *time.Location) []time.Time {
	match := func(w time.Time) bool {
		last := time.Date(w.Year(), w.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
		return r.match(w.Month(), w.Day(), last, w.Hour(), w.Minute(), w.Weekday())
	}
	clock := func(t time.Time) time.Time { // what it shows, as a time in UTC
		l := t.In(loc)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
	}
	var list []time.Time
	t := after.Truncate(time.Minute).Add(-50 * time.Hour)
	latest := clock(t) // the latest that was shown
	for t = t.Add(time.Minute); !t.After(until); t = t.Add(time.Minute) {
		now := clock(t)
		due := r.flow && match(now)
		for !r.flow && latest.Before(now) {
			latest = latest.Add(time.Minute)
			due = due || match(latest)
		}
		if due && t.After(after) {
			list = append(list, t)
		}
	}
	return list
}

var zonesOfNote = []string{
	"", "Europe/Athens", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo", "Africa/Cairo",
	"Africa/Casablanca", "Antarctica/Troll", "Antarctica/Casey", "Asia/Pyongyang", "Pacific/Kwajalein", "America/St_Johns", "Europe/Dublin", "Asia/Gaza",
}

// moments draws instants, often within a day or two of a change of the zone's clocks.
func moments(t *rapid.T, loc *time.Location) time.Time {
	m := time.Unix(rapid.Int64Range(0, 2_500_000_000).Draw(t, "moment"), 0).In(loc)
	if _, end := m.ZoneBounds(); !end.IsZero() && rapid.IntRange(0, 3).Draw(t, "near a change") > 0 {
		if rapid.IntRange(0, 9).Draw(t, "at the end of a year") == 0 { // where package time's bounds are odd
			end = time.Date(m.Year(), time.December, 31, 23, 0, 0, 0, time.UTC)
		}
		m = end.Add(time.Duration(rapid.IntRange(-50*60, 10*60).Draw(t, "minutes from it")) * time.Minute)
	}
	return m.Add(time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 30e9, 59e9 + 999_999_999}).Draw(t, "rest")))
}

func references() *rapid.Generator[reference] {
	return rapid.Custom(func(t *rapid.T) reference {
		r := reference{s: Schedule{
			Kind: rapid.SampledFrom([]Kind{Daily, Weekly, Monthly, Cron, Cron}).Draw(t, "kind"),
			Zone: rapid.SampledFrom(zonesOfNote).Draw(t, "zone"),
		}}
		if r.s.Kind == Cron {
			cronReference(t, &r)
			return r
		}
		minute := rapid.OneOf(rapid.IntRange(0, 1439), rapid.IntRange(0, 4*60))
		for _, m := range rapid.SliceOfN(minute, 1, 6).Draw(t, "times") {
			r.s.Times = append(r.s.Times, Clock(m))
		}
		time_ := func(hour, minute int) bool { return slices.Contains(r.s.Times, Clock(60*hour+minute)) }
		switch r.s.Kind {
		case Daily:
			r.match = func(_ time.Month, _, _, hour, minute int, _ time.Weekday) bool { return time_(hour, minute) }
		case Weekly:
			for _, d := range rapid.SliceOfN(rapid.IntRange(0, 6), 1, 5).Draw(t, "days") {
				r.s.Days = append(r.s.Days, time.Weekday(d))
			}
			r.match = func(_ time.Month, _, _, hour, minute int, weekday time.Weekday) bool {
				return time_(hour, minute) && slices.Contains(r.s.Days, weekday)
			}
		case Monthly:
			r.s.Dates = rapid.SliceOfN(rapid.IntRange(1, 31), 1, 5).Draw(t, "dates")
			r.match = func(_ time.Month, day, last, hour, minute int, _ time.Weekday) bool {
				beyond := slices.ContainsFunc(r.s.Dates, func(d int) bool { return d > last })
				return time_(hour, minute) && (slices.Contains(r.s.Dates, day) || day == last && beyond)
			}
		}
		return r
	})
}

// cronReference draws an expression together with the values that it stands for.
func cronReference(t *rapid.T, r *reference) {
	type drawn struct {
		text   string
		values map[int]bool
	}
	draw := func(name string, lo, hi int, names []string, starred int) drawn {
		d := drawn{values: map[int]bool{}}
		var items []string
		write := func(v int) string {
			if i := v - lo; i < len(names) && rapid.Bool().Draw(t, "by name") {
				return names[i]
			}
			return fmt.Sprintf("%0*d", rapid.IntRange(1, 2).Draw(t, "digits"), v)
		}
		for range rapid.IntRange(1, 3).Draw(t, name) {
			from, to, step, item := lo, hi, 1, "*"
			if rapid.IntRange(1, 10).Draw(t, "restricted") > starred {
				from = rapid.IntRange(lo, hi).Draw(t, "from")
				to, item = from, write(from)
				if rapid.Bool().Draw(t, "range") {
					to = rapid.IntRange(from, hi).Draw(t, "to")
					item += "-" + write(to)
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "stepped") == 0 {
				step = rapid.IntRange(1, hi).Draw(t, "step")
				if !strings.ContainsAny(item, "*-") {
					to = hi
				}
				item += fmt.Sprintf("/%d", step)
			}
			for v := from; v <= to; v += step {
				d.values[v] = true
			}
			items = append(items, item)
		}
		d.text = strings.Join(items, ",")
		return d
	}
	minute := draw("minute", 0, 59, nil, 2)
	hour := draw("hour", 0, 23, nil, 6)
	dom := draw("day of the month", 1, 31, nil, 6)
	month := draw("month", 1, 12, strings.Fields("jan FEB Mar apr may jun jul aug sep oct nov dec"), 8)
	dow := draw("day of the week", 0, 7, strings.Fields("sun MON Tue wed thu fri sat"), 6)
	r.s.Cron = strings.Join([]string{minute.text, hour.text, dom.text, month.text, dow.text}, " ")
	r.flow = len(hour.values) == 24
	starred := strings.HasPrefix(dom.text, "*") || strings.HasPrefix(dow.text, "*")
	r.match = func(m time.Month, day, _, h, min int, weekday time.Weekday) bool {
		a, b := dom.values[day], dow.values[int(weekday)] || weekday == 0 && dow.values[7]
		return minute.values[min] && hour.values[h] && month.values[int(m)] && (a && b || !starred && (a || b))
	}
}

func TestSlotsAreThoseOfALookAtEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := references().Draw(t, "schedule")
		loc, err := LoadZone(r.s.Zone)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.s.Validate(); err != nil && !strings.Contains(err.Error(), "never comes") {
			t.Fatal(err)
		}
		after := moments(t, loc)
		until := after.Add(time.Duration(rapid.IntRange(0, 9*24*60).Draw(t, "minutes")) * time.Minute)
		want := r.slots(after, until, loc)
		got := r.s.Slots(after, until, 1<<30)
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Fatalf("%v after %v:\n got %v\nwant %v", r.s, after.UTC(), got, want)
		}
	})
}

func TestSlotsIncreaseAndComeOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := references().Draw(t, "schedule").s
		loc, err := LoadZone(s.Zone)
		if err != nil {
			t.Fatal(err)
		}
		start := moments(t, loc)
		slots := s.Slots(start, start.AddDate(40, 0, 0), 50)
		before := start
		for i, slot := range slots {
			if !slot.After(before) {
				t.Fatalf("slot %d: %v is not after %v", i, slot, before)
			}
			// Whenever one asks between two slots, the second is the next one.
			between := before.Add(time.Duration(rapid.Int64Range(0, int64(slot.Sub(before))-1).Draw(t, "later")))
			if next, ok := s.Next(between); !ok || !next.Equal(slot) {
				t.Fatalf("after %v comes %v, %v; after %v comes %v", before, slot, ok, between, next)
			}
			before = slot
		}
	})
}
