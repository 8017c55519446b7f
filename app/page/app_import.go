package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// ApplicationImport takes a file that was made elsewhere and makes a backup of it. What is under way goes on when another screen is shown.
type ApplicationImport struct {
	app.Compo
	watched
	Application, Name, Device, DeviceName string
	Engine                                *api.DatabaseEngine // of the application; nil: it has media only

	m    *state.Importing
	of   string // the application of m
	over bool   // a file is held over it
}

// OnMount implements app.Mounter.
func (i *ApplicationImport) OnMount(ctx app.Context) { i.follow(ctx) }

// OnUpdate implements app.Updater.
func (i *ApplicationImport) OnUpdate(ctx app.Context) { i.follow(ctx) }

func (i *ApplicationImport) follow(ctx app.Context) {
	if i.m != nil && i.of == i.Application {
		return
	}
	i.OnDismount()
	i.of, i.m = i.Application, World.Imports.Of(state.Importer{ID: i.Application, Name: i.Name, Device: i.Device, DeviceName: i.DeviceName})
	i.watch(ctx, i.m)
}

// Render implements app.Composer.
func (i *ApplicationImport) Render() app.UI {
	if i.m == nil {
		return app.Div()
	}
	v := i.m.View()
	return ui.Card("Upload a backup that was made elsewhere", nil,
		ui.Trouble(v.Err, nil),
		i.step(v),
	)
}

func (i *ApplicationImport) step(v state.ImportingView) app.UI {
	switch v.Step {
	case state.ImportChecking, state.ImportSending:
		return importing(v, i.m.Cancel)
	case state.ImportReady:
		return i.ready(v)
	case state.ImportDone:
		return app.Div().Body(ui.Done("“"+v.File+"” is stored, sealed, as a backup of "+state.Size(v.Sent.Bytes)+".", i.m.Cancel), i.drop())
	}
	return i.drop()
}

// drop is where a file is dropped, or chosen.
func (i *ApplicationImport) drop() app.UI {
	class := "hf-drop"
	if i.over {
		class += " hf-over"
	}
	hold := func(on bool) app.EventHandler {
		return func(_ app.Context, e app.Event) {
			e.PreventDefault()
			i.over = on
		}
	}
	return app.Div().Body(
		app.P().Text("A plain dump (.sql, .sql.gz, .sql.zst), a dump of pg_dump --format=custom, or a .zip or .tar.gz with database.sql or database_dump.json, a folder media, or both. It is checked and sealed in this browser: the server gets nothing that it could read."),
		app.Label().Class(class).For("import-file").
			On("dragover", hold(true)).On("dragleave", hold(false)).
			On("drop", func(_ app.Context, e app.Event) {
				e.PreventDefault()
				i.over = false
				i.choose(e.Get("dataTransfer").Get("files"))
			}).Body(
			app.Span().Class("hf-empty-icon").Body(ui.Icon("cloud-upload")),
			app.Span().Text("Drop a file here, or choose one"),
			app.Input().ID("import-file").Type("file").Class("form-control hf-drop-input").OnChange(func(_ app.Context, e app.Event) {
				i.choose(e.Get("target").Get("files"))
			}),
		),
	)
}

func (i *ApplicationImport) choose(list app.Value) {
	if n := list.Get("length").Int(); n > 1 {
		i.m.Refuse(fault.New(fault.Invalid, "these are %d files, and each backup is made of one: choose one, or make a ZIP of them", n))
		return
	}
	if file, name, ok := chosen(list); ok {
		i.m.Choose(file, name)
	}
}

// importing shows how far an upload is, while it is checked or sent.
func importing(v state.ImportingView, cancel func()) app.UI {
	what := "Checking " + v.File
	switch {
	case v.Step == state.ImportChecking:
	case v.How.Phase == "commit":
		what = "Finishing"
	default:
		what = "Sealing and sending " + v.File
	}
	words := state.Size(v.How.Bytes)
	if v.How.Total > 0 {
		words += " of " + state.Size(v.How.Total)
	}
	return app.Div().Class("d-flex align-items-center gap-3").Attr("role", "status").Body(
		app.Div().Class("flex-grow-1 hf-shrink").Body(
			app.Div().Class("d-flex flex-wrap justify-content-between column-gap-3 small mb-1").Body(app.Span().Class("text-truncate mw-100 fw-medium").Text(what), app.Span().Class("text-nowrap text-body-secondary").Text(words)),
			ui.Progress(what, v.How.Bytes, v.How.Total),
		),
		ui.Button("outline-secondary", "x-lg", "Cancel", "Stop this", cancel),
	)
}

// ready says what was recognised, and asks for a name.
func (i *ApplicationImport) ready(v state.ImportingView) app.UI {
	f := v.Found
	facts := []string{"File", v.File, "What it is", f.Kind}
	if f.Tables > 0 || f.Rows > 0 {
		facts = append(facts, "Database", state.Count(int64(f.Tables), "table", "tables")+", "+state.Count(f.Rows, "row", "rows"))
	} else if f.DumpBytes > 0 {
		facts = append(facts, "Database", state.Size(f.DumpBytes))
	}
	if f.MediaFiles > 0 {
		facts = append(facts, "Media", state.Count(f.MediaFiles, "file", "files")+", "+state.Size(f.MediaBytes))
	}
	if f.LeftOut > 0 {
		facts = append(facts, "Left out", state.Count(int64(f.LeftOut), "file", "files")+" beside the dump and the media")
	}
	if f.Portable {
		facts = append(facts, "Portable", "It holds database_dump.json, which other databases can read")
	}
	another := app.Button().Type("button").Class("btn btn-outline-secondary").Text("Another file").OnClick(func(app.Context, app.Event) { i.m.Cancel() }, ui.Fresh())
	if misfit := i.misfit(v); misfit != "" {
		return app.Div().Body(
			terms(facts...),
			app.Div().Class("alert alert-danger my-3").Attr("role", "alert").Text(misfit),
			another,
		)
	}
	return app.Form().NoValidate(true).OnSubmit(func(_ app.Context, e app.Event) { e.PreventDefault(); i.m.Send() }, ui.Fresh()).Body(
		terms(facts...),
		app.Div().Class("mt-3").Body(ui.Field{ID: "import-title", Label: "Name of the backup", Help: "So that you find it again, such as “from the old server”. The server sees it; of the file's own name it learns nothing. It may be left empty.", Type: "text", Autocomplete: "off",
			Value: v.Title, OnInput: i.m.Name}.UI()),
		app.Div().Class("d-flex gap-2").Body(app.Button().Type("submit").Class("btn btn-primary").Text("Seal and upload"), another),
	)
}

// misfit says why the application can never have what was recognised put back; "": it can.
func (i *ApplicationImport) misfit(v state.ImportingView) string {
	f := v.Found
	if f.Engine == "" || i.Engine == nil || f.Portable || f.Engine == strings.ToLower(string(*i.Engine)) {
		return ""
	}
	return "“" + v.File + "” is a dump of " + engineTitle(f.Engine) + ", and " + i.Name + " has a database of " + state.EngineWord(i.Engine) + ": put database_dump.json beside it, which every kind of database can take."
}
