package state

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Work is what a person has a screen do, one thing at a time, and what came of the last.
type Work struct {
	Busy string // what is under way, "" if nothing
	Done string // a sentence about the last one that succeeded
	Err  error  // of the last one that did not
}

// Desk is a screen's lock, its API and its work. The administrators' models embed it.
type Desk struct {
	Model
	api  *api.Client
	work Work
}

// do runs what a person asked for, unless something else is under way. fn returns a sentence about what was done.
func (d *Desk) do(what string, fn func(ctx context.Context) (done string, err error)) {
	busy := false
	d.change(func() {
		if busy = d.work.Busy != ""; !busy {
			d.work = Work{Busy: what}
		}
	})
	if busy {
		return
	}
	go func() {
		done, err := fn(context.Background())
		d.change(func() { d.work = Work{Done: done, Err: err} })
	}()
}

// Dismiss takes the last sentence away.
func (d *Desk) Dismiss() { d.change(func() { d.work.Done, d.work.Err = "", nil }) }

// A fetch remembers which answer is awaited: one to an older question is dropped.
type fetch struct{ asked int }

// fetchInto loads something, in a goroutine.
func fetchInto[T any](m *Model, f *fetch, into *Load[T], get func(ctx context.Context) (T, error)) {
	asked := 0
	m.change(func() {
		f.asked++
		asked = f.asked
		into.begin()
	})
	go func() {
		v, err := get(context.Background())
		m.change(func() {
			if f.asked == asked {
				into.end(v, err)
			}
		})
	}()
}

// pageSize is how many rows come at once.
const pageSize = 50

// Rows is a list that comes page by page.
type Rows[T any] struct {
	Load[[]T]
	Total   int  // of all, where the server counts them
	More    bool // there are more
	Loading bool // some are on their way
	after   *string
	fetch   fetch
}

// slice is one page of rows.
type slice[T any] struct {
	rows  []T
	after *string // nil: these are the last
	total int
}

// fetchRows loads the first page, or with more the next one.
func fetchRows[T any](m *Model, r *Rows[T], more bool, get func(ctx context.Context, after *string) (slice[T], error)) {
	asked, skip := 0, false
	var after *string
	m.change(func() {
		if skip = more && (r.Loading || !r.More); skip {
			return
		}
		r.fetch.asked++
		asked = r.fetch.asked
		r.Loading = true
		if more {
			after = r.after
		}
		r.begin()
	})
	if skip {
		return
	}
	go func() {
		page, err := get(context.Background(), after)
		m.change(func() {
			if r.fetch.asked != asked {
				return
			}
			r.Loading = false
			if err == nil {
				if after != nil {
					page.rows = append(slices.Clone(r.Value), page.rows...)
				}
				r.after, r.More, r.Total = page.after, page.after != nil, page.total
			}
			r.end(page.rows, err)
		})
	}()
}

// next is the cursor of the next page.
func next(has bool, end *string) *string {
	if !has {
		return nil
	}
	return end
}

// FieldOf splits a refusal of the server's into the field of the form that it names, and the rest: "name: must not be empty". The field is
// one of fields, or "" for an error about none of them.
func FieldOf(err error, fields ...string) (field, text string) {
	if err == nil {
		return "", ""
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid {
		return "", err.Error()
	}
	name, rest, ok := strings.Cut(f.Message, ": ")
	name, _, _ = strings.Cut(name, ".") // "schedule.times"
	if !ok || !slices.Contains(fields, name) {
		return "", f.Message
	}
	return name, strings.ToUpper(rest[:1]) + rest[1:]
}

// lastDays is the input of a report of whole days up to now, by the zone of the person.
func lastDays(now time.Time, days int, by api.ReportBy, zone string) *api.RunReportInput {
	y, m, d := now.Date()
	from := time.Date(y, m, d-days+1, 0, 0, 0, 0, now.Location())
	return &api.RunReportInput{From: from, To: now, By: by, Kind: api.RunKindBackup, Zone: zone}
}
