package page

import (
	"strconv"
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// codeShown shows a recovery code of an account, to be kept: copied, saved as a file, printed.
func codeShown(code, email string) app.UI {
	groups := state.CodeGroups(code)
	date := time.Now().Format("2 January 2006")
	sheet := app.Div().Class("hf-sheet").Aria("hidden", "true").Body(
		app.H1().Text("Holdfast recovery code"),
		app.P().Text("Account: "+email),
		app.P().Text("Server: "+app.Window().URL().Host),
		app.P().Text("Made on: "+date),
		codeGrid("Recovery code", groups),
		app.P().Text("Whoever has this code and the e-mail address can read every backup of the account. Keep it where you keep your passport, not near the computer."),
		app.P().Text("It is needed when the password is forgotten: open the server's address, choose “I forgot my password”, and type it."),
		app.P().Text("Without the password and without this code the backups cannot be read by anybody."),
	)
	text := "Holdfast recovery code\r\n\r\nAccount: " + email + "\r\nServer:  " + app.Window().URL().Host + "\r\nMade on: " + date + "\r\n\r\n    " +
		strings.Join(groups[:len(groups)/2], "-") + "-\r\n    " + strings.Join(groups[len(groups)/2:], "-") +
		"\r\n\r\nWhoever has this code and the e-mail address can read every backup of the account.\r\nWithout the password and without this code nobody can.\r\n"
	return app.Div().Body(
		codeGrid("Recovery code", groups),
		app.Div().Class("d-flex flex-wrap gap-2 my-3").Body(
			ui.Button("outline-secondary", "printer", "Print", "Print a sheet with the code", World.Window.Print),
			ui.Button("outline-secondary", "download", "Save as a file", "Save a text file with the code", func() { World.Window.Save("holdfast-recovery-code.txt", text) }),
			ui.Button("outline-secondary", "clipboard", "Copy", "Copy the code", func() { copied(code, "The recovery code") }),
		),
		sheet,
	)
}

func codeGrid(label string, groups []string) app.UI {
	class := "hf-code"
	if len(groups) > 0 && len(groups[0]) > 8 {
		class += " hf-code-two"
	}
	return app.Ol().Class(class).Aria("label", label).Body(
		app.Range(groups).Slice(func(i int) app.UI { return app.Li().Body(app.Span().Class("font-monospace").Text(groups[i])) }),
	)
}

// codeBack asks for some groups of the code that was shown. typed are the answers so far, in the order of ask.
func codeBack(ask []int, typed []string) app.UI {
	return app.Div().Class("row g-3 mb-3").Body(app.Range(ask).Slice(func(i int) app.UI {
		return app.Div().Class("col-sm-4").Body(ui.Field{
			ID: "group-" + strconv.Itoa(i), Label: "Group " + strconv.Itoa(ask[i]+1), Type: "text", Value: typed[i], Autocomplete: "off", Mono: true,
			OnInput: func(s string) { typed[i] = s },
		}.UI())
	}))
}
