// Package chrome lets tests use the web app as a person does: in a real Chromium without a window, with a mouse and a keyboard, by what can
// be read on the page. Between the browser and the server is a [Wire] that keeps all that the browser sends.
//
// Nothing is found by how it is built: what is pressed, typed into or looked for has a name that a person reads or a screen reader says. That
// an element is there is not enough: it has to be seen, to be at rest, and nothing may cover it.
//
// It does not stand in for people on other browsers, nor for fingers: Firefox and Safari are not tried.
package chrome

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a running Chromium.
type Browser struct {
	ctx    context.Context
	cancel context.CancelFunc
	origin string
}

// Start starts a browser that reaches the server at origin (http://127.0.0.1:port) over a wire, and nothing else.
func Start(ctx context.Context, wire *Wire, origin string) (*Browser, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("proxy-server", wire.URL()),
		chromedp.Flag("proxy-bypass-list", "<-loopback>"), // not even this machine is reached without it
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-pings", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	b := &Browser{ctx: ctx, origin: origin, cancel: func() { cancel(); stop() }}
	if err := chromedp.Do(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close ends the browser.
func (b *Browser) Close() { b.cancel() }

// Look is what a page looks like: its size in CSS pixels, and whether the system is dark.
type Look struct {
	Width, Height int64
	Dark          bool
}

// Desk is an ordinary desk.
var Desk = Look{Width: 1440, Height: 900}

// Page is one person's window. It is used by one goroutine at a time.
type Page struct {
	Downloads string // folder

	ctx    context.Context
	origin string
	over   chan string // the files of finished downloads, or why they failed

	mu       sync.Mutex
	troubles []string
}

// Person opens a window that shares nothing with others: storage, login, service worker. Files are saved into the folder downloads.
func (b *Browser) Person(look Look, downloads string) (*Page, error) {
	p := &Page{Downloads: downloads, origin: b.origin, over: make(chan string, 16)}
	ctx, _ := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.heard))
	p.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		return nil, err
	}
	yes := true
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID, DownloadPath: downloads, EventsEnabled: &yes,
	}); err != nil {
		return nil, err
	}
	if err := chromedp.ListenBrowser(ctx, p.downloaded); err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: hand}); err != nil {
		return nil, err
	}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		return nil, err
	}
	return p, p.Look(look)
}

// Look changes what the page looks like.
func (p *Page) Look(l Look) error {
	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(l.Width, l.Height)); err != nil {
		return err
	}
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	return err
}

// heard notes what a page complains about. It must be quick, and may not call the browser.
func (p *Page) heard(ev any) {
	trouble := ""
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		trouble = "exception: " + ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			trouble += " " + e.Description
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type != runtime.ConsoleAPICalledTypeError && ev.Type != runtime.ConsoleAPICalledTypeWarning {
			return
		}
		trouble = "console:"
		for _, a := range ev.Args {
			trouble += " " + string(a.Value) + a.Description
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level != log.EntryLevelError {
			return
		}
		trouble = string(ev.Entry.Source) + ": " + ev.Entry.Text + " " + ev.Entry.URL
	case *network.EventRequestWillBeSent:
		if u := ev.Request.URL; strings.HasPrefix(u, p.origin+"/") || strings.HasPrefix(u, "data:") || strings.HasPrefix(u, "blob:") {
			return
		}
		trouble = "asks somebody else: " + ev.Request.URL
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.troubles = append(p.troubles, strings.TrimSpace(trouble))
}

// Troubles returns what was wrong with the page since the last call: exceptions, errors and warnings on its console, requests that failed, requests to
// others than the server, and breaches of its Content Security Policy.
func (p *Page) Troubles() ([]string, error) {
	breaches, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`window.violations.splice(0)`))
	p.mu.Lock()
	defer p.mu.Unlock()
	list := append(p.troubles, breaches...)
	p.troubles = nil
	return list, err
}

func (p *Page) downloaded(ev any) {
	e, ok := ev.(*browser.EventDownloadProgress)
	if !ok || e.State == browser.DownloadProgressStateInProgress {
		return
	}
	select {
	case p.over <- string(e.State) + " " + e.FilePath:
	default:
	}
}

// patience is how long something may take that a person waits for.
const patience = 30 * time.Second
