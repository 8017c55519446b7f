package page

import (
	"net/url"
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Files is the screen of what was saved: /files/DEVICE/SNAPSHOT#PATH. The path of a folder is behind the #, which browsers keep to
// themselves: no server sees it.
type Files struct {
	app.Compo
	watched
	m       *state.Files
	leave   func(path string)
	restore *restoreForm // nil: nobody restores
}

// OnInit implements app.Initializer.
func (f *Files) OnInit() { f.m = state.NewFiles(sources()) }

// OnMount implements app.Mounter.
func (f *Files) OnMount(ctx app.Context) { f.open(ctx) }

// OnNav implements app.Navigator.
func (f *Files) OnNav(ctx app.Context) { f.navigate(ctx.Page().URL()) }

// OnDismount implements app.Dismounter.
func (f *Files) OnDismount() { f.close() }

func (f *Files) open(ctx app.Context) {
	f.watch(ctx, f.m)
	f.leave = ctx.Navigate
	f.navigate(ctx.Page().URL())
	f.m.Open()
}

func (f *Files) close() {
	f.watched.OnDismount()
	f.m.Close()
}

func (f *Files) navigate(u *url.URL) {
	device, snapshot, _ := strings.Cut(below(u.Path, "/files"), "/")
	f.m.Go(device, snapshot, u.Fragment)
}

// folder is the address of a folder of what is shown.
func folder(v state.FilesView, path string) string {
	at := "/files/" + v.Device
	if !v.Latest {
		at += "/" + v.Snapshot
	}
	return at + (&url.URL{Fragment: path}).String()
}

// Render implements app.Composer.
func (f *Files) Render() app.UI {
	v := f.m.View()
	return app.Div().Body(
		loading(v.Devices, 8, f.m.Reload, func(list []*api.DeviceFields) app.UI {
			if v.Device == "" {
				return ui.Card("", nil, ui.Empty("folder2-open", "Nothing was saved yet", "As soon as a device has its first backup, you can browse, download and restore its files here.",
					app.A().Class("btn btn-primary").Href("/devices").Text("To the devices")))
			}
			return app.Div().Body(
				f.choices(v, list),
				saving(v.Save, f.m.CancelSave),
				f.work(v),
				f.content(v),
			)
		}),
		app.If(v.Look != nil, func() app.UI { return f.looking(v) }),
		app.If(f.restore != nil, func() app.UI { return f.restoring(v) }),
	)
}

// choices are which device's files are shown, and as of when.
func (f *Files) choices(v state.FilesView, list []*api.DeviceFields) app.UI {
	devices := make([]ui.Choice, 0, len(list))
	for _, d := range list {
		devices = append(devices, ui.Choice{Value: d.Id, Title: d.Name})
	}
	times := []ui.Choice{{Value: "", Title: "Latest"}}
	for i, s := range v.Snapshots.Value {
		title := s.CreatedAt.Local().Format("Mon 2 Jan 2006, 15:04") + ", " + state.Count(s.Files, "file", "files")
		if i == 0 {
			times[0].Title = "Latest: " + title
		}
		times = append(times, ui.Choice{Value: s.Id, Title: title})
	}
	chosen := v.Snapshot
	if v.Latest {
		chosen = ""
	}
	return app.Div().Class("row g-2 mb-3").Body(
		app.Div().Class("col-sm-6 col-lg-3").Body(ui.Select{ID: "files-device", Title: "Device", Value: v.Device, Choices: devices,
			OnChange: func(s string) { f.leave("/files/" + s) }}.UI()),
		app.Div().Class("col-sm-6 col-lg-5").Body(ui.Select{ID: "files-snapshot", Title: "As of", Value: chosen, Choices: times, Disabled: v.Snapshots.Status != state.Ready,
			OnChange: func(s string) {
				f.leave(strings.TrimSuffix("/files/"+v.Device+"/"+s, "/") + (&url.URL{Fragment: v.Path}).String())
			}}.UI()),
		app.Div().Class("col-lg-4 hf-files-search").Body(ui.Search("files-search", "Search names, such as *.pdf", v.Text, f.m.Find)),
	)
}

// content is the folder, or what was found.
func (f *Files) content(v state.FilesView) app.UI {
	switch {
	case v.Snapshots.Status == state.Failed:
		return ui.Trouble(v.Snapshots.Err, f.m.Reload)
	case v.Snapshots.Status == state.Ready && len(v.Snapshots.Value) == 0:
		return ui.Card("", nil, ui.Empty("archive", "This device has no backup yet", "Its files appear here after the first one.", nil))
	case v.Contents.Status == state.Failed:
		return ui.Trouble(v.Contents.Err, f.m.Reload)
	case v.Contents.Status != state.Ready:
		return ui.Card("", nil, app.Div().Class("py-4 mx-auto hf-measure text-center").Body(
			app.P().Class("mb-2").Text("Reading the list of files"),
			ui.Progress("Reading the list of files", v.Reading.Files, v.Reading.TotalFiles),
			app.P().Class("small text-body-secondary mt-2 mb-0").Text("It is opened in this browser, with your keys."),
		))
	}
	return app.Div().Body(
		f.filters(v),
		app.Div().Class("card mb-4 shadow-sm").Body(
			app.Div().Class("card-header").Body(f.where(v)),
			app.Div().Class("card-body p-0").Body(ui.Trouble(v.Listing.Err, f.m.Reload), f.list(v)),
			f.foot(v),
		),
	)
}

// where is the way from the top to the folder.
func (f *Files) where(v state.FilesView) app.UI {
	top := v.Names[v.Snapshot].DeviceName
	if top == "" {
		top = "All files"
	}
	parts := []app.UI{}
	add := func(name, path string, last bool) {
		li := app.Li().Class("breadcrumb-item text-truncate")
		if last {
			parts = append(parts, li.Class("active").Aria("current", "page").Text(name))
			return
		}
		parts = append(parts, li.Body(app.A().Href(folder(v, path)).Text(name)))
	}
	add(top, "", v.Path == "")
	if v.Path != "" {
		names := strings.Split(v.Path, "/")
		for i, name := range names {
			add(name, strings.Join(names[:i+1], "/"), i == len(names)-1)
		}
	}
	return app.Nav().Aria("label", "Folder").Body(app.Ol().Class("breadcrumb mb-0").Body(parts...))
}

// filterKinds is how many kinds there are chips for, filterExtensions how many extensions can be chosen.
const (
	filterKinds      = 8
	filterExtensions = 40
)

// filters are the kinds and extensions that there are.
func (f *Files) filters(v state.FilesView) app.UI {
	kinds, on := []ui.Choice{}, []string{}
	for _, k := range v.Contents.Value.Kinds {
		if len(kinds) < filterKinds && len(k.Kind.Extensions()) > 0 {
			kinds = append(kinds, ui.Choice{Value: k.Kind.String(), Title: kindTitle(k.Kind) + " " + state.Number(k.Files)})
		}
	}
	for _, k := range v.Filter.Kinds {
		on = append(on, k.String())
	}
	extensions := []ui.Choice{{Value: "", Title: "Any extension"}}
	for i, e := range v.Contents.Value.Extensions {
		if i < filterExtensions {
			extensions = append(extensions, ui.Choice{Value: e.Extension, Title: e.Extension + " (" + state.Number(e.Files) + ")"})
		}
	}
	extension := ""
	if len(v.Filter.Extensions) > 0 {
		extension = v.Filter.Extensions[0]
	}
	return app.Div().Class("d-flex flex-wrap gap-2 align-items-center mb-3").Body(
		ui.Chips("Kinds of files", kinds, on, func(list []string) {
			next := talk.Filter{Extensions: v.Filter.Extensions}
			for _, s := range list {
				if k, ok := talk.ParseKind(s); ok {
					next.Kinds = append(next.Kinds, k)
				}
			}
			f.m.Choose(next)
		}),
		app.If(len(extensions) > 1, func() app.UI {
			return app.Div().Body(ui.Select{ID: "files-extension", Title: "Extension", Value: extension, Choices: extensions, OnChange: func(s string) {
				next := talk.Filter{Kinds: v.Filter.Kinds}
				if s != "" {
					next.Extensions = []string{s}
				}
				f.m.Choose(next)
			}}.UI())
		}),
	)
}

// kindTitle is what many files of a kind are called.
func kindTitle(k talk.Kind) string {
	switch k {
	case talk.Document:
		return "Documents"
	case talk.Spreadsheet:
		return "Spreadsheets"
	case talk.Presentation:
		return "Presentations"
	case talk.Image:
		return "Images"
	case talk.Audio:
		return "Audio"
	case talk.Video:
		return "Video"
	case talk.Archive:
		return "Archives"
	case talk.Source:
		return "Code"
	case talk.Mail:
		return "Mail"
	case talk.Database:
		return "Databases"
	}
	return "Others"
}

// folderFragment is the part of an address that names the folder of a file.
func folderFragment(path string) string { return (&url.URL{Fragment: parent(path)}).String() }
