package state

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Reports is runs, counted. Make it with [NewReports].
type Reports struct {
	Desk
	zone  string
	fetch fetch
	v     ReportsView
}

// ReportsView is what pages show of [Reports].
type ReportsView struct {
	Load[*api.AdminReportRunReport]
	By       api.ReportBy
	From, To string // the first day and the last, YYYY-MM-DD
}

// NewReports returns the report of the last 30 days, by day, in a zone, an IANA name.
func NewReports(client *api.Client, zone string) *Reports {
	r := &Reports{Desk: Desk{api: client}, zone: zone}
	r.v.By = api.ReportByDay
	r.v.From, r.v.To = Days(time.Now(), 30)
	return r
}

// Days are the first and the last of some days up to today.
func Days(now time.Time, n int) (from, to string) {
	return now.AddDate(0, 0, 1-n).Format(time.DateOnly), now.Format(time.DateOnly)
}

// View returns what to show.
func (r *Reports) View() (v ReportsView) {
	r.read(func() { v = r.v })
	return v
}

// Show asks for another report. What an answer to the one before was is not shown with it.
func (r *Reports) Show(by api.ReportBy, from, to string) {
	r.change(func() {
		r.v = ReportsView{By: by, From: from, To: to}
		r.fetch.asked++
	})
	r.Reload()
}

// Reload asks again.
func (r *Reports) Reload() {
	v := r.View()
	fetchInto(&r.Model, &r.fetch, &r.v.Load, func(ctx context.Context) (*api.AdminReportRunReport, error) {
		from, err := time.ParseInLocation(time.DateOnly, v.From, time.Local)
		if err != nil {
			return nil, fault.New(fault.Invalid, "choose the first day of the report")
		}
		last, err := time.ParseInLocation(time.DateOnly, v.To, time.Local)
		if err != nil {
			return nil, fault.New(fault.Invalid, "choose the last day of the report")
		}
		if last.Before(from) {
			return nil, fault.New(fault.Invalid, "the last day is before the first")
		}
		res, err := api.AdminReport(ctx, r.api, &api.RunReportInput{From: from, To: last.AddDate(0, 0, 1), By: v.By, Kind: api.RunKindBackup, Zone: r.zone})
		if err != nil {
			return nil, err
		}
		return res.RunReport, nil
	})
}
