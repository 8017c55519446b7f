package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/ui"
)

// Banner is above every screen when there is something that concerns all of them: no network, no server, a new version.
type Banner struct {
	app.Compo
	watched
	update, later bool
}

// OnMount implements app.Mounter.
func (b *Banner) OnMount(ctx app.Context) { b.open(ctx) }

// OnAppUpdate implements app.AppUpdater.
func (b *Banner) OnAppUpdate(ctx app.Context) { b.update = ctx.AppUpdateAvailable() }

func (b *Banner) open(ctx app.Context) {
	b.watch(ctx, World.Link)
	b.update = ctx.AppUpdateAvailable()
}

// Render implements app.Composer.
func (b *Banner) Render() app.UI {
	v := World.Link.View()
	line := func(color, icon, text string, more ...app.UI) app.UI {
		return app.Div().Class("hf-banner text-bg-"+color).Attr("role", "status").Body(
			app.Div().Class("d-flex align-items-center gap-3").Body(ui.Icon(icon), app.Span().Class("flex-grow-1").Text(text)),
			app.Div().Class("d-flex gap-2").Body(more...),
		)
	}
	return app.Div().Body(
		app.If(v.Offline, func() app.UI {
			return line("warning", "wifi-off", "You are offline. What you see is as it was; nothing can be changed until the connection is back.")
		}).ElseIf(v.Lost, func() app.UI {
			return line("warning", "plug", "The server cannot be reached. What you see may be old. Trying again by itself.",
				app.Button().Type("button").Class("btn btn-sm btn-outline-dark text-nowrap").Text("Try now").OnClick(func(app.Context, app.Event) { World.Live.Retry() }))
		}),
		app.If(b.update && !b.later, func() app.UI {
			return line("primary", "arrow-repeat", "A new version is ready.",
				app.Button().Type("button").Class("btn btn-sm btn-light text-nowrap").Text("Reload").OnClick(func(app.Context, app.Event) { World.Window.Update() }),
				app.Button().Type("button").Class("btn btn-sm btn-outline-light").Text("Later").OnClick(func(app.Context, app.Event) { b.later = true }))
		}),
	)
}

// Install is an entry of the user's menu: it is there where the app can be installed.
type Install struct {
	app.Compo
	can bool
}

// OnMount implements app.Mounter.
func (i *Install) OnMount(ctx app.Context) { i.look(ctx) }

// OnAppInstallChange implements app.AppInstaller.
func (i *Install) OnAppInstallChange(ctx app.Context) { i.look(ctx) }

func (i *Install) look(ctx app.Context) { i.can = ctx.IsAppInstallable() }

// Render implements app.Composer.
func (i *Install) Render() app.UI {
	return app.Div().Body(app.If(i.can, func() app.UI {
		return app.Button().Type("button").Class("dropdown-item d-flex align-items-center gap-2").
			OnClick(func(ctx app.Context, _ app.Event) { ctx.ShowAppInstallPrompt() }).Body(ui.Icon("download"), app.Text("Install the app"))
	}))
}
