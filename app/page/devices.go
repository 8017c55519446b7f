package page

import (
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Devices is the screen of all devices, of one below /devices/, and at /devices/add of a new one.
type Devices struct {
	app.Compo
	watched
	m      *state.Devices
	path   string
	system string  // that a device is added for
	rename *string // what is typed as the new name, nil: nobody renames
	revoke bool    // it is asked whether to revoke
	leave  func(path string)
}

// OnInit implements app.Initializer.
func (d *Devices) OnInit() { d.m = state.NewDevices(sources()) }

// OnMount implements app.Mounter.
func (d *Devices) OnMount(ctx app.Context) { d.open(ctx) }

// OnNav implements app.Navigator.
func (d *Devices) OnNav(ctx app.Context) { d.navigate(ctx.Page().URL().Path) }

// OnDismount implements app.Dismounter.
func (d *Devices) OnDismount() { d.close() }

func (d *Devices) open(ctx app.Context) {
	d.watch(ctx, d.m)
	d.m.Open(false)
	d.leave = ctx.Navigate
	d.navigate(ctx.Page().URL().Path)
}

func (d *Devices) close() {
	d.watched.OnDismount()
	d.m.Close()
}

func (d *Devices) navigate(path string) {
	if path == d.path {
		return
	}
	d.path, d.rename, d.revoke = path, nil, false
	d.m.Dismiss()
	adding := d.m.View().Enrol != nil
	switch id := below(path, "/devices"); {
	case id == "add" && !adding:
		d.m.Enrol()
	case id != "add" && adding:
		d.m.CancelEnrol()
	}
}

// Render implements app.Composer.
func (d *Devices) Render() app.UI {
	v := d.m.View()
	if id := below(d.path, "/devices"); id != "" && id != "add" {
		return d.one(v, id)
	}
	return app.Div().Body(
		ui.Trouble(v.Err, nil),
		app.Div().Class("d-flex justify-content-end mb-3").Body(
			app.A().Class("btn btn-primary").Href("/devices/add").Body(app.Span().Class("me-2").Body(ui.Icon("plus-lg")), app.Text("Add a device")),
		),
		loading(v.Devices, 6, d.m.Reload, func(list []*api.DeviceFields) app.UI {
			if len(list) == 0 {
				return ui.Card("", nil, ui.Empty("laptop", "No device yet", "A device is a computer whose files are saved by themselves. Adding one takes two minutes: a command to type there, and a code that is valid once.", nil))
			}
			return app.Div().Class("row").Body(app.Range(list).Slice(func(i int) app.UI {
				return app.Div().Class("col-md-6 col-xxl-4").Body(d.card(list[i], v))
			}))
		}),
		app.If(v.Enrol != nil, func() app.UI { return d.enrolment(v.Enrol) }),
	)
}

// card is a device at a glance.
func (d *Devices) card(x *api.DeviceFields, v state.DevicesView) app.UI {
	run := v.Runs[x.Id]
	return app.Div().Class("card mb-4 shadow-sm hf-device").Body(
		app.Div().Class("card-body").Body(
			app.Div().Class("d-flex align-items-center gap-3 mb-3").Body(
				app.Span().Class("hf-device-icon").Body(ui.Icon(systemIcon(x.Os))),
				app.Div().Class("flex-grow-1 hf-shrink").Body(
					app.Div().Class("h5 mb-0 hf-name-lines").Body(app.A().Href("/devices/"+x.Id).Class("link-body-emphasis link-underline-opacity-0 link-underline-opacity-75-hover stretched-link").Title(x.Name).Text(x.Name)),
					app.Div().Class("small text-body-secondary text-truncate").Text(x.Hostname+", agent "+x.AgentVersion),
				),
				healthBadge(x.Health.State),
			),
			app.If(v.Trust[x.Id] == state.Foreign, foreign),
			app.P().Class("small mb-3").Text(healthWords(x)),
			app.Dl().Class("row small mb-0 gx-2").Body(
				fact("Last backup", ago(x.Health.LastSuccessAt)),
				fact("Next backup", due(x.Health.NextDueAt)),
				fact("Last seen", ago(x.LastSeenAt)),
				fact("Protected", app.Text(protected(x))),
			),
			app.If(run != nil, func() app.UI {
				return app.Div().Class("mt-3").Body(
					app.Div().Class("small text-body-secondary text-truncate mb-1").Text(join(phaseWord(run), counts(run))),
					app.If(run.State == api.RunStateRunning, func() app.UI { return runProgress(run) }))
			}),
		),
	)
}

func fact(term string, value app.UI) app.UI {
	return app.Div().Class("col-6 mb-2").Body(app.Dt().Class("fw-normal text-body-secondary").Text(term), app.Dd().Class("mb-0").Body(value))
}

// due is when a backup is due, in words.
func due(t *time.Time) app.UI {
	switch {
	case t == nil:
		return app.Span().Class("text-body-secondary").Text("not planned")
	case t.Before(time.Now()):
		return app.Span().Title(state.Exact(*t)).Text("due now")
	}
	return ago(t)
}

// protected is how much the newest snapshot of a device holds, in words.
func protected(x *api.DeviceFields) string {
	if x.LatestSnapshot == nil {
		return "nothing yet"
	}
	return state.Size(x.LatestSnapshot.Bytes) + " in " + state.Count(x.LatestSnapshot.Files, "file", "files")
}
