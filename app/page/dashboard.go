package page

import (
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Dashboard is what a person sees first: whether all is well.
type Dashboard struct {
	app.Compo
	watched
	m *state.Devices
}

// OnInit implements app.Initializer.
func (d *Dashboard) OnInit() { d.m = state.NewDevices(sources()) }

// OnMount implements app.Mounter.
func (d *Dashboard) OnMount(ctx app.Context) { d.open(ctx) }

// OnDismount implements app.Dismounter.
func (d *Dashboard) OnDismount() { d.close() }

func (d *Dashboard) open(ctx app.Context) {
	d.watch(ctx, d.m)
	d.m.Open(true)
}

func (d *Dashboard) close() {
	d.watched.OnDismount()
	d.m.Close()
}

// Render implements app.Composer.
func (d *Dashboard) Render() app.UI {
	v := d.m.View()
	return loading(v.Devices, 8, d.m.Reload, func(list []*api.DeviceFields) app.UI {
		if len(list) == 0 {
			return ui.Card("", nil, ui.Empty("laptop", "Add your first device", "A small program on your computer saves its files by itself, sealed before they leave it. Nobody but you can open them.",
				app.A().Class("btn btn-primary").Href("/devices/add").Text("Add a device")))
		}
		return app.Div().Body(
			app.Div().Class("row hf-boxes").Body(dashboardBoxes(v)...),
			app.Div().Class("row").Body(
				app.Div().Class("col-xl-5").Body(healthPanel(v)),
				app.Div().Class("col-xl-7").Body(recentPanel(v, d.m.Reload)),
			),
			usageCard(v, d.m.Reload),
		)
	})
}

func dashboardBoxes(v state.DevicesView) []app.UI {
	box := func(color, icon, number, label, href, more string) app.UI {
		return app.Div().Class("col-6 col-xl-3").Body(ui.Box(color, icon, number, label, href, more))
	}
	files, bytes := v.Protected()
	last, lastOf := v.Last()
	next, nextOf := v.Next()
	good, fresh, all := 0, 0, 0
	color := "success"
	for _, d := range v.Devices.Value {
		switch d.Health.State {
		case api.HealthStateRevoked:
			continue
		case api.HealthStateGood, api.HealthStateWorking:
			good++
		case api.HealthStateNew:
			fresh++
		case api.HealthStateBad:
			color = "danger"
		case api.HealthStateWarning:
			if color == "success" {
				color = "warning"
			}
		}
		all++
	}
	well := "devices are well"
	if fresh > 0 {
		well += ", " + state.Number(int64(fresh)) + " new"
	}
	lastText, lastLabel := "Never", "no backup yet"
	if last != nil {
		lastText, lastLabel = capital(state.Ago(*last, time.Now())), "last backup, of "+lastOf
	}
	nextText, nextLabel := "Not planned", "no policy saves your devices"
	if next != nil {
		nextText, nextLabel = capital(state.Ago(*next, time.Now())), "next backup, of "+nextOf
		if next.Before(time.Now()) {
			nextText = "Due now"
		}
	}
	return []app.UI{
		box("primary", "shield-check", state.Size(bytes), state.Count(files, "file", "files")+" protected", "/files", "Browse files"),
		box(color, "pc-display-horizontal", state.Number(int64(good))+" of "+state.Number(int64(all)), well, "/devices", "Devices"),
		box("success", "clock-history", lastText, lastLabel, "/runs", "Activity"),
		box("secondary", "calendar-event", nextText, nextLabel, "/devices", "Devices"),
	}
}

func healthPanel(v state.DevicesView) app.UI {
	list := v.Devices.Value
	return ui.Panel("Devices", app.A().Class("btn btn-sm btn-outline-secondary").Href("/devices").Text("All devices"),
		app.Ul().Class("list-group list-group-flush").Body(app.Range(list).Slice(func(i int) app.UI {
			d := list[i]
			return app.Li().Class("list-group-item px-0 py-0").Body(
				app.A().Href("/devices/"+d.Id).Class("hf-item").Body(
					app.Span().Class("hf-item-icon").Body(light(d.Health.State)),
					app.Span().Class("hf-item-main").Body(
						app.Span().Class("d-flex align-items-center gap-2").Body(
							app.Span().Class("fw-medium hf-name-lines").Text(d.Name),
							healthBadge(d.Health.State),
							app.If(v.Trust[d.Id] == state.Foreign, func() app.UI { return ui.Badge("danger", "not yours") }),
						),
						app.Span().Class("d-block small text-body-secondary text-truncate").Text(healthWords(d)),
					),
					app.Span().Class("small text-body-secondary text-nowrap align-self-start").Title("Last backup").Body(ago(d.Health.LastSuccessAt)),
				))
		})))
}

func recentPanel(v state.DevicesView, retry func()) app.UI {
	more := app.A().Class("btn btn-sm btn-outline-secondary").Href("/runs").Text("All activity")
	return loading(v.Recent, 6, retry, func(list []*api.RunFields) app.UI {
		if len(list) == 0 {
			return ui.Panel("Recent activity", more, ui.Empty("hourglass", "Nothing happened yet", "Backups and restores appear here while they run.", nil))
		}
		return ui.Panel("Recent activity", more, runItems(list, runTitle))
	})
}

func usageCard(v state.DevicesView, retry func()) app.UI {
	return loading(v.Usage, 6, retry, func(days []*api.UsageDay) app.UI {
		protected, fresh := ui.Series{Name: "protected", Color: "success"}, ui.Series{Name: "new", Color: "info"}
		labels := make([]string, 0, len(days))
		for _, d := range days {
			labels = append(labels, dayName(d.Day))
			protected.Values = append(protected.Values, float64(d.ProtectedBytes))
			fresh.Values = append(fresh.Values, float64(d.UploadedBytes))
		}
		chart := func(s ui.Series, title string, lines bool) app.UI {
			return ui.Chart{Title: title, Labels: labels, Series: []ui.Series{s}, Lines: lines, Scale: ui.Bytes(state.Size),
				Text: func(v float64) string { return state.Size(int64(v)) }}.UI()
		}
		if len(days) == 0 {
			return ui.Card("Protected and new data", nil, app.P().Class("mb-0 text-body-secondary").Text("A day after the first backup this shows how much is protected, and how much is new each day."))
		}
		return app.Div().Class("row").Body(
			app.Div().Class("col-xl-6").Body(ui.Card("Protected data, 30 days", nil, chart(protected, "Protected bytes by day", true))),
			app.Div().Class("col-xl-6").Body(ui.Card("New data by day", nil, chart(fresh, "Bytes that were uploaded, by day", false))),
		)
	})
}

// capital begins a phrase as a sentence begins. It is for English letters.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
