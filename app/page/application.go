package page

import (
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Application is the screen of one application.
type Application struct {
	app.Compo
	watched
	ID, Tab string

	m      *state.Application
	of     string // which m is of
	backup *api.BackUpApplicationInput
	doomed *api.ApplicationSnapshot // it is asked whether to delete it
	drop   *api.ScheduleRow         // likewise
	stop   *api.RunFields           // it is asked whether to stop it
	put    *restoreDialog
	keep   string // how many safety backups, as it is typed; "": as it is
}

// OnMount implements app.Mounter.
func (a *Application) OnMount(ctx app.Context) { a.follow(ctx) }

// OnUpdate implements app.Updater: it may be about another one now.
func (a *Application) OnUpdate(ctx app.Context) { a.follow(ctx) }

func (a *Application) follow(ctx app.Context) {
	if a.m != nil && a.of == a.ID {
		return
	}
	a.OnDismount()
	a.of, a.m = a.ID, state.NewApplication(sources(), a.ID)
	a.watch(ctx, a.m, World.Imports)
	a.m.Open()
}

// OnDismount implements app.Dismounter.
func (a *Application) OnDismount() {
	a.watched.OnDismount()
	if a.m != nil {
		a.m.Close()
	}
}

// Render implements app.Composer.
func (a *Application) Render() app.UI {
	if a.m == nil {
		return ui.Card("", nil, ui.Skeleton(8))
	}
	v := a.m.View()
	return loading(v.App, 8, a.m.Reload, func(x *api.ApplicationDetail) app.UI {
		if x == nil {
			return ui.Card("", nil, ui.Empty("question-circle", "There is no such application", "It may belong to somebody else.", app.A().Class("btn btn-primary").Href(applicationsPath).Text("To your applications")))
		}
		return app.Div().Body(
			crumbs(applicationsPath, "Applications", x.Name),
			app.If(v.Schedule == nil && a.put == nil, func() app.UI { return worked(v.Work, a.m.Dismiss) }),
			a.head(x, v),
			a.probe(v),
			saving(v.Save, a.m.CancelSave),
			a.elsewhere(x),
			a.tabs(x),
			a.body(x, v),
			a.dialogs(x, v),
		)
	})
}

// elsewhere shows an upload that goes on, on the tabs where it was not begun.
func (a *Application) elsewhere(x *api.ApplicationDetail) app.UI {
	v := World.Imports.View(x.Id)
	if a.Tab == "" || v.Step != state.ImportSending && v.Step != state.ImportChecking {
		return app.Text("")
	}
	m := World.Imports.Of(state.Importer{ID: x.Id, Name: x.Name, Device: x.Device.Id, DeviceName: x.Device.Name})
	return app.Div().Class("card mb-3 shadow-sm").Body(app.Div().Class("card-body").Body(importing(v, m.Cancel)))
}

// own reports whether the application is the person's, who alone can open its backups.
func own(x *api.ApplicationDetail) bool {
	me := World.Session.View().User
	return me != nil && me.Id == x.Device.Owner.Id
}

func (a *Application) head(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	usable := x.RemovedAt == nil && x.Device.RevokedAt == nil
	var open *api.RunFields
	if len(v.Open) > 0 {
		open = v.Open[0]
	}
	return app.Div().Class("card mb-4 shadow-sm").Body(app.Div().Class("card-body").Body(
		app.Div().Class("d-flex flex-wrap align-items-center gap-3 mb-3").Body(
			headline(engineIcon(x.Engine), "", x.Name, applicationBadge(&x.ApplicationRow, open), applicationWords(&x.ApplicationRow, !own(x))),
			app.If(usable, func() app.UI {
				return app.Div().Class("d-flex flex-wrap gap-2").Body(
					app.Button().Type("button").Class("btn btn-sm btn-primary").Disabled(v.Busy != "").Body(app.Span().Class("me-1").Body(ui.Icon("cloud-arrow-up")), app.Text("Back up now")).
						OnClick(func(app.Context, app.Event) {
							a.backup = &api.BackUpApplicationInput{Part: state.Whole(&x.ApplicationRow), Level: api.CompressionLevelDefault}
						}, ui.Fresh()),
					ui.Button("outline-secondary", "clipboard-check", "Test", "Look whether everything is there that a backup needs", a.m.Test),
				)
			}),
		),
		app.If(x.RemovedAt != nil, func() app.UI {
			return app.P().Class("mb-3").Text("Its machine has it no more. What was saved stays, and can be downloaded. Added there again under the same name, it goes on.")
		}),
		app.Dl().Class("row small mb-0 gx-2 hf-facts-row").Body(
			fact("Last good backup", ago(x.Stats.LastSuccessAt)),
			fact("Next", due(x.NextDueAt)),
			fact("Machine", app.A().Href("/devices/"+x.Device.Id).Text(x.Device.Name)),
			fact("Backups kept", app.Text(kept(x.Stats.Snapshots, x.Stats.Bytes))),
			fact("Backups done", app.Text(state.Number(int64(x.Stats.Backups-x.Stats.Failed)))),
			fact("Failed", app.Text(state.Number(int64(x.Stats.Failed)))),
			fact("Restores", app.Text(state.Number(int64(x.Stats.Restores)))),
		),
		lastFailure(x, v),
		app.Range(v.Open).Slice(func(i int) app.UI {
			r := v.Open[i]
			return app.Div().Class("mt-3 pt-3 border-top").Body(
				app.Div().Class("d-flex align-items-center gap-3 mb-1").Body(
					app.A().Class("fw-medium").Href("/runs/"+r.Id).Text(openTitle(r)),
					app.Span().Class("small text-body-secondary flex-grow-1 text-truncate").Text(join(waitingWord(&x.ApplicationRow, r), counts(r))),
					app.Button().Type("button").Class("btn btn-sm btn-outline-danger").Disabled(r.Cancelling || v.Busy != "").Aria("label", "Stop: "+openTitle(r)).
						OnClick(func(app.Context, app.Event) { a.stop = r }, app.EventScope(r.Id)).Body(ui.Icon("stop-circle"), app.Text(" Stop")),
				),
				app.If(r.State == api.RunStateRunning, func() app.UI { return runProgress(r) }))
		}),
	))
}

// lastFailure says why the last backup failed, until the next one.
func lastFailure(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	r := x.Stats.LastRun
	if r == nil || len(v.Open) > 0 || r.State != api.RunStateFailed && r.State != api.RunStateMissed {
		return app.Text("")
	}
	what := "The last backup failed"
	if r.State == api.RunStateMissed {
		what = "The last backup was missed"
	}
	return app.Div().Class("alert alert-danger mt-3 mb-0 d-flex flex-wrap align-items-center gap-3").Attr("role", "status").Body(
		app.Div().Class("flex-grow-1 hf-shrink text-break").Text(join(what, why(r))),
		app.A().Class("alert-link text-nowrap").Href("/runs/"+r.Id).Text("What happened"))
}

// waitingWord is what a run of the application does at the moment, and for whom it waits.
func waitingWord(x *api.ApplicationRow, r *api.RunFields) string {
	if r.State != api.RunStateWaiting || r.Cancelling {
		return phaseWord(r)
	}
	text := "Waiting for " + x.Device.Name
	if seen := x.Device.LastSeenAt; seen != nil {
		text += ", last seen " + state.Ago(*seen, time.Now())
	}
	return text
}

// openTitle says what a run of an application is.
func openTitle(r *api.RunFields) string {
	part := ""
	if r.Part != nil {
		part = state.PartWord(*r.Part)
	}
	switch r.Kind {
	case api.RunKindProbe:
		return "Test of the configuration"
	case api.RunKindRestore:
		return "Restore: " + part
	}
	if r.Title != nil && *r.Title != "" {
		return *r.Title + ": " + part
	}
	return "Backup: " + part
}

// probe shows what a look at the configuration found.
func (a *Application) probe(v state.ApplicationView) app.UI {
	if v.Probe == nil {
		return app.Text("")
	}
	close := ui.Button("outline-secondary", "x-lg", "", "Take the test away", a.m.EndTest)
	run := v.Probe.Run.Value
	if v.Probe.Run.Status == state.Failed {
		return ui.Card("Test", close, ui.Trouble(v.Probe.Run.Err, nil))
	}
	if run == nil || !state.Over(run.State) {
		return ui.Card("Test", close, app.Div().Class("d-flex align-items-center gap-3").Attr("role", "status").Body(ui.Spinner(), app.Text("The machine looks at the database, its tools, rights and folders. It begins as soon as it is connected.")))
	}
	report := v.Probe.Report
	if report.Status == state.Failed {
		return ui.Card("Test", close, ui.Trouble(report.Err, nil))
	}
	if report.Status != state.Ready {
		return ui.Card("Test", close, ui.Skeleton(3))
	}
	var points []state.ProbePoint
	if report.Value != nil {
		points = state.ProbePoints(report.Value.Text)
	}
	head := app.P().Class("text-success-emphasis").Body(ui.Icon("check-circle-fill"), app.Text(" Everything is there that a backup needs."))
	if run.State != api.RunStateSucceeded {
		text := why(&run.RunFields)
		head = app.P().Class("text-danger-emphasis").Body(ui.Icon("x-circle-fill"), app.Text(" "+orElse(&text, "The test did not succeed.")))
	}
	return ui.Card("Test", close, head, app.Ul().Class("list-unstyled mb-0").Attr("role", "status").Body(app.Range(points).Slice(func(i int) app.UI {
		p := points[i]
		icon, color, word := "check-lg", "success", "in order"
		if !p.OK {
			icon, color, word = "x-lg", "danger", "wrong"
		}
		return app.Li().Class("d-flex gap-2 mb-1").Body(
			app.Span().Class("text-"+color+"-emphasis").Body(ui.Icon(icon), app.Span().Class("visually-hidden").Text(word)),
			app.Div().Class("hf-shrink").Body(app.Span().Class("fw-medium").Text(p.What), app.Text(": "), app.Span().Class("text-break").Text(p.Text)))
	})))
}

// applicationTabs are the parts of the screen, by what follows the application in the address.
var applicationTabs = []ui.Choice{{Value: "", Title: "Backups"}, {Value: "restores", Title: "Restores"}, {Value: "schedules", Title: "Schedules"}, {Value: "statistics", Title: "Statistics"}, {Value: "settings", Title: "Settings"}}

func (a *Application) tabs(x *api.ApplicationDetail) app.UI {
	return app.Nav().Aria("label", "Parts of the application").Body(app.Ul().Class("nav nav-tabs mb-3 flex-nowrap overflow-x-auto overflow-y-hidden").Body(app.Range(applicationTabs).Slice(func(i int) app.UI {
		t := applicationTabs[i]
		link := app.A().Class("nav-link").Href(applicationsPath + "/" + x.Id + slash(t.Value)).Text(t.Title)
		if t.Value == a.Tab {
			link = link.Class("active").Aria("current", "page")
		}
		return app.Li().Class("nav-item").Body(link)
	})))
}

func slash(s string) string {
	if s == "" {
		return ""
	}
	return "/" + s
}

func (a *Application) body(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	switch a.Tab {
	case "restores":
		return a.restores(x, v)
	case "schedules":
		return a.schedules(x, v)
	case "statistics":
		return a.statistics(x, v)
	case "settings":
		return a.settings(x, v)
	case "":
		return a.snapshots(x, v)
	}
	return ui.Card("", nil, ui.Empty("signpost-split", "There is nothing at this address", "The link may be old.", app.A().Class("btn btn-primary").Href(applicationsPath+"/"+x.Id).Text("To the backups")))
}

// dialogs are what is open over the screen.
func (a *Application) dialogs(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	switch {
	case a.stop != nil:
		r := a.stop
		text := "What it has sent so far stays stored for the next one; this backup is not made."
		if r.Kind == api.RunKindRestore {
			text = "What is live stays live as long as the new database has not taken its place. Media that were written already stay."
		}
		return ui.Confirm("Stop this?", text, "danger", "Stop it", v.Busy != "", nil, func() { a.m.Stop(r.Id); a.stop = nil }, func() { a.stop = nil })
	case a.doomed != nil:
		s := a.doomed
		return ui.Confirm("Delete this backup?", "The state of "+x.Name+" of "+state.Exact(s.CreatedAt)+" goes to the trash. For some days you can take that back; afterwards what only this backup holds is gone for good. Other backups stay complete.",
			"danger", "Delete", false, nil, func() { a.m.Delete(s); a.doomed = nil }, func() { a.doomed = nil })
	case a.drop != nil:
		s := a.drop
		return ui.Confirm("Delete “"+s.Name+"”?", "Nothing becomes due by it any more. The backups that it made stay, and no rule deletes them then: delete by hand what you no longer need.",
			"danger", "Delete the schedule", false, nil, func() { a.m.DeleteSchedule(s); a.drop = nil }, func() { a.drop = nil })
	case a.backup != nil:
		return a.backingUp(x, v)
	case a.put != nil:
		return a.restoring(x, v)
	case v.Schedule != nil:
		return a.scheduling(x, v)
	case v.Details != nil:
		return a.details(x, v)
	}
	return app.Text("")
}

// partChoices are the parts of an application.
func partChoices(x *api.ApplicationDetail) (list []ui.Choice) {
	for _, p := range state.Parts(&x.ApplicationRow) {
		list = append(list, ui.Choice{Value: string(p), Title: state.PartWord(p)})
	}
	return list
}

// backingUp is the dialog of a backup by hand.
func (a *Application) backingUp(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	in := a.backup
	done := func() { a.backup = nil }
	return &ui.Modal{Title: "Back up " + x.Name, OnClose: done, Body: func() []app.UI {
		return []app.UI{
			ui.Field{ID: "backup-title", Label: "Name", Help: "So that you find it again, such as “before the upgrade”. It may be left empty.", Type: "text", Autocomplete: "off", Focus: true, Value: in.Title, OnInput: func(s string) { in.Title = s }}.UI(),
			app.Div().Class("form-label").Text("What"),
			app.Div().Class("mb-3").Body(ui.OneOf("What", string(in.Part), partChoices(x), func(s string) { in.Part = api.ApplicationPart(s) })),
			ui.Select{ID: "backup-level", Label: "Compression", Value: string(in.Level), Choices: levels, OnChange: func(s string) { in.Level = api.CompressionLevel(s) }}.UI(),
			contentSwitches("backup", in.Part, in.ExcludeLogs, in.Portable, func(on bool) { in.ExcludeLogs = on }, func(on bool) { in.Portable = on }),
		}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Cancel").OnClick(func(app.Context, app.Event) { a.backup = nil }),
			app.Button().Type("button").Class("btn btn-primary").Disabled(v.Busy != "").Text("Back up").OnClick(func(app.Context, app.Event) { a.m.BackUp(*in); a.backup = nil }, ui.Fresh()),
		}
	}}
}

// contentSwitches are what is left out of a backup, and what is added.
func contentSwitches(id string, part api.ApplicationPart, logs, portable bool, setLogs, setPortable func(bool)) app.UI {
	return app.Div().Body(
		app.If(part != api.ApplicationPartDatabase, func() app.UI {
			return app.Div().Class("mb-2").Body(ui.Switch(id+"-logs", "Leave log files out of the media", logs, false, false, setLogs))
		}),
		app.If(part != api.ApplicationPartMedia, func() app.UI {
			return app.Div().Class("mb-2").Body(ui.Switch(id+"-portable", "Also write database_dump.json, which other databases can read", portable, false, false, setPortable))
		}),
	)
}

// settings is what its owner decides about an application.
func (a *Application) settings(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	keep := a.keep
	if keep == "" {
		keep = state.Number(int64(x.KeepSafety))
	}
	save := func(n int, notify api.ApplicationNotify) { a.m.Set(n, notify) }
	return app.Div().Class("row").Body(
		app.Div().Class("col-xl-6").Body(ui.Card("Backups and mails", nil, app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) {
			e.PreventDefault()
			if n, ok := wholeNumber(keep); ok {
				save(n, x.Notify)
				a.keep = ""
			}
		}, ui.Fresh()).Body(
			ui.Field{ID: "keep-safety", Label: "Safety backups to keep", Help: "Before every restore in place the present state is saved. The newest so many of these are kept, and none is deleted in its first day.", Type: "number", Autocomplete: "off", Value: keep,
				OnInput: func(s string) { a.keep = s }}.UI(),
			app.Div().Class("form-label").Text("Mails"),
			app.Div().Class("mb-3").Body(ui.OneOf("Mails", string(x.Notify), []ui.Choice{{Value: string(api.ApplicationNotifyFailures), Title: "When a backup fails"}, {Value: string(api.ApplicationNotifyAlways), Title: "After every backup"}},
				func(s string) { save(x.KeepSafety, api.ApplicationNotify(s)) })),
			ui.Submit("Save", v.Busy == "settings"),
		))),
		app.Div().Class("col-xl-6").Body(ui.Card("On its machine", nil,
			terms("Machine", x.Device.Name, "Database", state.EngineWord(x.Engine), "Media folders", state.Number(int64(x.MediaFolders)), "Added", state.Exact(x.CreatedAt)),
			app.P().Class("mt-3 mb-2").Text("Where its database and media are, and the password, are kept on that machine and nowhere else. Change them there:"),
			app.Div().Class("mb-3").Body(commandLine("holdfast-agent app add \""+x.Name+"\" --db URL --media DIR")),
			app.P().Class("mb-0").Body(app.Code().Text("holdfast-agent app remove"), app.Text(" takes it away; its backups stay.")),
		)),
	)
}

func wholeNumber(s string) (n int, ok bool) {
	for _, r := range s {
		if r < '0' || r > '9' || n > 1000 {
			return 0, false
		}
		n = n*10 + int(r-'0')
	}
	return n, s != ""
}
