package page

import (
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// DeviceSnapshots is a device's backups.
type DeviceSnapshots struct {
	app.Compo
	watched
	Device, Name string
	m            *state.Snapshots
	doomed       *api.SnapshotFields // it is asked whether to delete it
}

// OnInit implements app.Initializer.
func (d *DeviceSnapshots) OnInit() { d.m = state.NewSnapshots(sources(), d.Device) }

// OnMount implements app.Mounter.
func (d *DeviceSnapshots) OnMount(ctx app.Context) { d.open(ctx) }

// OnDismount implements app.Dismounter.
func (d *DeviceSnapshots) OnDismount() { d.close() }

// OnUpdate implements app.Updater: it is about another one now.
func (d *DeviceSnapshots) OnUpdate(ctx app.Context) {
	d.close()
	d.OnInit()
	d.open(ctx)
}

func (d *DeviceSnapshots) open(ctx app.Context) {
	d.watch(ctx, d.m)
	d.m.Open()
}

func (d *DeviceSnapshots) close() {
	d.watched.OnDismount()
	d.m.Close()
}

// Render implements app.Composer.
func (d *DeviceSnapshots) Render() app.UI {
	v := d.m.View()
	trash := app.A().Class("btn btn-sm btn-outline-secondary").Href("/trash").Body(app.Span().Class("me-1").Body(ui.Icon("trash3")), app.Text("Trash"))
	return app.Div().Body(
		ui.Trouble(v.Err, nil),
		app.If(v.Deleted != nil, func() app.UI {
			return app.Div().Class("alert alert-secondary d-flex align-items-center gap-3").Attr("role", "status").Body(
				app.Div().Class("flex-grow-1").Text("The backup of "+state.Exact(v.Deleted.CreatedAt)+" is in the trash."),
				ui.Button("secondary", "arrow-counterclockwise", "Undo", "Take the deletion back", func() { d.m.Undo(v.Deleted.Id) }),
				app.Button().Type("button").Class("btn-close").Aria("label", "Dismiss").OnClick(func(app.Context, app.Event) { d.m.Dismiss() }),
			)
		}),
		loading(v.List, 6, d.m.Open, func(list []*api.SnapshotFields) app.UI {
			if len(list) == 0 {
				return ui.Panel("Backups", trash, ui.Empty("archive", "No backup yet", "The first one appears here as soon as it is complete.", nil))
			}
			return ui.Panel("Backups", trash,
				ui.Table("Backups of "+d.Name, []ui.Column{{Title: "Made"}, {Title: "Holds"}, {Title: "New", Class: "text-end"}, {Title: "", Class: "text-end"}}, len(list), func(i int) []app.UI { return d.row(list[i], v) }),
				ui.More(len(list), v.Total, v.More, false, func(n int) string { return state.Count(int64(n), "backup", "backups") }, d.m.LoadMore),
			)
		}),
		app.If(d.doomed != nil, func() app.UI {
			s := d.doomed
			return ui.Confirm("Delete this backup?", "The files as they were on "+state.Exact(s.CreatedAt)+" go to the trash. For some days you can take that back; afterwards what only this backup holds is gone for good. Your other backups stay complete.",
				"danger", "Delete", false, nil, func() { d.m.Delete(s); d.doomed = nil }, func() { d.doomed = nil })
		}),
	)
}

func (d *DeviceSnapshots) row(s *api.SnapshotFields, v state.SnapshotsView) []app.UI {
	at := s.CreatedAt
	pinned := s.PinnedAt != nil
	pin := ui.Button("outline-secondary", "pin-angle", "", "Keep it for ever", func() { d.m.Pin(s.Id, true) })
	if pinned {
		pin = ui.Button("secondary", "pin-fill", "", "It is kept for ever: let go of it", func() { d.m.Pin(s.Id, false) })
	}
	busy := v.Busy == s.Id
	return []app.UI{
		ui.Two(app.A().Href("/files/"+s.Device.Id+"/"+s.Id).Body(ago(&at)), at.Local().Format("2 Jan 2006, 15:04")),
		app.Div().Class("d-flex flex-wrap gap-1 align-items-center").Body(holds(s, v)...),
		app.Span().Class("text-nowrap").Text(state.Size(s.UploadedBytes)),
		app.Div().Class("d-flex gap-1 justify-content-end").Body(
			app.If(busy, ui.Spinner),
			pin,
			ui.Button("outline-danger", "trash3", "", "Delete this backup", func() { d.doomed = s }),
		),
	}
}

// holds is what is in a snapshot, and what is to be known about it.
func holds(s *api.SnapshotFields, v state.SnapshotsView) []app.UI {
	list := []app.UI{app.Span().Class("text-nowrap").Text(state.Size(s.Bytes) + ", " + state.Count(s.Files, "file", "files"))}
	if s.Problems > 0 {
		list = append(list, ui.Badge("warning", state.Number(s.Problems)+" left out"))
	}
	if !s.Scheduled {
		list = append(list, ui.Badge("secondary", "by hand"))
	}
	if v.Names[s.Id].Error != "" {
		list = append(list, app.Span().Title(v.Names[s.Id].Error).Body(ui.Badge("danger", "cannot be opened")))
	}
	return list
}

// Trash is the screen of deleted backups.
type Trash struct {
	app.Compo
	watched
	m *state.Snapshots
}

// OnInit implements app.Initializer.
func (t *Trash) OnInit() { t.m = state.NewTrash(sources()) }

// OnMount implements app.Mounter.
func (t *Trash) OnMount(ctx app.Context) { t.open(ctx) }

// OnDismount implements app.Dismounter.
func (t *Trash) OnDismount() { t.close() }

func (t *Trash) open(ctx app.Context) {
	t.watch(ctx, t.m)
	t.m.Open()
}

func (t *Trash) close() {
	t.watched.OnDismount()
	t.m.Close()
}

// Render implements app.Composer.
func (t *Trash) Render() app.UI {
	v := t.m.View()
	return app.Div().Body(
		ui.Trouble(v.Err, nil),
		loading(v.List, 5, t.m.Open, func(list []*api.SnapshotFields) app.UI {
			if len(list) == 0 {
				return ui.Card("", nil, ui.Empty("trash3", "The trash is empty", "Backups that you or a rule deleted stay here for some days, and can be taken back.", nil))
			}
			return ui.Panel("", nil, ui.Table("Deleted backups", []ui.Column{{Title: "Backup"}, {Title: "Holds"}, {Title: "Deleted"}, {Title: "Gone for good"}, {Title: "", Class: "text-end"}}, len(list), func(i int) []app.UI {
				s := list[i]
				at := s.CreatedAt
				over := s.PurgeAfter != nil && s.PurgeAfter.Before(time.Now())
				return []app.UI{
					ui.Two(app.Text(s.Device.Name), at.Local().Format("2 Jan 2006, 15:04")),
					app.Div().Class("d-flex flex-wrap gap-1").Body(holds(s, v)...),
					ago(s.DeletedAt),
					due(s.PurgeAfter),
					app.If(v.Busy == s.Id, ui.Spinner).ElseIf(!over, func() app.UI {
						return ui.Button("outline-primary", "arrow-counterclockwise", "Take back", "Take the deletion back", func() { t.m.Undo(s.Id) })
					}),
				}
			}))
		}),
	)
}
