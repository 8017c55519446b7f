package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// snapshots is the tab of backups.
func (a *Application) snapshots(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	if !own(x) {
		return app.Div().Body(
			ui.Card("", nil, ui.Empty("lock", "Only "+x.Device.Owner.Name+" can open these backups", "They are sealed for their owner. You see when they were made, how large they are and what failed, and can have one made.", nil)),
			a.runs(v.Backups, "Backups", a.m.MoreBackups),
		)
	}
	return app.Div().Body(
		a.undo(v),
		app.If(x.Stats.Snapshots > 0 || v.Origin != "" || v.Part != "", func() app.UI { return a.snapshotFilter(v) }),
		loading(v.Snapshots.Load, 6, a.m.Reload, func(list []*api.ApplicationSnapshot) app.UI {
			if len(list) == 0 {
				if v.Origin != "" || v.Part != "" {
					return ui.Panel("", nil, ui.Empty("funnel", "Nothing like this", "No backup passes these filters.", ui.Button("outline-secondary", "x-lg", "Show all", "", func() { a.m.Choose("", "") })))
				}
				return ui.Panel("", nil, ui.Empty("archive", "No backup yet", "Make one now, or a schedule that makes them by itself.", app.A().Class("btn btn-primary").Href(applicationsPath+"/"+x.Id+"/schedules").Text("To the schedules")))
			}
			return ui.Panel("", nil,
				ui.Table("Backups of "+x.Name, []ui.Column{{Title: "Made"}, {Title: "Holds"}, {Title: "Size", Class: "text-end"}, {Title: "New", Class: "text-end"}, {Class: "text-end"}}, len(list), func(i int) []app.UI { return a.snapshot(list[i], x.RemovedAt == nil && x.Device.RevokedAt == nil) }),
				ui.More(len(list), v.Snapshots.Total, v.Snapshots.More, v.Snapshots.Loading, func(n int) string { return state.Count(int64(n), "backup", "backups") }, a.m.MoreSnapshots))
		}),
		app.If(x.RemovedAt == nil, func() app.UI {
			return &ApplicationImport{Application: x.Id, Name: x.Name, Device: x.Device.Id, DeviceName: x.Device.Name, Engine: x.Engine}
		}),
	)
}

func (a *Application) undo(v state.ApplicationView) app.UI {
	return app.If(v.Deleted != nil, func() app.UI {
		return app.Div().Class("alert alert-secondary d-flex align-items-center gap-3").Attr("role", "status").Body(
			app.Div().Class("flex-grow-1").Text("The backup of "+state.Exact(v.Deleted.CreatedAt)+" is in the trash."),
			ui.Button("secondary", "arrow-counterclockwise", "Undo", "Take the deletion back", a.m.Undelete),
			app.Button().Type("button").Class("btn-close").Aria("label", "Dismiss").OnClick(func(app.Context, app.Event) { a.m.Forget() }),
		)
	})
}

func (a *Application) snapshotFilter(v state.ApplicationView) app.UI {
	some := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	last := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[len(list)-1]
	}
	return app.Div().Class("d-flex flex-wrap gap-3 mb-3").Body(
		ui.Chips("How it came to be", []ui.Choice{{Value: string(api.SnapshotOriginBackup), Title: "Backups"}, {Value: string(api.SnapshotOriginSafety), Title: "Safety backups"}, {Value: string(api.SnapshotOriginImport), Title: "Uploads"}}, some(string(v.Origin)),
			func(l []string) { a.m.Choose(api.SnapshotOrigin(last(l)), v.Part) }),
		ui.Chips("What it holds", []ui.Choice{{Value: string(api.ApplicationPartDatabase), Title: "Database"}, {Value: string(api.ApplicationPartMedia), Title: "Media"}, {Value: string(api.ApplicationPartFull), Title: "Both"}}, some(string(v.Part)),
			func(l []string) { a.m.Choose(v.Origin, api.ApplicationPart(last(l))) }),
	)
}

// snapshot is a row of a backup; it can be restored if its machine still has the application.
func (a *Application) snapshot(s *api.ApplicationSnapshot, there bool) []app.UI {
	at := s.CreatedAt
	title, part, origin := "", api.ApplicationPartFull, api.SnapshotOriginBackup
	if s.Label != nil {
		title, part, origin = s.Label.Title, s.Label.Part, s.Label.Origin
	}
	look := app.Button().Type("button").Class("btn btn-link p-0 text-start fw-semibold").Title("What it holds").Body(ago(&at)).OnClick(func(app.Context, app.Event) { a.m.Look(s) }, app.EventScope(s.Id))
	pinned := s.PinnedAt != nil
	pin := "Keep the backup of " + state.Exact(at) + " for good"
	pinIcon := "pin-angle"
	if pinned {
		pin, pinIcon = "Let rules delete the backup of "+state.Exact(at), "pin-angle-fill"
	}
	return []app.UI{
		ui.Two(look, title),
		app.Div().Class("d-flex flex-wrap gap-1 ").Body(
			ui.Soft(state.PartWord(part)),
			app.If(origin != api.SnapshotOriginBackup, func() app.UI { return ui.Badge(originColor(origin), state.OriginWord(origin)) }),
			app.If(pinned, func() app.UI { return ui.Badge("dark", "kept for good") }),
			app.If(s.Problems > 0, func() app.UI {
				return ui.Badge("warning", state.Count(s.Problems, "file left out", "files left out"))
			}),
		),
		app.Text(state.Size(s.Bytes)),
		app.Text(state.Size(s.UploadedBytes)),
		app.Div().Class("btn-group").Body(
			app.If(there, func() app.UI {
				return ui.Button("outline-primary", "arrow-counterclockwise", "Restore", "Restore the backup of "+state.Exact(at), func() { a.put = newRestore(&s.SnapshotFields, part, false) })
			}),
			ui.Button("outline-secondary", "download", "", "Download the backup of "+state.Exact(at)+" as a ZIP", func() { a.m.Save(s) }),
			ui.Button("outline-secondary", pinIcon, "", pin, func() { a.m.Pin(s, !pinned) }),
			app.If(!pinned, func() app.UI {
				return ui.Button("outline-secondary", "trash3", "", "Delete the backup of "+state.Exact(at), func() { a.doomed = s })
			}),
		),
	}
}

func originColor(o api.SnapshotOrigin) string {
	if o == api.SnapshotOriginSafety {
		return "warning"
	}
	return "info"
}

// details is the dialog of what a backup says about itself.
func (a *Application) details(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	d := v.Details
	s := d.Snapshot
	return &ui.Modal{Title: "Backup of " + state.Exact(s.CreatedAt), Size: "lg", OnClose: a.m.EndLook, Body: func() []app.UI {
		return []app.UI{loading(d.About, 6, func() { a.m.Look(s) }, func(m *state.ApplicationManifest) app.UI { return about(s, m) })}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.A().Class("btn btn-outline-secondary me-auto").Href("/files/" + s.Device.Id + "/" + s.Id).Text("Browse"),
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Download").OnClick(func(app.Context, app.Event) { a.m.Save(s); a.m.EndLook() }, ui.Fresh()),
			app.If(x.RemovedAt == nil && x.Device.RevokedAt == nil, func() app.UI {
				return app.Button().Type("button").Class("btn btn-primary").Text("Restore").OnClick(func(app.Context, app.Event) {
					part := state.Whole(&x.ApplicationRow)
					if s.Label != nil {
						part = s.Label.Part
					}
					a.m.EndLook()
					a.put = newRestore(&s.SnapshotFields, part, false)
				}, ui.Fresh())
			}),
		}
	}}
}

func about(s *api.ApplicationSnapshot, m *state.ApplicationManifest) app.UI {
	facts := []string{}
	if s.Label != nil && s.Label.Title != "" {
		facts = append(facts, "Name", s.Label.Title)
	}
	facts = append(facts, "Taken at", state.Exact(m.TakenAt), "Size", state.Size(s.Bytes))
	if m.Engine != "" {
		facts = append(facts, "Database", strings.TrimSpace(engineTitle(m.Engine)+" "+m.EngineVersion))
	}
	if m.Tool != "" {
		facts = append(facts, "Dumped by", m.Tool)
	}
	for _, f := range m.Media {
		facts = append(facts, "Media "+f.Label, f.Path)
	}
	if m.Dump != nil {
		facts = append(facts, "Dump", state.Size(m.Dump.Bytes)+", "+m.Dump.Format, "SHA-256 of the dump", m.Dump.SHA256)
	}
	return app.Div().Body(
		terms(facts...),
		app.If(len(m.Tables) > 0, func() app.UI {
			return app.Div().Body(
				app.H3().Class("h6 mt-4").Text(state.Count(int64(len(m.Tables)), "table", "tables")+", "+state.Count(m.Rows(), "row", "rows")),
				app.Div().Class("hf-scroll border rounded").Body(ui.Table("Tables", []ui.Column{{Title: "Table"}, {Title: "Rows", Class: "text-end"}}, len(m.Tables), func(i int) []app.UI {
					return []app.UI{app.Span().Class("font-monospace small text-break").Text(m.Tables[i].Name), app.Text(state.Number(m.Tables[i].Rows))}
				})))
		}),
	)
}

// engineTitle is the name of a kind of database, by its word in a manifest.
func engineTitle(word string) string {
	e := api.DatabaseEngine(strings.ToUpper(word))
	return state.EngineWord(&e)
}

// runs is a list of runs of the application.
func (a *Application) runs(rows state.Rows[*api.ApplicationRun], title string, more func()) app.UI {
	return loading(rows.Load, 6, a.m.Reload, func(list []*api.ApplicationRun) app.UI {
		if len(list) == 0 {
			return ui.Panel(title, nil, ui.Empty("hourglass", "Nothing happened yet", "Every run is listed here, with its outcome.", nil))
		}
		runs := make([]*api.RunFields, len(list))
		for i, r := range list {
			runs[i] = &r.RunFields
		}
		return ui.Panel(title, nil, runItems(runs, openTitle), ui.More(len(list), rows.Total, rows.More, rows.Loading, func(n int) string { return state.Count(int64(n), "run", "runs") }, more))
	})
}

// statistics is the tab of how it goes.
func (a *Application) statistics(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	labels := []string{}
	for _, t := range x.Stats.Trend {
		labels = append(labels, t.At.Local().Format("2 Jan"))
	}
	// A colour for each part: backups of one part are not compared with those of another.
	chart := func(title string, of func(*api.ApplicationSize) int64) app.UI {
		var list []ui.Series
		for _, p := range []struct {
			part  api.ApplicationPart
			color string
		}{{api.ApplicationPartFull, "success"}, {api.ApplicationPartDatabase, "primary"}, {api.ApplicationPartMedia, "info"}} {
			s, some := ui.Series{Name: strings.ToLower(state.PartWord(p.part)), Color: p.color}, false
			for _, t := range x.Stats.Trend {
				v := 0.0
				if t.Part == p.part {
					v, some = float64(of(t)), true
				}
				s.Values = append(s.Values, v)
			}
			if some {
				list = append(list, s)
			}
		}
		return ui.Chart{Title: title, Labels: labels, Series: list, Scale: ui.Bytes(state.Size), Text: func(v float64) string { return state.Size(int64(v)) }}.UI()
	}
	rate := "–"
	if n := x.Stats.Backups; n > 0 {
		good := float64(n-x.Stats.Failed) / float64(n)
		rate = state.Percent(&good)
	}
	return app.Div().Body(
		app.If(len(labels) > 0, func() app.UI {
			return app.Div().Class("row").Body(
				app.Div().Class("col-xl-6").Body(ui.Card("Size of a backup", nil, chart("Size of the backups of "+x.Name, func(t *api.ApplicationSize) int64 { return t.Bytes }))),
				app.Div().Class("col-xl-6").Body(ui.Card("New data in a backup", nil, chart("New data in the backups of "+x.Name, func(t *api.ApplicationSize) int64 { return t.UploadedBytes }))),
			)
		}).Else(func() app.UI {
			return ui.Card("", nil, ui.Empty("graph-up", "No backup yet", "How large backups are, and how much each of them added, appears here.", nil))
		}),
		app.If(x.Stats.Backups > 0, func() app.UI {
			return app.P().Class("text-body-secondary").Text("Succeeded: " + rate + " of " + state.Count(int64(x.Stats.Backups), "backup", "backups") + "; missed ones count as failed.")
		}),
		a.runs(v.Backups, "Runs", a.m.MoreBackups),
	)
}
