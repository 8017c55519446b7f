package portable

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Unfit is the error for a value that a column of the target cannot hold: why says so, as in "is no number of MySQL's". Rows count from 1.
func Unfit(t Table, row int64, column int, v Value, why string) error {
	return fault.New(fault.Invalid, "row %d of the table %s has in %s %s, which %s: change it where it comes from and make the export again, or restore into another kind of database",
		row, t.Name, t.Columns[column].Name, shown(v), why)
}

const shownLen = 40

// shown is the beginning of a value, for people.
func shown(v Value) string {
	if v == nil {
		return "nothing"
	}
	if !utf8.Valid(v) {
		return "bytes that are no text"
	}
	s := []rune(string(v[:min(len(v), shownLen*utf8.UTFMax)]))
	if len(s) <= shownLen {
		return strconv.Quote(string(s))
	}
	return strconv.Quote(string(s[:shownLen])) + "…"
}

// Places counts the digits that a decimal needs before and behind its point. It is for what Load takes as a Decimal, without NaN and
// the infinities.
func Places(decimal string) (before, behind int) {
	mantissa, power := decimal, 0
	if i := strings.IndexAny(decimal, "eE"); i >= 0 {
		mantissa = decimal[:i]
		power, _ = strconv.Atoi(decimal[i+1:]) // beyond what an int holds it is the largest
	}
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	digits := whole + fraction
	at := len(whole) + power // of the point, within digits
	first := len(digits) - len(strings.TrimLeft(digits, "0"))
	last := len(strings.TrimRight(digits, "0"))
	if first >= last { // zero
		return 0, 0
	}
	return max(0, at-first), max(0, last-at)
}

// Special reports whether a number is NaN or infinite.
func Special(v Value) bool { return special(string(v)) }

var (
	clock    = regexp.MustCompile(`^-?[0-9]{2,3}:[0-5][0-9]:[0-5][0-9](?:\.([0-9]+))?$`)
	moment   = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.([0-9]+))?$`)
	day      = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	identity = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// IsDate reports whether a text is written as a Date. With real the day must be one of the calendar.
func IsDate(v Value, real bool) bool {
	_, err := time.Parse("2006-01-02", string(v))
	return day.Match(v) && (err == nil || !real)
}

// IsTime reports whether a text is written as a Time, or as one of MySQL's of more than a day, and with how many digits of a second's
// fraction that mean something.
func IsTime(v Value) (fraction int, ok bool) { return match(clock, v) }

// IsTimestamp is IsTime for a Timestamp, and for a TimestampTZ without its Z. With real the day must be one of the calendar.
func IsTimestamp(v Value, real bool) (fraction int, ok bool) {
	if _, err := time.Parse("2006-01-02T15:04:05.999999999", string(v)); err != nil && real {
		return 0, false
	}
	return match(moment, v)
}

func match(form *regexp.Regexp, v Value) (fraction int, ok bool) {
	m := form.FindSubmatch(v)
	if m == nil {
		return 0, false
	}
	return len(strings.TrimRight(string(m[1]), "0")), true
}

// IsUUID reports whether a text is written as a UUID.
func IsUUID(v Value) bool { return identity.Match(v) }
