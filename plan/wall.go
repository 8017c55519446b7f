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

const never = math.MaxInt64 / 2

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

// offsetAt returns how far the clock is ahead of UTC at an instant, and an instant after it up to which that
// stays so. All are in seconds.
func offsetAt(unix int64, loc *time.Location) (offset, end int64) {
	t := time.Unix(unix, 0).In(loc)
	_, o := t.Zone()
	_, bound := t.ZoneBounds()
	switch {
	case bound.IsZero():
		end = never
	case bound.Unix() > unix:
		end = bound.Unix()
	default:
		// Beyond its table, package time takes every year to have 365 days: on the last day of a leap year the
		// bound has passed. The next one is the end of the year.
		end = unix - unix%secondsOfDay + secondsOfDay
	}
	return int64(o), end
}

// first returns the first instant at which the clock shows w or later. If w exists, that is w, and the
// first of them if there are two; if the clocks were put forward over w, it is the instant when that was done.
func (w wall) first(loc *time.Location) int64 {
	for at := int64(w) - maxShift; ; {
		offset, end := offsetAt(at, loc)
		if int64(w) < end+offset {
			return max(int64(w)-offset, at)
		}
		at = end
	}
}

// ahead returns the smallest wall of which the first instant comes after t. That is the next second, unless
// the clocks were put back shortly before t: then it is what they were about to show at that moment.
func ahead(t time.Time, loc *time.Location) wall {
	next := wallOf(t, loc) + 1
	for at := t.Unix() - 2*maxShift; ; {
		offset, end := offsetAt(at, loc)
		if end > t.Unix() {
			return next
		}
		next = max(next, wall(end+offset))
		at = end
	}
}

// mod is the remainder that is never negative.
func mod(w, by wall) wall { return (w%by + by) % by }
