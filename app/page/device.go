package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// one is the screen of one device.
func (d *Devices) one(v state.DevicesView, id string) app.UI {
	return loading(v.Devices, 8, d.m.Reload, func([]*api.DeviceFields) app.UI {
		x := v.Find(id)
		if x == nil {
			return ui.Card("", nil, ui.Empty("question-circle", "There is no such device", "It may belong to somebody else.", app.A().Class("btn btn-primary").Href("/devices").Text("To your devices")))
		}
		return app.Div().Body(
			crumbs("/devices", "Devices", x.Name),
			app.If(v.Trust[id] == state.Foreign, foreign),
			ui.Trouble(v.Err, nil),
			d.summary(x, v),
			app.Div().Class("row").Body(
				app.Div().Class("col-xl-7").Body(&DeviceSnapshots{Device: id, Name: x.Name}),
				app.Div().Class("col-xl-5").Body(
					app.If(x.RevokedAt == nil, func() app.UI { return &DeviceRules{Device: id} }),
					&RunList{Device: id}),
			),
			app.If(d.rename != nil, func() app.UI { return d.renaming(x, v.Busy) }),
			app.If(d.revoke, func() app.UI {
				return ui.Confirm("Revoke "+x.Name+"?", "The device can no longer connect: no backup of it will be made, and nothing can be restored to it, until it is added again. What it saved stays, and you can still browse and download it.",
					"danger", "Revoke", v.Busy, nil, func() { d.m.Revoke(x.Id); d.revoke = false }, func() { d.revoke = false })
			}),
		)
	})
}

// crumbs lead from a screen back to the list that it belongs to.
func crumbs(href, list, here string) app.UI {
	return app.Nav().Aria("label", "You are here").Body(app.Ol().Class("breadcrumb mb-3").Body(
		app.Li().Class("breadcrumb-item").Body(app.A().Href(href).Text(list)),
		app.Li().Class("breadcrumb-item active text-truncate").Aria("current", "page").Text(here),
	))
}

// headline is what a screen is about: a picture in a colour of Bootstrap's or none, a name that may be long, how it is doing, and a line about it.
func headline(icon, color, name string, badge app.UI, about string) app.UI {
	class := "hf-device-icon"
	if color != "" {
		class += " text-" + color
	}
	return app.Div().Class("hf-title").Body(
		app.Span().Class(class).Body(ui.Icon(icon)),
		app.Div().Body(
			app.Div().Class("d-flex flex-wrap align-items-center gap-1 column-gap-2").Body(app.H2().Class("h4 mb-0").Text(name), badge),
			app.If(about != "", func() app.UI { return app.Div().Class("small text-body-secondary text-break").Text(about) }),
		))
}

// summary is what a device is, how it is doing, and what can be done with it.
func (d *Devices) summary(x *api.DeviceFields, v state.DevicesView) app.UI {
	run := v.Runs[x.Id]
	revoked := x.RevokedAt != nil
	tools := []app.UI{
		app.If(!revoked, func() app.UI {
			return app.Button().Type("button").Class("btn btn-sm btn-primary").Disabled(v.Busy || run != nil).OnClick(func(app.Context, app.Event) { d.m.BackUpNow(x.Id) }, app.EventScope(x.Id)).Body(
				app.Span().Class("me-1").Body(ui.Icon("cloud-arrow-up")), app.Text("Back up now"))
		}),
		app.If(x.LatestSnapshot != nil, func() app.UI {
			return app.A().Class("btn btn-sm btn-outline-secondary").Href("/files/"+x.Id).Body(app.Span().Class("me-1").Body(ui.Icon("folder2-open")), app.Text("Files"))
		}),
		ui.Button("outline-secondary", "pencil", "Rename", "Give it another name", func() { name := x.Name; d.rename = &name }),
		app.If(!revoked, func() app.UI {
			return ui.Button("outline-danger", "slash-circle", "Revoke", "Withdraw its access", func() { d.revoke = true })
		}),
	}
	return app.Div().Class("card mb-4 shadow-sm").Body(app.Div().Class("card-body").Body(
		app.Div().Class("d-flex flex-wrap align-items-center gap-3 mb-3").Body(
			headline(systemIcon(x.Os), "", x.Name, healthBadge(x.Health.State), x.Hostname+", "+x.Os+"/"+x.Arch+", agent "+x.AgentVersion),
			app.Div().Class("d-flex flex-wrap gap-2").Body(tools...),
		),
		app.P().Class("mb-3").Text(healthWords(x)),
		app.Dl().Class("row small mb-0 gx-2 hf-facts-row").Body(
			fact("Last backup", ago(x.Health.LastSuccessAt)),
			fact("Next backup", due(x.Health.NextDueAt)),
			fact("Last seen", ago(x.LastSeenAt)),
			fact("Protected", app.Text(protected(x))),
			fact("Added", ago(&x.CreatedAt)),
			fact("Keys", trustWords(v.Trust[x.Id])),
		),
		app.If(run != nil, func() app.UI {
			return app.A().Href("/runs/"+run.Id).Class("d-block mt-3 link-body-emphasis link-underline-opacity-0").Body(
				app.Div().Class("small text-body-secondary text-truncate mb-1").Text(join(phaseWord(run), counts(run))),
				app.If(run.State == api.RunStateRunning, func() app.UI { return runProgress(run) }))
		}),
	))
}

func trustWords(t state.Trust) app.UI {
	switch t {
	case state.Genuine:
		return app.Span().Class("text-success-emphasis").Body(ui.Icon("patch-check-fill"), app.Text(" enrolled with your keys"))
	case state.Foreign:
		return app.Span().Class("text-danger-emphasis").Text("not yours")
	}
	return app.Span().Class("text-body-secondary").Text("not checked")
}

func (d *Devices) renaming(x *api.DeviceFields, busy bool) app.UI {
	done := func() { d.rename = nil }
	return &ui.Modal{Title: "Rename " + x.Name, OnClose: done, Body: func() []app.UI {
		return []app.UI{app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) {
			e.PreventDefault()
			d.m.Rename(x.Id, *d.rename)
			d.rename = nil
		}, app.EventScope(x.Id)).Body(
			ui.Field{ID: "device-name", Label: "Name", Type: "text", Value: *d.rename, Autocomplete: "off", Focus: true, OnInput: func(s string) { d.rename = &s }}.UI(),
			ui.Submit("Rename", busy),
		)}
	}}
}

// DeviceRules is what applies to a device, in words.
type DeviceRules struct {
	app.Compo
	watched
	Device string
	m      *state.Rules
}

// OnInit implements app.Initializer.
func (d *DeviceRules) OnInit() { d.m = state.NewRules(sources(), d.Device) }

// OnMount implements app.Mounter.
func (d *DeviceRules) OnMount(ctx app.Context) { d.open(ctx) }

// OnUpdate implements app.Updater: it is about another one now.
func (d *DeviceRules) OnUpdate(ctx app.Context) {
	d.watched.OnDismount()
	d.OnInit()
	d.open(ctx)
}

func (d *DeviceRules) open(ctx app.Context) {
	d.watch(ctx, d.m)
	d.m.Open()
}

// Render implements app.Composer.
func (d *DeviceRules) Render() app.UI {
	return loading(d.m.View(), 5, d.m.Open, func(r *api.Rules) app.UI {
		if r == nil || len(r.Policies) == 0 {
			return ui.Card("Policy", nil, ui.Empty("calendar-x", "No policy saves this device", "An administrator decides what is saved and when. Until then nothing is saved by itself.", nil))
		}
		items := []app.UI{}
		for _, p := range r.Policies {
			items = append(items, app.Div().Class("mb-3").Body(
				app.Div().Class("fw-medium").Text(p.Name),
				app.Div().Class("small").Text("When: "+p.Schedule.Text),
				app.Div().Class("small").Text("Kept: "+p.Retention.Text),
				app.Range(r.Selections).Slice(func(i int) app.UI {
					if r.Selections[i].Policy != p.Name {
						return app.Text("")
					}
					return app.Div().Class("small text-break").Text("What: " + selectionWords(r.Selections[i]))
				}),
			))
		}
		if r.UploadLimit > 0 {
			items = append(items, app.P().Class("small").Text("It sends at most "+state.Size(r.UploadLimit)+" a second."))
		}
		if len(r.Next) > 0 {
			items = append(items, app.Div().Class("small text-body-secondary mb-1").Text("Next"), app.Ul().Class("list-unstyled small mb-0").Body(
				app.Range(r.Next).Slice(func(i int) app.UI {
					return app.Li().Body(ago(&r.Next[i].At), app.Text(", "+r.Next[i].At.Local().Format("Mon 15:04")+", "+r.Next[i].Policy))
				})))
		}
		return ui.Card("Policy", nil, items...)
	})
}

// placeWords are the names of places that policies have words for.
var placeWords = map[string]string{"~": "the home folder", "~documents": "Documents", "~desktop": "Desktop", "~pictures": "Pictures", "~music": "Music", "~videos": "Videos", "~downloads": "Downloads"}

// selectionWords says what of a device a policy saves.
func selectionWords(s *api.RulesSelection) string {
	places := make([]string, 0, len(s.Roots))
	for _, r := range s.Roots {
		word, rest, deeper := strings.Cut(r, "/")
		if w := placeWords[word]; w != "" {
			r = w
			if deeper {
				r += "/" + rest
			}
		}
		places = append(places, r)
	}
	text := "all files"
	if n := len(s.Extensions); n > 8 {
		text = strings.Join(s.Extensions[:8], " ") + " and " + state.Count(int64(n-8), "other kind", "other kinds")
	} else if n > 0 {
		text = strings.Join(s.Extensions, " ")
	}
	text += " in " + strings.Join(places, ", ")
	if s.MaxFileSize > 0 {
		text += ", up to " + state.Size(s.MaxFileSize) + " each"
	}
	if len(s.Excludes) > 0 {
		text += ", but nothing that matches " + state.Count(int64(len(s.Excludes)), "pattern", "patterns")
	}
	return text
}
