package page

import (
	"strconv"
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// list is the entries, sorted, of which only those in sight are rendered.
func (f *Files) list(v state.FilesView) app.UI {
	if v.Listing.Status != state.Ready {
		return app.Div().Class("p-3").Body(ui.Skeleton(8))
	}
	if v.Listing.Value.Total == 0 {
		switch {
		case v.Text != "":
			return ui.Empty("search", "Nothing is called that", "Looked for in this folder and everything below it. * stands for anything, ? for one letter.", nil)
		case v.Filtered():
			return ui.Empty("funnel", "No such files here", "Nothing in this folder passes the filter.", app.Button().Type("button").Class("btn btn-outline-secondary").Text("Show all").
				OnClick(func(app.Context, app.Event) { f.m.Choose(talk.Filter{}) }))
		}
		return ui.Empty("folder2", "This folder is empty", "It was empty when it was saved.", nil)
	}
	key := v.Snapshot + "\n" + v.Path + "\n" + v.Text + "\n" + string(v.Sort.By) + strconv.FormatBool(v.Sort.Descending)
	return app.Div().Body(&ui.List{
		Key: key, Label: "Files", Total: v.Listing.Value.Total, Need: f.m.Need,
		Head: func() app.UI { return f.heads(v) },
		Row:  func(i int) app.UI { return f.row(v, v.Entry(i)) },
	})
}

// heads are what the list can be sorted by.
func (f *Files) heads(v state.FilesView) app.UI {
	head := func(title, class string, by talk.By) app.UI {
		icon := ""
		sorted := "none"
		if v.Sort.By == by {
			icon, sorted = "caret-up-fill", "ascending"
			if v.Sort.Descending {
				icon, sorted = "caret-down-fill", "descending"
			}
		}
		return app.Span().Class(class).Attr("role", "columnheader").Aria("sort", sorted).Body(app.Button().Type("button").Class("btn btn-sm btn-link text-body-secondary link-underline-opacity-0 px-0").
			Title("Sort by "+strings.ToLower(title)).
			OnClick(func(app.Context, app.Event) { f.m.Order(by) }, app.EventScope(string(by))).
			Body(app.Text(title+" "), app.If(icon != "", func() app.UI { return ui.Icon(icon) })))
	}
	return app.Div().Class("hf-file hf-file-head").Attr("role", "row").Body(
		app.Span().Class("hf-file-check").Attr("role", "columnheader").Body(app.Span().Class("visually-hidden").Text("Chosen")),
		head("Name", "hf-file-name", talk.ByName),
		head("Size", "hf-file-size", talk.BySize),
		head("Kind", "hf-file-kind", talk.ByKind),
		head("Changed", "hf-file-time", talk.ByTime),
	)
}

// row is an entry; nil: it is on its way.
func (f *Files) row(v state.FilesView, e *talk.Entry) app.UI {
	if e == nil {
		return app.Div().Class("hf-file placeholder-glow").Body(app.Span().Class("hf-file-check"), app.Span().Class("hf-file-name").Body(app.Span().Class("placeholder rounded col-5")))
	}
	entry := *e
	_, on := v.Chosen[entry.Path]
	scope := app.EventScope(v.Snapshot, entry.Path)
	name := app.Button().Type("button").Class("btn btn-link p-0 text-truncate text-start link-body-emphasis link-underline-opacity-0 link-underline-opacity-75-hover").
		Title(entry.Path).Text(entry.Name).OnClick(func(app.Context, app.Event) { f.m.Look(entry) }, scope)
	var link app.UI = name
	inside := ""
	if entry.Kind == talk.Folder {
		link = app.A().Href(folder(v, entry.Path)).Class("text-truncate fw-medium link-body-emphasis link-underline-opacity-0 link-underline-opacity-75-hover").Title(entry.Path).Text(entry.Name)
		inside = state.Count(entry.Files, "file", "files") + ", "
	}
	return app.Div().Class("hf-file").Body(
		app.Span().Class("hf-file-check").Attr("role", "cell").Body(app.Input().Type("checkbox").Class("form-check-input").Aria("label", "Choose "+entry.Name).Checked(on).
			OnChange(func(app.Context, app.Event) { f.m.Toggle(entry) }, scope)),
		app.Span().Class("hf-file-name").Attr("role", "cell").Body(
			app.Span().Class("hf-file-icon "+kindClass(entry.Kind)).Body(ui.Icon(fileIcon(entry.Kind))),
			app.Span().Class("hf-shrink d-flex flex-column").Body(link,
				app.If(v.Text != "" && parent(entry.Path) != v.Path, func() app.UI {
					return app.Span().Class("small text-body-secondary text-truncate hf-file-in").Text("in " + parent(entry.Path))
				})),
		),
		app.Span().Class("hf-file-size text-body-secondary").Attr("role", "cell").Body(app.Span().Class("d-none d-md-inline").Text(inside), app.Text(state.Size(entry.Size))),
		app.Span().Class("hf-file-kind text-body-secondary").Attr("role", "cell").Text(entry.Kind.String()),
		app.Span().Class("hf-file-time text-body-secondary").Attr("role", "cell").Body(changed(entry.ModTime)),
	)
}

// parent is the path of the folder that something is in.
func parent(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return ""
}

// changed is when a file was changed last.
func changed(nanos int64) app.UI {
	if nanos == 0 {
		return app.Text("")
	}
	t := time.Unix(0, nanos)
	return ago(&t)
}

// fileIcon is the picture of a kind of files.
func fileIcon(k talk.Kind) string {
	return map[talk.Kind]string{
		talk.Folder: "folder-fill", talk.Document: "file-earmark-text", talk.Spreadsheet: "file-earmark-spreadsheet", talk.Presentation: "file-earmark-slides",
		talk.Image: "file-earmark-image", talk.Audio: "file-earmark-music", talk.Video: "file-earmark-play", talk.Archive: "file-earmark-zip", talk.Source: "file-earmark-code",
		talk.Mail: "envelope", talk.Database: "database", talk.Link: "link-45deg", talk.Special: "gear", talk.Other: "file-earmark",
	}[k]
}

// kindClass is the colour of a kind's picture.
func kindClass(k talk.Kind) string {
	switch k {
	case talk.Folder:
		return "text-warning"
	case talk.Image, talk.Video, talk.Audio:
		return "text-info"
	case talk.Document, talk.Spreadsheet, talk.Presentation:
		return "text-primary"
	}
	return "text-body-secondary"
}

// foot is what the list holds, or what of it is chosen and can be done with that.
func (f *Files) foot(v state.FilesView) app.UI {
	if len(v.Chosen) == 0 {
		l := v.Listing.Value
		text := state.Count(int64(l.Total), "entry", "entries") + ": " + state.Count(l.Files, "file", "files") + ", " + state.Size(l.Bytes)
		if v.Listing.Status != state.Ready {
			text = ""
		}
		return app.Div().Class("card-footer small text-body-secondary").Attr("role", "status").Text(text)
	}
	var files, bytes int64
	for _, e := range v.Chosen {
		bytes += e.Size
		files += e.Files
		if e.Kind != talk.Folder {
			files++
		}
	}
	return app.Div().Class("card-footer d-flex flex-wrap align-items-center gap-2 hf-chosen").Body(
		app.Span().Class("me-auto").Attr("role", "status").Text(state.Count(files, "file", "files")+" chosen, "+state.Size(bytes)),
		ui.Button("outline-secondary", "x-lg", "Clear", "Choose nothing", f.m.ClearChoice),
		ui.Button("outline-primary", "arrow-counterclockwise", "Restore to a device", "Have a device put these back", func() { f.restore = &restoreForm{device: v.Device, conflict: "keep-both"} }),
		ui.Button("primary", "download", "Download", "Decrypt these in this browser and save them", func() { f.m.Save(nil) }),
	)
}
