package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// A place is a screen with an entry in the menu.
type place struct {
	path, title, icon string
	who               int // who may see it
	screen            func() app.UI
}

// Who may see a place.
const (
	everybody = iota
	admins
	superusers
)

// places are the screens, in the menu's order. A path also stands for everything below it.
func places() []place {
	return []place{
		{"/", "Dashboard", "speedometer2", everybody, func() app.UI { return &Dashboard{} }},
		{"/files", "Files", "folder2-open", everybody, func() app.UI { return &Files{} }},
		{"/devices", "Devices", "pc-display-horizontal", everybody, func() app.UI { return &Devices{} }},
		{applicationsPath, "Applications", "database", everybody, func() app.UI { return &Applications{} }},
		{"/runs", "Activity", "clock-history", everybody, func() app.UI { return &Activity{} }},
		{"/trash", "Trash", "trash3", everybody, func() app.UI { return &Trash{} }},
		{"/notifications", "Notifications", "bell", everybody, func() app.UI { return &Notifications{} }},
		{"/profile", "Profile", "person", everybody, func() app.UI { return &Profile{} }},
		{"/admin", "Overview", "activity", admins, func() app.UI { return &Overview{} }},
		{policiesPath, "Policies", "calendar2-week", admins, func() app.UI { return &Policies{} }},
		{"/admin/people", "People", "people", admins, func() app.UI { return &People{} }},
		{"/admin/devices", "Fleet", "pc-display-horizontal", admins, func() app.UI { return &FleetDevices{} }},
		{"/admin/reports", "Reports", "clipboard-data", admins, func() app.UI { return &Reports{} }},
		{"/admin/storage", "Storage", "hdd-stack", admins, func() app.UI { return &Storage{} }},
		{"/admin/tasks", "Tasks", "list-task", admins, func() app.UI { return &Tasks{} }},
		{"/admin/settings", "Settings", "gear", admins, func() app.UI { return &Settings{} }},
		{"/admin/audit", "Audit", "journal-text", admins, func() app.UI { return &Audit{} }},
	}
}

func (p place) visible(v state.SessionView) bool {
	return p.who == everybody || p.who == admins && v.Admin() || p.who == superusers && v.Superuser()
}

// find returns the screen of an address, and its title.
func find(path string, v state.SessionView) (app.UI, string) {
	best := place{}
	for _, p := range places() {
		if p.visible(v) && (path == p.path || p.path != "/" && strings.HasPrefix(path, p.path+"/")) && len(p.path) >= len(best.path) {
			best = p
		}
	}
	if best.screen == nil {
		return ui.Empty("signpost-split", "There is nothing at this address", "The link may be old, or lead to something that only administrators see.",
			app.A().Class("btn btn-primary").Href("/").Text("To the dashboard")), "Not found"
	}
	return best.screen(), best.title
}

// Header is the bar at the top.
type Header struct {
	app.Compo
	User, Email string
}

// Render implements app.Composer.
func (h *Header) Render() app.UI {
	item := func(icon, text string, on func()) app.UI {
		return app.Button().Type("button").Class("dropdown-item d-flex align-items-center gap-2").
			OnClick(func(app.Context, app.Event) { on() }).Body(ui.Icon(icon), app.Text(text))
	}
	theme := func(icon, text, name string) app.UI { return item(icon, text, func() { World.Theme(name) }) }
	return app.Nav().Class("app-header navbar navbar-expand bg-body").Aria("label", "Top").Body(
		app.Div().Class("container-fluid").Body(
			app.Ul().Class("navbar-nav").Body(
				app.Li().Class("nav-item").Body(
					app.Button().Type("button").Class("nav-link btn").DataSet("lte-toggle", "sidebar").Aria("label", "Show or hide the menu").Body(ui.Icon("list")),
				),
			),
			app.Ul().Class("navbar-nav ms-auto").Body(
				&Bell{},
				app.Li().Class("nav-item dropdown").Body(
					app.Button().Type("button").Class("nav-link btn dropdown-toggle").DataSet("bs-toggle", "dropdown").Aria("expanded", "false").Aria("label", "Colours").
						Body(ui.Icon("circle-half")),
					app.Div().Class("dropdown-menu dropdown-menu-end").Body(
						theme("sun", "Light", "light"), theme("moon-stars", "Dark", "dark"), theme("circle-half", "As the system", ""),
					),
				),
				app.Li().Class("nav-item dropdown").Body(
					app.Button().Type("button").Class("nav-link btn dropdown-toggle").DataSet("bs-toggle", "dropdown").Aria("expanded", "false").Aria("label", h.User).Body(
						app.Span().Class("me-1").Body(ui.Icon("person-circle")),
						app.Span().Class("d-none d-md-inline hf-name").Text(h.User),
					),
					app.Div().Class("dropdown-menu dropdown-menu-end").Body(
						app.Div().Class("px-3 py-2 text-body-secondary small text-break").Text(h.Email),
						app.Hr().Class("dropdown-divider"),
						app.A().Class("dropdown-item d-flex align-items-center gap-2").Href("/profile").Body(ui.Icon("person-gear"), app.Text("Profile")),
						&Install{},
						item("lock", "Lock", func() { World.Session.Lock() }),
						item("box-arrow-right", "Log out", func() { World.Session.Logout() }),
					),
				),
			),
		),
	)
}

// Sidebar is the menu.
type Sidebar struct {
	app.Compo
	Path             string
	Admin, Superuser bool
}

// Render implements app.Composer.
func (s *Sidebar) Render() app.UI {
	best := "" // the entry of the address: the longest that it is at or below
	for _, p := range places() {
		if (s.Path == p.path || p.path != "/" && strings.HasPrefix(s.Path, p.path+"/")) && len(p.path) > len(best) {
			best = p.path
		}
	}
	link := func(p place) app.UI {
		class := "nav-link"
		current := p.path == best
		if current {
			class += " active"
		}
		a := app.A().Href(p.path).Class(class)
		if current {
			a = a.Aria("current", "page")
		}
		return app.Li().Class("nav-item").Body(a.Body(
			app.I().Class("nav-icon bi bi-"+p.icon).Aria("hidden", "true"),
			app.P().Text(p.title),
		))
	}
	var own, fleet []app.UI
	for _, p := range places() {
		switch {
		case p.who == everybody:
			own = append(own, link(p))
		case p.who == admins && s.Admin, p.who == superusers && s.Superuser:
			fleet = append(fleet, link(p))
		}
	}
	list := own
	if len(fleet) > 0 {
		list = append(append(list, app.Li().Class("nav-header").Text("Administration")), fleet...)
	}
	return app.Aside().Class("app-sidebar bg-body-secondary shadow").DataSet("bs-theme", "dark").Body(
		app.Div().Class("sidebar-brand").Body(
			&BrandMark{Link: true},
		),
		app.Div().Class("sidebar-wrapper").Body(
			app.Nav().Class("mt-2").Aria("label", "Menu").Body(
				app.Ul().Class("nav sidebar-menu flex-column").Body(list...),
			),
		),
	)
}
