package chrome

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
)

// Wire is the cable between a browser and everything else: a proxy that keeps all that the browser sends, whoever in it does: pages,
// workers, service workers, requests and messages of WebSockets. It leads to one host only.
type Wire struct {
	server *httptest.Server
	host   string // host:port

	mu      sync.Mutex
	sent    []Sent
	refused []string
	cut     bool
	conns   map[net.Conn]bool // WebSockets
}

// Sent is what the browser sent at once: a request, or a message of a WebSocket.
type Sent struct {
	What  string // such as "POST /graphql"
	Bytes []byte // first line, head and body; of a message, its content
}

// NewWire returns a wire to a host (host:port), to be closed.
func NewWire(host string) *Wire {
	w := &Wire{host: host, conns: map[net.Conn]bool{}}
	w.server = httptest.NewServer(w)
	return w
}

// URL is the address of the proxy.
func (w *Wire) URL() string { return w.server.URL }

// Close ends it.
func (w *Wire) Close() {
	w.Cut(true)
	w.server.Close()
}

// Cut cuts the wire, or mends it: while it is cut the browser reaches nothing.
func (w *Wire) Cut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.conns {
			c.Close()
		}
	}
}

// Sent returns all that was sent so far.
func (w *Wire) Sent() []Sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// Refused returns what was asked of other hosts. Chromium itself asks its maker for this and that, whatever it is told: for what pages ask of others
// see [Page.Troubles].
func (w *Wire) Refused() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.refused)
}

func (w *Wire) keep(what string, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, Sent{what, b})
}

// ServeHTTP implements http.Handler.
func (w *Wire) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	w.mu.Lock()
	cut := w.cut
	if in.Host != w.host {
		w.refused = append(w.refused, in.Method+" "+in.Host+in.URL.Path)
	}
	w.mu.Unlock()
	switch {
	case cut:
		panic(http.ErrAbortHandler)
	case in.Host != w.host:
		http.Error(out, "this wire does not lead there", http.StatusForbidden)
	case in.Method == http.MethodConnect:
		w.tunnel(out)
	default:
		w.pass(out, in)
	}
}

// pass hands a request on.
func (w *Wire) pass(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	w.keep(in.Method+" "+in.URL.Path, dump(in, body))
	(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.Host = w.host },
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}).ServeHTTP(out, in)
}

func dump(r *http.Request, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	r.Header.Write(&b)
	b.WriteByte('\n')
	b.Write(body)
	return b.Bytes()
}

// tunnel is how browsers open WebSockets through a proxy: a connection of its own, on which they then ask.
func (w *Wire) tunnel(out http.ResponseWriter) {
	down, buffered, err := out.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer down.Close()
	up, err := net.Dial("tcp", w.host)
	if err != nil {
		return
	}
	defer up.Close()
	w.mu.Lock()
	w.conns[down] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.conns, down)
	}()
	if _, err := io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	r, err := http.ReadRequest(buffered.Reader)
	if err != nil {
		return
	}
	w.keep(r.Method+" "+r.URL.Path, dump(r, nil))
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.keep("a tunnel that is no WebSocket", nil)
		return
	}
	r.Header.Del("Sec-WebSocket-Extensions") // no compression: what is sent is to be read here
	if err := r.Write(up); err != nil {
		return
	}
	go func() {
		io.Copy(down, up)
		down.Close()
	}()
	w.messages(bufio.NewReader(io.TeeReader(buffered.Reader, up)))
}

// messages keeps the messages of a WebSocket (RFC 6455) until it ends.
func (w *Wire) messages(from *bufio.Reader) {
	var message []byte
	for {
		final, op, content, err := frame(from)
		if err != nil {
			return
		}
		if op >= 8 { // of the protocol itself
			w.keep("WebSocket control", content)
			continue
		}
		message = append(message, content...)
		if final {
			w.keep("WebSocket message", message)
			message = nil
		}
	}
}

// frame reads one frame of a WebSocket, unmasked.
func frame(from io.Reader) (final bool, op byte, content []byte, err error) {
	head := make([]byte, 2, 10)
	if _, err := io.ReadFull(from, head); err != nil {
		return false, 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	if more := map[uint64]int{126: 2, 127: 8}[size]; more > 0 {
		long := make([]byte, 8)
		if _, err := io.ReadFull(from, long[8-more:]); err != nil {
			return false, 0, nil, err
		}
		size = binary.BigEndian.Uint64(long)
	}
	if size > 1<<24 {
		return false, 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	mask := make([]byte, 4)
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(from, mask); err != nil {
			return false, 0, nil, err
		}
	}
	content = make([]byte, size)
	if _, err := io.ReadFull(from, content); err != nil {
		return false, 0, nil, err
	}
	for i := range content {
		content[i] ^= mask[i%4]
	}
	return head[0]&0x80 != 0, head[0] & 0x0f, content, nil
}
