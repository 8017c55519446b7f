package plan

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the kind of a schedule.
type Kind string

// The kinds.
const (
	Daily   Kind = "daily"
	Weekly  Kind = "weekly"
	Monthly Kind = "monthly"
	Cron    Kind = "cron"
)

// MaxTimes is how many times of day a schedule may have.
const MaxTimes = 24

// Schedule says when slots come. It is stored as JSON.
type Schedule struct {
	Kind  Kind           `json:"kind"`
	Times []Clock        `json:"times,omitempty"` // daily, weekly, monthly: 1 to 24
	Days  []time.Weekday `json:"days,omitempty"`  // weekly: at least one; Sunday is 0
	Dates []int          `json:"dates,omitempty"` // monthly: 1 to 31; a day that a month does not have is its last one
	Cron  string         `json:"cron,omitempty"`  // cron: five fields, see the package's comment
	Zone  string         `json:"zone,omitempty"`  // IANA name; "" is UTC
}

// Validate says what is wrong: the field, and what is wanted there. A field that the kind does not use must
// be empty. A valid schedule has slots, if at times none for years: a cron expression may ask for a 1 February that
// is a Monday.
func (s Schedule) Validate() error {
	_, _, err := s.compile()
	return err
}

// horizon is how many years ahead a slot is looked for. What a person means comes within 8: from one
// 29 February to the next, over the end of a century.
const horizon = 10

// Next returns the first slot strictly after the given time, in the schedule's zone. It returns false if
// there is none within 10 years or before the year 10000, and if the schedule is not valid.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	c, loc, err := s.compile()
	if err != nil {
		return time.Time{}, false
	}
	return c.slot(after, loc)
}

// Slots returns the slots with after < slot <= until, in order, and no more than max of them. Like
// [Schedule.Next] it looks no further than 10 years for each.
func (s Schedule) Slots(after, until time.Time, max int) []time.Time {
	c, loc, err := s.compile()
	if err != nil {
		return nil
	}
	var slots []time.Time
	for len(slots) < max {
		t, ok := c.slot(after, loc)
		if !ok || t.After(until) {
			break
		}
		slots = append(slots, t)
		after = t
	}
	return slots
}

// compile checks the schedule and makes it ready for asking.
func (s Schedule) compile() (*calendar, *time.Location, error) {
	if err := s.unused(); err != nil {
		return nil, nil, err
	}
	c := &calendar{months: allMonths, dates: allDates, weekdays: allWeekdays}
	var err error
	if s.Kind == Cron {
		err = c.setCron(s.Cron)
	} else {
		err = c.setTimes(s.Times)
	}
	if s.Kind == Weekly && err == nil {
		err = c.setDays(s.Days)
	}
	if s.Kind == Monthly && err == nil {
		err = c.setDates(s.Dates)
	}
	if err != nil {
		return nil, nil, err
	}
	loc, err := LoadZone(s.Zone)
	return c, loc, err
}

// unused refuses kinds that do not exist, and fields that would be ignored.
func (s Schedule) unused() error {
	switch s.Kind {
	case Daily, Weekly, Monthly, Cron:
	default:
		return fmt.Errorf("kind: %q is not known: want daily, weekly, monthly or cron", clip(string(s.Kind)))
	}
	switch {
	case s.Kind == Cron && len(s.Times) > 0:
		return errors.New("times: a cron schedule has them in its expression; leave them out")
	case s.Kind != Weekly && len(s.Days) > 0:
		return fmt.Errorf("days: a %s schedule has none; leave them out, or make it weekly", s.Kind)
	case s.Kind != Monthly && len(s.Dates) > 0:
		return fmt.Errorf("dates: a %s schedule has none; leave them out, or make it monthly", s.Kind)
	case s.Kind != Cron && s.Cron != "":
		return fmt.Errorf("cron: a %s schedule has no expression; leave it out, or choose the kind cron", s.Kind)
	}
	return nil
}

func (c *calendar) setTimes(times []Clock) error {
	if len(times) == 0 || len(times) > MaxTimes {
		return fmt.Errorf("times: want from 1 to %d times of day, such as 02:00; there are %d", MaxTimes, len(times))
	}
	for _, t := range times {
		if !t.valid() {
			return fmt.Errorf("times: %d is no time of day: want minutes since midnight, from 0 to 1439", int(t))
		}
		c.minutes[t/60] |= 1 << (t % 60)
	}
	return nil
}

func (c *calendar) setDays(days []time.Weekday) error {
	if len(days) == 0 {
		return errors.New("days: want at least one day of the week, from 0 (Sunday) to 6 (Saturday)")
	}
	c.weekdays = 0
	for _, d := range days {
		if d < time.Sunday || d > time.Saturday {
			return fmt.Errorf("days: %d is no day of the week: want 0 (Sunday) to 6 (Saturday)", int(d))
		}
		c.weekdays |= 1 << d
	}
	return nil
}

func (c *calendar) setDates(dates []int) error {
	if len(dates) == 0 {
		return errors.New("dates: want at least one day of the month, from 1 to 31")
	}
	c.dates, c.clamp = 0, true
	for _, d := range dates {
		if d < 1 || d > 31 {
			return fmt.Errorf("dates: %d is no day of a month: want 1 to 31; 31 is the last day of every month", d)
		}
		c.dates |= 1 << d
	}
	return nil
}
