package browser

import (
	"context"
	"sync"
	"syscall/js"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Port is one end of a channel to another program of the browser's. The worker's end of a download is a safe.Stream: what is written is
// handed to app/static/download.js, as fast as the browser saves it.
//
// Pieces go as {piece}, the end as {end}, a failure as {abort}; back come {more} for each piece that was saved, {ended} for the
// end, and {gone} if nobody takes more.
type Port struct {
	v js.Value

	once   sync.Once
	credit chan struct{} // a piece may be sent
	ended  chan struct{}
	gone   chan struct{}
	done   func()
}

// ahead is how many pieces may be on their way, besides those that wait in the service worker.
const ahead = 4

// channel returns both ends of a new channel.
func channel() (a, b *Port) {
	c := global.Get("MessageChannel").New()
	return &Port{v: c.Get("port1")}, &Port{v: c.Get("port2")}
}

// listen begins to take what comes back.
func (p *Port) listen() {
	p.once.Do(func() {
		p.credit, p.ended, p.gone = make(chan struct{}, 1<<16), make(chan struct{}), make(chan struct{})
		for range ahead {
			p.credit <- struct{}{}
		}
		ended, gone := sync.OnceFunc(func() { close(p.ended) }), sync.OnceFunc(func() { close(p.gone) })
		message := js.FuncOf(func(_ js.Value, args []js.Value) any {
			switch data := args[0].Get("data"); {
			case data.Get("more").Truthy():
				select {
				case p.credit <- struct{}{}:
				default: // a flood is not an answer
				}
			case data.Get("ended").Truthy():
				ended()
			case data.Get("gone").Truthy():
				gone()
			}
			return nil
		})
		p.v.Set("onmessage", message)
		p.done = sync.OnceFunc(func() {
			p.v.Set("onmessage", js.Null())
			p.v.Call("close")
			message.Release()
		})
	})
}

var errGone = fault.New(fault.Conflict, "the download was stopped")

// Write implements safe.Stream.
func (p *Port) Write(ctx context.Context, b []byte) error {
	p.listen()
	select {
	case <-p.credit:
	case <-p.gone:
		return errGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	piece := give(b)
	_, err := try(func() js.Value { return p.v.Call("postMessage", record("piece", piece), []any{piece.Get("buffer")}) })
	return err
}

// Close implements safe.Stream.
func (p *Port) Close(ctx context.Context) error {
	p.listen()
	p.v.Call("postMessage", record("end", true))
	select {
	case <-p.ended:
		p.done()
		return nil
	case <-p.gone:
		p.done()
		return errGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Abort implements safe.Stream.
func (p *Port) Abort(why string) {
	p.listen()
	p.v.Call("postMessage", record("abort", why))
	p.done() // what was posted before still arrives
}

// Tabs tells the same program in the browser's other tabs of something, and hears it of them.
type Tabs struct{ channel js.Value }

// OpenTabs joins those who listen to a name. fn is called, in a goroutine of its own, for what another one says.
func OpenTabs(name string, fn func(text string)) *Tabs {
	t := &Tabs{}
	if class := global.Get("BroadcastChannel"); class.Truthy() {
		t.channel = class.New(name)
		t.channel.Set("onmessage", js.FuncOf(func(_ js.Value, args []js.Value) any {
			if data := args[0].Get("data"); data.Type() == js.TypeString {
				go fn(data.String())
			}
			return nil
		}))
	}
	return t
}

// Say says something to the others.
func (t *Tabs) Say(text string) {
	if t.channel.Truthy() {
		t.channel.Call("postMessage", text)
	}
}
