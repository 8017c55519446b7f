package page

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// model is what a screen shows: every model of package state.
type model interface{ Observe(fn func()) (stop func()) }

// watched is embedded by screens that render again whenever a model changes.
type watched struct{ stops []func() }

// watch renders the screen again after every change of a model, until it is dismounted.
func (w *watched) watch(ctx app.Context, models ...model) {
	for _, m := range models {
		w.stops = append(w.stops, m.Observe(func() { ctx.Dispatch(func(app.Context) {}) }))
	}
}

// OnDismount implements app.Dismounter.
func (w *watched) OnDismount() {
	for _, stop := range w.stops {
		stop()
	}
	w.stops = nil
}
