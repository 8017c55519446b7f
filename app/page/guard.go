package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/ui"
)

// guarded asks before a screen is left that has what was changed and not saved.
type guarded struct {
	stop  func() // ends what keeps a person from leaving; nil: nothing does
	leave func() // does what the person wanted to do; nil: nothing
}

// keep keeps a person while something is unsaved.
func (g *guarded) keep(ctx app.Context, unsaved bool) {
	switch {
	case unsaved && g.stop == nil:
		g.stop = World.Window.Guard(func(leave func()) { ctx.Dispatch(func(app.Context) { g.leave = leave }) })
	case !unsaved:
		g.release()
	}
}

func (g *guarded) release() {
	if g.stop != nil {
		g.stop()
		g.stop = nil
	}
	g.leave = nil
}

// question asks whether what was changed is to be lost. lost says what that is.
func (g *guarded) question(lost string) app.UI {
	leave := g.leave
	return app.If(leave != nil, func() app.UI {
		return &leaving{Lost: lost, OnStay: func() { g.leave = nil }, OnLeave: func() { g.release(); leave() }}
	})
}

// leaving is the question whether a screen is to be left.
type leaving struct {
	app.Compo
	Lost            string
	OnStay, OnLeave func()
}

// Render implements app.Composer.
func (l *leaving) Render() app.UI {
	return &ui.Modal{Title: "Leave without saving?", OnClose: l.OnStay,
		Body: func() []app.UI { return []app.UI{app.P().Class("mb-0").Text(l.Lost + " is lost then.")} },
		Footer: func() []app.UI {
			return []app.UI{
				app.Button().Type("button").Class("btn btn-outline-danger").Text("Leave").OnClick(func(app.Context, app.Event) { l.OnLeave() }, ui.Fresh()),
				app.Button().Type("button").Class("btn btn-primary").Text("Stay here").OnClick(func(app.Context, app.Event) { l.OnStay() }, ui.Fresh()),
			}
		}}
}
