package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// String says the schedule to people: "every day at 02:00 (Europe/Athens)". Of one that is not valid it says why.
func (s Schedule) String() string {
	if err := s.Validate(); err != nil {
		return "not valid: " + err.Error()
	}
	zone := s.Zone
	if zone == "" {
		zone = "UTC"
	}
	var when string
	switch s.Kind {
	case Daily:
		when = "every day"
	case Weekly:
		when = weekdays(s.Days)
	case Monthly:
		when = monthdays(s.Dates)
	case Cron:
		return fmt.Sprintf("by cron %q (%s)", strings.TrimSpace(s.Cron), zone)
	}
	times := slices.Clone(s.Times)
	slices.Sort(times)
	var at []string
	for _, t := range slices.Compact(times) {
		at = append(at, t.String())
	}
	return fmt.Sprintf("%s at %s (%s)", when, and(at), zone)
}

// weekdays says days of the week, Monday first: "Mondays to Fridays and Sundays".
func weekdays(days []time.Weekday) string {
	var on [7]bool // from Monday
	for _, d := range days {
		on[(d+6)%7] = true
	}
	if !slices.Contains(on[:], false) {
		return "every day"
	}
	name := func(i int) string { return time.Weekday((i+1)%7).String() + "s" }
	var parts []string
	for i := 0; i < 7; i++ {
		if !on[i] {
			continue
		}
		last := i
		for last < 6 && on[last+1] {
			last++
		}
		if last-i < 2 { // two are no range
			parts = append(parts, name(i))
			continue
		}
		parts = append(parts, name(i)+" to "+name(last))
		i = last
	}
	return and(parts)
}

// monthdays says days of the month: "on the 1st and the last day of the month".
func monthdays(dates []int) string {
	dates = slices.Clone(dates)
	slices.Sort(dates)
	var parts []string
	short := ""
	for _, d := range slices.Compact(dates) {
		if d == 31 {
			parts = append(parts, "the last day")
			continue
		}
		if d > 28 {
			short = " (in shorter months the last day)"
		}
		parts = append(parts, "the "+ordinal(d))
	}
	return "on " + and(parts) + " of the month" + short
}

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// and joins words as people do.
func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
