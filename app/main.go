//go:build js

// App is the page of the web app, compiled to WebAssembly.
package main

import (
	"context"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/browser"
	"github.com/holdfast-backup/holdfast/app/live"
	"github.com/holdfast-backup/holdfast/app/page"
	"github.com/holdfast-backup/holdfast/app/state"
)

func main() {
	client := &api.Client{Fetch: browser.Post}
	worker := browser.StartWorker(app.Getenv("GOAPP_KEYS"), "the part of the app that holds the keys")
	page.World.API = client
	page.World.Keys = browser.Keys{Worker: worker}
	page.World.Link = &state.Link{}
	page.World.Live = live.New(func() live.Conn { return browser.Dial("/graphql", live.Protocol) }, page.World.Link.Socket)
	page.World.Session = state.NewSession(client, page.World.Keys)
	page.World.Session.Entered = page.World.Live.Retry // the socket that is open may be another person's
	page.World.Imports = state.NewImports(client, &browser.Sealer{URL: app.Getenv("GOAPP_SEALER"), Keys: worker})
	page.World.Imports.Hold = browser.Hold
	page.World.Session.Observe(func() {
		if page.World.Session.View().Phase == state.LoggedOut {
			page.World.Imports.End()
		}
	})
	page.World.Window = browser.Window{}
	page.World.Toasts = &state.Toasts{}
	page.World.Notices = state.NewNotices(client, page.World.Live, page.World.Toasts)
	page.World.Notices.Told = page.World.Session.Told
	brand := state.NewBrand(client, page.World.Window)
	title := func() { browser.Title(brand.View().Name) }
	brand.Observe(title)
	title()
	page.World.Brand = brand
	watch()
	page.World.Theme = browser.Theme
	page.Routes()
	page.World.Session.Start()
	page.World.Brand.Load()
	go page.World.Live.Run(context.Background())
	app.RunWhenOnBrowser()
}

// watch follows the network, and locks the keys of who went away.
func watch() {
	online := func(on bool) {
		page.World.Link.Network(on)
		if on {
			page.World.Live.Retry()
		}
	}
	if !browser.Online(online) {
		online(false)
	}
	// A clock without the monotonic part: that stands still while the machine sleeps.
	clock := func() time.Time { return time.Now().Round(0) }
	page.World.Idle = state.NewIdleLock(page.World.Window, page.World.Session.Lock, clock)
	browser.OnTouch(func() { go page.World.Idle.Touch() })
	go func() {
		for range time.Tick(10 * time.Second) {
			page.World.Idle.Check()
		}
	}()
}
