package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/ui"
)

// door is the page of whoever has not come in yet: a card in the middle.
func door(title, text string, body ...app.UI) app.UI {
	return app.Main().ID("main").Class("hf-door").Body(
		app.Div().Class("hf-door-brand").Body(
			app.Img().Src(app.Getenv("GOAPP_LOGO")).Alt("").Width(56).Height(56),
			app.Span().Class("fs-2 fw-light").Text("Holdfast"),
		),
		app.Div().Class("card shadow-sm hf-door-card").Body(app.Div().Class("card-body p-4").Body(
			app.H1().Class("h4 mb-1").Text(title),
			app.P().Class("text-body-secondary").Text(text),
			app.Div().Body(body...),
		)),
	)
}

// Login is the page at which everybody comes in.
type Login struct {
	app.Compo
	email, password string
}

// Render implements app.Composer.
func (l *Login) Render() app.UI {
	v := World.Session.View()
	return door("Log in", "With the e-mail address and password of your account.",
		ui.Trouble(v.Err, nil),
		app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) { e.PreventDefault(); l.submit() }).Body(
			ui.Field{ID: "email", Label: "E-mail address", Type: "email", Value: l.email, Autocomplete: "username", Focus: true, OnInput: func(s string) { l.email = s }}.UI(),
			ui.Field{ID: "password", Label: "Password", Type: "password", Value: l.password, Autocomplete: "current-password", OnInput: func(s string) { l.password = s }}.UI(),
			ui.Submit("Log in", v.Busy),
		),
		app.P().Class("small text-body-secondary mt-3 mb-0").Text("Your password opens your backups in this browser. It is not sent to the server."),
	)
}

func (l *Login) submit() {
	World.Session.Login(l.email, l.password)
	l.password = ""
}

// Unlock is the page of whoever is logged in and has closed the keys.
type Unlock struct {
	app.Compo
	password string
}

// Render implements app.Composer.
func (u *Unlock) Render() app.UI {
	v := World.Session.View()
	return door("Locked", "The keys of "+v.User.Email+" are closed. Your password opens them again.",
		ui.Trouble(v.Err, nil),
		app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) { e.PreventDefault(); u.submit() }).Body(
			ui.Field{ID: "password", Label: "Password", Type: "password", Value: u.password, Autocomplete: "current-password", Focus: true, OnInput: func(s string) { u.password = s }}.UI(),
			ui.Submit("Unlock", v.Busy),
		),
		app.Div().Class("mt-3 text-center").Body(
			app.Button().Type("button").Class("btn btn-link btn-sm").Text("Log out").OnClick(func(app.Context, app.Event) { World.Session.Logout() }),
		),
	)
}

func (u *Unlock) submit() {
	World.Session.Unlock(u.password)
	u.password = ""
}

// Join is the page of an invitation.
type Join struct {
	app.Compo
	Token string
}

// Render implements app.Composer.
func (j *Join) Render() app.UI {
	return door("You are invited", "Make your account.")
}
