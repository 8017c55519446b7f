package page

import (
	"fmt"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Overview is the administrators' first screen: the fleet at a glance, failures first.
type Overview struct {
	app.Compo
	watched
	m *state.Overview
}

// OnMount implements app.Mounter.
func (o *Overview) OnMount(ctx app.Context) { o.open(ctx) }

func (o *Overview) open(ctx app.Context) {
	o.watch(ctx, o.model())
	o.model().Reload()
}

func (o *Overview) model() *state.Overview {
	if o.m == nil {
		o.m = state.NewOverview(World.API, zone())
	}
	return o.m
}

// Render implements app.Composer.
func (o *Overview) Render() app.UI {
	v := o.model().View()
	return loading(v.Load, 12, o.model().Reload, func(r *api.AdminOverviewResponse) app.UI {
		f := r.FleetOverview
		if f.Devices == 0 {
			return ui.Empty("pc-display-horizontal", "No device backs up yet", "Invite people, or add a device of your own. A policy then says what is saved, and when.",
				app.Div().Class("d-flex flex-wrap justify-content-center gap-2").Body(
					app.A().Class("btn btn-primary").Href("/admin/people").Text("Invite people"),
					app.A().Class("btn btn-outline-secondary").Href("/admin/policies").Text("To the policies"),
				))
		}
		return app.Div().Body(
			app.Div().Class("row hf-boxes").Body(boxes(r)...),
			app.Div().Class("row").Body(
				app.Div().Class("col-xl-7").Body(failures(f.RecentFailures)),
				app.Div().Class("col-xl-5").Body(stale(f.Stale), queueCard(r.Queue)),
			),
			app.Div().Class("row").Body(
				app.Div().Class("col-xl-6").Body(ui.Card("Backups by day", nil, runChart("Backups by day", v.Days, dayName))),
				app.Div().Class("col-xl-6").Body(storageCard(r.StorageReport.Days)),
			),
		)
	})
}

func boxes(r *api.AdminOverviewResponse) []app.UI {
	f, s := r.FleetOverview, r.StorageReport
	box := func(color, icon, number, label, href, more string) app.UI {
		return app.Div().Class("col-6 col-xl-3").Body(ui.Box(color, icon, number, label, href, more))
	}
	color := "success"
	switch {
	case f.Bad > 0:
		color = "danger"
	case f.Warning > 0:
		color = "warning"
	}
	rate := "success"
	switch {
	case f.SuccessRate == nil:
		rate = "secondary"
	case *f.SuccessRate < .9:
		rate = "danger"
	case *f.SuccessRate < 1:
		rate = "warning"
	}
	room := "The store does not say how much is left"
	if s.FreeBytes != nil {
		room = "stored, " + state.Size(*s.FreeBytes) + " free"
	}
	return []app.UI{
		box(color, "pc-display-horizontal", fmt.Sprintf("%d of %d", f.Good+f.Working, f.Devices), health(f), "/admin/devices", "Devices"),
		box(rate, "check2-circle", state.Percent(f.SuccessRate), "of backups succeeded in 24 hours, missed ones counted", "/admin/reports", "Reports"),
		box("primary", "arrow-repeat", state.Number(int64(f.OpenRuns)), "waiting or running now", "/admin/tasks", "Queue"),
		box("secondary", "hdd-stack", state.Size(s.StoredBytes), room, "/admin/storage", forecast(s.FullAt)),
	}
}

func health(f *api.AdminOverviewFleetOverview) string {
	text := "devices are well"
	for _, part := range []struct {
		n    int
		word string
	}{{f.Bad, "bad"}, {f.Warning, "with warnings"}, {f.New, "new"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.word)
		}
	}
	return text
}

func forecast(full *time.Time) string {
	if full == nil {
		return "Storage"
	}
	return "Full " + state.Ago(*full, time.Now())
}

// shownFailures is how many failures the overview names: reports have all of them.
const shownFailures = 8

func failures(list []*api.AdminRun) app.UI {
	more := app.A().Class("btn btn-sm btn-outline-secondary").Href("/admin/reports").Text("Reports")
	if len(list) == 0 {
		return ui.Panel("Recent failures", more, ui.Empty("emoji-smile", "Nothing failed in the last seven days", "Failed and missed backups appear here first.", nil))
	}
	list = list[:min(len(list), shownFailures)]
	return ui.Panel("Recent failures", more, ui.Table("Recent failures", []ui.Column{{Title: "Device"}, {Title: "What happened", Class: "hf-whole"}, {Title: "When", Class: "text-end"}}, len(list), func(i int) []app.UI {
		r := list[i]
		when := r.EndedAt
		if when == nil {
			when = &r.CreatedAt
		}
		return []app.UI{
			ui.Two(app.Span().Title(r.Device.Name).Text(r.Device.Name), r.Device.Owner.Name),
			app.Div().Body(ui.Badge(runColor(r.State), runWord(r.State)), app.Div().Class("small text-body-secondary hf-clamp").Title(reason(r)).Text(reason(r))),
			ago(when),
		}
	}))
}

func stale(list []*api.AdminDevice) app.UI {
	if len(list) == 0 {
		return ui.Card("Stale devices", nil, app.P().Class("mb-0 text-body-secondary").Text("Every device has a recent backup."))
	}
	return ui.Panel("Stale devices", ui.Badge("warning", state.Number(int64(len(list)))), ui.Table("Stale devices", []ui.Column{{Title: "Device"}, {Title: "Last backup", Class: "text-end"}, {Title: "Last seen", Class: "text-end"}}, len(list), func(i int) []app.UI {
		d := list[i]
		return []app.UI{ui.Two(app.Span().Title(d.Name).Text(d.Name), d.Owner.Name), ago(d.Health.LastSuccessAt), ago(d.LastSeenAt)}
	}))
}

func queueCard(q *api.QueueFields) app.UI {
	more := app.A().Class("btn btn-sm btn-outline-secondary").Href("/admin/tasks").Text("Tasks")
	if q == nil {
		return ui.Card("Queue", more, ui.Trouble(errNoQueue, nil))
	}
	workers := len(q.Workers)
	return ui.Card("Queue", more,
		app.If(workers == 0, func() app.UI { return ui.Trouble(errNoWorker, nil) }),
		ui.Facts("Waiting", state.Number(int64(q.Pending)), "Being done", state.Number(int64(q.Active)), "To be retried", state.Number(int64(q.Retry)),
			"Given up", state.Number(int64(q.Dead)), "Done today", state.Number(int64(q.ProcessedToday)), "Workers", state.Number(int64(workers))),
	)
}

func storageCard(days []*api.StorageDay) app.UI {
	if len(days) == 0 {
		return ui.Card("Storage by day", nil, ui.Empty("graph-up", "No measurement yet", "What is stored is measured once an hour; the first days make the chart.", nil))
	}
	return ui.Card("Storage by day", nil, storageChart("Storage by day", days))
}
