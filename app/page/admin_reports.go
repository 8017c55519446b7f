package page

import (
	"slices"
	"strconv"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Reports is the screen of successful and unsuccessful backups.
type Reports struct {
	app.Compo
	watched
	m *state.Reports
}

// OnMount implements app.Mounter.
func (r *Reports) OnMount(ctx app.Context) { r.open(ctx) }

func (r *Reports) open(ctx app.Context) {
	r.watch(ctx, r.model())
	r.model().Reload()
}

func (r *Reports) model() *state.Reports {
	if r.m == nil {
		r.m = state.NewReports(World.API, zone())
	}
	return r.m
}

var (
	reportsBy = []ui.Choice{{Value: "DAY", Title: "Day"}, {Value: "POLICY", Title: "Policy"}, {Value: "GROUP", Title: "Group"}, {Value: "USER", Title: "Person"}, {Value: "DEVICE", Title: "Device"}}
	periods   = []ui.Choice{{Value: "1", Title: "Today"}, {Value: "7", Title: "7 days"}, {Value: "30", Title: "30 days"}, {Value: "90", Title: "90 days"}, {Value: "365", Title: "A year"}}
)

// Render implements app.Composer.
func (r *Reports) Render() app.UI {
	m := r.model()
	v := m.View()
	period := ""
	for _, p := range periods {
		n, _ := strconv.Atoi(p.Value) //nolint:errcheck // they are ours
		if from, to := state.Days(time.Now(), n); from == v.From && to == v.To {
			period = p.Value
		}
	}
	day := func(id, label, value string, set func(string)) app.UI {
		return app.Div().Body(app.Label().For(id).Class("form-label small mb-1").Text(label),
			app.Input().ID(id).Type("date").Class("form-control form-control-sm").Value(value).
				OnChange(func(ctx app.Context, e app.Event) { set(ctx.JSSrc().Get("value").String()) }, ui.Fresh()))
	}
	return app.Div().Body(
		app.Div().Class("d-flex flex-wrap gap-3 align-items-end mb-3 hf-no-print").Body(
			ui.OneOf("Period", period, periods, func(s string) {
				n, _ := strconv.Atoi(s) //nolint:errcheck // they are ours
				from, to := state.Days(time.Now(), n)
				m.Show(m.View().By, from, to)
			}),
			day("report-from", "From", v.From, func(s string) { w := m.View(); m.Show(w.By, s, w.To) }),
			day("report-to", "To", v.To, func(s string) { w := m.View(); m.Show(w.By, w.From, s) }),
			ui.OneOf("By", string(v.By), reportsBy, func(s string) { w := m.View(); m.Show(api.ReportBy(s), w.From, w.To) }),
			app.If(v.Status == state.Ready, func() app.UI {
				return app.Div().Class("d-flex gap-2 ms-auto").Body(
					ui.Button("outline-secondary", "filetype-csv", "CSV", "Download as comma-separated values", func() {
						w := m.View()
						World.Window.Save("backups-"+w.From+"-"+w.To+".csv", w.Value.Csv)
					}),
					ui.Button("outline-secondary", "printer", "Print", "Print this report", func() { World.Window.Print() }),
				)
			}),
		),
		app.P().Class("text-body-secondary").Text("Backups from "+dayLong(v.From)+" to "+dayLong(v.To)+", in the time zone "+zone()+"."),
		loading(v.Load, 10, m.Reload, func(rep *api.AdminReportRunReport) app.UI { return report(v.By, rep) }),
	)
}

// dayLong writes a day in full: "25 November 2026".
func dayLong(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return "…"
	}
	return t.Format("2 January 2006")
}

// charted is how many rows other than days a report's chart has.
const charted = 12

func report(by api.ReportBy, r *api.AdminReportRunReport) app.UI {
	if len(r.Rows) == 0 {
		return ui.Panel("", nil, ui.Empty("clipboard-data", "No backup was due in this time", "Choose another period, or look whether a policy is switched on.", app.A().Class("btn btn-outline-secondary").Href(policiesPath).Text("To the policies")))
	}
	t := r.Total
	name, title := dayName, "Backups by day"
	all := begun(by, r.Rows)
	rows := all
	if by != api.ReportByDay {
		title = "Backups"
		rows = rows[:min(len(rows), charted)]
		name = func(s string) string {
			if r := []rune(s); len(r) > 12 {
				return string(r[:11]) + "…"
			}
			return s
		}
	}
	return app.Div().Body(
		ui.Card("", nil, ui.Facts("Success, missed ones counted", state.Percent(t.SuccessRate), "Succeeded", state.Number(int64(t.Succeeded)), "With warnings", state.Number(int64(t.Warned)), "Failed", state.Number(int64(t.Failed)),
			"Missed", state.Number(int64(t.Missed)), "Cancelled", state.Number(int64(t.Cancelled)), "Not over", state.Number(int64(t.Open)), "Uploaded", state.Size(t.UploadedBytes))),
		ui.Card(title, nil, runChart(title, rows, name)),
		ui.Panel("", nil, reportTable(by, all)),
	)
}

// begun leaves out the days before the first on which anything was due: a report of a year would begin with hundreds of empty ones.
func begun(by api.ReportBy, rows []*api.ReportCounts) []*api.ReportCounts {
	if by != api.ReportByDay {
		return rows
	}
	return rows[max(0, slices.IndexFunc(rows, func(r *api.ReportCounts) bool {
		return r.Succeeded+r.Warned+r.Failed+r.Missed+r.Cancelled+r.Open > 0
	})):]
}

func reportTable(by api.ReportBy, rows []*api.ReportCounts) app.UI {
	head := "Day"
	for _, c := range reportsBy {
		if c.Value == string(by) {
			head = c.Title
		}
	}
	end := "text-end"
	columns := []ui.Column{{Title: head}, {Title: "Success", Class: end}, {Title: "Succeeded", Class: end}, {Title: "Warned", Class: end}, {Title: "Failed", Class: end}, {Title: "Missed", Class: end},
		{Title: "Files", Class: end}, {Title: "Uploaded", Class: end}, {Title: "Mean time", Class: end}}
	return ui.Table("Backups", columns, len(rows), func(i int) []app.UI {
		r := rows[i]
		label := r.Label
		switch {
		case by == api.ReportByDay:
			label = dayLong(r.Label)
		case label == "":
			label = "None"
		}
		mean := "–"
		if r.MeanSeconds != nil {
			mean = state.Duration(time.Duration(*r.MeanSeconds * float64(time.Second)))
		}
		n := func(v int) app.UI { return app.Text(state.Number(int64(v))) }
		return []app.UI{ui.Name(label), app.Span().Class("text-nowrap").Text(state.Percent(r.SuccessRate)), n(r.Succeeded), n(r.Warned), n(r.Failed), n(r.Missed),
			app.Text(state.Number(r.Files)), app.Span().Class("text-nowrap").Text(state.Size(r.UploadedBytes)), app.Span().Class("text-nowrap").Text(mean)}
	})
}
