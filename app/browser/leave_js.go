package browser

import "syscall/js"

// Guard keeps a person from leaving what they have not saved, until stop is called. For a reload or a closed window the browser itself asks. A click on a link
// to another screen is held back, and ask gets its path. Going back in the history is not held back: browsers do not let pages do that.
func (Window) Guard(ask func(path string)) (stop func()) {
	unload := js.FuncOf(func(_ js.Value, args []js.Value) any {
		args[0].Call("preventDefault")
		return nil
	})
	click := js.FuncOf(func(_ js.Value, args []js.Value) any {
		e := args[0]
		for _, key := range []string{"ctrlKey", "metaKey", "shiftKey", "altKey"} {
			if e.Get(key).Bool() {
				return nil // it opens elsewhere
			}
		}
		a := e.Get("target").Call("closest", "a[href]")
		if e.Get("button").Int() != 0 || !a.Truthy() || a.Get("target").String() != "" || a.Call("hasAttribute", "download").Bool() {
			return nil
		}
		if a.Get("origin").String() != global.Get("location").Get("origin").String() || a.Get("pathname").String() == global.Get("location").Get("pathname").String() {
			return nil
		}
		e.Call("preventDefault")
		e.Call("stopImmediatePropagation")
		ask(a.Get("pathname").String() + a.Get("search").String())
		return nil
	})
	global.Call("addEventListener", "beforeunload", unload)
	global.Call("addEventListener", "click", click, true)
	return func() {
		global.Call("removeEventListener", "beforeunload", unload)
		global.Call("removeEventListener", "click", click, true)
		unload.Release()
		click.Release()
	}
}
