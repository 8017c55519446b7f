package page

import (
	"context"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Window is what screens ask of their window: see browser.Window.
type Window interface {
	state.Settings
	Replace(path string)
	Copy(ctx context.Context, text string) error
	Save(name, text string)
	Print()
	Update()
	Focus(id string)
	Picture(ctx context.Context, id string, side int) ([]byte, error)
	Text(ctx context.Context, id string, max int) (string, error)
	Guard(ask func(leave func())) (stop func())

	// File takes the first file of the list that the page has left as [filesAt] in the window: as [state.Sealer] wants it, and its name.
	File(at string) (file any, name string, ok bool)
}

// copied puts text on the clipboard and says so.
func copied(text, what string) {
	go func() {
		if err := World.Window.Copy(context.Background(), text); err != nil {
			World.Toasts.Add(state.Toast{Severity: "warning", Title: "It could not be copied", Body: "Mark it and copy it by hand."})
			return
		}
		World.Toasts.Add(state.Toast{Severity: "success", Title: what + " is on the clipboard"})
	}()
}

// commandLine is a command to be typed elsewhere, which can be copied.
func commandLine(command string) app.UI {
	return app.Div().Class("hf-command-line").Body(
		app.Pre().Class("hf-command").TabIndex(0).Text(command),
		app.Div().Class("hf-command-copy").Body(ui.Button("secondary", "clipboard", "", "Copy the command", func() { copied(command, "The command") })),
	)
}

// filesAt is where a page leaves the list of files of an input or a drop: values of go-app's have no other way to package browser.
const filesAt = "holdfastFiles"

// chosen takes the first file of a list.
func chosen(list app.Value) (file any, name string, ok bool) {
	app.Window().Set(filesAt, list)
	return World.Window.File(filesAt)
}
