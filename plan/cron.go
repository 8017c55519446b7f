package plan

import (
	"fmt"
	"strings"
	"time"
)

// A field is one of the five parts of a cron expression.
type field struct {
	name     string
	min, max int
	names    string // of the values from min on, three letters each
}

var cronFields = [5]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of the month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: "janfebmaraprmayjunjulaugsepoctnovdec"},
	{name: "day of the week", max: 7, names: "sunmontuewedthufrisat"},
}

var cronWords = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

// maxCron bounds what is read, and kept, in bytes.
const maxCron = 200

// setCron reads an expression.
func (c *calendar) setCron(text string) error {
	if len(text) > maxCron {
		return fmt.Errorf("cron: the expression is longer than %d characters", maxCron)
	}
	expr := strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(expr, "@") {
		word, ok := cronWords[expr]
		if !ok {
			return fmt.Errorf("cron: %q is not known: want @hourly, @daily, @weekly, @monthly, @yearly or five fields", clip(text))
		}
		expr = word
	}
	parts := strings.Fields(expr)
	if len(parts) != len(cronFields) {
		return fmt.Errorf("cron: want five fields (minute, hour, day of the month, month, day of the week), such as "+
			"%q for every day at 02:00; %q has %d", "0 2 * * *", clip(text), len(parts))
	}
	var sets [5]uint64
	for i, part := range parts {
		set, err := cronFields[i].parse(part)
		if err != nil {
			return err
		}
		sets[i] = set
	}
	minutes, hours, weekdays := sets[0], sets[1], sets[4]
	for h := range c.minutes {
		if hours>>h&1 != 0 {
			c.minutes[h] = minutes
		}
	}
	c.dates, c.months = uint32(sets[2]), uint16(sets[3])
	c.weekdays = uint8(weekdays|weekdays>>7) & allWeekdays // 7 is Sunday, too
	c.flow = hours == 1<<24-1
	c.either = parts[2][0] != '*' && parts[4][0] != '*'
	if !c.either && c.noSuchDay() {
		return fmt.Errorf("cron: %q names a day that never comes", clip(text))
	}
	return nil
}

// noSuchDay reports whether no month of the calendar has any of its dates.
func (c *calendar) noSuchDay() bool {
	for m := 1; m <= 12; m++ {
		if c.months>>m&1 != 0 && c.dates&(1<<(monthLength(2000, time.Month(m))+1)-1) != 0 {
			return false
		}
	}
	return true
}

// parse returns the values of a field: bit v for v.
func (f *field) parse(text string) (uint64, error) {
	var set uint64
	for _, item := range strings.Split(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			var ok bool
			if step, ok = number(stepText); !ok || step < 1 || step > f.max {
				return 0, fmt.Errorf("cron: %s: the step of %q is wrong: want a number from 1 to %d", f.name, clip(item), f.max)
			}
		}
		lo, hi := f.min, f.max
		if span != "*" {
			from, to, ranged := strings.Cut(span, "-")
			var err error
			if lo, err = f.value(from); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if hi, err = f.value(to); err != nil {
					return 0, err
				}
			case !stepped:
				hi = lo
			}
			if f.max == 7 && lo > 0 && hi == 0 {
				hi = 7 // FRI-SUN
			}
			if hi < lo {
				return 0, fmt.Errorf("cron: %s: the range %q runs backwards; write it as two", f.name, clip(span))
			}
		}
		for v := lo; v <= hi; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

// value reads a number or a name.
func (f *field) value(text string) (int, error) {
	if len(text) == 3 && f.names != "" {
		if i := strings.Index(f.names, text); i >= 0 && i%3 == 0 {
			return f.min + i/3, nil
		}
	}
	if v, ok := number(text); ok && v >= f.min && v <= f.max {
		return v, nil
	}
	want := "a number"
	if f.names != "" {
		want = fmt.Sprintf("a name (%s …) or a number", strings.ToUpper(f.names[:3]))
	}
	return 0, fmt.Errorf("cron: %s: %q is not right: want *, or %s from %d to %d, ranges (1-5), steps (*/2) and lists of these (1,3)",
		f.name, clip(text), want, f.min, f.max)
}

// number reads one or two digits.
func number(text string) (n int, ok bool) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n, len(text) == 1 || len(text) == 2
}
