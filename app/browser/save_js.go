package browser

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"sync"
	"syscall/js"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Follow asks the worker for something and listens to what it says meanwhile.
func (k Keys) Follow(ctx context.Context, method string, in, out any, event func(json.RawMessage)) error {
	return k.Worker.Call(ctx, method, in, out, event)
}

// Small downloads, in bytes, go through memory: that begins at once, and works everywhere.
const smallDownload = 16 << 20

// Save puts what was planned into the person's downloads. What is small, and everything where the browser has no service workers, is made
// in memory first. All else streams: the worker decrypts, app/static/download.js answers with what it gets from there, and the browser takes
// that for a file that a server sends. It returns when all of it was handed to the browser. When ctx ends, the browser's
// download fails.
func (k Keys) Save(ctx context.Context, plan talk.Plan, what talk.Selection, progress func(talk.Progress)) (out talk.Downloaded, err error) {
	event := func(text json.RawMessage) {
		var p talk.Progress
		if json.Unmarshal(text, &p) == nil {
			progress(p)
		}
	}
	container := global.Get("navigator").Get("serviceWorker")
	if !container.Truthy() || !plan.ZIP && plan.Size <= smallDownload {
		what.InMemory = true
		if err := k.Follow(ctx, talk.MethodDownload, what, &out, event); err != nil {
			return out, err
		}
		click(out.URL, plan.Name)
		// The browser reads it soon, and nobody says when it has.
		time.AfterFunc(time.Minute, func() {
			k.Call(context.Background(), talk.MethodRelease, talk.URL{URL: out.URL}, nil) //nolint:errcheck // it goes with the page, then
		})
		return out, nil
	}
	server, err := downloads(ctx, container)
	if err != nil {
		return out, err
	}
	name := rand.Text()
	to, from := channel()
	reply, answer := channel()
	defer reply.v.Call("close")
	ready := make(chan struct{})
	known := js.FuncOf(func(js.Value, []js.Value) any {
		close(ready)
		return nil
	})
	defer known.Release()
	reply.v.Set("onmessage", known)
	offer := record("id", name, "name", plan.Name, "type", plan.Type, "size", plan.Size)
	server.Call("postMessage", offer, []any{from.v, answer.v})
	select {
	case <-ready:
	case <-ctx.Done():
		return out, context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer alive(container, server, name, func() { cancel(errLost) })()
	defer frame("/dl/" + name)()
	err = k.Worker.Call(ctx, talk.MethodDownload, what, &out, event, to)
	if context.Cause(ctx) == errLost {
		err = errLost
	}
	return out, err
}

var errLost error = fault.New(fault.Unavailable, "the browser has ended the download: begin it again")

// downloadsWorker is where app/static/download.js is.
const downloadsWorker = "/dl/download.js"

// downloads returns the service worker that answers for downloads.
func downloads(ctx context.Context, container js.Value) (js.Value, error) {
	registration, err := call(ctx, container, "register", downloadsWorker, record("scope", "/dl/", "updateViaCache", "none"))
	if err != nil {
		return registration, err
	}
	if active := registration.Get("active"); active.Truthy() {
		return active, nil
	}
	coming := registration.Get("installing")
	if !coming.Truthy() {
		coming = registration.Get("waiting")
	}
	if !coming.Truthy() {
		return coming, errors.New("the browser does not start what saves downloads: reload the page")
	}
	states := make(chan string, 8)
	changed := js.FuncOf(func(js.Value, []js.Value) any {
		states <- coming.Get("state").String()
		return nil
	})
	defer changed.Release()
	coming.Set("onstatechange", changed)
	defer coming.Set("onstatechange", js.Null())
	for state := coming.Get("state").String(); ; {
		switch state {
		case "activated":
			return coming, nil
		case "redundant":
			return coming, errors.New("the browser does not start what saves downloads: reload the page")
		}
		select {
		case state = <-states:
		case <-ctx.Done():
			return coming, context.Cause(ctx)
		}
	}
}

// pingEvery is how often a service worker hears that it is needed: browsers end those that hear nothing for half a minute.
const pingEvery = 10 * time.Second

// alive keeps a service worker from being ended, until stop is called. It calls lost if the worker was ended all the same, and the
// download that it had with it.
func alive(container, server js.Value, name string, lost func()) (stop func()) {
	heard := js.FuncOf(func(_ js.Value, args []js.Value) any {
		if args[0].Get("data").Get("unknown").Equal(js.ValueOf(name)) {
			lost()
		}
		return nil
	})
	container.Call("addEventListener", "message", heard)
	ticker, end := time.NewTicker(pingEvery), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				server.Call("postMessage", record("ping", name))
			case <-end:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(end)
		ticker.Stop()
		container.Call("removeEventListener", "message", heard)
		heard.Release()
	})
}

// frame opens an address without showing it, and returns what closes it. A download that has begun goes on without its frame.
func frame(url string) (remove func()) {
	document := global.Get("document")
	f := document.Call("createElement", "iframe")
	f.Set("hidden", true)
	f.Set("src", url)
	document.Get("body").Call("append", f)
	return func() { f.Call("remove") }
}

// click saves what is at an address under a name.
func click(url, name string) {
	a := global.Get("document").Call("createElement", "a")
	a.Set("href", url)
	a.Set("download", name)
	a.Call("click")
}
