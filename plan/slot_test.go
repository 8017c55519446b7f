package plan

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// at reads RFC 3339, seconds optional.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		v, err = time.Parse("2006-01-02T15:04Z07:00", s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func clocks(t testing.TB, s string) []Clock {
	t.Helper()
	var list []Clock
	for _, f := range strings.Fields(s) {
		c, err := ParseClock(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func daily(t testing.TB, zone, times string) Schedule {
	return Schedule{Kind: Daily, Times: clocks(t, times), Zone: zone}
}

func weekly(t testing.TB, zone, times string, days ...time.Weekday) Schedule {
	return Schedule{Kind: Weekly, Times: clocks(t, times), Days: days, Zone: zone}
}

func monthly(t testing.TB, zone, times string, dates ...int) Schedule {
	return Schedule{Kind: Monthly, Times: clocks(t, times), Dates: dates, Zone: zone}
}

func cron(zone, expr string) Schedule { return Schedule{Kind: Cron, Cron: expr, Zone: zone} }

// checkSlots compares slots with what the clocks of their zone show, and its offset.
func checkSlots(t *testing.T, s Schedule, after string, want string) {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	expected := strings.Fields(want)
	slots := s.Slots(at(t, after), at(t, after).AddDate(100, 0, 0), len(expected))
	var got []string
	for _, slot := range slots {
		got = append(got, slot.Format("2006-01-02T15:04Z07:00"))
	}
	if !slices.Equal(got, expected) {
		t.Errorf("%v after %s:\n got %v\nwant %v", s, after, got, expected)
	}
}

func TestSlotsOfTheCalendar(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		s     Schedule
		after string
		want  string
	}{
		{"strictly after", daily(t, "", "02:00"), "2024-01-01T02:00Z", "2024-01-02T02:00Z"},
		{"less than a second before", daily(t, "", "02:00"), "2024-01-01T01:59:59.999999999Z", "2024-01-01T02:00Z"},
		{"less than a second after", daily(t, "", "02:00"), "2024-01-01T02:00:00.000000001Z", "2024-01-02T02:00Z"},
		{"times in any order, and twice", daily(t, "", "18:00 02:00 18:00"), "2024-01-01T00:00Z", "2024-01-01T02:00Z 2024-01-01T18:00Z 2024-01-02T02:00Z"},
		{"first and last minute", daily(t, "", "00:00 23:59"), "2024-12-31T12:00Z", "2024-12-31T23:59Z 2025-01-01T00:00Z 2025-01-01T23:59Z"},
		{"the day is the zone's", weekly(t, "Pacific/Kiritimati", "01:00", time.Monday), "2024-01-07T00:00Z", "2024-01-08T01:00+14:00 2024-01-15T01:00+14:00"},
		{"quarters of an hour from UTC", daily(t, "Asia/Kathmandu", "00:00"), "2024-01-01T00:00Z", "2024-01-02T00:00+05:45"},
		{"weekly", weekly(t, "", "09:00 18:00", time.Thursday, time.Monday), "2024-02-28T00:00Z",
			"2024-02-29T09:00Z 2024-02-29T18:00Z 2024-03-04T09:00Z 2024-03-04T18:00Z 2024-03-07T09:00Z"},
		{"Sunday and Saturday over the end of a year", weekly(t, "", "12:00", time.Sunday, time.Saturday), "2022-12-31T00:00Z", "2022-12-31T12:00Z 2023-01-01T12:00Z 2023-01-07T12:00Z"},
		{"month ends", monthly(t, "", "12:00", 31), "2023-01-01T00:00Z",
			"2023-01-31T12:00Z 2023-02-28T12:00Z 2023-03-31T12:00Z 2023-04-30T12:00Z 2023-05-31T12:00Z"},
		{"a leap year's February", monthly(t, "", "12:00", 31), "2024-02-01T00:00Z", "2024-02-29T12:00Z 2024-03-31T12:00Z"},
		{"a century is none", monthly(t, "", "12:00", 29), "2100-02-01T00:00Z", "2100-02-28T12:00Z 2100-03-29T12:00Z"},
		{"30 and 31 are one day in April and February", monthly(t, "", "12:00", 30, 31), "2023-02-01T00:00Z",
			"2023-02-28T12:00Z 2023-03-30T12:00Z 2023-03-31T12:00Z 2023-04-30T12:00Z 2023-05-30T12:00Z"},
		{"28 and 29", monthly(t, "", "12:00", 28, 29), "2023-02-01T00:00Z", "2023-02-28T12:00Z 2023-03-28T12:00Z 2023-03-29T12:00Z"},
		{"first and last over the end of a year", monthly(t, "", "23:30", 1, 31), "2023-12-15T00:00Z", "2023-12-31T23:30Z 2024-01-01T23:30Z 2024-01-31T23:30Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkSlots(t, tt.s, tt.after, tt.want)
		})
	}
}

// What becomes of a time of day where the clocks are changed.
func TestSlotsWhereClocksChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		s     Schedule
		after string
		want  string
	}{
		{"Athens leaves out 03:00 to 04:00", daily(t, "Europe/Athens", "03:30"), "2024-03-30T00:00Z",
			"2024-03-30T03:30+02:00 2024-03-31T04:00+03:00 2024-04-01T03:30+03:00"},
		{"the first minute that is left out", daily(t, "Europe/Athens", "03:00"), "2024-03-30T12:00Z", "2024-03-31T04:00+03:00 2024-04-01T03:00+03:00"},
		{"the last minute before", daily(t, "Europe/Athens", "02:59"), "2024-03-30T12:00Z", "2024-03-31T02:59+02:00 2024-04-01T02:59+03:00"},
		{"times that are left out come to one slot", daily(t, "Europe/Athens", "03:00 03:15 03:59 04:00 04:01"), "2024-03-30T12:00Z",
			"2024-03-31T04:00+03:00 2024-03-31T04:01+03:00 2024-04-01T03:00+03:00"},
		{"Athens shows 03:00 to 04:00 twice", daily(t, "Europe/Athens", "03:30"), "2024-10-26T12:00Z",
			"2024-10-27T03:30+03:00 2024-10-28T03:30+02:00"},
		{"asked between the two", daily(t, "Europe/Athens", "03:30"), "2024-10-27T03:31+03:00", "2024-10-28T03:30+02:00"},
		{"asked in the second", daily(t, "Europe/Athens", "03:30 03:45"), "2024-10-27T03:10+02:00", "2024-10-28T03:30+02:00"},
		{"the first minute of the second", daily(t, "Europe/Athens", "03:00 04:00"), "2024-10-27T03:20+03:00", "2024-10-27T04:00+02:00 2024-10-28T03:00+02:00"},
		{"New York, spring", daily(t, "America/New_York", "02:30"), "2024-03-09T12:00Z", "2024-03-10T03:00-04:00 2024-03-11T02:30-04:00"},
		{"New York, autumn", daily(t, "America/New_York", "01:30"), "2024-11-02T12:00Z", "2024-11-03T01:30-04:00 2024-11-04T01:30-05:00"},
		{"Lord Howe leaves out half an hour", daily(t, "Australia/Lord_Howe", "02:00 02:15 02:30 02:45"), "2024-10-05T12:00+10:30",
			"2024-10-06T02:30+11:00 2024-10-06T02:45+11:00 2024-10-07T02:00+11:00"},
		{"Lord Howe shows half an hour twice", daily(t, "Australia/Lord_Howe", "01:15 01:45 02:00"), "2024-04-06T12:00+11:00",
			"2024-04-07T01:15+11:00 2024-04-07T01:45+11:00 2024-04-07T02:00+10:30 2024-04-08T01:15+10:30"},
		{"Sao Paulo leaves out midnight", daily(t, "America/Sao_Paulo", "00:00"), "2018-11-03T12:00Z", "2018-11-04T01:00-02:00 2018-11-05T00:00-02:00"},
		{"Sao Paulo goes back over midnight", daily(t, "America/Sao_Paulo", "00:00 23:30"), "2019-02-16T12:00Z",
			"2019-02-16T23:30-02:00 2019-02-17T00:00-03:00 2019-02-17T23:30-03:00"},
		{"the first of the month begins an hour late", monthly(t, "America/Asuncion", "00:00", 1), "2023-09-15T00:00Z", "2023-10-01T01:00-03:00 2023-11-01T00:00-03:00"},
		{"Cairo leaves out a Friday's midnight", weekly(t, "Africa/Cairo", "00:00", time.Friday), "2024-04-25T00:00Z", "2024-04-26T01:00+03:00 2024-05-03T00:00+03:00"},
		{"Cairo goes back at midnight", daily(t, "Africa/Cairo", "23:15"), "2024-10-31T12:00Z", "2024-10-31T23:15+03:00 2024-11-01T23:15+02:00"},
		{"Samoa leaves out a Friday", daily(t, "Pacific/Apia", "10:00"), "2011-12-28T12:00-10:00",
			"2011-12-29T10:00-10:00 2011-12-31T00:00+14:00 2011-12-31T10:00+14:00 2012-01-01T10:00+14:00"},
		{"all times of that Friday are one slot", daily(t, "Pacific/Apia", "00:00 06:00 12:00"), "2011-12-29T11:59-10:00",
			"2011-12-29T12:00-10:00 2011-12-31T00:00+14:00 2011-12-31T06:00+14:00"},
		{"weekly on that Friday", weekly(t, "Pacific/Apia", "10:00", time.Friday), "2011-12-28T00:00Z", "2011-12-31T00:00+14:00 2012-01-06T10:00+14:00"},
		{"monthly on that day", monthly(t, "Pacific/Apia", "10:00", 30), "2011-12-01T00:00Z", "2011-12-31T00:00+14:00 2012-01-30T10:00+14:00"},
		{"Troll changes by two hours", daily(t, "Antarctica/Troll", "02:30"), "2024-03-30T12:00Z", "2024-03-31T03:00+02:00 2024-04-01T02:30+02:00"},
		{"Casey goes back by three hours", daily(t, "Antarctica/Casey", "00:30"), "2010-03-04T00:00Z", "2010-03-05T00:30+11:00 2010-03-06T00:30+08:00"},
		{"Pyongyang changes by half an hour for good", daily(t, "Asia/Pyongyang", "23:45"), "2018-05-03T00:00Z", "2018-05-03T23:45+08:30 2018-05-05T00:00+09:00 2018-05-05T23:45+09:00"},
		{"Kwajalein had one day twice", daily(t, "Pacific/Kwajalein", "12:00"), "1969-09-29T00:00Z", "1969-09-29T12:00+11:00 1969-09-30T12:00+11:00 1969-10-01T12:00-12:00"},
		{"local mean time, in seconds", daily(t, "Europe/Athens", "02:00"), "1890-01-01T00:00Z", "1890-01-01T02:00+01:34"},
		{"the last day of a leap year beyond the table", daily(t, "Europe/Athens", "06:00"), "2040-12-30T12:00Z", "2040-12-31T06:00+02:00 2041-01-01T06:00+02:00"},
		{"beyond the table of changes", daily(t, "Europe/Athens", "03:30"), "2099-03-28T12:00Z", "2099-03-29T04:00+03:00 2099-03-30T03:30+03:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkSlots(t, tt.s, tt.after, tt.want)
		})
	}
}

func TestLocalMeanTimeIsExact(t *testing.T) {
	t.Parallel()
	got, ok := daily(t, "Europe/Athens", "02:00").Next(at(t, "1890-01-01T00:00Z"))
	if want := at(t, "1890-01-01T00:25:08Z"); !ok || !got.Equal(want) { // 1:34:52 ahead of UTC
		t.Errorf("%v, %v; want %v", got, ok, want)
	}
}

func TestCronWhereClocksChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		s     Schedule
		after string
		want  string
	}{
		{"a fixed hour is as a time of day", cron("Europe/Athens", "30 3 * * *"), "2024-03-30T12:00Z", "2024-03-31T04:00+03:00 2024-04-01T03:30+03:00"},
		{"and comes once in autumn", cron("Europe/Athens", "30 3 * * *"), "2024-10-26T12:00Z", "2024-10-27T03:30+03:00 2024-10-28T03:30+02:00"},
		{"some hours: those left out are one slot", cron("Europe/Athens", "*/20 2-3 * * *"), "2024-03-31T00:30Z",
			"2024-03-31T02:40+02:00 2024-03-31T04:00+03:00 2024-04-01T02:00+03:00"},
		{"every third hour misses none", cron("Europe/Athens", "0 */3 * * *"), "2024-03-30T22:30Z", "2024-03-31T04:00+03:00 2024-03-31T06:00+03:00"},
		{"every third hour doubles none", cron("Europe/Athens", "0 */3 * * *"), "2024-10-26T22:00Z",
			"2024-10-27T03:00+03:00 2024-10-27T06:00+02:00"},
		{"every hour: 03:15 does not exist", cron("Europe/Athens", "15 * * * *"), "2024-03-31T00:00Z", "2024-03-31T02:15+02:00 2024-03-31T04:15+03:00"},
		{"every hour: 03:15 comes twice", cron("Europe/Athens", "15 * * * *"), "2024-10-26T23:00Z",
			"2024-10-27T02:15+03:00 2024-10-27T03:15+03:00 2024-10-27T03:15+02:00 2024-10-27T04:15+02:00"},
		{"quarters go on in spring", cron("Europe/Athens", "*/15 * * * *"), "2024-03-31T00:40Z", "2024-03-31T02:45+02:00 2024-03-31T04:00+03:00 2024-03-31T04:15+03:00"},
		{"quarters go on in autumn", cron("Europe/Athens", "*/15 0-23 * * *"), "2024-10-27T00:50Z",
			"2024-10-27T03:00+02:00 2024-10-27T03:15+02:00 2024-10-27T03:30+02:00 2024-10-27T03:45+02:00 2024-10-27T04:00+02:00"},
		{"Lord Howe: half past comes again after 30 minutes", cron("Australia/Lord_Howe", "30 * * * *"), "2024-04-07T01:00+11:00",
			"2024-04-07T01:30+11:00 2024-04-07T01:30+10:30 2024-04-07T02:30+10:30"},
		{"Lord Howe: a quarter past is left out", cron("Australia/Lord_Howe", "15 * * * *"), "2024-10-06T01:00+10:30", "2024-10-06T01:15+10:30 2024-10-06T03:15+11:00"},
		{"the last day of a leap year beyond the table", cron("Europe/Athens", "0 * * * *"), "2040-12-31T23:30+02:00",
			"2041-01-01T00:00+02:00 2041-01-01T01:00+02:00 2041-01-01T02:00+02:00 2041-01-01T03:00+02:00"},
		{"every hour of the Friday that Samoa left out", cron("Pacific/Apia", "0 * 30 * *"), "2011-12-15T00:00Z", "2012-01-30T00:00+14:00 2012-01-30T01:00+14:00"},
		{"every hour of the day before, to its end", cron("Pacific/Apia", "0 * * * *"), "2011-12-29T22:30-10:00", "2011-12-29T23:00-10:00 2011-12-31T00:00+14:00 2011-12-31T01:00+14:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkSlots(t, tt.s, tt.after, tt.want)
		})
	}
}

func TestSlotsHaveBounds(t *testing.T) {
	t.Parallel()
	s := daily(t, "Europe/Athens", "02:00")
	from, to := at(t, "2024-01-01T02:00+02:00"), at(t, "2024-01-04T02:00+02:00")
	if got := s.Slots(from, to, 100); len(got) != 3 || !got[2].Equal(to) {
		t.Errorf("from a slot to a slot: %v; want the 3 after the first, with the last", got)
	}
	if got := s.Slots(from, to.Add(-1), 100); len(got) != 2 {
		t.Errorf("until just before a slot: %v; want 2", got)
	}
	if got := s.Slots(from, to, 2); len(got) != 2 || !got[0].Equal(at(t, "2024-01-02T02:00+02:00")) {
		t.Errorf("at most 2: %v", got)
	}
	for _, max := range []int{0, -1} {
		if got := s.Slots(from, to, max); got != nil {
			t.Errorf("at most %d: %v", max, got)
		}
	}
	if got := s.Slots(to, from, 100); got != nil {
		t.Errorf("until before the beginning: %v", got)
	}
	if got := s.Slots(from, to, 1)[0].Location().String(); got != "Europe/Athens" {
		t.Errorf("a slot in %s", got)
	}
}

func TestNoSlot(t *testing.T) {
	t.Parallel()
	start := at(t, "2024-01-01T00:00Z")
	none := func(name string, s Schedule, after time.Time) {
		t.Helper()
		if got, ok := s.Next(after); ok || !got.IsZero() {
			t.Errorf("%s: Next gives %v, %v", name, got, ok)
		}
		if got := s.Slots(after, after.AddDate(50, 0, 0), 10); got != nil {
			t.Errorf("%s: Slots gives %v", name, got)
		}
	}
	none("a day that never comes", cron("", "0 0 30 2 *"), start)
	none("every hour of such a day", cron("", "0 * 30 2 *"), start)
	none("a Monday that comes after 11 years", cron("", "0 0 */31 2 1"), at(t, "2027-02-02T00:00Z"))
	none("the same, by the hour", cron("", "0 * */31 2 1"), at(t, "2027-02-02T00:00Z"))
	none("a second more than 10 years", cron("", "0 0 */31 2 1"), at(t, "2028-01-31T23:59:59Z"))
	none("the same, by the hour", cron("", "0 * */31 2 1"), at(t, "2028-01-31T23:59:59Z"))
	none("nothing", Schedule{}, start)
	none("an unknown zone", daily(t, "Europe/Atlantis", "02:00"), start)
	none("the end of time", daily(t, "", "02:00"), time.Unix(lastSecond, 0))
	none("the end of time, by the hour", cron("", "0 * * * *"), time.Unix(lastSecond, 0))
	none("beyond it", daily(t, "", "02:00"), time.Unix(1<<62, 0))
	none("before it began", daily(t, "", "02:00"), time.Unix(-1<<62, 0))

	for _, expr := range []string{"0 0 */31 2 1", "0 * */31 2 1"} {
		if got, ok := cron("", expr).Next(at(t, "2028-02-01T00:00Z")); !ok || !got.Equal(at(t, "2038-02-01T00:00Z")) {
			t.Errorf("exactly 10 years of %s: %v, %v", expr, got, ok)
		}
	}
	if got, ok := daily(t, "", "02:00").Next(time.Time{}); !ok || !got.Equal(at(t, "0001-01-01T02:00Z")) {
		t.Errorf("the first day of all: %v, %v", got, ok)
	}
	if got, ok := daily(t, "Europe/Athens", "02:00").Next(at(t, "9999-12-30T23:00Z")); !ok || !got.Equal(at(t, "9999-12-31T00:00Z")) {
		t.Errorf("the last day of all: %v, %v", got, ok)
	}
	if got, ok := cron("", "0 0 29 2 *").Next(at(t, "2096-03-01T00:00Z")); !ok || !got.Equal(at(t, "2104-02-29T00:00Z")) {
		t.Errorf("the longest wait for a leap day: %v, %v", got, ok)
	}
}
