package plan

import (
	"math"
	"time"
)

// A wall is what a clock on a wall shows: seconds since 1970-01-01 00:00 as if there were no time zones. Walls
// are compared and added to without thinking of changes of the clocks; only this file turns them into
// instants.
type wall int64

const (
	secondsOfDay = 24 * 60 * 60

	// No change of any zone's clocks was larger (Manila, Alaska, Kwajalein and Apia changed sides of the
	// date line), and no zone is further from UTC.
	maxShift = 24 * 60 * 60
)

// The years 1 to 9999, in Unix seconds: beyond, time and JSON do not agree on what a date is.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)

// wallOf returns what the clock shows at t, without the fraction of the second.
func wallOf(t time.Time, loc *time.Location) wall {
	_, offset := t.In(loc).Zone()
	return wall(t.Unix() + int64(offset))
}

func wallAt(year int, month time.Month, day, minute int) wall {
	return wall(time.Date(year, month, day, 0, minute, 0, 0, time.UTC).Unix())
}

// date returns the calendar day and the minute of the day.
func (w wall) date() (year int, month time.Month, day, minute int) {
	t := time.Unix(int64(w), 0).UTC()
	year, month, day = t.Date()
	return year, month, day, t.Hour()*60 + t.Minute()
}

// A period is a time during which a zone's clocks were not changed. Instants are in Unix seconds.
type period struct {
	start, end int64 // start <= t < end; half of an int64 if there was, or will be, no change
	offset     int64
}

// periodAt returns the period around an instant.
func periodAt(unix int64, loc *time.Location) period {
	t := time.Unix(unix, 0).In(loc)
	_, offset := t.Zone()
	p := period{math.MinInt64 / 2, math.MaxInt64 / 2, int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		p.start = start.Unix()
	}
	if !end.IsZero() {
		p.end = end.Unix()
	}
	return p
}

// first returns the first instant at which the clock shows w or later. If w exists, that is w, and the
// first of them if there are two; if the clocks were put forward over w, it is the instant when that was done.
func (w wall) first(loc *time.Location) int64 {
	for p := periodAt(int64(w)-maxShift, loc); ; p = periodAt(p.end, loc) {
		if int64(w) < p.end+p.offset {
			return max(int64(w)-p.offset, p.start)
		}
	}
}

// ahead returns the smallest wall, in full minutes, of which the first instant comes after t. That is the
// next minute, unless the clocks were put back shortly before t: then it is where they were at that moment.
func ahead(t time.Time, loc *time.Location) wall {
	w := wallOf(t, loc)
	next := w - mod(w, 60) + 60
	for at := t.Unix(); ; {
		p := periodAt(at, loc)
		if p.start < t.Unix()-2*maxShift {
			return next
		}
		before := periodAt(p.start-1, loc)
		if end := wall(before.end + before.offset); end > next {
			next = end + mod(-end, 60)
		}
		at = p.start - 1
	}
}

// mod is the remainder that is never negative.
func mod(w, by wall) wall { return (w%by + by) % by }
