package page

import (
	"errors"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// door is the page of whoever has not come in yet: a card in the middle.
func door(title, text string, body ...app.UI) app.UI { return doorOf("", title, text, body...) }

// wideDoor is a door with room for more.
func wideDoor(title, text string, body ...app.UI) app.UI {
	return doorOf(" hf-wide", title, text, body...)
}

func doorOf(class, title, text string, body ...app.UI) app.UI {
	return app.Main().ID("main").Class("hf-door").Body(
		&BrandMark{},
		app.Div().Class("card shadow-sm hf-door-card"+class).Body(app.Div().Class("card-body p-4").Body(
			app.H1().Class("h4 mb-1").Text(title),
			app.P().Class("text-body-secondary").Text(text),
			app.Div().Body(body...),
		)),
		&ToastLayer{},
	)
}

// form is a form that Go sends.
func form(submit func(), body ...app.UI) app.UI {
	return app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) { e.PreventDefault(); submit() }, ui.Fresh()).Body(body...)
}

// link is a button that looks like a link.
func link(text string, on func()) app.UI {
	return app.Button().Type("button").Class("btn btn-link btn-sm").Text(text).OnClick(func(app.Context, app.Event) { on() }, ui.Fresh())
}

// username tells the browser's password manager whose password is typed beside it.
func username(email string) app.UI {
	return app.Input().Type("text").Name("email").Class("visually-hidden").Value(email).ReadOnly(true).TabIndex(-1).Aria("hidden", "true").Attr("autocomplete", "username")
}

// Login is the page at which everybody comes in.
type Login struct {
	app.Compo
	watched
	email, password, code string
}

// OnMount implements app.Mounter.
func (l *Login) OnMount(ctx app.Context) { l.open(ctx) }

func (l *Login) open(ctx app.Context) {
	l.watch(ctx, World.Session) // the frame renders a door again only when it becomes another one
	World.Window.Focus("email")
}

// Render implements app.Composer.
func (l *Login) Render() app.UI {
	v := World.Session.View()
	if v.CodeAsked {
		return codeDoor(v, l.email, l.code, func(s string) { l.code = s }, l.submit)
	}
	l.code = ""
	var retry func()
	if errors.Is(v.Err, fault.Unavailable) {
		retry = World.Session.Start
	}
	return door("Log in", "With the e-mail address and password of your account.",
		ui.Trouble(v.Err, retry),
		form(l.submit,
			ui.Field{ID: "email", Label: "E-mail address", Type: "email", Value: l.email, Autocomplete: "username", OnInput: func(s string) { l.email = s }}.UI(),
			&ui.Password{ID: "password", Label: "Password", Value: l.password, Autocomplete: "current-password", OnInput: func(s string) { l.password = s }},
			ui.Submit("Log in", v.Busy),
		),
		app.Div().Class("mt-3 text-center").Body(app.A().Class("small").Href("/recover").Text("I forgot my password")),
		app.P().Class("small text-body-secondary mt-3 mb-0").Text("Your password opens your backups in this browser. It is not sent to the server."),
	)
}

func (l *Login) submit() { World.Session.Login(l.email, l.password, l.code) }

// codeDoor asks whoever has shown the right password for a code of the second factor.
func codeDoor(v state.SessionView, email, code string, typed func(string), submit func()) app.UI {
	return door("One more step", "The password is right. Your account also asks for a code.",
		ui.Trouble(v.Err, nil),
		form(submit, username(email), codeField(code, codeWords, typed), ui.Submit("Log in", v.Busy)),
		app.Div().Class("mt-3 text-center").Body(link("Back", World.Session.ForgetCode)),
		codeHelp(),
	)
}

// codeField is where a code of a second factor is typed. The cursor goes into it.
func codeField(code, help string, typed func(string)) app.UI {
	return &secondCode{Value: code, Help: help, OnInput: typed}
}

const codeWords = "The six digits that your device shows, or a backup code."

func codeHelp() app.UI {
	return app.P().Class("small text-body-secondary mt-3 mb-0").Text("Who has lost the device uses one of the backup codes. Without these an administrator can switch the second factor off.")
}

// secondCode is the field of a code, which takes the cursor when it appears.
type secondCode struct {
	app.Compo
	Value   string
	Help    string
	OnInput func(string)
}

// OnMount implements app.Mounter.
func (c *secondCode) OnMount(app.Context) { World.Window.Focus("second-code") }

// Render implements app.Composer.
func (c *secondCode) Render() app.UI {
	return ui.Field{ID: "second-code", Label: "Code", Type: "text", Value: c.Value, Autocomplete: "one-time-code", Mono: true,
		Help: c.Help, OnInput: func(s string) { c.OnInput(s) }}.UI()
}

// Unlock is the page of whoever is logged in and has closed the keys.
type Unlock struct {
	app.Compo
	watched
	password, code string
}

// OnMount implements app.Mounter.
func (u *Unlock) OnMount(ctx app.Context) { u.open(ctx) }

func (u *Unlock) open(ctx app.Context) {
	u.watch(ctx, World.Session)
	World.Window.Focus("password")
}

// Render implements app.Composer.
func (u *Unlock) Render() app.UI {
	v := World.Session.View()
	if v.CodeAsked {
		return codeDoor(v, v.User.Email, u.code, func(s string) { u.code = s }, u.submit)
	}
	u.code = ""
	return door("Locked", "The keys of "+v.User.Email+" are closed. Your password opens them again.",
		ui.Trouble(v.Err, nil),
		form(u.submit,
			username(v.User.Email),
			&ui.Password{ID: "password", Label: "Password", Value: u.password, Autocomplete: "current-password", OnInput: func(s string) { u.password = s }},
			ui.Submit("Unlock", v.Busy),
		),
		app.Div().Class("mt-3 d-flex justify-content-center gap-2").Body(
			link("Log out", World.Session.Logout),
			app.A().Class("btn btn-link btn-sm").Href("/recover").Text("I forgot my password"),
		),
	)
}

func (u *Unlock) submit() { World.Session.Unlock(u.password, u.code) }

// Taken is the page of an invitation that somebody opens who has an account.
type Taken struct {
	app.Compo
	Email string
}

// Render implements app.Composer.
func (t *Taken) Render() app.UI {
	return door("This browser is logged in", "You are logged in as "+t.Email+". An invitation is for somebody who has no account yet.",
		app.Div().Class("d-grid gap-2").Body(
			app.A().Class("btn btn-primary").Href("/").Text("Stay logged in"),
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Log out and use the invitation").
				OnClick(func(app.Context, app.Event) { World.Session.Logout() }),
		),
	)
}

// joinLost is the page of an invitation without its secret part.
func joinLost() app.UI {
	return door("Open the invitation once more", "The link of an invitation works from the mail or message in which it came. The address of this page alone does not: its secret part is taken "+
		"off the address bar at once, so that nobody reads it there.",
		app.A().Class("btn btn-outline-secondary w-100").Href("/").Text("I have an account: log in"),
	)
}

// inside returns where an address leads whoever is in: the addresses of doors, to the dashboard; those that mails name, to the screens that
// there are.
func inside(path string) string {
	switch path {
	case "/join", "/setup", "/recover":
		return "/"
	case "/settings/mail":
		return "/notifications"
	}
	return path
}
