package ui

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// empties stands beside an input and empties it when its value becomes "": go-app then takes the attribute away, which leaves what was typed.
type empties struct {
	app.Compo
	ID, Value string
}

// OnUpdate implements app.Updater.
func (e *empties) OnUpdate(app.Context) {
	if in := app.Window().GetElementByID(e.ID); e.Value == "" && in.Truthy() {
		in.Set("value", "")
	}
}

// Render implements app.Composer.
func (e *empties) Render() app.UI { return app.Span().Class("d-none") }
