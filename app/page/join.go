package page

import (
	"errors"
	"strconv"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Join is the page of an invitation.
type Join struct {
	app.Compo
	watched
	Token string
	Setup bool // it is for the first superuser of a new server

	join                  *state.Join
	named                 bool // the name of the invitation was taken over
	email, name, password string
	typed                 []string
}

// OnMount implements app.Mounter.
func (j *Join) OnMount(ctx app.Context) { j.open(ctx) }

func (j *Join) open(ctx app.Context) {
	j.join = state.NewJoin(World.Session, j.Token)
	j.watch(ctx, j.join)
	j.join.Load()
}

// Render implements app.Composer.
func (j *Join) Render() app.UI {
	if j.join == nil {
		return door("You are invited", "One moment.", ui.Skeleton(4))
	}
	v := j.join.View()
	title := "You are invited"
	if j.Setup {
		title = "Set up " + World.Brand.View().Name
	}
	switch {
	case v.Offer.Status == state.Failed && errors.Is(v.Offer.Err, fault.Unavailable):
		return door(title, "The invitation could not be looked at.", ui.Trouble(v.Offer.Err, j.join.Load))
	case v.Offer.Status == state.Failed:
		return door("This invitation cannot be used", "It was used already, was withdrawn, or has run out. Invitations are for one person and a few days.",
			ui.Trouble(v.Offer.Err, nil),
			app.P().Class("mb-3").Text("If you joined with it, log in. If not, ask whoever invited you for a new one."),
			app.A().Class("btn btn-primary w-100").Href("/").Text("Log in"))
	case v.Offer.Status != state.Ready:
		return door(title, "One moment.", ui.Skeleton(4))
	case v.Step == state.JoinCode:
		return j.code(v)
	case v.Step == state.JoinConfirm:
		return j.confirm(v)
	}
	return j.form(title, v)
}

func (j *Join) form(title string, v state.JoinView) app.UI {
	offer := v.Offer.Value
	if !j.named && offer.Name != nil {
		j.name, j.named = *offer.Name, true
	}
	judge := func() { j.join.Judge(j.email, j.name, j.password) }
	address := app.UI(app.P().Class("mb-3").Body(app.Text("Your account will be "), app.Strong().Class("text-break").Text(text(offer.Email)), app.Text(", "+roleWords(offer.Role)+".")))
	if offer.Email == nil {
		address = ui.Field{ID: "email", Label: "E-mail address", Type: "email", Value: j.email, Autocomplete: "username",
			Help: "You log in with it, and notifications go there.", OnInput: func(s string) { j.email = s }}.UI()
	}
	intro := "Make your account: a name, a password, and a code for the day on which you forget it."
	if j.Setup {
		intro = "This server is new. The account that you make now is its first superuser, who invites everybody else."
	}
	return wideDoor(title, intro, step(1),
		ui.Trouble(v.Err, nil),
		form(func() { j.join.Make(j.email, j.name, j.password) },
			address,
			ui.Field{ID: "name", Label: "Your name", Type: "text", Value: j.name, Autocomplete: "name", OnInput: func(s string) { j.name = s }}.UI(),
			&ui.Password{ID: "password", Label: "Password", Value: j.password, Autocomplete: "new-password", OnInput: func(s string) { j.password = s; judge() },
				Meter: func() app.UI { return meter(v.Strength) }},
			promises(),
			ui.Submit("Go on", v.Busy),
		),
	)
}

// meter is what stands below a new password.
func meter(s state.Strength) app.UI {
	if !s.Known {
		return app.Div().Class("form-text").Text("Four or five words that have nothing to do with each other are hard to guess and easy to keep in mind.")
	}
	return ui.Meter(s.Score, s.Sentence)
}

// promises says who can read what, and what is lost without what.
func promises() app.UI {
	line := func(icon, text string) app.UI {
		return app.Li().Class("d-flex gap-2 mb-2").Body(app.Span().Class("text-success").Body(ui.Icon(icon)), app.Span().Text(text))
	}
	return app.Div().Class("hf-promises mb-3").Body(
		app.H2().Class("h6").Text("Who can read what"),
		app.Ul().Class("list-unstyled small mb-0").Body(
			line("person-lock", "Only you can read your backups. They are encrypted on your devices before they are sent."),
			line("server", "The server and its administrators see when your devices back up and how much, never the names of files or what is in them."),
			line("key", "Your password never leaves this browser, so nobody can reset it. If you forget it, your recovery code lets you in."),
			line("exclamation-triangle", "Without both, your backups cannot be read by anybody, for ever."),
		),
	)
}

func (j *Join) code(v state.JoinView) app.UI {
	email := j.email
	if v.Offer.Value.Email != nil {
		email = *v.Offer.Value.Email
	}
	return wideDoor("Keep your recovery code", "It is shown now and never again. Print it or write it down, and keep it where you keep your passport.", step(2),
		codeShown(v.Code, email),
		app.P().Class("small text-body-secondary").Text("Whoever has the code and your e-mail address can read your backups, as with your password. If you ever lose it, you can make a new one in your profile."),
		app.Div().Class("d-flex gap-2").Body(
			back(j.join.Back),
			app.Button().Type("button").Class("btn btn-primary flex-grow-1").Text("I have kept it").OnClick(func(app.Context, app.Event) {
				j.join.Kept()
				j.typed = make([]string, len(j.join.View().Ask))
				World.Window.Focus("group-0")
			}),
		),
	)
}

func (j *Join) confirm(v state.JoinView) app.UI {
	return wideDoor("Type it back", "From what you kept, so that both of us know it is there. Upper and lower case are the same.", step(3),
		ui.Trouble(v.Err, nil),
		form(func() { j.join.Confirm(j.typed) },
			codeBack(v.Ask, j.typed),
			app.Div().Class("d-flex gap-2").Body(
				back(j.join.Back),
				app.Div().Class("flex-grow-1").Body(ui.Submit("Make my account", v.Busy)),
			),
		),
	)
}

func back(on func()) app.UI {
	return app.Button().Type("button").Class("btn btn-outline-secondary").Text("Back").OnClick(func(app.Context, app.Event) { on() }, ui.Fresh())
}

// step says how far somebody is.
func step(n int) app.UI {
	const all = 3
	return app.Div().Class("hf-steps mb-3").Attr("role", "img").Aria("label", "Step "+strconv.Itoa(n)+" of "+strconv.Itoa(all)).Body(
		app.Range(make([]struct{}, all)).Slice(func(i int) app.UI {
			if i < n {
				return app.Span().Class("hf-on")
			}
			return app.Span()
		}),
	)
}

func roleWords(r api.Role) string {
	switch r {
	case api.RoleSuperuser:
		return "a superuser, who runs the server and makes administrators"
	case api.RoleAdmin:
		return "an administrator, who runs the server and cannot read anybody's backups"
	}
	return "for your own backups"
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
