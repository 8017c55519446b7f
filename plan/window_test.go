package plan

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func window(t testing.TB, from, to string) Window {
	c := clocks(t, from+" "+to)
	return Window{c[0], c[1]}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		from, to   string
		zone       string
		at         string
		want       string
		unmodified bool
	}{
		{"inside", "09:00", "17:00", "", "2024-01-01T12:00:30Z", "2024-01-01T12:00:30Z", true},
		{"at its beginning", "09:00", "17:00", "", "2024-01-01T09:00Z", "2024-01-01T09:00Z", true},
		{"before", "09:00", "17:00", "", "2024-01-01T08:59:59.9Z", "2024-01-01T09:00Z", false},
		{"at its end", "09:00", "17:00", "", "2024-01-01T17:00Z", "2024-01-02T09:00Z", false},
		{"just before its end", "09:00", "17:00", "", "2024-01-01T16:59:59.999Z", "2024-01-01T16:59:59.999Z", true},
		{"over midnight, in the evening", "22:00", "06:00", "", "2024-01-01T23:00Z", "2024-01-01T23:00Z", true},
		{"over midnight, in the morning", "22:00", "06:00", "", "2024-01-01T05:59Z", "2024-01-01T05:59Z", true},
		{"over midnight, by day", "22:00", "06:00", "", "2024-12-31T06:00Z", "2024-12-31T22:00Z", false},
		{"until midnight", "22:00", "00:00", "", "2024-12-31T00:00Z", "2024-12-31T22:00Z", false},
		{"always", "05:00", "05:00", "", "2024-01-01T12:00Z", "2024-01-01T12:00Z", true},
		{"by the zone's clock", "09:00", "17:00", "Asia/Kathmandu", "2024-01-01T00:00Z", "2024-01-01T09:00+05:45", false},
		{"the clock is put forward over its beginning", "03:30", "05:00", "Europe/Athens", "2024-03-31T00:00Z", "2024-03-31T04:00+03:00", false},
		{"the clock is put forward over all of it", "03:00", "04:00", "Europe/Athens", "2024-03-31T00:00Z", "2024-04-01T03:00+03:00", false},
		{"the clock is put forward to its end", "02:00", "03:30", "Europe/Athens", "2024-03-31T01:00Z", "2024-04-01T02:00+03:00", false},
		{"the clock is put back to its beginning", "03:00", "03:30", "Europe/Athens", "2024-10-27T03:45+03:00", "2024-10-27T03:00+02:00", false},
		{"it comes twice: asked after the second", "03:00", "03:30", "Europe/Athens", "2024-10-27T03:30+02:00", "2024-10-28T03:00+02:00", false},
		{"it comes twice: the second begins in the past hour", "03:30", "03:45", "Europe/Athens", "2024-10-27T03:50+03:00", "2024-10-27T03:30+02:00", false},
		{"midnight does not exist", "00:00", "05:00", "America/Sao_Paulo", "2018-11-03T12:00Z", "2018-11-04T01:00-02:00", false},
		{"a day does not exist", "10:00", "12:00", "Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-31T10:00+14:00", false},
		{"the day that does not exist ends within it", "23:00", "01:00", "Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-29T23:00-10:00", false},
		{"the last day of a leap year beyond the table", "09:00", "17:00", "Europe/Athens", "2040-12-31T18:00+02:00", "2041-01-01T09:00+02:00", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zone, err := LoadZone(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			w, from := window(t, tt.from, tt.to), at(t, tt.at)
			got := w.Open(from, zone)
			if want := at(t, tt.want); !got.Equal(want) {
				t.Errorf("%v is open from %v on; want %v", w, got, want)
			}
			if tt.unmodified != (got == from) {
				t.Errorf("%v became %v", from, got)
			}
			if !tt.unmodified && got.Location() != zone {
				t.Errorf("%v is in %v; want %v", got, got.Location(), zone)
			}
		})
	}
}

func TestWindowsWithoutAZoneOrSense(t *testing.T) {
	t.Parallel()
	noon := at(t, "2024-01-01T12:00Z")
	if got := window(t, "13:00", "14:00").Open(noon, nil); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("without a zone: %v", got)
	}
	for _, w := range []Window{{-1, 60}, {60, 1440}} {
		if err := w.Validate(); err == nil || !strings.HasPrefix(err.Error(), "window: want two times of day") {
			t.Errorf("%v: %v", w, err)
		}
		if got := w.Open(noon, nil); got != noon {
			t.Errorf("%v opens at %v", w, got)
		}
	}
	for _, far := range []time.Time{time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
		if got := window(t, "13:00", "14:00").Open(far, nil); got != far {
			t.Errorf("%v became %v", far, got)
		}
	}
	if err := window(t, "22:00", "06:00").Validate(); err != nil {
		t.Error(err)
	}
	if got := window(t, "22:00", "06:00").String() + ", " + window(t, "06:00", "06:00").String(); got != "from 22:00 to 06:00, at any time" {
		t.Error(got)
	}
}

func TestWindowsAreThoseOfALookAtEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minute := rapid.OneOf(rapid.IntRange(0, 1439), rapid.IntRange(0, 4*60))
		w := Window{Clock(minute.Draw(t, "from")), Clock(minute.Draw(t, "to"))}
		zone, err := LoadZone(rapid.SampledFrom(zonesOfNote).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		from := moments(t, zone)
		open := func(t time.Time) bool {
			l := t.In(zone)
			now := Clock(60*l.Hour() + l.Minute())
			if w.From <= w.To {
				return w.From == w.To || w.From <= now && now < w.To
			}
			return now >= w.From || now < w.To
		}
		want := from
		for !open(want) {
			want = want.Truncate(time.Minute).Add(time.Minute)
		}
		got := w.Open(from, zone)
		if !got.Equal(want) {
			t.Fatalf("%v at %v opens at %v; want %v", w, from.In(zone), got, want)
		}
		if again := w.Open(got, zone); again != got {
			t.Fatalf("%v is open at %v, but then only at %v", w, got, again)
		}
	})
}
