package state

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Size writes a number of bytes as people read it: three significant digits, in binary units.
func Size(n int64) string {
	if n < 0 {
		return "-" + Size(-n)
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 6 {
		v /= 1024
		unit++
	}
	digits := 0
	switch {
	case v < 9.995:
		digits = 2
	case v < 99.95:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit]
}

// Count writes a number with a thin space between thousands, and its noun: "1 file", "12 345 files".
func Count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Number writes a number with thin spaces between thousands.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// Ago writes how far t lies from now: "just now", "5 minutes ago", "in 3 hours", "yesterday", and from a week on the date.
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	past := d >= 0
	if !past {
		d = -d
	}
	say := func(n int, unit string) string {
		if n != 1 {
			unit += "s"
		}
		if past {
			return fmt.Sprintf("%d %s ago", n, unit)
		}
		return fmt.Sprintf("in %d %s", n, unit)
	}
	switch {
	case d < 45*time.Second:
		if past {
			return "just now"
		}
		return "in a moment"
	case d < time.Hour:
		return say(max(1, int(d.Round(time.Minute)/time.Minute)), "minute")
	case d < 22*time.Hour:
		return say(max(1, int(d.Round(time.Hour)/time.Hour)), "hour")
	case d < 7*24*time.Hour:
		days := max(1, int(d.Round(24*time.Hour)/(24*time.Hour)))
		if days == 1 {
			if past {
				return "yesterday"
			}
			return "tomorrow"
		}
		return say(days, "day")
	}
	layout := "2 Jan 2006"
	if t.Year() == now.Year() {
		layout = "2 Jan"
	}
	return t.Local().Format(layout)
}

// Exact writes a time in full, for whoever points at a relative one.
func Exact(t time.Time) string { return t.Local().Format("Monday, 2 January 2006, 15:04:05 MST") }

// Duration writes how long something took: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
