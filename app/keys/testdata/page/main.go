//go:build js

// Page is the smallest page around the worker that holds the keys: it lets a test ask and save, and says what came of it as JSON.
package main

import (
	"context"
	"encoding/json"
	"syscall/js"

	"github.com/holdfast-backup/holdfast/app/browser"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

var keys = browser.Keys{Worker: browser.StartWorker("/assets/keys.js", "the keys")}

// answer is what a promise is kept with.
type answer struct {
	Out    json.RawMessage   `json:"out,omitempty"`
	Kind   fault.Kind        `json:"kind,omitempty"`
	Error  string            `json:"error,omitempty"`
	Events []json.RawMessage `json:"events,omitempty"`
}

// offer makes a function of the page's: of two texts, to a promise of an answer as JSON.
func offer(name string, fn func(ctx context.Context, a, b string, event func(json.RawMessage)) (any, error)) {
	js.Global().Set(name, js.FuncOf(func(_ js.Value, args []js.Value) any {
		a, b := args[0].String(), args[1].String()
		ctx, cancel := context.WithCancel(context.Background())
		js.Global().Set("stop", js.FuncOf(func(js.Value, []js.Value) any {
			cancel()
			return nil
		}))
		return js.Global().Get("Promise").New(js.FuncOf(func(_ js.Value, args []js.Value) any {
			keep := args[0]
			go func() {
				var ans answer
				out, err := fn(ctx, a, b, func(e json.RawMessage) {
					ans.Events = append(ans.Events, e)
					js.Global().Set("events", len(ans.Events))
				})
				if err != nil {
					ans.Kind, ans.Error = fault.KindOf(err), err.Error()
				} else {
					ans.Out, _ = json.Marshal(out)
				}
				text, _ := json.Marshal(ans)
				keep.Invoke(string(text))
			}()
			return nil
		}))
	}))
}

func main() {
	offer("ask", func(ctx context.Context, method, in string, event func(json.RawMessage)) (any, error) {
		var out json.RawMessage
		err := keys.Follow(ctx, method, json.RawMessage(in), &out, event)
		return out, err
	})
	offer("save", func(ctx context.Context, plan, what string, event func(json.RawMessage)) (any, error) {
		var p talk.Plan
		var w talk.Selection
		if err := json.Unmarshal([]byte(plan), &p); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(what), &w); err != nil {
			return nil, err
		}
		return keys.Save(ctx, p, w, func(done talk.Progress) {
			text, _ := json.Marshal(done)
			event(text)
		})
	})
	js.Global().Get("document").Set("title", "ready")
	select {}
}
