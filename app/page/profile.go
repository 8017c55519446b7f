package page

import (
	"strconv"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Profile is the screen of a person's own account.
type Profile struct {
	app.Compo
	watched
	profile *state.Profile

	name             string
	named            bool
	old, new         string
	codePassword     string
	typed            []string
	tokenName        string
	tokenDays        int
	ending           *api.SessionFields
	revoking         *api.TokenFields
	done             map[string]int // what was said already
	renewing, adding bool
	factor           factorForm
	email            emailForm
}

// OnMount implements app.Mounter.
func (p *Profile) OnMount(ctx app.Context) { p.open(ctx) }

// OnDismount implements app.Dismounter.
func (p *Profile) OnDismount() { p.watched.OnDismount() }

func (p *Profile) open(ctx app.Context) {
	p.profile, p.done, p.tokenDays = state.NewProfile(World.Session), map[string]int{}, 90
	p.stops = append(p.stops, p.profile.Observe(func() { ctx.Dispatch(func(app.Context) { p.settle() }) }))
	p.watch(ctx, World.Idle)
	p.profile.Load()
}

// settle closes the forms that have succeeded, and says so.
func (p *Profile) settle() {
	v := p.profile.View()
	fresh := func(form string) bool {
		was := p.done[form]
		p.done[form] = v.Done[form]
		return was != v.Done[form]
	}
	say := func(title, body string) { World.Toasts.Add(state.Toast{Severity: "success", Title: title, Body: body}) }
	if fresh(state.FormName) {
		say("Your name is changed", "")
	}
	if fresh(state.FormPassword) {
		p.old, p.new = "", ""
		say("Your password is changed", "All other sessions have ended.")
	}
	if fresh(state.FormCode) {
		p.codePassword = ""
	}
	if fresh(state.FormConfirm) {
		p.renewing = false
		say("Your recovery code is renewed", "The old one opens nothing any more.")
	}
	if fresh(state.FormSession) {
		p.ending = nil
		say("The session has ended", "")
	}
	if fresh(state.FormToken) {
		p.tokenName = ""
	}
	p.settleSecurity(fresh)
	if fresh(state.FormRevoke) {
		p.revoking = nil
		say("The token is revoked", "Whatever used it is locked out.")
	}
}

// Render implements app.Composer.
func (p *Profile) Render() app.UI {
	u := World.Session.View().User
	if p.profile == nil || u == nil {
		return ui.Skeleton(8)
	}
	v := p.profile.View()
	if !p.named {
		p.name, p.named = u.Name, true
	}
	return app.Div().Body(
		app.Div().Class("row").Body(
			app.Div().Class("col-lg-6").Body(p.you(u, v), p.browser()),
			app.Div().Class("col-lg-6").Body(p.password(u, v), p.secondFactor(u, v), p.recovery()),
		),
		p.sessions(v), p.tokens(v),
		p.dialogs(u, v),
	)
}

func (p *Profile) you(u *api.AccountFields, v state.ProfileView) app.UI {
	return ui.Card("You", nil,
		ui.Trouble(v.Err[state.FormName], nil),
		form(func() { p.profile.Rename(p.name) },
			ui.Field{ID: "name", Label: "Name", Type: "text", Value: p.name, Autocomplete: "name", OnInput: func(s string) { p.name = s }}.UI(),
			app.Div().Class("mb-3").Body(
				app.Div().Class("form-label").Text("E-mail address"),
				app.Div().Class("text-break").Text(u.Email),
				p.address(v),
			),
			app.Div().Class("d-flex align-items-center gap-3").Body(
				save("Save the name", v.Busy == state.FormName),
				app.Span().Class("small text-body-secondary").Body(app.Text("Here since "), when(&u.CreatedAt)),
			),
		),
	)
}

// save is a form's button that is as wide as its words.
func save(label string, busy bool) app.UI {
	return app.Button().Type("submit").Class("btn btn-primary").Disabled(busy).Body(
		app.If(busy, func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text(label))
}

func (p *Profile) browser() app.UI {
	var minutes []ui.Choice
	for _, n := range state.IdleChoices {
		minutes = append(minutes, ui.Choice{Value: strconv.Itoa(n), Title: strconv.Itoa(n) + " minutes"})
	}
	return ui.Card("This browser", nil,
		app.Div().Class("mb-3").Body(
			app.Div().Class("form-label").Text("Colours"),
			ui.OneOf("Colours", World.Window.Get("theme"), []ui.Choice{{Value: "", Title: "As the system"}, {Value: "light", Title: "Light"}, {Value: "dark", Title: "Dark"}}, World.Theme),
		),
		app.Div().Class("form-label").Text("Lock when nobody has touched the page for"),
		ui.OneOf("Lock after", strconv.Itoa(World.Idle.Minutes()), minutes, func(s string) {
			if n, err := strconv.Atoi(s); err == nil {
				World.Idle.SetMinutes(n)
			}
		}),
		app.Div().Class("form-text").Text("A lock closes your keys. Your password opens them again."),
	)
}

func (p *Profile) password(u *api.AccountFields, v state.ProfileView) app.UI {
	return ui.Card("Password", nil,
		ui.Trouble(v.Err[state.FormPassword], nil),
		form(func() { p.profile.SetPassword(p.old, p.new) },
			username(u.Email),
			&ui.Password{ID: "old", Label: "Present password", Value: p.old, Autocomplete: "current-password", OnInput: func(s string) { p.old = s }},
			&ui.Password{ID: "new", Label: "New password", Value: p.new, Autocomplete: "new-password",
				OnInput: func(s string) { p.new = s; p.profile.Judge(s) }, Meter: func() app.UI { return meter(v.Strength) }},
			save("Change the password", v.Busy == state.FormPassword),
		),
	)
}

func (p *Profile) recovery() app.UI {
	return ui.Card("Recovery code", nil,
		app.P().Class("mb-3").Text("It lets you in when the password is forgotten. If you do not have it any more, or somebody else may have seen it, make a new one: the old one opens nothing then."),
		app.Button().Type("button").Class("btn btn-outline-secondary").Text("Make a new code").OnClick(func(app.Context, app.Event) { p.renewing = true }, ui.Fresh()),
	)
}

func (p *Profile) sessions(v state.ProfileView) app.UI {
	if body := accessHere(v.Sessions.Status, v.Sessions.Err, p.profile.Load); body != nil {
		return ui.Card("Sessions", nil, body)
	}
	columns := []ui.Column{{Title: "Where"}, {Title: "Address"}, {Title: "Logged in"}, {Title: "Last seen"}, {Class: "text-end"}}
	return ui.Panel("Sessions", nil, ui.Table("Sessions", columns, len(v.Sessions.Value), func(i int) []app.UI {
		s := v.Sessions.Value[i]
		end := app.UI(ui.Badge("success", "this one"))
		if !s.Current {
			end = app.Button().Type("button").Class("btn btn-sm btn-outline-danger").Text("End").OnClick(func(app.Context, app.Event) { p.ending = &s }, ui.Fresh())
		}
		return []app.UI{app.Span().Class("text-break").Text(s.Client), app.Span().Class("font-monospace small text-break").Text(s.Address), when(&s.CreatedAt), when(&s.LastSeenAt), end}
	}))
}

func (p *Profile) tokens(v state.ProfileView) app.UI {
	add := ui.Button("primary", "plus-lg", "New token", "Make an API token", func() { p.adding = true })
	if body := accessHere(v.Tokens.Status, v.Tokens.Err, p.profile.Load); body != nil {
		return ui.Card("API tokens", nil, body)
	}
	if len(v.Tokens.Value) == 0 {
		return ui.Panel("API tokens", add, ui.Empty("braces", "No token", "With a token your own programs use the API in your name. They see what the server sees: never what is in your files.", nil))
	}
	columns := []ui.Column{{Title: "Name"}, {Title: "Made"}, {Title: "Last used"}, {Title: "Runs out"}, {Class: "text-end"}}
	return ui.Panel("API tokens", add, ui.Table("API tokens", columns, len(v.Tokens.Value), func(i int) []app.UI {
		t := v.Tokens.Value[i]
		return []app.UI{app.Span().Class("text-break").Text(t.Name), when(&t.CreatedAt), when(t.LastUsedAt), when(t.ExpiresAt),
			app.Button().Type("button").Class("btn btn-sm btn-outline-danger").Text("Revoke").OnClick(func(app.Context, app.Event) { p.revoking = &t }, ui.Fresh())}
	}))
}

// accessHere stands for what is not here yet; nil if it is.
func accessHere(s state.Status, err error, retry func()) app.UI {
	switch s {
	case state.Ready:
		return nil
	case state.Failed:
		return ui.Trouble(err, retry)
	}
	return ui.Skeleton(3)
}

func (p *Profile) dialogs(u *api.AccountFields, v state.ProfileView) app.UI {
	switch {
	case p.ending != nil:
		return ui.Confirm("End this session?", "“"+p.ending.Client+"” at "+p.ending.Address+" is logged out at once. Nothing else is lost.", "danger", "End the session",
			v.Busy == state.FormSession, v.Err[state.FormSession], func() { p.profile.EndSession(p.ending.Id) }, func() { p.ending = nil })
	case p.revoking != nil:
		return ui.Confirm("Revoke this token?", "Whatever uses “"+p.revoking.Name+"” is locked out at once, for ever. You can make a new token for it.", "danger", "Revoke the token",
			v.Busy == state.FormRevoke, v.Err[state.FormRevoke], func() { p.profile.RevokeToken(p.revoking.Id) }, func() { p.revoking = nil })
	case p.email.open:
		return p.emailDialog(u, v)
	case p.factor.doing != "":
		return p.factorDialog(u, v)
	case p.adding:
		return p.token(v)
	case p.renewing:
		return p.renewal(u, v)
	}
	return app.Div()
}

func (p *Profile) token(v state.ProfileView) app.UI {
	closed := func() { p.adding = false; p.profile.Seen() }
	if v.Secret != "" {
		return &ui.Modal{Title: "Your new token", OnClose: closed, Body: func() []app.UI {
			return []app.UI{
				app.P().Text("It is shown now and never again. Put it where the program finds it, and nowhere else."),
				app.Pre().Class("hf-secret").Text(v.Secret),
				ui.Button("outline-secondary", "clipboard", "Copy", "Copy the token", func() { copied(v.Secret, "The token") }),
			}
		}, Footer: func() []app.UI {
			return []app.UI{app.Button().Type("button").Class("btn btn-primary").Text("Done").OnClick(func(app.Context, app.Event) { closed() }, ui.Fresh())}
		}}
	}
	return &ui.Modal{Title: "New API token", OnClose: closed, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Err[state.FormToken], nil),
			form(func() { p.profile.CreateToken(p.tokenName, p.tokenDays) },
				ui.Field{ID: "token-name", Label: "What is it for?", Type: "text", Value: p.tokenName, Autocomplete: "off", Placeholder: "Monitoring", OnInput: func(s string) { p.tokenName = s }}.UI(),
				ui.Select{ID: "token-days", Label: "It runs out after", Value: strconv.Itoa(p.tokenDays), Choices: []ui.Choice{{Value: "30", Title: "30 days"}, {Value: "90", Title: "90 days"}, {Value: "365", Title: "a year"}, {Value: "0", Title: "never"}},
					OnChange: func(s string) {
						if n, err := strconv.Atoi(s); err == nil {
							p.tokenDays = n
						}
					}}.UI(),
				ui.Submit("Make the token", v.Busy == state.FormToken),
			),
		}
	}}
}

func (p *Profile) renewal(u *api.AccountFields, v state.ProfileView) app.UI {
	closed := func() { p.renewing, p.codePassword = false, ""; p.profile.Forget() }
	m := &ui.Modal{Title: "New recovery code", Size: "lg", OnClose: closed}
	switch {
	case v.Code == "":
		m.Body = func() []app.UI {
			return []app.UI{
				app.P().Text("Your password first. The old code stays good until you have typed some of the new one back."),
				ui.Trouble(v.Err[state.FormCode], nil),
				form(func() { p.profile.NewCode(p.codePassword) },
					username(u.Email),
					&ui.Password{ID: "code-password", Label: "Password", Value: p.codePassword, Autocomplete: "current-password", OnInput: func(s string) { p.codePassword = s }},
					ui.Submit("Make a new code", v.Busy == state.FormCode)),
			}
		}
	case v.Ask == nil:
		m.Body = func() []app.UI {
			return []app.UI{
				app.P().Text("It is shown now and never again. Print it or write it down, and keep it where you keep your passport."),
				codeShown(v.Code, u.Email),
				app.Button().Type("button").Class("btn btn-primary w-100").Text("I have kept it").OnClick(func(app.Context, app.Event) {
					p.profile.Kept()
					p.typed = make([]string, len(p.profile.View().Ask))
					World.Window.Focus("group-0")
				}),
			}
		}
	default:
		m.Body = func() []app.UI {
			return []app.UI{
				app.P().Text("Type it back from what you kept."),
				ui.Trouble(v.Err[state.FormConfirm], nil),
				form(func() { p.profile.Confirm(p.typed) },
					codeBack(v.Ask, p.typed),
					app.Div().Class("d-flex gap-2").Body(back(p.profile.Show), app.Div().Class("flex-grow-1").Body(ui.Submit("Use the new code", v.Busy == state.FormConfirm))),
				),
			}
		}
	}
	return m
}
