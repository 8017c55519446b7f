package plan

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Clock{"00:00": 0, "00:01": 1, "01:00": 60, "09:05": 545, "23:59": 1439} {
		c, err := ParseClock(text)
		if err != nil || c != want || c.String() != text {
			t.Errorf("%q reads as %d (%v), %v; want %d", text, int(c), c, err, int(want))
		}
	}
	for _, text := range []string{"", "2:00", "02:0", "24:00", "12:60", "12.30", "12:30 ", "-1:00", "+1:00", "1a:00", "12:3\xff", "０2:00", "12:30:00"} {
		if c, err := ParseClock(text); err == nil || !strings.Contains(err.Error(), "no time of day") {
			t.Errorf("%q reads as %v, %v", text, c, err)
		}
		c := Clock(7)
		if err := c.UnmarshalText([]byte(text)); err == nil || c != 7 {
			t.Errorf("%q unmarshals as %v, %v; want an error, and the clock as it was", text, c, err)
		}
	}
	for _, c := range []Clock{-1, 1440} {
		if b, err := c.MarshalText(); err == nil {
			t.Errorf("%d marshals as %s", int(c), b)
		}
	}
	if s := Clock(1440).String(); s != "Clock(1440)" {
		t.Errorf("what is no time of day is shown as %s", s)
	}
}

// Schedules, windows and retentions are stored as JSON: these are the stored forms.
func TestStoredForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value any
		json  string
	}{
		{daily(t, "Europe/Athens", "02:00 14:30"), `{"kind":"daily","times":["02:00","14:30"],"zone":"Europe/Athens"}`},
		{weekly(t, "", "09:00", time.Sunday, time.Saturday), `{"kind":"weekly","times":["09:00"],"days":[0,6]}`},
		{monthly(t, "", "09:00", 1, 31), `{"kind":"monthly","times":["09:00"],"dates":[1,31]}`},
		{cron("", "*/5 * * * *"), `{"kind":"cron","cron":"*/5 * * * *"}`},
		{Window{From: 22 * 60, To: 6*60 + 5}, `{"from":"22:00","to":"06:05"}`},
		{Retention{30, 1, 7, 4, 12, 3}, `{"days":30,"last":1,"daily":7,"weekly":4,"monthly":12,"yearly":3}`},
		{Rule{Retention{Daily: 7}, "Asia/Tokyo"}, `{"daily":7,"zone":"Asia/Tokyo"}`},
		{Rule{}, `{}`},
	}
	for _, tt := range tests {
		b, err := json.Marshal(tt.value)
		if err != nil || string(b) != tt.json {
			t.Errorf("%v is stored as %s, %v; want %s", tt.value, b, err, tt.json)
		}
		back := reflect.New(reflect.TypeOf(tt.value))
		if err := json.Unmarshal([]byte(tt.json), back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), tt.value) {
			t.Errorf("%s reads as %v, %v; want %v", tt.json, back.Elem(), err, tt.value)
		}
	}
	if err := json.Unmarshal([]byte(`{"kind":"daily","times":["25:00"]}`), new(Schedule)); err == nil {
		t.Error("a schedule at 25:00 can be read")
	}
}

func TestSchedulesThatAreNotValid(t *testing.T) {
	t.Parallel()
	two := []Clock{120}
	tests := []struct {
		s    Schedule
		want string // within the sentence
	}{
		{Schedule{}, `kind: "" is not known: want daily`},
		{Schedule{Kind: "hourly", Times: two}, `kind: "hourly" is not known`},
		{Schedule{Kind: Kind(strings.Repeat("é", 100)), Times: two}, `…" is not known`},
		{Schedule{Kind: Daily}, "times: want from 1 to 24 times of day, such as 02:00; there are 0"},
		{Schedule{Kind: Daily, Times: make([]Clock, 25)}, "there are 25"},
		{Schedule{Kind: Daily, Times: []Clock{120, 1440}}, "times: 1440 is no time of day"},
		{Schedule{Kind: Daily, Times: []Clock{-1}}, "times: -1 is no time of day"},
		{Schedule{Kind: Daily, Times: two, Days: []time.Weekday{1}}, "days: a daily schedule has none"},
		{Schedule{Kind: Daily, Times: two, Dates: []int{1}}, "dates: a daily schedule has none"},
		{Schedule{Kind: Daily, Times: two, Cron: "@daily"}, "cron: a daily schedule has no expression"},
		{Schedule{Kind: Weekly, Times: two}, "days: want at least one"},
		{Schedule{Kind: Weekly, Days: []time.Weekday{1}}, "times: want"},
		{Schedule{Kind: Weekly, Times: two, Days: []time.Weekday{7}}, "days: 7 is no day of the week"},
		{Schedule{Kind: Weekly, Times: two, Days: []time.Weekday{-1}}, "days: -1 is no day of the week"},
		{Schedule{Kind: Monthly, Times: two}, "dates: want at least one"},
		{Schedule{Kind: Monthly, Times: two, Dates: []int{0}}, "dates: 0 is no day of a month"},
		{Schedule{Kind: Monthly, Times: two, Dates: []int{32}}, "dates: 32 is no day of a month"},
		{Schedule{Kind: Cron, Cron: "@daily", Times: two}, "times: a cron schedule has them in its expression"},
		{Schedule{Kind: Cron}, "cron: want five fields"},
		{Schedule{Kind: Daily, Times: two, Zone: "Europe/Atlantis"}, `zone: "Europe/Atlantis" is not known`},
	}
	for _, tt := range tests {
		if err := tt.s.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v; want %q", tt.s, err, tt.want)
		}
		if got := tt.s.String(); !strings.HasPrefix(got, "not valid: ") || !strings.Contains(got, tt.want) {
			t.Errorf("%+v is said as %q", tt.s, got)
		}
	}
}

func TestSchedulesInWords(t *testing.T) {
	t.Parallel()
	const sun, mon, tue, wed, thu, fri, sat = time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday
	tests := []struct {
		s    Schedule
		want string
	}{
		{daily(t, "Europe/Athens", "02:00"), "every day at 02:00 (Europe/Athens)"},
		{daily(t, "", "18:00 02:00 18:00"), "every day at 02:00 and 18:00 (UTC)"},
		{weekly(t, "", "18:00 09:00 12:00", thu, mon), "Mondays and Thursdays at 09:00, 12:00 and 18:00 (UTC)"},
		{weekly(t, "", "09:00", sun), "Sundays at 09:00 (UTC)"},
		{weekly(t, "", "09:00", mon, tue, wed, thu, fri), "Mondays to Fridays at 09:00 (UTC)"},
		{weekly(t, "", "09:00", sun, sat), "Saturdays and Sundays at 09:00 (UTC)"},
		{weekly(t, "", "09:00", sun, mon, tue, wed, fri), "Mondays to Wednesdays, Fridays and Sundays at 09:00 (UTC)"},
		{weekly(t, "", "09:00", sun, mon, tue, wed, thu, fri, sat), "every day at 09:00 (UTC)"},
		{monthly(t, "", "09:00", 31, 1), "on the 1st and the last day of the month at 09:00 (UTC)"},
		{monthly(t, "", "09:00", 2, 3, 4, 2), "on the 2nd, the 3rd and the 4th of the month at 09:00 (UTC)"},
		{monthly(t, "", "09:00", 11, 12, 13, 21, 22, 23), "on the 11th, the 12th, the 13th, the 21st, the 22nd and the 23rd of the month at 09:00 (UTC)"},
		{monthly(t, "", "09:00", 30), "on the 30th of the month (in shorter months the last day) at 09:00 (UTC)"},
		{cron("Asia/Tokyo", " 0 2 * * mon-fri"), `by cron "0 2 * * mon-fri" (Asia/Tokyo)`},
	}
	for _, tt := range tests {
		if got := tt.s.String(); got != tt.want {
			t.Errorf("said as %q; want %q", got, tt.want)
		}
	}
}
