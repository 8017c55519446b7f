package ui

import (
	"errors"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sentence is what a person is told of an error: a capital, the message without its cause, a full stop.
func sentence(err error) string {
	s := err.Error()
	var f *fault.Error
	if errors.As(err, &f) {
		s = f.Message
	}
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return "Something went wrong."
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if last, _ := utf8.DecodeLastRuneInString(s); unicode.IsLetter(last) || unicode.IsDigit(last) || last == ')' {
		s += "."
	}
	return s
}

// Time shows a time as words, such as "5 minutes ago", and the exact one to whoever points at it. It is "never" without one.
func Time(t *time.Time, words func(time.Time) string, exact func(time.Time) string) app.UI {
	if t == nil {
		return app.Span().Class("text-body-secondary").Text("never")
	}
	return app.Time().DateTime(t.UTC().Format(time.RFC3339)).Title(exact(*t)).Class("text-nowrap").Text(words(*t))
}
