package browser

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"syscall/js"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// What passes between a page and its worker: {id, method, in, ports, file} and {id, cancel} one way; {id, event}, {id, out} and {id, code, message} the
// other. in, event and out are JSON texts; ports travel beside as transferred objects.

// Worker is a program that runs beside the page. It is safe for concurrent use.
type Worker struct {
	worker js.Value
	what   string // it is, in words
	mu     sync.Mutex
	calls  map[int]*pending
	next   int
	dead   error
	ready  chan struct{} // it listens: what is sent before is lost
	on     []js.Func
}

type pending struct {
	event func(json.RawMessage)
	done  chan answer
}

type answer struct {
	out json.RawMessage
	err error
}

// StartWorker starts the program at an address. What it is, in words, is for messages.
func StartWorker(url, what string) *Worker {
	w := &Worker{what: what, calls: map[int]*pending{}, ready: make(chan struct{})}
	w.worker = global.Get("Worker").New(url)
	message := js.FuncOf(func(_ js.Value, args []js.Value) any {
		w.receive(args[0].Get("data"))
		return nil
	})
	failed := js.FuncOf(func(_ js.Value, args []js.Value) any {
		w.fail(errors.New(w.what + " could not be started"))
		return nil
	})
	w.on = []js.Func{message, failed}
	w.worker.Set("onmessage", message)
	w.worker.Set("onerror", failed)
	return w
}

func (w *Worker) receive(data js.Value) {
	if f := data.Get("fatal"); f.Truthy() {
		w.fail(errors.New(w.what + " has ended: " + f.String()))
		return
	}
	id := data.Get("id").Int()
	if id == 0 {
		close(w.ready)
		return
	}
	w.mu.Lock()
	p := w.calls[id]
	event := data.Get("event")
	if p != nil && event.Type() != js.TypeString {
		delete(w.calls, id)
	}
	w.mu.Unlock()
	if p == nil {
		return
	}
	switch {
	case event.Type() == js.TypeString:
		p.event(json.RawMessage(event.String()))
	case data.Get("code").Type() == js.TypeString:
		p.done <- answer{err: fault.New(fault.Kind(data.Get("code").String()), "%s", data.Get("message").String())}
	default:
		p.done <- answer{out: json.RawMessage(data.Get("out").String())}
	}
}

func (w *Worker) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = fault.Wrap(err, fault.Internal, "%s: reload the page", err)
	for id, p := range w.calls {
		delete(w.calls, id)
		p.done <- answer{err: w.dead}
	}
}

// ended reports whether the worker answers no more.
func (w *Worker) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead != nil
}

// Call asks the worker for something and reads its answer into out, which may be nil. event, which may be nil, is called with
// what the worker says meanwhile. When ctx ends the worker is told to stop.
func (w *Worker) Call(ctx context.Context, method string, in, out any, event func(json.RawMessage), ports ...*Port) error {
	return w.ask(ctx, method, in, out, event, js.Null(), ports)
}

// CallWith is Call with a file that comes along.
func (w *Worker) CallWith(ctx context.Context, file Blob, method string, in, out any, event func(json.RawMessage)) error {
	return w.ask(ctx, method, in, out, event, file.v, nil)
}

func (w *Worker) ask(ctx context.Context, method string, in, out any, event func(json.RawMessage), file js.Value, ports []*Port) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if event == nil {
		event = func(json.RawMessage) {}
	}
	p := &pending{event: event, done: make(chan answer, 1)}
	w.mu.Lock()
	if w.dead != nil {
		defer w.mu.Unlock()
		return w.dead
	}
	w.next++
	id := w.next
	w.calls[id] = p
	w.mu.Unlock()
	list := global.Get("Array").New()
	for _, port := range ports {
		list.Call("push", port.v)
	}
	select {
	case <-w.ready:
	case a := <-p.done: // it will never be
		return a.err
	case <-ctx.Done():
		w.forget(id)
		return ctx.Err()
	}
	w.worker.Call("postMessage", record("id", id, "method", method, "in", string(text), "ports", list, "file", file), list)
	select {
	case a := <-p.done:
		if a.err != nil || out == nil {
			return a.err
		}
		return json.Unmarshal(a.out, out)
	case <-ctx.Done():
		w.forget(id)
		w.worker.Call("postMessage", record("id", id, "cancel", true))
		return ctx.Err()
	}
}

func (w *Worker) forget(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.calls, id)
}

// Request is what a worker was asked.
type Request struct {
	Method string
	In     json.RawMessage
	Emit   func(event any) // says something before the answer
	Ports  []*Port         // that came along
	File   *Blob           // likewise; nil: none
}

// Serve answers a page's calls in this worker, each in a goroutine of its own, for ever.
func Serve(handle func(context.Context, Request) (any, error)) {
	var mu sync.Mutex
	running := map[int]context.CancelFunc{}
	global.Set("onmessage", js.FuncOf(func(_ js.Value, args []js.Value) any {
		data := args[0].Get("data")
		id := data.Get("id").Int()
		if data.Get("cancel").Truthy() {
			mu.Lock()
			defer mu.Unlock()
			if stop := running[id]; stop != nil {
				stop()
			}
			return nil
		}
		ctx, cancel := context.WithCancel(context.Background())
		mu.Lock()
		running[id] = cancel
		mu.Unlock()
		req := Request{Method: data.Get("method").String(), In: json.RawMessage(data.Get("in").String())}
		if ports := data.Get("ports"); ports.Truthy() {
			for i := range ports.Length() {
				req.Ports = append(req.Ports, &Port{v: ports.Index(i)})
			}
		}
		if file := data.Get("file"); file.Truthy() {
			req.File = &Blob{file}
		}
		req.Emit = func(event any) {
			if text, err := json.Marshal(event); err == nil && ctx.Err() == nil {
				global.Call("postMessage", record("id", id, "event", string(text)))
			}
		}
		go func() {
			out, err := handle(ctx, req)
			mu.Lock()
			delete(running, id)
			mu.Unlock()
			cancel()
			var text []byte
			if err == nil {
				text, err = json.Marshal(out)
			}
			if err != nil {
				message := err.Error()
				var f *fault.Error
				if errors.As(err, &f) {
					message = f.Message
				}
				global.Call("postMessage", record("id", id, "code", string(fault.KindOf(err)), "message", message))
				return
			}
			global.Call("postMessage", record("id", id, "out", string(text)))
		}()
		return nil
	}))
	global.Call("postMessage", record("id", 0, "event", "null")) // ready
	select {}
}
