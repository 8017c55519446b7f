package browser

import "syscall/js"

// Guard keeps a person from leaving what they have not saved, until stop is called. For a reload, a closed window or a way out of the app the browser
// itself asks. A click on a link to another screen, and a step in the history, are held back: ask gets what does it after all, to be called after stop.
//
// Browsers tell of a step in the history once it is done. It is undone before go-app, whose place at the window this takes, hears of it: where the browser
// says how far it went, by going as far back; elsewhere by a new entry for this screen, which costs the entries that lay behind.
func (Window) Guard(ask func(leave func())) (stop func()) {
	here, home := global.Get("location").Get("href").String(), place()
	index := entry()
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
		to := a.Get("href").String()
		ask(func() { global.Call("goappNav", to) })
		return nil
	})
	navigate := global.Get("onpopstate")
	returning := false // from a step that was held back
	step := js.FuncOf(func(_ js.Value, args []js.Value) any {
		to := place()
		if to == home {
			if !returning {
				navigate.Invoke(args[0])
			}
			returning = false
			return nil
		}
		history := global.Get("history")
		if steps := entry() - index; index >= 0 && steps != 0 {
			returning = true
			history.Call("go", -steps)
			ask(func() { history.Call("go", steps) })
			return nil
		}
		history.Call("pushState", nil, "", here)
		ask(func() { global.Call("goappNav", to) })
		return nil
	})
	global.Call("addEventListener", "beforeunload", unload)
	global.Call("addEventListener", "click", click, true)
	global.Set("onpopstate", step)
	return func() {
		global.Call("removeEventListener", "beforeunload", unload)
		global.Call("removeEventListener", "click", click, true)
		global.Set("onpopstate", navigate)
		unload.Release()
		click.Release()
		step.Release()
	}
}

// place is which screen the window shows.
func place() string {
	l := global.Get("location")
	return l.Get("pathname").String() + l.Get("search").String()
}

// entry is the number of the window's present entry in its history; -1 where the browser does not say.
func entry() int {
	if n := global.Get("navigation"); n.Truthy() && n.Get("currentEntry").Truthy() {
		return n.Get("currentEntry").Get("index").Int()
	}
	return -1
}
