package plan

import (
	"errors"
	"fmt"
	"time"
)

// Window is a span of the day in which backups may begin: From <= time of day < To, over midnight if To is
// the smaller one. If both are the same it is always open.
type Window struct {
	From Clock `json:"from"`
	To   Clock `json:"to"`
}

// Validate refuses what is no time of day.
func (w Window) Validate() error {
	if !w.From.valid() || !w.To.valid() {
		return errors.New("window: want two times of day from 00:00 to 23:59, or the same one twice for always")
	}
	return nil
}

// String says the window to people.
func (w Window) String() string {
	if w.From == w.To {
		return "at any time"
	}
	return fmt.Sprintf("from %s to %s", w.From, w.To)
}

// Open returns at itself if the window is open then, by the clocks of the zone (nil: UTC), otherwise the
// next instant at which it opens, in that zone. If the clocks are put forward into the window, it opens there.
// A window that is not valid is always open.
func (w Window) Open(at time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	unix := at.Unix()
	if w.From == w.To || w.Validate() != nil || unix < firstSecond || unix > lastSecond || w.contains(wallOf(at, zone)) {
		return at
	}
	for {
		offset, end := offsetAt(unix, zone)
		now := wall(unix + offset)
		if w.contains(now) { // never in the first round
			return time.Unix(unix, 0).In(zone)
		}
		opens := now + mod(wall(w.From)*60-now, secondsOfDay)
		if t := int64(opens) - offset; t < end {
			return time.Unix(t, 0).In(zone)
		}
		unix = end
	}
}

func (w Window) contains(at wall) bool {
	from, to, now := wall(w.From)*60, wall(w.To)*60, mod(at, secondsOfDay)
	if from < to {
		return from <= now && now < to
	}
	return from <= now || now < to
}
