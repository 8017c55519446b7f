package page

import (
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// emailForm is what is typed to change the address.
type emailForm struct {
	open                  bool
	email, password, code string
}

// factorForm is what is typed about the second factor. doing is what the open dialog is about: a form of package state's, "" for none.
type factorForm struct {
	doing          string
	password, code string
}

// settleSecurity closes the forms of this file that have succeeded. A notification says so.
func (p *Profile) settleSecurity(fresh func(form string) bool) {
	if fresh(state.FormEmail) { // where it waits, the dialog goes on to the code
		p.email = emailForm{open: p.profile.View().PendingEmail != ""}
	}
	if done, stopped := fresh(state.FormEmailCode), fresh(state.FormEmailStop); done || stopped {
		p.email = emailForm{}
	}
	if fresh(state.FormBegin) {
		p.factor.password = ""
	}
	if fresh(state.FormFactor) {
		p.factor.code = ""
	}
	if fresh(state.FormBackup) {
		p.factor.password, p.factor.code = "", ""
	}
	if fresh(state.FormDisable) {
		p.factor = factorForm{}
	}
}

// secondFactor is the card about it.
func (p *Profile) secondFactor(u *api.AccountFields, v state.ProfileView) app.UI {
	open := func(form string) func() {
		return func() { p.profile.ForgetFactor(); p.factor = factorForm{doing: form} }
	}
	button := func(color, text, form string) app.UI {
		return app.Button().Type("button").Class("btn btn-"+color).Text(text).OnClick(func(app.Context, app.Event) { open(form)() }, ui.Fresh())
	}
	if !u.SecondFactor {
		return ui.Card("Second factor", ui.Badge("secondary", "off"),
			app.P().Class("mb-3").Text("With it, a login asks for a code from your phone as well. Who has learned your password cannot log in with it alone."),
			button("outline-secondary", "Set it up", state.FormBegin),
		)
	}
	left := state.Count(int64(v.CodesLeft), "backup code is", "backup codes are") + " left."
	return ui.Card("Second factor", ui.Badge("success", "on"),
		app.P().Class("mb-3").Body(app.Text("A login asks for a code from your device. "),
			app.If(v.Sessions.Status == state.Ready, func() app.UI { return app.Text(left) })),
		app.Div().Class("d-flex flex-wrap gap-2").Body(
			button("outline-secondary", "New backup codes", state.FormBackup),
			button("outline-danger", "Switch it off", state.FormDisable),
		),
	)
}

// factorDialog is what is open about the second factor.
func (p *Profile) factorDialog(u *api.AccountFields, v state.ProfileView) app.UI {
	shut := func() { p.factor = factorForm{}; p.profile.ForgetFactor() }
	switch {
	case v.BackupCodes != nil:
		return &ui.Modal{Title: "Your backup codes", OnClose: shut, Body: func() []app.UI {
			return []app.UI{
				app.P().Text("Each lets you in once when your device is not at hand. They are shown now and never again: print them, and keep them apart from the device."),
				backupCodes(v.BackupCodes, u.Email),
				app.Button().Type("button").Class("btn btn-primary w-100").Text("I have kept them").OnClick(func(app.Context, app.Event) { shut() }, ui.Fresh()),
			}
		}}
	case v.Setup != nil:
		return &ui.Modal{Title: "Set up your second factor", OnClose: shut, Body: func() []app.UI {
			return []app.UI{
				app.P().Text("Scan this with the app on your phone that shows codes, or type the key into it."),
				app.Div().Class("text-center mb-3").Body(ui.QR(v.Setup.URI, "Key of the second factor, for a camera")),
				app.Pre().Class("hf-secret").Text(state.SecretGroups(v.Setup.Secret)),
				ui.Trouble(v.Err[state.FormFactor], nil),
				form(func() { p.profile.ConfirmFactor(p.factor.code) },
					codeField(p.factor.code, "The six digits that it shows now.", func(s string) { p.factor.code = s }),
					ui.Submit("Switch it on", v.Busy == state.FormFactor),
				),
			}
		}}
	case p.factor.doing == state.FormBackup:
		return p.proofDialog(u, v, "New backup codes", "The old ones let nobody in any more.", "Make new codes", "primary", shut, p.profile.RenewBackupCodes)
	case p.factor.doing == state.FormDisable:
		return p.proofDialog(u, v, "Switch the second factor off?", "Whoever learns your password can log in with it then. Your backup codes are gone; you can set the second factor up again.",
			"Switch it off", "danger", shut, p.profile.DisableFactor)
	}
	return &ui.Modal{Title: "Set up a second factor", OnClose: shut, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Err[state.FormBegin], nil),
			app.P().Text("You need an app on your phone that shows codes of the kind TOTP, such as most password managers have."),
			form(func() { p.profile.BeginFactor(p.factor.password) },
				username(u.Email), p.presentPassword(&p.factor.password),
				ui.Submit("Go on", v.Busy == state.FormBegin),
			),
		}
	}}
}

// proofDialog asks for the password and a code before something is done.
func (p *Profile) proofDialog(u *api.AccountFields, v state.ProfileView, title, text, label, color string, shut func(), do func(password, code string)) app.UI {
	form1 := p.factor.doing
	return &ui.Modal{Title: title, OnClose: shut, Body: func() []app.UI {
		busy := v.Busy == form1
		return []app.UI{
			ui.Trouble(v.Err[form1], nil),
			app.P().Text(text),
			form(func() { do(p.factor.password, p.factor.code) },
				username(u.Email), p.presentPassword(&p.factor.password),
				oneTimeCode(p.factor.code, func(s string) { p.factor.code = s }),
				app.Button().Type("submit").Class("btn btn-"+color+" w-100").Disabled(busy).Body(
					app.If(busy, func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text(label)),
			),
		}
	}}
}

func (p *Profile) presentPassword(value *string) app.UI {
	return &ui.Password{ID: "present", Label: "Your password", Value: *value, Autocomplete: "current-password", OnInput: func(s string) { *value = s }}
}

// oneTimeCode is a code's field among others.
func oneTimeCode(code string, typed func(string)) app.UI {
	return ui.Field{ID: "one-time-code", Label: "Code of the second factor", Type: "text", Value: code, Autocomplete: "one-time-code", Mono: true,
		Help: codeWords, OnInput: typed}.UI()
}

// address is what the card about the person says below the address.
func (p *Profile) address(v state.ProfileView) app.UI {
	open := func() { p.email = emailForm{open: true} }
	if v.PendingEmail == "" {
		return app.Div().Class("form-text").Body(app.Text("You log in with it. "), link("Change it", open))
	}
	return app.Div().Class("form-text text-break").Body(app.Text("You log in with it until "+v.PendingEmail+" is confirmed. "), link("Type the code", open))
}

// confirmDialog asks for the code that was mailed to the new address.
func (p *Profile) confirmDialog(u *api.AccountFields, v state.ProfileView) app.UI {
	f := &p.email
	return &ui.Modal{Title: "Confirm your new address", OnClose: func() { p.email = emailForm{} }, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Err[state.FormEmailCode], nil),
			ui.Trouble(v.Err[state.FormEmailStop], nil),
			app.P().Class("text-break").Text("A code was mailed to " + v.PendingEmail + ". It is valid for a day. Until you have typed it you log in with " + u.Email + "."),
			form(func() { p.profile.ConfirmEmail(f.code) },
				ui.Field{ID: "mailed-code", Label: "Code from the mail", Type: "text", Value: f.code, Autocomplete: "one-time-code", Mono: true,
					Help: "Eight letters and digits. Nothing came? Look among the unwanted mail, or give it up and begin again.", OnInput: func(s string) { f.code = s }}.UI(),
				ui.Submit("Confirm the address", v.Busy == state.FormEmailCode),
			),
			app.Div().Class("text-center mt-2").Body(link("Give it up: keep the old address", p.profile.CancelEmail)),
		}
	}}
}

func (p *Profile) emailDialog(u *api.AccountFields, v state.ProfileView) app.UI {
	if v.PendingEmail != "" {
		return p.confirmDialog(u, v)
	}
	f := &p.email
	return &ui.Modal{Title: "Change your e-mail address", OnClose: func() { p.email = emailForm{} }, Body: func() []app.UI {
		return []app.UI{
			ui.Trouble(v.Err[state.FormEmail], nil),
			app.P().Class("text-break").Text("You log in with the new address then, with the same password. Where this server sends mail, the new address gets a code that you type here, and the old one, " + u.Email + ", a mail about it."),
			form(func() { p.profile.ChangeEmail(f.email, f.password, f.code) },
				ui.Field{ID: "new-email", Label: "New address", Type: "email", Value: f.email, Autocomplete: "email", OnInput: func(s string) { f.email = s }}.UI(),
				p.presentPassword(&f.password),
				app.If(u.SecondFactor, func() app.UI { return oneTimeCode(f.code, func(s string) { f.code = s }) }),
				ui.Submit("Change the address", v.Busy == state.FormEmail),
			),
		}
	}}
}

// backupCodes shows backup codes, to be kept: printed, saved as a file, copied.
func backupCodes(codes []string, email string) app.UI {
	date := time.Now().Format("2 January 2006")
	host := app.Window().URL().Host
	text := "Holdfast backup codes of the second factor\r\n\r\nAccount: " + email + "\r\nServer:  " + host + "\r\nMade on: " + date +
		"\r\n\r\n    " + strings.Join(codes, "\r\n    ") + "\r\n\r\nEach serves once, together with the password. They open no backup without it.\r\n"
	return app.Div().Body(
		codeGrid("Backup codes", codes),
		app.Div().Class("d-flex flex-wrap gap-2 my-3").Body(
			ui.Button("outline-secondary", "printer", "Print", "Print a sheet with the codes", World.Window.Print),
			ui.Button("outline-secondary", "download", "Save as a file", "Save a text file with the codes", func() { World.Window.Save("holdfast-backup-codes.txt", text) }),
			ui.Button("outline-secondary", "clipboard", "Copy", "Copy the codes", func() { copied(strings.Join(codes, "\n"), "The list of codes") }),
		),
		app.Div().Class("hf-sheet").Aria("hidden", "true").Body(
			app.H1().Text("Holdfast backup codes"),
			app.P().Text("Account: "+email),
			app.P().Text("Server: "+host),
			app.P().Text("Made on: "+date),
			codeGrid("Backup codes", codes),
			app.P().Text("Each serves once, together with the password, when the device that shows codes is not at hand. They open no backup without the password."),
		),
	)
}
