package page

import (
	"slices"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Activity is the screen of all runs, and below /runs/ of one.
type Activity struct {
	app.Compo
	path string
}

// OnMount implements app.Mounter.
func (a *Activity) OnMount(ctx app.Context) { a.path = ctx.Page().URL().Path }

// OnNav implements app.Navigator.
func (a *Activity) OnNav(ctx app.Context) { a.path = ctx.Page().URL().Path }

// Render implements app.Composer.
func (a *Activity) Render() app.UI {
	if a.path == "" {
		return app.Div()
	}
	if id := below(a.path, "/runs"); id != "" {
		return app.Div().Body(app.Div().Body(&Run{ID: id}))
	}
	return app.Div().Body(&RunList{})
}

// RunList is runs with filters; with Device, those of one device.
type RunList struct {
	app.Compo
	watched
	Device string
	m      *state.Activity
}

// OnInit implements app.Initializer.
func (l *RunList) OnInit() { l.m = state.NewActivity(sources()) }

// OnMount implements app.Mounter.
func (l *RunList) OnMount(ctx app.Context) { l.open(ctx) }

// OnDismount implements app.Dismounter.
func (l *RunList) OnDismount() { l.close() }

// OnUpdate implements app.Updater: it is about another one now.
func (l *RunList) OnUpdate(ctx app.Context) {
	l.close()
	l.OnInit()
	l.open(ctx)
}

func (l *RunList) open(ctx app.Context) {
	l.watch(ctx, l.m)
	l.m.Open(state.ActivityFilter{Device: l.Device})
}

func (l *RunList) close() {
	l.watched.OnDismount()
	l.m.Close()
}

// Render implements app.Composer.
func (l *RunList) Render() app.UI {
	v := l.m.View()
	title, filters := "Activity", app.UI(app.Text(""))
	if l.Device == "" {
		title, filters = "", l.filters(v.Filter)
	}
	return loading(v.Runs, 8, l.m.Reload, func(list []*api.RunFields) app.UI {
		if len(list) == 0 {
			empty := ui.Empty("hourglass", "Nothing happened yet", "Every backup that is due and every restore is listed here, with its outcome.", nil)
			if v.Filter.Kind != "" || v.Filter.State != "" {
				empty = ui.Empty("funnel", "Nothing like this", "No run passes these filters.", app.Button().Type("button").Class("btn btn-outline-secondary").Text("Show all").
					OnClick(func(app.Context, app.Event) { l.m.Choose(state.ActivityFilter{Device: l.Device}) }))
			}
			return app.Div().Body(filters, ui.Panel(title, nil, empty))
		}
		return app.Div().Body(filters, ui.Panel(title, nil, runItems(list, runTitle),
			ui.More(len(list), v.Total, v.More, v.Adding, func(n int) string { return state.Count(int64(n), "run", "runs") }, l.m.LoadMore)))
	})
}

func (l *RunList) filters(f state.ActivityFilter) app.UI {
	last := func(list []string) string { // of chips of which one at most is on
		if len(list) == 0 {
			return ""
		}
		return list[len(list)-1]
	}
	some := func(s string) []string { return slices.DeleteFunc([]string{s}, func(s string) bool { return s == "" }) }
	return app.Div().Class("d-flex flex-wrap gap-3 mb-3").Body(
		ui.Chips("Outcome", []ui.Choice{{Value: "open", Title: "Open"}, {Value: "good", Title: "Done"}, {Value: "bad", Title: "With problems"}}, some(f.State), func(list []string) {
			f.State = last(list)
			l.m.Choose(f)
		}),
		ui.Chips("Kind", []ui.Choice{{Value: string(api.RunKindBackup), Title: "Backups"}, {Value: string(api.RunKindRestore), Title: "Restores"}}, some(string(f.Kind)), func(list []string) {
			f.Kind = api.RunKind(last(list))
			l.m.Choose(f)
		}),
	)
}
