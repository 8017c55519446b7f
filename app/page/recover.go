package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Recover is the page of whoever forgot the password.
type Recover struct {
	app.Compo
	watched
	recover               *state.Recover
	email, code, password string
	second                string // the code of the second factor
}

// OnMount implements app.Mounter.
func (r *Recover) OnMount(ctx app.Context) { r.open(ctx) }

// OnDismount implements app.Dismounter.
func (r *Recover) OnDismount() { r.close() }

func (r *Recover) open(ctx app.Context) {
	r.recover = state.NewRecover(World.Session)
	if u := World.Session.View().User; u != nil {
		r.email = u.Email
	}
	r.watch(ctx, r.recover)
	World.Window.Focus("email")
}

func (r *Recover) close() {
	r.watched.OnDismount()
	if r.recover != nil {
		r.recover.Leave()
	}
}

// Render implements app.Composer.
func (r *Recover) Render() app.UI {
	if r.recover == nil {
		return door("Forgot your password", "One moment.", ui.Skeleton(3))
	}
	v := r.recover.View()
	if v.User != nil {
		return door("Choose a new password", "The code is right, "+v.User.Name+". Your backups stay as they are; all other sessions end.",
			ui.Trouble(v.Err, nil),
			form(func() { r.recover.Password(r.password) },
				username(v.User.Email),
				&ui.Password{ID: "password", Label: "New password", Value: r.password, Autocomplete: "new-password",
					OnInput: func(s string) { r.password = s; r.recover.Judge(s) }, Meter: func() app.UI { return meter(v.Strength) }},
				ui.Submit("Set the password", v.Busy),
			),
			app.P().Class("small text-body-secondary mt-3 mb-0").Text("Your recovery code stays good. If somebody else may have seen it, make a new one in your profile."),
		)
	}
	if v.CodeAsked {
		return door("One more step", "The recovery code is right. Your account also asks for a code.",
			ui.Trouble(v.Err, nil),
			form(r.submit, username(r.email), codeField(r.second, codeWords, func(s string) { r.second = s }), ui.Submit("Go on", v.Busy)),
			app.Div().Class("mt-3 text-center").Body(link("Back", r.recover.ForgetCode)),
			codeHelp(),
		)
	}
	r.second = ""
	return door("Forgot your password", "Your recovery code lets you in. It has eight groups of five letters and digits, and was shown when you made your account.",
		ui.Trouble(v.Err, nil),
		form(r.submit,
			ui.Field{ID: "email", Label: "E-mail address", Type: "email", Value: r.email, Autocomplete: "username", OnInput: func(s string) { r.email = s }}.UI(),
			ui.Field{ID: "code", Label: "Recovery code", Type: "text", Value: r.code, Autocomplete: "off", Mono: true, Placeholder: "XXXXX-XXXXX-XXXXX-…",
				Help: "Upper and lower case are the same; spaces and dashes do not matter.", OnInput: func(s string) { r.code = s }}.UI(),
			ui.Submit("Go on", v.Busy),
		),
		app.Div().Class("mt-3 text-center").Body(app.A().Class("small").Href("/").Text("Back to logging in")),
		app.P().Class("small text-body-secondary mt-3 mb-0").Text("Without the password and without the code nobody can open your backups, not even an administrator."),
	)
}

func (r *Recover) submit() { r.recover.Code(r.email, r.code, r.second) }
