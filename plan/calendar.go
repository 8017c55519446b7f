package plan

import (
	"math/bits"
	"time"
)

// A calendar is a schedule made ready for asking: the walls that are slots. At least one minute of
// the day is.
type calendar struct {
	minutes  [24]uint64 // by hour: bit m for minute m
	months   uint16     // bit m for month m, 1 to 12
	dates    uint32     // bit d for the day d of the month, 1 to 31
	weekdays uint8      // bit w for the weekday w, Sunday 0
	either   bool       // a day is in dates or in weekdays; otherwise in both
	clamp    bool       // a date that a month does not have is its last day
	flow     bool       // a wall that the clock shows twice is two slots, one that it leaves out is none
}

const (
	allDates    = 1<<32 - 2
	allWeekdays = 1<<7 - 1
	allMonths   = 1<<13 - 2
)

// next returns the smallest wall of the calendar from w on and below end.
func (c *calendar) next(w, end wall) (wall, bool) {
	year, month, day, minute := w.date()
	if w%60 != 0 {
		minute++
	}
	minute, ok := c.minute(minute)
	if !ok {
		day++
		minute, _ = c.minute(0)
	}
	for wallAt(year, month, 1, 0) < end {
		if c.months>>month&1 != 0 {
			if days := c.days(year, month) >> day << day; days != 0 {
				if d := bits.TrailingZeros32(days); d != day {
					minute, _ = c.minute(0)
					day = d
				}
				w := wallAt(year, month, day, minute)
				return w, w < end
			}
		}
		if month++; month > time.December {
			year, month = year+1, time.January
		}
		day = 0
	}
	return 0, false
}

// minute returns the first minute of a day that is a slot, from the given one on.
func (c *calendar) minute(from int) (int, bool) {
	hour, minute := from/60, from%60
	for ; hour < 24; hour, minute = hour+1, 0 {
		if rest := c.minutes[hour] >> minute; rest != 0 {
			return hour*60 + minute + bits.TrailingZeros64(rest), true
		}
	}
	return 0, false
}

// days returns the days of a month that have slots: bit d for day d.
func (c *calendar) days(year int, month time.Month) uint32 {
	length := monthLength(year, month)
	all := uint32(1)<<(length+1) - 2
	dates := c.dates
	if c.clamp && dates&^all != 0 {
		dates |= 1 << length
	}
	var weekdays uint32
	first := int(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Weekday())
	for d := 1; d <= length; d++ {
		weekdays |= uint32(c.weekdays>>((first+d-1)%7)&1) << d
	}
	if c.either {
		return (dates | weekdays) & all
	}
	return dates & weekdays & all
}

func monthLength(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
