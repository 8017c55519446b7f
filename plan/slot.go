package plan

import "time"

// slot returns the first slot after t.
func (c *calendar) slot(t time.Time, loc *time.Location) (time.Time, bool) {
	if unix := t.Unix(); unix < firstSecond || unix > lastSecond {
		return time.Time{}, false
	}
	limit := min(t.UTC().AddDate(horizon, 0, 0).Unix(), lastSecond)
	find := c.once
	if c.flow {
		find = c.flowing
	}
	unix, ok := find(t, loc, limit)
	if !ok || unix > limit {
		return time.Time{}, false
	}
	return time.Unix(unix, 0).In(loc), true
}

// once finds the first slot after t of a calendar whose walls are slots once each.
func (c *calendar) once(t time.Time, loc *time.Location, limit int64) (int64, bool) {
	w, ok := c.next(ahead(t, loc), wall(limit+maxShift))
	if !ok {
		return 0, false
	}
	return w.first(loc), true
}

// flowing finds the first slot after t of a calendar whose walls are slots as often as the clock shows them.
func (c *calendar) flowing(t time.Time, loc *time.Location, limit int64) (int64, bool) {
	for from := t.Unix() + 1; from <= limit; {
		offset, end := offsetAt(from, loc)
		if w, ok := c.next(wall(from+offset), wall(min(end, limit+1)+offset)); ok {
			return int64(w) - offset, true
		}
		from = end
	}
	return 0, false
}
