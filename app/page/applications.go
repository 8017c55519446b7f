package page

import (
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

const applicationsPath = "/applications"

// Applications is the screen of applications, and below its address of one.
type Applications struct {
	app.Compo
	path string
}

// OnMount implements app.Mounter.
func (a *Applications) OnMount(ctx app.Context) { a.path = ctx.Page().URL().Path }

// OnNav implements app.Navigator.
func (a *Applications) OnNav(ctx app.Context) { a.path = ctx.Page().URL().Path }

// Render implements app.Composer.
func (a *Applications) Render() app.UI {
	if a.path == "" {
		return app.Div()
	}
	if rest := below(a.path, applicationsPath); rest != "" {
		id, tab, _ := strings.Cut(rest, "/")
		return app.Div().Body(app.Div().Body(&Application{ID: id, Tab: tab}))
	}
	return app.Div().Body(&applicationList{})
}

// applicationList is all applications.
type applicationList struct {
	app.Compo
	watched
	m      *state.Applications
	engine string // of which the way to add one is shown
}

// OnInit implements app.Initializer.
func (l *applicationList) OnInit() { l.m, l.engine = state.NewApplications(sources()), "postgres" }

// OnMount implements app.Mounter.
func (l *applicationList) OnMount(ctx app.Context) {
	l.watch(ctx, l.m)
	l.m.Open()
}

// OnDismount implements app.Dismounter.
func (l *applicationList) OnDismount() {
	l.watched.OnDismount()
	l.m.Close()
}

// Render implements app.Composer.
func (l *applicationList) Render() app.UI {
	v := l.m.View()
	return app.Div().Body(
		worked(v.Work, l.m.Dismiss),
		app.If(World.Session.View().Admin() || v.All > 6, func() app.UI {
			return app.Div().Class("d-flex flex-wrap align-items-center gap-3 mb-3").Body(
				app.If(v.All > 6, func() app.UI {
					return app.Div().Class("flex-grow-1").Body(ui.Search("applications-find", "Find an application", v.Find, l.m.Find))
				}),
				app.If(World.Session.View().Admin(), func() app.UI {
					return ui.Switch("applications-fleet", "Applications of everybody", v.Fleet, false, false, l.m.ShowFleet)
				}))
		}),
		loading(v.Load, 8, l.m.Reload, func(list []*api.ApplicationRow) app.UI {
			if v.All == 0 {
				return l.none(v.Fleet)
			}
			return app.Div().Body(
				app.Div().Class("row hf-boxes").Body(applicationBoxes(v)...),
				app.If(len(list) == 0, func() app.UI {
					return ui.Card("", nil, ui.Empty("search", "No application is called so", "Names of applications, their machines and their owners are looked through.", nil))
				}),
				app.Div().Class("row").Body(app.Range(list).Slice(func(i int) app.UI {
					return app.Div().Class("col-md-6 col-xxl-4 d-flex").Body(l.card(list[i], v))
				})),
				app.If(!v.Fleet, func() app.UI { return ui.Card("Add another application", nil, l.how()) }),
			)
		}),
	)
}

func (l *applicationList) none(fleet bool) app.UI {
	if fleet {
		return ui.Card("", nil, ui.Empty("database", "No application yet", "Whoever runs an application adds it on its machine, with the agent.", nil))
	}
	return ui.Card("", nil,
		ui.Empty("database", "No application yet", "An application is a database, folders of media, or both, on one of your devices. Its passwords stay there; what is saved is sealed before it leaves.", nil),
		l.how())
}

// engines are the ways to add an application.
var engines = []struct{ value, title, url string }{
	{"postgres", "PostgreSQL", "postgres://shop@localhost/shop"},
	{"mysql", "MariaDB or MySQL", "mysql://shop@localhost/shop"},
	{"sqlite", "SQLite", "sqlite:/srv/shop/shop.db"},
	{"media", "Media only", ""},
}

// how is the way to add an application.
func (l *applicationList) how() app.UI {
	var choices []ui.Choice
	command := `holdfast-agent app add "Shop"`
	for _, e := range engines {
		choices = append(choices, ui.Choice{Value: e.value, Title: e.title})
		if e.value == l.engine && e.url != "" {
			command += " --db " + e.url
			if e.value != "sqlite" {
				command += " --db-password-file password.txt"
			}
		}
	}
	command += " --media /srv/shop/media"
	return app.Div().Body(
		app.P().Text("Run this on the machine of the application, as whoever enrolled it. Leave out what it does not have."),
		app.Div().Class("mb-3").Body(ui.OneOf("Kind of database", l.engine, choices, func(s string) { l.engine = s })),
		commandLine(command),
	)
}

func applicationBoxes(v state.ApplicationsView) []app.UI {
	s := v.Sum
	box := func(color, icon, number, label string) app.UI {
		return app.Div().Class("col-6 col-xl-3").Body(ui.Box(color, icon, number, label, "", ""))
	}
	failed := "success"
	if s.Ailing > 0 {
		failed = "danger"
	}
	next, of := "Not planned", "no schedule is on"
	if s.Next != nil {
		next, of = dueWords(s.Next.NextDueAt), "next backup, of "+s.Next.Name
	}
	return []app.UI{
		box("primary", "database", state.Number(int64(v.All)), plural(v.All, "application", "applications")+", "+state.Size(s.Bytes)+" in backups"),
		box(failed, "shield-check", state.Number(int64(s.Backups-s.Failed)), "backups done, "+state.Number(int64(s.Failed))+" failed"),
		box("info", "arrow-counterclockwise", state.Number(int64(s.Restores)), plural(s.Restores, "restore", "restores")),
		box("secondary", "calendar-event", next, of),
	}
}

// dueWords is when something is due.
func dueWords(t *time.Time) string {
	if t.Before(time.Now()) {
		return "Due now"
	}
	return capital(state.Ago(*t, time.Now()))
}

// shortly is a time in few letters.
func shortly(t time.Time) string { return t.Local().Format("2 Jan 2006, 15:04") }

// terms are facts one below the other, for values that may be long.
func terms(pairs ...string) app.UI {
	list := make([]app.UI, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, app.Dt().Text(pairs[i]), app.Dd().Text(pairs[i+1]))
	}
	return app.Dl().Class("hf-terms mb-0 small").Body(list...)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// failedOf is how many backups of an application failed, of how many.
func failedOf(a *api.ApplicationRow) string {
	if a.Stats.Backups == 0 {
		return "–"
	}
	return state.Number(int64(a.Stats.Failed)) + " of " + state.Count(int64(a.Stats.Backups), "backup", "backups")
}

func (l *applicationList) card(a *api.ApplicationRow, v state.ApplicationsView) app.UI {
	run := v.Runs[a.Id]
	href := applicationsPath + "/" + a.Id
	return app.Div().Class("card shadow-sm mb-4 flex-fill hf-shrink").Body(
		app.Div().Class("card-body d-flex flex-column").Body(
			app.Div().Class("d-flex align-items-center gap-3 mb-3").Body(
				app.Span().Class("hf-device-icon").Body(ui.Icon(engineIcon(a.Engine))),
				app.Div().Class("flex-grow-1 hf-shrink").Body(
					app.Div().Class("d-flex align-items-start gap-2").Body(
						app.H2().Class("h5 mb-0 flex-grow-1 hf-name-lines").Body(app.A().Class("link-body-emphasis link-underline-opacity-0 link-underline-opacity-100-hover").Href(href).Title(a.Name).Text(a.Name)),
						applicationBadge(a, run)),
					app.Div().Class("small text-body-secondary hf-name-lines").Text(applicationWords(a, v.Fleet)),
				),
			),
			app.Dl().Class("row small mb-2 gx-2").Body(
				fact("Last good backup", ago(a.Stats.LastSuccessAt)),
				fact("Next", due(a.NextDueAt)),
				fact("Backups kept", app.Text(kept(a.Stats.Snapshots, a.Stats.Bytes))),
				fact("Failed", app.Text(failedOf(a))),
			),
			app.If(run != nil, func() app.UI {
				return app.Div().Class("mb-3").Body(
					app.Div().Class("small text-body-secondary text-truncate mb-1").Text(join(waitingWord(a, run), counts(run))),
					app.If(run.State == api.RunStateRunning, func() app.UI { return runProgress(run) }))
			}),
			app.Div().Class("d-flex flex-wrap gap-2 mt-auto").Body(
				app.If(a.RemovedAt == nil && a.Device.RevokedAt == nil, func() app.UI {
					return app.Button().Type("button").Class("btn btn-sm btn-primary").Disabled(v.Busy != "" || run != nil).Aria("label", "Back up now: "+a.Name).
						OnClick(func(app.Context, app.Event) { l.m.BackUp(a) }, app.EventScope(a.Id)).Body(app.Span().Class("me-1").Body(ui.Icon("cloud-arrow-up")), app.Text("Back up now"))
				}),
				app.A().Class("btn btn-sm btn-outline-secondary").Href(href).Aria("label", "Backups of "+a.Name).Text("Backups"),
				app.A().Class("btn btn-sm btn-outline-secondary").Href(href+"/schedules").Aria("label", "Schedules of "+a.Name).Text("Schedules"),
			),
		),
	)
}

// engineIcon is the picture of a kind of database.
func engineIcon(e *api.DatabaseEngine) string {
	switch {
	case e == nil:
		return "images"
	case *e == api.DatabaseEngineSqlite:
		return "file-earmark-binary"
	}
	return "database"
}

// applicationWords says what an application is and where.
func applicationWords(a *api.ApplicationRow, fleet bool) string {
	text := ""
	if a.Engine != nil || a.MediaFolders == 0 {
		text = state.EngineWord(a.Engine)
	}
	if a.MediaFolders > 0 {
		if text != "" {
			text += ", "
		}
		text += state.Count(int64(a.MediaFolders), "media folder", "media folders")
	}
	text += ", on " + a.Device.Name
	if fleet {
		text += ", of " + a.Device.Owner.Name
	}
	return text
}

// kept is how many backups there are, and how much they hold.
func kept(n int, bytes int64) string {
	if n == 0 {
		return "none yet"
	}
	return state.Number(int64(n)) + ", " + state.Size(bytes)
}

// applicationBadge shows how an application is doing.
func applicationBadge(a *api.ApplicationRow, run *api.RunFields) app.UI {
	last := a.Stats.LastRun
	switch {
	case a.RemovedAt != nil:
		return ui.Badge("dark", "removed")
	case a.Device.RevokedAt != nil:
		return ui.Badge("dark", "device revoked")
	case run != nil:
		return ui.Badge("info", runWord(run.State))
	case last == nil && a.Stats.LastSuccessAt != nil: // somebody at the machine made it
		return ui.Badge(runColor(api.RunStateSucceeded), runWord(api.RunStateSucceeded))
	case last == nil:
		return ui.Badge("secondary", "new")
	}
	return ui.Badge(runColor(last.State), runWord(last.State))
}
