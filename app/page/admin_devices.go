package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// FleetDevices is the screen of everybody's devices, worst first.
type FleetDevices struct {
	app.Compo
	watched
	m        *state.FleetDevices
	revoking *api.AdminDevice
}

// OnMount implements app.Mounter.
func (f *FleetDevices) OnMount(ctx app.Context) { f.open(ctx) }

func (f *FleetDevices) open(ctx app.Context) {
	f.watch(ctx, f.model())
	f.model().Reload()
}

func (f *FleetDevices) model() *state.FleetDevices {
	if f.m == nil {
		f.m = state.NewFleetDevices(World.API)
	}
	return f.m
}

var healths = []ui.Choice{
	{Value: "BAD", Title: "Bad"}, {Value: "WARNING", Title: "Warning"}, {Value: "WORKING", Title: "Working"}, {Value: "NEW", Title: "New"}, {Value: "GOOD", Title: "Good"}, {Value: "REVOKED", Title: "Revoked"},
}

// Render implements app.Composer.
func (f *FleetDevices) Render() app.UI {
	m := f.model()
	v := m.View()
	on := []string{}
	for _, h := range v.Health {
		on = append(on, string(h))
	}
	return app.Div().Body(
		worked(v.Work, m.Dismiss),
		app.Div().Class("d-flex flex-wrap gap-3 align-items-center mb-3").Body(
			ui.Search("fleet-search", "Device or person", v.Search, func(s string) { m.Filter(s, v.Health) }),
			ui.Chips("Health", healths, on, func(l []string) {
				var list []api.HealthState
				for _, s := range l {
					list = append(list, api.HealthState(s))
				}
				m.Filter(v.Search, list)
			}),
		),
		loading(v.Rows.Load, 8, m.Reload, func(list []*api.AdminDevice) app.UI {
			if len(list) == 0 && v.Search == "" && len(v.Health) == 0 {
				return ui.Panel("", nil, ui.Empty("pc-display-horizontal", "No device yet", "Everybody adds their own devices: invite people, and their devices appear here.", app.A().Class("btn btn-primary").Href("/admin/people").Text("Invite people")))
			}
			if len(list) == 0 {
				return ui.Panel("", nil, ui.Empty("search", "No device found", "No device has this in its name and this health.", ui.Button("outline-secondary", "x-lg", "Show all", "", func() { m.Filter("", nil) })))
			}
			return ui.Panel("", nil, f.table(list, v),
				ui.More(len(list), v.Rows.Total, v.Rows.More, v.Rows.Loading, func(n int) string { return state.Count(int64(n), "device", "devices") }, m.More))
		}),
		app.If(f.revoking != nil, func() app.UI {
			d := f.revoking
			return ui.Confirm("Revoke “"+d.Name+"”?", "The device of "+d.Owner.Name+" loses its access at once and is no longer backed up. Its snapshots stay. To be backed up again it has to be added anew.",
				"danger", "Revoke the device", false, nil, func() { f.revoking = nil; m.Revoke(d) }, func() { f.revoking = nil })
		}),
	)
}

func (f *FleetDevices) table(list []*api.AdminDevice, v state.FleetDevicesView) app.UI {
	columns := []ui.Column{{Title: "Device"}, {Title: "Health"}, {Title: "System"}, {Title: "Last backup", Class: "text-end"}, {Title: "Next", Class: "text-end"}, {Title: "Last seen", Class: "text-end"}, {Class: "text-end"}}
	return ui.Table("Devices", columns, len(list), func(i int) []app.UI {
		d := list[i]
		next := app.UI(app.Span().Class("text-body-secondary").Text("–"))
		if d.Health.NextDueAt != nil {
			next = ago(d.Health.NextDueAt)
		}
		return []app.UI{
			ui.Two(app.Span().Title(d.Name+" ("+d.Hostname+")").Text(d.Name), d.Owner.Name+" · "+d.Owner.Email),
			healthBadge(d.Health.State),
			app.Span().Class("text-nowrap").Title("Agent " + d.AgentVersion).Text(system(d.Os) + " " + d.Arch),
			ago(d.Health.LastSuccessAt), next, ago(d.LastSeenAt),
			app.If(d.RevokedAt == nil, func() app.UI {
				return app.Div().Class("btn-group").Body(
					ui.Button("outline-secondary", "play-fill", "", "Back up "+d.Name+" now", func() { f.m.BackUp(d) }),
					ui.Button("outline-secondary", "slash-circle", "", "Revoke "+d.Name, func() { f.revoking = d }),
				)
			}),
		}
	})
}

// system is what people call an operating system.
func system(os string) string {
	switch os {
	case "darwin":
		return "macOS"
	case "windows":
		return "Windows"
	case "linux":
		return "Linux"
	}
	return os
}
