package report

import (
	"context"
	"encoding/csv"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/sheet"
)

// Bounds of a report about runs.
const (
	MaxPeriod = 3 * 366 * 24 * time.Hour
	MaxRows   = 5000
)

// By is what the rows of a report about runs are.
type By string

// What rows can be.
const (
	ByDay    By = "day"
	ByPolicy By = "policy"
	ByGroup  By = "group" // of the device's owner; who is in several counts in each
	ByUser   By = "user"
	ByDevice By = "device"

	byNothing By = "" // one row for all
)

// Filter says what a report about runs is about.
type Filter struct {
	From   time.Time // inclusive
	To     time.Time // exclusive
	By     By
	Kind   run.Kind
	Zone   string // of days
	Device *id.Device
	User   *id.User // the device's owner
	Group  *id.Group
	Policy *id.Policy
}

// Runs counts the runs of a period. Rows are in the order of their days or labels; every day of the period has a row, other things have one
// if there was a run.
func (s *Service) Runs(ctx context.Context, a actor.Actor, f Filter) (*Runs, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	zone, err := f.check()
	if err != nil {
		return nil, err
	}
	rows, err := countRuns(ctx, s.cfg.DB, f, MaxRows+1)
	if err != nil {
		return nil, err
	}
	if len(rows) > MaxRows {
		return nil, fault.New(fault.TooLarge, "the report would have more than %d rows: narrow it to a group, a policy or a user", MaxRows)
	}
	if f.By == ByDay {
		rows = everyDay(rows, f.From.In(zone), f.To.In(zone))
	}
	total, err := s.total(ctx, f)
	if err != nil {
		return nil, err
	}
	return &Runs{Rows: rows, Total: total}, nil
}

// total counts all of it in one row.
func (s *Service) total(ctx context.Context, f Filter) (*Row, error) {
	f.By = byNothing
	rows, err := countRuns(ctx, s.cfg.DB, f, 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return &Row{Label: "Total"}, nil
	}
	rows[0].Key, rows[0].Label = "", "Total"
	return rows[0], nil
}

func (f *Filter) check() (*time.Location, error) {
	switch f.By {
	case ByDay, ByPolicy, ByGroup, ByUser, ByDevice:
	default:
		return nil, fault.New(fault.Invalid, "by: want day, policy, group, user or device")
	}
	switch f.Kind {
	case run.Backup, run.Restore:
	default:
		return nil, fault.New(fault.Invalid, "kind: want backup or restore")
	}
	if !f.To.After(f.From) {
		return nil, fault.New(fault.Invalid, "to: must be later than from")
	}
	if f.To.Sub(f.From) > MaxPeriod {
		return nil, fault.New(fault.Invalid, "from, to: at most %d days at once", MaxPeriod/(24*time.Hour))
	}
	if f.Zone == "" {
		f.Zone = "UTC"
	}
	zone, err := plan.LoadZone(f.Zone)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	return zone, nil
}

// everyDay adds rows for the days without runs. rows are in the order of days.
func everyDay(rows []*Row, from, to time.Time) []*Row {
	byDay := map[string]*Row{}
	for _, r := range rows {
		byDay[r.Key] = r
	}
	all := []*Row{}
	year, month, day := from.Date()
	for ; ; day++ {
		key := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		if key > to.Add(-time.Nanosecond).Format(time.DateOnly) {
			return all
		}
		r := byDay[key]
		if r == nil {
			r = &Row{Key: key, Label: key}
		}
		all = append(all, r)
	}
}

// rate is the share of runs that ended well.
func (r *Row) rate() *float64 {
	all := r.Succeeded + r.Warned + r.Failed + r.Missed
	if all == 0 {
		return nil
	}
	rate := float64(r.Succeeded+r.Warned) / float64(all)
	return &rate
}

var csvHead = []string{"key", "label", "succeeded", "warned", "failed", "missed", "cancelled", "open", "success rate", "files", "bytes", "uploaded bytes", "mean seconds"}

// CSV returns the rows and the total as comma-separated values by RFC 4180, with a head line. A text that a spreadsheet would take for a
// formula gets an apostrophe before it.
func (r *Runs) CSV() string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	w.Write(csvHead) // a strings.Builder takes everything
	for _, row := range append(append([]*Row{}, r.Rows...), r.Total) {
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		part := func(f *float64, digits int) string {
			if f == nil {
				return ""
			}
			return strconv.FormatFloat(*f, 'f', digits, 64)
		}
		w.Write([]string{
			sheet.Text(row.Key), sheet.Text(row.Label), number(int64(row.Succeeded)), number(int64(row.Warned)), number(int64(row.Failed)), number(int64(row.Missed)),
			number(int64(row.Cancelled)), number(int64(row.Open)), part(row.SuccessRate, 4), number(row.Files), number(row.Bytes), number(row.UploadedBytes), part(row.MeanSeconds, 1),
		})
	}
	w.Flush()
	return b.String()
}
