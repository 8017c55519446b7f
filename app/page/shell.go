// Package page is the app's screens, one a file. A screen renders what a model of package state knows, with the pieces of package ui, and
// turns what a person does into calls of the model. It holds no data of its own but what is typed into it.
package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/live"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// World is what every screen stands on. It is set once, before the app starts.
var World struct {
	Session *state.Session
	Brand   *state.Brand
	API     *api.Client
	Live    *live.Client
	Keys    state.Keys
	Imports *state.Imports
	Toasts  *state.Toasts
	Notices *state.Notices
	Link    *state.Link
	Idle    *state.IdleLock
	Window  Window
	Theme   func(theme string) // "light", "dark" or "" for the system's
}

// Routes registers every address of the app. All of them lead to the frame, which knows who may see what.
func Routes() {
	app.RouteWithRegexp(".*", func() app.Composer { return &Frame{} })
}

// Frame is around every screen: who is not logged in sees the door, everybody else the menu and the screen of the address.
type Frame struct {
	app.Compo
	watched
	path  string
	token string // of the invitation that the address had
	prove bool   // a second factor is being set up that was wanted: also while its backup codes are shown
}

// OnMount implements app.Mounter.
func (f *Frame) OnMount(ctx app.Context) { f.open(ctx) }

// OnNav implements app.Navigator.
func (f *Frame) OnNav(ctx app.Context) { f.navigate(ctx.Page().URL().Path, ctx.Page().URL().Fragment) }

func (f *Frame) open(ctx app.Context) {
	f.stops = append(f.stops, World.Session.Observe(func() { ctx.Dispatch(func(app.Context) { f.enter() }) }))
}

// enter leaves the address of a door behind once somebody is in.
func (f *Frame) enter() {
	v := World.Session.View()
	f.prove = v.User != nil && (f.prove || v.User.Unproven)
	if v.Phase != state.Open || f.token != "" && !v.Joined || inside(f.path) == f.path {
		return
	}
	f.path, f.token = inside(f.path), ""
	World.Window.Replace(f.path)
}

func (f *Frame) navigate(path, hash string) {
	f.path = path
	switch joining := path == "/setup" || path == "/join"; {
	case joining && strings.HasPrefix(hash, "hfi_"):
		f.token = hash
		World.Window.Replace(path) // nobody is to read it off the address bar, or find it in the history
	case !joining:
		f.token = ""
	}
}

// Render implements app.Composer.
func (f *Frame) Render() app.UI {
	v := World.Session.View()
	switch {
	case v.Phase == state.Starting:
		return app.Div().Class("hf-splash").Body(ui.Spinner())
	case f.token != "" && v.Phase == state.LoggedOut:
		return &Join{Token: f.token, Setup: f.path == "/setup"}
	case f.token != "":
		return &Taken{Email: v.User.Email}
	case v.Phase != state.Open && f.path == "/recover":
		return &Recover{}
	case v.Phase == state.LoggedOut && (f.path == "/setup" || f.path == "/join"):
		return joinLost()
	case v.Phase == state.LoggedOut:
		return &Login{}
	case v.Phase == state.Locked:
		return &Unlock{}
	case f.prove || v.User.Unproven:
		return &Prove{Done: func() { f.prove = false }}
	}
	path := inside(f.path)
	screen, title := find(path, v)
	return app.Div().Class("app-wrapper").Body(
		&Header{User: v.User.Name, Email: v.User.Email},
		&Sidebar{Path: path, Admin: v.Admin(), Superuser: v.Superuser()},
		app.Main().ID("main").Class("app-main").TabIndex(-1).Body(
			&Banner{},
			app.Div().Class("app-content-header").Body(app.Div().Class("container-fluid").Body(
				app.H1().Class("h3 mb-0").Text(title),
			)),
			app.Div().Class("app-content").Body(app.Div().Class("container-fluid").Body(screen)),
		),
		&ToastLayer{},
	)
}
