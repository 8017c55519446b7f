package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// schedules is the tab of schedules.
func (a *Application) schedules(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	add := app.Button().Type("button").Class("btn btn-sm btn-primary").OnClick(func(app.Context, app.Event) { a.m.EditSchedule(nil, false, zone()) }).Body(ui.Icon("plus-lg"), app.Text(" New schedule"))
	list := x.Schedules
	if len(list) == 0 {
		return ui.Panel("", nil, ui.Empty("calendar2-week", "No schedule yet", "A schedule says when the application is backed up by itself, what of it, and how long that is kept.",
			app.Button().Type("button").Class("btn btn-primary").Text("Make the first schedule").OnClick(func(app.Context, app.Event) { a.m.EditSchedule(nil, false, zone()) })))
	}
	columns := []ui.Column{{Title: "Schedule"}, {Title: "On"}, {Title: "When"}, {Title: "Next"}, {Title: "Kept"}, {Class: "text-end"}}
	return ui.Panel("Schedules", add, ui.Table("Schedules of "+x.Name, columns, len(list), func(i int) []app.UI {
		row := list[i]
		next := app.UI(app.Span().Class("text-body-secondary").Text("–"))
		if len(row.Next) > 0 {
			next = ago(&row.Next[0])
		}
		return []app.UI{
			ui.Two(app.Button().Type("button").Class("btn btn-link p-0 fw-semibold text-start").Title("Change “"+row.Name+"”").Text(row.Name).OnClick(func(app.Context, app.Event) { a.m.EditSchedule(row, false, zone()) }, ui.Fresh()), state.PartWord(row.Part)),
			ui.Switch("on-"+row.Id, "“"+row.Name+"” is on", row.Enabled, true, v.Busy != "", func(on bool) { a.m.EnableSchedule(row, on) }),
			app.Div().Class("hf-clamp").Title(row.Schedule.Text).Text(state.Capital(row.Schedule.Text)),
			next,
			app.Div().Class("hf-clamp").Title(row.Retention.Text).Text(row.Retention.Text),
			app.Div().Class("btn-group").Body(
				ui.Button("outline-secondary", "play-fill", "", "Back up now as “"+row.Name+"” says", func() { a.m.RunSchedule(row) }),
				ui.Button("outline-secondary", "copy", "", "Duplicate “"+row.Name+"”", func() { a.m.EditSchedule(row, true, zone()) }),
				ui.Button("outline-secondary", "trash3", "", "Delete “"+row.Name+"”", func() { a.drop = row }),
			),
		}
	}))
}

// scheduling is the dialog of a schedule.
func (a *Application) scheduling(x *api.ApplicationDetail, v state.ApplicationView) app.UI {
	d := v.Schedule
	title := "New schedule"
	if d.ID != "" {
		title = "Change “" + d.Name + "”"
	}
	f := draftForm{"schedule", &d.Draft, d.Problems, func(fn func(*state.Draft)) { a.m.ChangeSchedule(func(s *state.ScheduleDraft) { fn(&s.Draft) }) }}
	return &ui.Modal{Title: title, Size: "lg", OnClose: a.m.EndSchedule, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Work.Err, nil),
			f.text("name", "Name", "", func(d *state.Draft) *string { return &d.Name }).UI(),
			app.Div().Class("mb-3").Body(ui.Switch("schedule-on", "On", d.Enabled, false, false, func(on bool) { f.edit(func(d *state.Draft) { d.Enabled = on }) })),
			app.Div().Class("form-label").Text("What"),
			problem(d.Problems["part"]),
			app.Div().Class("mb-3").Body(ui.OneOf("What", string(d.Part), partChoices(x), func(s string) {
				a.m.ChangeSchedule(func(d *state.ScheduleDraft) { d.Part = api.ApplicationPart(s) })
			})),
			contentSwitches("schedule", d.Part, d.ExcludeLogs, d.Portable,
				func(on bool) { a.m.ChangeSchedule(func(d *state.ScheduleDraft) { d.ExcludeLogs = on }) },
				func(on bool) { a.m.ChangeSchedule(func(d *state.ScheduleDraft) { d.Portable = on }) }),
			app.H3().Class("h6 mt-3").Text("When"),
			f.times("An IANA name such as Europe/Athens: of the times, and of the days of what is kept."),
			app.Div().Class("hf-promises mb-3").Body(nextTimes(d.Preview, d.Zone)),
			f.level(),
			app.H3().Class("h6 mt-3").Text("How long it is kept"),
			app.P().Class("small text-body-secondary").Text("A backup is kept if any of these numbers keeps it; with nothing in all of them, for ever. The newest good one is never cleaned away. To keep database and media for different times, make a schedule for each."),
			f.keep(),
		}
	}, Footer: func() []app.UI {
		return []app.UI{
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Cancel").OnClick(func(app.Context, app.Event) { a.m.EndSchedule() }),
			app.Button().Type("button").Class("btn btn-primary").Disabled(v.Busy != "").OnClick(func(app.Context, app.Event) { a.m.SaveSchedule() }).Body(
				app.If(v.Busy != "", func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text("Save")),
		}
	}}
}
