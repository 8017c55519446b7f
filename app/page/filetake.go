package page

import (
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// saving is the download that is under way, or was the last. cancel stops it, or takes it away.
func saving(s *state.Saving, cancel func()) app.UI {
	if s == nil {
		return app.Text("")
	}
	if s.Err != nil {
		return app.Div().Body(ui.Trouble(s.Err, nil), app.Div().Class("mb-3 text-end").Body(ui.Button("outline-secondary", "x-lg", "Dismiss", "Take this away", cancel)))
	}
	name := s.Plan.Name
	if name == "" {
		name = "your download"
	}
	if s.Over {
		text := name + " is in your downloads, decrypted and verified."
		if s.Got.Failed > 0 {
			text = name + " is in your downloads. " + state.Count(s.Got.Failed, "file is", "files are") + " missing in it"
			if len(s.Got.Failures) > 0 {
				text += ", the first: " + s.Got.Failures[0].Path + " (" + s.Got.Failures[0].Text + ")"
			}
			text += "."
		}
		return ui.Done(text, cancel)
	}
	words := state.Size(s.Done.Bytes) + " of " + state.Size(s.Done.TotalBytes)
	if s.Plan.ZIP {
		words += ", " + state.Number(s.Done.Files) + " of " + state.Count(s.Done.TotalFiles, "file", "files")
	}
	return app.Div().Class("card mb-3 shadow-sm").Attr("role", "status").Body(app.Div().Class("card-body d-flex align-items-center gap-3").Body(
		ui.Icon("download"),
		app.Div().Class("flex-grow-1 hf-shrink").Body(
			app.Div().Class("d-flex justify-content-between gap-3 small mb-1").Body(app.Span().Class("text-truncate fw-medium").Text(name), app.Span().Class("text-nowrap text-body-secondary").Text(words)),
			ui.Progress("Download of "+name, s.Done.Bytes, s.Done.TotalBytes),
		),
		ui.Button("outline-secondary", "x-lg", "Cancel", "Stop the download", cancel),
	))
}

// work says what came of an order to restore.
func (f *Files) work(v state.FilesView) app.UI {
	if v.Ordered == "" {
		return app.Text("")
	}
	return app.Div().Class("alert alert-success d-flex flex-wrap align-items-center gap-3").Attr("role", "status").Body(
		app.Div().Class("flex-grow-1").Text("The device was told. It begins as soon as it is connected."),
		app.A().Class("btn btn-sm btn-success").Href("/runs/"+v.Ordered).Text("Follow it"),
		app.Button().Type("button").Class("btn-close").Aria("label", "Dismiss").OnClick(func(app.Context, app.Event) { f.m.DismissWork() }),
	)
}

// restoreForm is what is typed into the dialog of a restore.
type restoreForm struct {
	device, to, conflict string
	elsewhere            bool
	asked                bool // the order was sent
}

func (f *Files) restoring(v state.FilesView) app.UI {
	r := f.restore
	if r.asked && v.Ordered != "" {
		f.restore = nil
		return app.Text("")
	}
	devices := []ui.Choice{}
	for _, d := range v.Devices.Value {
		if d.RevokedAt == nil && v.Trust[d.Id] != state.Foreign {
			devices = append(devices, ui.Choice{Value: d.Id, Title: d.Name})
		}
	}
	close := func() { f.restore = nil; f.m.DismissWork() }
	return &ui.Modal{Title: "Restore to a device", OnClose: close, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Work.Err, nil),
			app.P().Text("The order is sealed for the device: it fetches and decrypts the files itself. The server can neither read nor make such an order."),
			ui.Select{ID: "restore-device", Label: "Device", Value: r.device, Choices: devices, OnChange: func(s string) { r.device = s }}.UI(),
			app.Div().Class("mb-3").Attr("role", "radiogroup").Aria("labelledby", "restore-where").Body(
				app.Div().ID("restore-where").Class("form-label").Text("Where to"),
				f.radio("restore-original", "Where each file was", !r.elsewhere, func() { r.elsewhere = false }),
				f.radio("restore-folder", "Into a folder, each with its whole path", r.elsewhere, func() { r.elsewhere = true }),
			),
			app.If(r.elsewhere, func() app.UI {
				return ui.Field{ID: "restore-to", Label: "Folder", Type: "text", Value: r.to, Mono: true, Autocomplete: "off", Placeholder: "/home/ada/Restored", Help: "From the top of the device's disk. It is made if it is not there.",
					OnInput: func(s string) { r.to = s }}.UI()
			}),
			ui.Select{ID: "restore-conflict", Label: "If a file is there already and differs", Value: r.conflict, Choices: []ui.Choice{
				{Value: "keep-both", Title: "Keep both"}, {Value: "skip", Title: "Leave the one that is there"}, {Value: "overwrite", Title: "Replace it"},
			}, OnChange: func(s string) { r.conflict = s }}.UI(),
		}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Cancel").OnClick(func(app.Context, app.Event) { f.restore = nil; f.m.DismissWork() }),
			app.Button().Type("button").Class("btn btn-primary").Disabled(v.Work.Busy != "" || r.elsewhere && r.to == "").OnClick(func(app.Context, app.Event) { f.order() }).Body(
				app.If(v.Work.Busy != "", func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text("Restore")),
		}
	}}
}

func (f *Files) order() {
	r := f.restore
	to := ""
	if r.elsewhere {
		to = r.to
	}
	r.asked = true
	f.m.Restore(r.device, to, r.conflict)
}

func (f *Files) radio(id, label string, on bool, choose func()) app.UI {
	return app.Div().Class("form-check").Body(
		app.Input().ID(id).Type("radio").Name("restore-where").Class("form-check-input").Checked(on).OnChange(func(app.Context, app.Event) { choose() }, app.EventScope(id)),
		app.Label().For(id).Class("form-check-label").Text(label),
	)
}

// looking is the dialog of one file: what is in it, and how it fared over time.
func (f *Files) looking(v state.FilesView) app.UI {
	l := v.Look
	e := l.Entry
	return &ui.Modal{Title: e.Name, Size: "lg", OnClose: f.m.CloseLook, Body: func() []app.UI {
		return []app.UI{
			app.P().Class("small text-body-secondary text-break mb-3").Text(e.Path + ", " + state.Size(e.Size)),
			f.preview(l.Preview),
			app.H3().Class("h6 mt-4").Text("Versions"),
			f.versions(v),
		}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Close").OnClick(func(app.Context, app.Event) { f.m.CloseLook() }),
			app.Button().Type("button").Class("btn btn-primary").Text("Download").OnClick(func(app.Context, app.Event) {
				f.m.Save(&e)
				f.m.CloseLook()
			}, app.EventScope(v.Snapshot, e.Path)),
		}
	}}
}

func (f *Files) preview(l state.Load[talk.Preview]) app.UI {
	switch {
	case l.Status == state.Failed:
		return ui.Trouble(l.Err, nil)
	case l.Status != state.Ready:
		return ui.Skeleton(5)
	}
	p := l.Value
	switch p.Kind {
	case "text":
		return app.Div().Body(
			app.Pre().Class("hf-preview border rounded p-3 mb-1").TabIndex(0).Text(p.Text),
			app.If(p.Truncated, func() app.UI {
				return app.P().Class("small text-body-secondary mb-0").Text("Only the beginning is shown: download it to see all.")
			}))
	case "image":
		return app.Div().Class("text-center").Body(app.Img().Src(p.URL).Class("hf-preview-image rounded border").Alt("Preview"))
	}
	why := p.Why
	if why == "" {
		why = "This kind of file has no preview."
	}
	return app.P().Class("text-body-secondary mb-0").Text(why)
}

// versions are the contents that a file had, the newest first: snapshots with the same content stand together.
func (f *Files) versions(v state.FilesView) app.UI {
	l := v.Look.Versions
	switch {
	case l.Status == state.Failed:
		return ui.Trouble(l.Err, nil)
	case l.Status != state.Ready:
		return ui.Skeleton(3)
	}
	list := state.Distinct(l.Value)
	if len(list) == 0 {
		return app.P().Class("text-body-secondary mb-0").Text("No backup has it.")
	}
	at := map[string]time.Time{}
	for _, s := range v.Snapshots.Value {
		at[s.Id] = s.CreatedAt
	}
	return app.Ul().Class("list-group").Body(app.Range(list).Slice(func(i int) app.UI {
		x := list[i]
		when := at[x.Oldest]
		text := state.Size(x.Size)
		if x.Count > 1 {
			text += ", the same in " + state.Count(int64(x.Count), "backup", "backups")
		}
		entry := v.Look.Entry
		entry.Size = x.Size
		return app.Li().Class("list-group-item d-flex flex-wrap align-items-center gap-2").Body(
			app.Span().Class("me-auto").Body(app.Text("Saved "), ago(&when), app.Span().Class("small text-body-secondary ms-2").Text(text)),
			app.If(x.Newest == v.Snapshot, func() app.UI { return ui.Badge("secondary", "shown") }).ElseIf(true, func() app.UI {
				return app.A().Class("btn btn-sm btn-outline-secondary").Href("/files/" + v.Device + "/" + x.Newest + folderFragment(entry.Path)).Text("Go there")
			}),
			ui.Button("outline-secondary", "download", "", "Download this version", func() { f.m.SaveFrom(x.Newest, entry); f.m.CloseLook() }),
		)
	}))
}
