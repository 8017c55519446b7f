package plan

import (
	"fmt"
)

// Retention says what is kept. With nothing but zeros: everything, for ever.
type Retention struct {
	Days    int `json:"days,omitempty"`    // everything younger than this many times 24 hours
	Last    int `json:"last,omitempty"`    // the newest
	Daily   int `json:"daily,omitempty"`   // the newest of each of the newest days that have any; likewise
	Weekly  int `json:"weekly,omitempty"`  // ISO weeks, from Monday
	Monthly int `json:"monthly,omitempty"` // calendar months
	Yearly  int `json:"yearly,omitempty"`  // calendar years
}

// MaxKeep is the most that each number of a [Retention] may be: a hundred years of days.
const MaxKeep = 36500

// numbers are a retention's fields, with their names in JSON.
func (r Retention) numbers() [6]struct {
	name string
	n    int
} {
	return [6]struct {
		name string
		n    int
	}{{"days", r.Days}, {"last", r.Last}, {"daily", r.Daily}, {"weekly", r.Weekly}, {"monthly", r.Monthly}, {"yearly", r.Yearly}}
}

// Validate refuses numbers that are not from 0 to [MaxKeep].
func (r Retention) Validate() error {
	for _, f := range r.numbers() {
		if f.n < 0 || f.n > MaxKeep {
			return fmt.Errorf("%s: %d is not from 0 to %d", f.name, f.n, MaxKeep)
		}
	}
	return nil
}

// IsZero reports whether everything is kept, for ever.
func (r Retention) IsZero() bool { return r == Retention{} }

// String says the retention to people: "all of the last 30 days, the last 5, 7 daily and 12 monthly".
func (r Retention) String() string {
	var parts []string
	for _, f := range r.numbers() {
		switch {
		case f.n == 0:
		case f.name == "days" && f.n == 1:
			parts = append(parts, "all of the last 24 hours")
		case f.name == "days":
			parts = append(parts, fmt.Sprintf("all of the last %d days", f.n))
		case f.name == "last" && f.n == 1:
			parts = append(parts, "the last one")
		case f.name == "last":
			parts = append(parts, fmt.Sprintf("the last %d", f.n))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", f.n, f.name))
		}
	}
	if len(parts) == 0 {
		return "everything, for ever"
	}
	return and(parts)
}

// Rule is a retention with the zone by which its days, weeks, months and years are told apart.
type Rule struct {
	Retention
	Zone string `json:"zone,omitempty"` // IANA name; "" is UTC
}

// Validate refuses a retention that is not valid, and a zone that is not known.
func (r Rule) Validate() error {
	if err := r.Retention.Validate(); err != nil {
		return err
	}
	_, err := LoadZone(r.Zone)
	return err
}
