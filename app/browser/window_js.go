package browser

import (
	"context"
	"errors"
	"syscall/js"
)

// Window is what a screen asks of its window: the address bar, the clipboard, paper, small settings.
type Window struct{}

// Replace puts a path into the address bar, in place of what is there: nothing is loaded, and going back does not lead to it.
func (Window) Replace(path string) {
	try(func() js.Value { return global.Get("history").Call("replaceState", js.Null(), "", path) }) //nolint:errcheck // the address stays as it was
}

// Copy puts text on the clipboard.
func (Window) Copy(ctx context.Context, text string) error {
	board := global.Get("navigator").Get("clipboard")
	if !board.Truthy() {
		return errors.New("this browser has no clipboard for pages: mark the text and copy it")
	}
	_, err := call(ctx, board, "writeText", text)
	return err
}

// Save hands text to the person as a file.
func (Window) Save(name, text string) {
	try(func() js.Value { //nolint:errcheck // nothing of it throws
		blob := global.Get("Blob").New([]any{toJS([]byte(text))}, record("type", "text/plain;charset=utf-8"))
		url := global.Get("URL").Call("createObjectURL", blob)
		a := global.Get("document").Call("createElement", "a")
		a.Set("href", url)
		a.Set("download", name)
		a.Call("click")
		return global.Get("URL").Call("revokeObjectURL", url)
	})
}

// Print opens the window in which a person prints the page.
func (Window) Print() {
	try(func() js.Value { return global.Call("print") }) //nolint:errcheck // nothing is printed
}

// Update takes the new release that waits, and reloads the page.
func (Window) Update() { global.Call("holdfastUpdate") }

// focusFrames is how many times the page is painted while Focus waits for an element.
const focusFrames = 30

// Focus puts the cursor into an element, as soon as it is there.
func (Window) Focus(id string) {
	left := focusFrames
	var frame js.Func
	frame = js.FuncOf(func(js.Value, []js.Value) any {
		e := global.Get("document").Call("getElementById", id)
		if left--; !e.Truthy() && left > 0 {
			global.Call("requestAnimationFrame", frame)
			return nil
		}
		if e.Truthy() {
			e.Call("focus")
		}
		frame.Release()
		return nil
	})
	global.Call("requestAnimationFrame", frame)
}

// Get returns a setting of this browser's, "" if it was never made or storage is switched off.
func (Window) Get(name string) string {
	v, err := try(func() js.Value { return global.Get("localStorage").Call("getItem", name) })
	if err != nil || v.Type() != js.TypeString {
		return ""
	}
	return v.String()
}

// Set makes a setting. It is no place for a secret.
func (Window) Set(name, value string) {
	try(func() js.Value { return global.Get("localStorage").Call("setItem", name, value) }) //nolint:errcheck // for this page only
}

// Online reports what the browser knows of the network, and tells fn of changes.
func Online(fn func(online bool)) bool {
	tell := js.FuncOf(func(_ js.Value, args []js.Value) any {
		fn(args[0].Get("type").String() == "online")
		return nil
	})
	global.Call("addEventListener", "online", tell)
	global.Call("addEventListener", "offline", tell)
	return global.Get("navigator").Get("onLine").Bool()
}

// OnTouch calls fn when a person does something on the page, and when the page is looked at again.
func OnTouch(fn func()) {
	touched := js.FuncOf(func(js.Value, []js.Value) any {
		fn()
		return nil
	})
	for _, event := range []string{"pointerdown", "keydown", "wheel", "touchstart"} {
		global.Call("addEventListener", event, touched, record("capture", true, "passive", true))
	}
	global.Get("document").Call("addEventListener", "visibilitychange", touched)
}

// File takes the first file of the list, a FileList, that is in the window under a name. It is a [Blob].
func (Window) File(at string) (file any, name string, ok bool) {
	list := global.Get(at)
	global.Delete(at)
	for _, f := range Files(list) {
		return f, f.Name(), true
	}
	return nil, "", false
}
