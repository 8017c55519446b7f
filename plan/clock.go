package plan

import "fmt"

// Clock is a time of day in minutes since midnight, from 0 to 1439. Its text form is "15:04".
type Clock int

const minutesOfDay = 24 * 60

// ParseClock reads a time of day from "00:00" to "23:59".
func ParseClock(s string) (Clock, error) {
	digit := func(i int) int { return int(s[i] - '0') }
	if len(s) == 5 && s[2] == ':' {
		for _, i := range [...]int{0, 1, 3, 4} {
			if s[i] < '0' || s[i] > '9' {
				return 0, badClock(s)
			}
		}
		if h, m := digit(0)*10+digit(1), digit(3)*10+digit(4); h < 24 && m < 60 {
			return Clock(h*60 + m), nil
		}
	}
	return 0, badClock(s)
}

func badClock(s string) error {
	return fmt.Errorf("%q is no time of day: want one from 00:00 to 23:59, in two digits each", clip(s))
}

// String returns the text form, and something readable for what is no time of day.
func (c Clock) String() string {
	if !c.valid() {
		return fmt.Sprintf("Clock(%d)", int(c))
	}
	return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60)
}

// MarshalText writes the text form. What is no time of day is an error.
func (c Clock) MarshalText() ([]byte, error) {
	if !c.valid() {
		return nil, fmt.Errorf("%d is no time of day: want minutes since midnight, from 0 to 1439", int(c))
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads the text form.
func (c *Clock) UnmarshalText(b []byte) error {
	v, err := ParseClock(string(b))
	if err == nil {
		*c = v
	}
	return err
}

func (c Clock) valid() bool { return c >= 0 && c < minutesOfDay }
