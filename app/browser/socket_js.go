package browser

import (
	"errors"
	"sync"
	"syscall/js"
)

// Socket is an open WebSocket that carries text. It is for one reader; Send may be called by anybody.
type Socket struct {
	ws    js.Value
	in    chan string
	ready chan struct{}
	gone  chan struct{}
	funcs []js.Func
	close func()
}

// queueLength is how many messages wait for their reader; a socket that overflows is closed, and its user connects again.
const queueLength = 1024

// Dial opens a WebSocket to a path of this server. It returns at once; [Socket.Ready] is closed when the connection stands, [Socket.Gone] when
// it is over or never came about.
func Dial(path, protocol string) *Socket {
	loc := global.Get("location")
	scheme := "ws:"
	if loc.Get("protocol").String() == "https:" {
		scheme = "wss:"
	}
	s := &Socket{in: make(chan string, queueLength), ready: make(chan struct{}), gone: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.gone) })
	ws, err := try(func() js.Value {
		return global.Get("WebSocket").New(scheme+"//"+loc.Get("host").String()+path, protocol)
	})
	if err != nil {
		s.close()
		return s
	}
	s.ws = ws
	opened := sync.OnceFunc(func() { close(s.ready) })
	s.on("onopen", func(js.Value) { opened() })
	s.on("onmessage", func(e js.Value) {
		if data := e.Get("data"); data.Type() == js.TypeString {
			select {
			case s.in <- data.String():
			default:
				s.Close()
			}
		}
	})
	s.on("onerror", func(js.Value) {})
	s.on("onclose", func(js.Value) { s.close() })
	return s
}

func (s *Socket) on(name string, fn func(js.Value)) {
	f := js.FuncOf(func(_ js.Value, args []js.Value) any {
		fn(args[0])
		return nil
	})
	s.funcs = append(s.funcs, f)
	s.ws.Set(name, f)
}

// Ready is closed when the connection stands.
func (s *Socket) Ready() <-chan struct{} { return s.ready }

// Gone is closed when the connection is over.
func (s *Socket) Gone() <-chan struct{} { return s.gone }

// Messages is what the server sends. It is not closed: see Gone.
func (s *Socket) Messages() <-chan string { return s.in }

// Send sends text.
func (s *Socket) Send(text string) error {
	select {
	case <-s.gone:
		return errors.New("the connection is over")
	default:
	}
	_, err := try(func() js.Value { return s.ws.Call("send", text) })
	return err
}

// Close ends the connection.
func (s *Socket) Close() {
	s.close()
	if s.ws.Truthy() {
		for _, name := range []string{"onopen", "onmessage", "onerror", "onclose"} {
			s.ws.Set(name, js.Null())
		}
		try(func() js.Value { return s.ws.Call("close") }) //nolint:errcheck // it is over either way
		for _, f := range s.funcs {
			f.Release()
		}
		s.funcs = nil
	}
}
