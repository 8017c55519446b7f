//go:build js

// App is the page of the web app, compiled to WebAssembly.
package main

import (
	"context"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/browser"
	"github.com/holdfast-backup/holdfast/app/live"
	"github.com/holdfast-backup/holdfast/app/page"
	"github.com/holdfast-backup/holdfast/app/state"
)

func main() {
	client := &api.Client{Fetch: browser.Post}
	worker := browser.StartWorker(app.Getenv("GOAPP_KEYS"))
	page.World.API = client
	page.World.Keys = browser.Keys{Worker: worker}
	page.World.Live = live.New(func() live.Conn { return browser.Dial("/graphql", live.Protocol) }, nil)
	page.World.Session = state.NewSession(client, page.World.Keys)
	page.World.Theme = browser.Theme
	page.Routes()
	page.World.Session.Start()
	go page.World.Live.Run(context.Background())
	app.RunWhenOnBrowser()
}
