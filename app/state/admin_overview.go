package state

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
)

// overviewDays are the days of the overview's chart of runs.
const overviewDays = 14

// Overview is the fleet at a glance. Make it with [NewOverview].
type Overview struct {
	Desk
	zone  string
	load  Load[*api.AdminOverviewResponse]
	fetch fetch
	day   time.Time // on which it was loaded
}

// OverviewView is what pages show of an [Overview].
type OverviewView struct {
	Load[*api.AdminOverviewResponse]
	Work
	Days []*api.ReportCounts // one for every day of the chart, oldest first
}

// NewOverview returns an overview whose days are those of a zone, an IANA name.
func NewOverview(client *api.Client, zone string) *Overview {
	return &Overview{Desk: Desk{api: client}, zone: zone}
}

// View returns what to show.
func (o *Overview) View() (v OverviewView) {
	o.read(func() {
		v.Load, v.Work = o.load, o.work
		if v.Value != nil {
			v.Days = everyDay(o.day, overviewDays, v.Value.RunReport.Rows)
		}
	})
	return v
}

// Reload loads it.
func (o *Overview) Reload() {
	now := time.Now()
	fetchInto(&o.Model, &o.fetch, &o.load, func(ctx context.Context) (*api.AdminOverviewResponse, error) {
		v, err := api.AdminOverview(ctx, o.api, lastDays(now, overviewDays, api.ReportByDay, o.zone))
		o.read(func() { o.day = now })
		return v, err
	})
}

// everyDay fills the days without a run, so that a chart has all of them.
func everyDay(last time.Time, days int, rows []*api.ReportCounts) []*api.ReportCounts {
	list := make([]*api.ReportCounts, 0, days)
	for i := days - 1; i >= 0; i-- {
		day := last.AddDate(0, 0, -i).Format(time.DateOnly)
		at := slices.IndexFunc(rows, func(r *api.ReportCounts) bool { return r.Key == day })
		if at < 0 {
			list = append(list, &api.ReportCounts{Key: day, Label: day})
			continue
		}
		list = append(list, rows[at])
	}
	return list
}

// Percent writes a share of 0 to 1: "98.4 %"; without one a dash. Only all of it is "100 %".
func Percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return percent(*share)
}

func percent(share float64) string {
	switch p := share * 100; {
	case p >= 100:
		return "100 %"
	case p > 99.9:
		return "99.9 %"
	case p <= 0:
		return "0 %"
	default:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
}
