package browser

import (
	"context"
	"syscall/js"
)

// Theme sets the colours: "light", "dark", or "" for what the system says.
func Theme(theme string) {
	var arg any = theme
	if theme == "" {
		arg = js.Null()
	}
	global.Call("holdfastTheme", arg)
}

// Keys is the worker that holds the keys, as package state asks for it.
type Keys struct{ *Worker }

// Call asks the worker for something without listening to what it says meanwhile.
func (k Keys) Call(ctx context.Context, method string, in, out any) error {
	return k.Worker.Call(ctx, method, in, out, nil)
}
