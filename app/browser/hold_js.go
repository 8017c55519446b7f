package browser

import "syscall/js"

// Hold has the browser ask before the window is closed or loaded anew, until stop is called. Screens of the app come and go meanwhile.
func Hold() (stop func()) {
	unload := js.FuncOf(func(_ js.Value, args []js.Value) any {
		args[0].Call("preventDefault")
		return nil
	})
	global.Call("addEventListener", "beforeunload", unload)
	return func() {
		global.Call("removeEventListener", "beforeunload", unload)
		unload.Release()
	}
}
