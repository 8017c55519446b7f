package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/ui"
)

// Dashboard is what a person sees first: whether all is well.
type Dashboard struct{ app.Compo }

// Render implements app.Composer.
func (d *Dashboard) Render() app.UI {
	return ui.Empty("laptop", "No device yet", "Add a device to have its files backed up by themselves.", nil)
}
