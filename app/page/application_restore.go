package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// restoreDialog is what is chosen and typed in the dialog of a restore.
type restoreDialog struct {
	snapshot *api.SnapshotFields
	has      api.ApplicationPart // what the backup holds
	undo     bool                // it is a safety backup that is put back
	copy     bool                // beside what is there
	in       state.RestoreInput
	name     string // typed, to be sure
	sent     bool
}

func newRestore(s *api.SnapshotFields, has api.ApplicationPart, undo bool) *restoreDialog {
	return &restoreDialog{snapshot: s, has: has, undo: undo, in: state.RestoreInput{Part: has}}
}

// input is what is ordered.
func (d *restoreDialog) input() state.RestoreInput {
	in := d.in
	if !d.copy || in.Part == api.ApplicationPartMedia {
		in.Database = ""
	}
	if !d.copy || in.Part == api.ApplicationPartDatabase {
		in.Folder = ""
	}
	if in.InPlace() {
		return in
	}
	in.Bare = false
	return in
}

// complete reports whether all is said.
func (d *restoreDialog) complete(x *api.ApplicationDetail) bool {
	in := d.input()
	if d.copy {
		return (in.Part == api.ApplicationPartMedia || in.Database != "") && (in.Part == api.ApplicationPartDatabase || in.Folder != "")
	}
	return d.name == x.Name
}

// restoring is the dialog of a restore.
func (a *Application) restoring(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	d := a.put
	done := func() { a.put = nil; a.m.DismissOrder() }
	if d.sent && v.Ordered != "" {
		return a.ordered(v, done)
	}
	title := "Restore " + x.Name
	if d.undo {
		title = "Undo the restore"
	}
	return &ui.Modal{Title: title, Size: "lg", OnClose: done, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Work.Err, nil),
			app.P().Text("To how it was on " + state.Exact(d.snapshot.CreatedAt) + ". The order is sealed for " + x.Device.Name + ", which fetches and decrypts the backup itself."),
			app.If(d.has == api.ApplicationPartFull, func() app.UI {
				return app.Div().Class("mb-3").Body(app.Div().Class("form-label").Text("What"),
					ui.OneOf("What", string(d.in.Part), partChoices(x), func(s string) { d.in.Part = api.ApplicationPart(s) }))
			}),
			app.Div().Class("mb-3").Body(app.Div().Class("form-label").Text("Where"),
				ui.OneOf("Where", map[bool]string{false: "place", true: "copy"}[d.copy], []ui.Choice{{Value: "place", Title: "In place of what is there"}, {Value: "copy", Title: "Beside it, as a copy"}}, func(s string) { d.copy = s == "copy" })),
			app.If(d.copy, func() app.UI { return d.beside(x) }).Else(func() app.UI { return d.inPlace(x) }),
		}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Cancel").OnClick(func(app.Context, app.Event) { a.put = nil; a.m.DismissOrder() }),
			app.Button().Type("button").Class("btn btn-"+map[bool]string{true: "primary", false: "danger"}[d.copy]).Disabled(v.Busy != "" || !d.complete(x)).OnClick(func(app.Context, app.Event) {
				d.sent = true
				a.m.Restore(d.snapshot, d.input())
			}, ui.Fresh()).Body(app.If(v.Busy != "", func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text("Restore")),
		}
	}}
}

// beside is where a copy goes.
func (d *restoreDialog) beside(x *api.ApplicationDetail) app.UI {
	example, help := "shop_copy", "A name that no database on the server has yet."
	if x.Engine != nil && *x.Engine == api.DatabaseEngineSqlite {
		example, help = "/srv/shop/copy.db", "A file that does not exist yet, from the top of the machine's disk."
	}
	return app.Div().Body(
		app.If(d.in.Part != api.ApplicationPartMedia, func() app.UI {
			return ui.Field{ID: "restore-database", Label: "Database", Help: help, Placeholder: example, Type: "text", Mono: true, Autocomplete: "off", Value: d.in.Database, OnInput: func(s string) { d.in.Database = s }}.UI()
		}),
		app.If(d.in.Part != api.ApplicationPartDatabase, func() app.UI {
			return ui.Field{ID: "restore-folder", Label: "Folder for the media", Help: "From the top of the machine's disk. It is made if it is not there.", Placeholder: "/srv/shop/copy", Type: "text", Mono: true, Autocomplete: "off", Value: d.in.Folder,
				OnInput: func(s string) { d.in.Folder = s }}.UI()
		}),
		app.P().Class("mb-0 text-body-secondary").Text("Nothing that is there is touched."),
	)
}

// inPlace is what happens to what is there.
func (d *restoreDialog) inPlace(x *api.ApplicationDetail) app.UI {
	return app.Div().Body(
		app.If(d.in.Part != api.ApplicationPartDatabase, func() app.UI {
			return ui.Select{ID: "restore-media", Label: "Media that exist and differ", Value: map[bool]string{false: "overwrite", true: "skip"}[d.in.Keep],
				Help:     "Files that the backup does not have stay in either case.",
				Choices:  []ui.Choice{{Value: "overwrite", Title: "Replace them"}, {Value: "skip", Title: "Leave them"}},
				OnChange: func(s string) { d.in.Keep = s == "skip" }}.UI()
		}),
		app.Ul().Class("hf-promises ps-4 mb-3").Body(
			app.If(!d.in.Bare, func() app.UI {
				return app.Li().Text("First the present state is saved as a safety backup, so that you can undo this. If that fails, nothing is touched.")
			}),
			app.If(d.in.Part != api.ApplicationPartMedia, func() app.UI {
				return app.Li().Text("The database changes all at once, after the backup was loaded beside it and its rows were counted. Programs that are connected lose their connection then.")
			}),
			app.Li().Text("What was written since that backup is gone from the live application afterwards."),
		),
		app.Div().Class("form-check mb-3").Body(
			app.Input().ID("restore-bare").Type("checkbox").Class("form-check-input").Checked(d.in.Bare).OnChange(func(app.Context, app.Event) { d.in.Bare = !d.in.Bare }, ui.Fresh()),
			app.Label().For("restore-bare").Class("form-check-label").Text("There is nothing left to save: restore without a safety backup")),
		app.If(d.in.Bare, func() app.UI {
			return app.Div().Class("alert alert-danger").Attr("role", "alert").Text("Without a safety backup this cannot be undone.")
		}),
		ui.Field{ID: "restore-sure", Label: "Type “" + x.Name + "” to be sure", Type: "text", Autocomplete: "off", Focus: true, Value: d.name, OnInput: func(s string) { d.name = s }}.UI(),
	)
}

// ordered says that a restore is on its way.
func (a *Application) ordered(v state.ApplicationView, done func()) app.UI {
	run := v.Ordered
	return &ui.Modal{Title: "The machine was told", OnClose: done, Body: func() []app.UI {
		return []app.UI{app.P().Class("mb-0").Text("It begins as soon as it is connected. How far it is, and what comes of it, shows at the top of this page and under Restores.")}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.A().Class("btn btn-outline-secondary").Href("/runs/" + run).Text("Follow it"),
			app.Button().Type("button").Class("btn btn-primary").Text("Close").OnClick(func(app.Context, app.Event) { a.put = nil; a.m.DismissOrder() }),
		}
	}}
}

// restores is the tab of restores.
func (a *Application) restores(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	return loading(v.Restores.Load, 6, a.m.Reload, func(list []*api.ApplicationRun) app.UI {
		if len(list) == 0 {
			return ui.Panel("", nil, ui.Empty("arrow-counterclockwise", "Nothing was restored yet", "Every restore is listed here: who ordered it, what came of it, and the safety backup by which it can be undone.", nil))
		}
		return ui.Panel("", nil,
			ui.Table("Restores of "+x.Name, []ui.Column{{Title: "When"}, {Title: "What"}, {Title: "By"}, {Title: "Outcome"}, {Class: "text-end"}}, len(list), func(i int) []app.UI { return a.restored(x, list[i]) }),
			ui.More(len(list), v.Restores.Total, v.Restores.More, v.Restores.Loading, func(n int) string { return state.Count(int64(n), "restore", "restores") }, a.m.MoreRestores))
	})
}

func (a *Application) restored(x *api.ApplicationDetail, r *api.ApplicationRun) []app.UI {
	at := r.CreatedAt
	part := api.ApplicationPartFull
	if r.Part != nil {
		part = *r.Part
	}
	from := "the backup is gone"
	if r.Snapshot != nil {
		from = "from " + shortly(r.Snapshot.CreatedAt)
	} else if !own(x) {
		from = ""
	}
	safety := state.Safety(r)
	return []app.UI{
		app.A().Class("fw-semibold").Href("/runs/" + r.Id).Body(ago(&at)),
		ui.Two(app.Text(state.PartWord(part)), from),
		app.Text(askedBy(&r.RunFields)),
		ui.Two(ui.Badge(runColor(r.State), runWord(r.State)), why(&r.RunFields)),
		app.If(safety != nil && own(x), func() app.UI {
			return ui.Button("outline-secondary", "arrow-counterclockwise", "Undo", "Put back what was there before the restore of "+state.Exact(at), func() {
				has := part
				if l := r.Safety.Label; l != nil {
					has = l.Part
				}
				a.put = newRestore(safety, has, true)
			})
		}),
	}
}
