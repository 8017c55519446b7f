package chrome

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed hand.js
var hand string

// Go opens an address of the server, or another one, as when it is typed into the address bar.
func (p *Page) Go(address string) error {
	if strings.HasPrefix(address, "/") {
		address = p.origin + address
	}
	return chromedp.Do(p.ctx, chromedp.Navigate(address))
}

// Reload loads the page again.
func (p *Page) Reload() error { return chromedp.Do(p.ctx, chromedp.Reload()) }

// Press presses what is called so: a button, a link, a box to tick. A name that ends in * stands for all that begin so; “Folders > Pictures” is the
// one within what is called Folders. It waits until that can be pressed, and tries again if it moved away at the last moment.
func (p *Page) Press(name string) error {
	const tries = 5
	for range tries {
		at, err := await[struct{ X, Y float64 }](p, "press “"+name+"”", `hand.press(`+quote(name)+`)`)
		if err != nil {
			return err
		}
		if err := chromedp.Do(p.ctx, chromedp.MouseClickXY(at.X, at.Y)); err != nil {
			return err
		}
		missed := false
		if err := p.Run(`hand.missed()`, &missed); err != nil || !missed { // an error: it led to another page, which is no miss
			return nil
		}
	}
	return fmt.Errorf("“%s” moved away %d times: %s", name, tries, p.picture())
}

// Type types into the field that is called so, in place of what is there.
func (p *Page) Type(field, text string) error {
	if _, err := await[bool](p, "type into “"+field+"”", `hand.type(`+quote(field)+`)`); err != nil {
		return err
	}
	if text == "" {
		return p.Key(kb.Delete)
	}
	_, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text})
	return err
}

// Key presses keys, wherever the cursor is: see package kb.
func (p *Page) Key(keys string) error { return chromedp.Do(p.ctx, chromedp.KeyEvent(keys)) }

// Enter presses the key of that name. It is one event, as from a keyboard: what a page does with it decides whether a form is sent.
func (p *Page) Enter() error {
	key := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, Text: "\r"}
	if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, key); err != nil {
		return err
	}
	key.Type, key.Text = input.DispatchKeyEventTypeKeyUp, ""
	_, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, key)
	return err
}

// Attach gives files to the input for files that is called so, as when they are chosen.
func (p *Page) Attach(field string, paths ...string) error {
	if _, err := await[map[string]float64](p, "attach to “"+field+"”", `hand.files(`+quote(field)+`)`); err != nil {
		return err
	}
	input, err := chromedp.Run(p.ctx, chromedp.Evaluate[*runtime.RemoteObject](`window.input`))
	if err != nil {
		return err
	}
	_, err = chromedp.Call(p.ctx, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: paths, ObjectID: input.ObjectID})
	return err
}

// Drop drags files onto the input for files that is called so, and drops them there.
func (p *Page) Drop(field string, paths ...string) error {
	at, err := await[struct{ X, Y float64 }](p, "drop on “"+field+"”", `hand.files(`+quote(field)+`)`)
	if err != nil {
		return err
	}
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1}
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		if _, err := chromedp.Call(p.ctx, input.DispatchDragEvent, input.DispatchDragEventParams{Type: kind, X: at.X, Y: at.Y, Data: data}); err != nil {
			return err
		}
	}
	return nil
}

// Choose chooses one of the list that is called so.
func (p *Page) Choose(list, option string) error {
	_, err := await[bool](p, "choose “"+option+"” of “"+list+"”", `hand.choose(`+quote(list)+`, `+quote(option)+`)`)
	return err
}

// Sees waits until a text can be read on the page. Capital letters are the same as others.
func (p *Page) Sees(text string) error {
	_, err := await[bool](p, "see “"+text+"”", `hand.sees(`+quote(text)+`)`)
	return err
}

// Lacks waits until a text cannot be read on the page any more.
func (p *Page) Lacks(text string) error {
	_, err := await[bool](p, "no longer see “"+text+"”", `hand.lacks(`+quote(text)+`)`)
	return err
}

// Until waits until an expression of JavaScript is neither false nor null.
func (p *Page) Until(what, expression string) error {
	_, err := await[json.RawMessage](p, what, `Promise.resolve(`+expression+`).then((v) => v || null)`)
	return err
}

// Text returns all that can be read on the page.
func (p *Page) Text() (string, error) {
	return chromedp.Run(p.ctx, chromedp.Evaluate[string](`hand.text()`))
}

// Read waits for elements that a selector of CSS names, and returns the text of each: for what has no name, such as a code.
func (p *Page) Read(selector string) ([]string, error) {
	return await[[]string](p, "read "+selector, `hand.read(`+quote(selector)+`)`)
}

// Run runs JavaScript in the page, also if that is no more than a check, and decodes what it returns into out, which may be nil.
func (p *Page) Run(script string, out any) error {
	b, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]byte](script, chromedp.EvalAwaitPromise))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// Downloaded waits for the next download to end, and returns the path of its file.
func (p *Page) Downloaded() (string, error) {
	select {
	case s := <-p.over:
		state, path, _ := strings.Cut(s, " ")
		if state != "completed" {
			return "", fmt.Errorf("the download was %s", state)
		}
		return path, nil
	case <-time.After(patience):
		return "", fmt.Errorf("no download ended: %s", p.picture())
	case <-p.ctx.Done():
		return "", context.Cause(p.ctx)
	}
}

// Felt is how a page felt since it was opened. Times are counted from then.
type Felt struct {
	FirstPaint float64  // milliseconds until something that is not empty was painted
	Usable     float64  // milliseconds until there was something to type into, or a screen of the app
	Shift      float64  // how much moved by itself, as Cumulative Layout Shift counts it, but all in all
	Moved      []string // what
}

// Felt returns how the page felt so far.
func (p *Page) Felt() (Felt, error) {
	return await[Felt](p, "be used", `(felt.usable && performance.getEntriesByName("first-contentful-paint").length ?
		{ FirstPaint: performance.getEntriesByName("first-contentful-paint")[0].startTime, Usable: felt.usable, Shift: felt.shift, Moved: felt.moved } : null)`)
}

// Picture takes a picture of what is seen, as PNG; with whole, of the whole page, however long.
func (p *Page) Picture(whole bool) ([]byte, error) {
	r, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &whole})
	return r.Data, err
}

// picture says in words what the page shows.
func (p *Page) picture() string {
	text, err := p.Text()
	if err != nil {
		return err.Error()
	}
	var at string
	p.Run(`location.pathname`, &at) //nolint:errcheck // it is for a message
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s shows %q; troubles: %q", at, text, p.troubles)
}

// await asks the page again and again, until the answer is not null.
func await[T any](p *Page, what, expression string) (T, error) {
	var zero T
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		// While a page is being loaded there is nobody to ask.
		b, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](`(async () => (window.hand && document.body ? await `+expression+` : null))()`, chromedp.EvalAwaitPromise, silent))
		switch {
		case err != nil:
			last = err
		case string(b) != "null" && len(b) > 0:
			var v T
			err = json.Unmarshal(b, &v)
			return v, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return zero, fmt.Errorf("could not %s within %s (%v): %s", what, patience, last, p.picture())
		}
	}
}

func silent(p *runtime.EvaluateParams) { p.Silent = new(true) }

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(b)
}
