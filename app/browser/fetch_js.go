package browser

import (
	"context"
	"fmt"
	"syscall/js"

	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Response is an answer to a fetch.
type Response struct {
	Status int
	Body   []byte
}

// Fetch sends a request and reads the whole answer. body nil: none. It ends early when ctx does. Its error says that no
// answer came, never that the answer was bad.
func Fetch(ctx context.Context, method, url string, headers map[string]string, body []byte) (*Response, error) {
	r, err := request(ctx, method, url, headers, body)
	if err != nil {
		return nil, err
	}
	defer r.end()
	content, err := call(ctx, r.v, "arrayBuffer")
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	return &Response{Status: r.v.Get("status").Int(), Body: toGo(content)}, nil
}

// response is an answer whose body was not read yet.
type response struct {
	v   js.Value
	end func() // ends what of the body was not read, and must be called
}

func request(ctx context.Context, method, url string, headers map[string]string, body []byte) (response, error) {
	v := js.Undefined()
	if body != nil {
		v = toJS(body)
	}
	return send(ctx, method, url, headers, v, "same-origin")
}

// send is a request with a body of any kind, and with the page's login or without it: credentials is same-origin or omit.
func send(ctx context.Context, method, url string, headers map[string]string, body js.Value, credentials string) (r response, err error) {
	abort := global.Get("AbortController").New()
	stop := context.AfterFunc(ctx, func() { abort.Call("abort") })
	h := object.New()
	for k, v := range headers {
		h.Set(k, v)
	}
	opts := record("method", method, "headers", h, "signal", abort.Get("signal"), "credentials", credentials, "cache", "no-store", "redirect", "error")
	if !body.IsUndefined() {
		opts.Set("body", body)
	}
	r.end = func() {
		stop()
		abort.Call("abort")
	}
	if r.v, err = call(ctx, global, "fetch", url, opts); err != nil {
		r.end()
		return r, fmt.Errorf("fetch: %w", err)
	}
	return r, nil
}

// Range fills dst with the bytes of what is at an address from offset on, if the answer is 206 Partial Content; otherwise only its status counts.
// Its error says that no answer came, or not all of it.
func Range(ctx context.Context, url string, offset int64, dst []byte) (status int, err error) {
	r, err := request(ctx, "GET", url, map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1)}, nil)
	if err != nil {
		return 0, err
	}
	defer r.end()
	if status = r.v.Get("status").Int(); status != 206 {
		return status, nil
	}
	body, err := newBody(r.v)
	if err != nil {
		return 0, err
	}
	for n := 0; ; {
		part, err := body.next(ctx)
		if err != nil {
			return 0, err
		}
		switch {
		case part.IsUndefined() && n == len(dst):
			return status, nil
		case part.IsUndefined():
			return 0, fmt.Errorf("fetch: %d bytes came, and %d were asked for", n, len(dst))
		case part.Get("length").Int() > len(dst)-n:
			return 0, fmt.Errorf("fetch: more bytes came than the %d that were asked for", len(dst))
		}
		n += js.CopyBytesToGo(dst[n:], part)
	}
}

// body is what is left of a response. A browser that can fill memory which it is given is given the same again and again: to find fresh
// memory takes it longer than to copy.
type body struct {
	reader js.Value
	room   js.Value // an ArrayBuffer for the next part; undefined if the browser takes its own
}

// partSize is the most bytes of a part: about what Chromium has ready at once.
const partSize = 512 << 10

func newBody(response js.Value) (*body, error) {
	b := new(body)
	var err error
	if b.reader, err = try(func() js.Value { return response.Get("body").Call("getReader", record("mode", "byob")) }); err == nil {
		b.room = arrayBuffer.New(partSize)
		return b, nil
	}
	if b.reader, err = try(func() js.Value { return response.Get("body").Call("getReader") }); err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	return b, nil
}

// next returns the next part, which is valid until the next call, or undefined at the end.
func (b *body) next(ctx context.Context) (js.Value, error) {
	var args []any
	if !b.room.IsUndefined() {
		args = append(args, uint8Array.New(b.room))
	}
	next, err := call(ctx, b.reader, "read", args...)
	if err != nil {
		return next, fmt.Errorf("fetch: %w", err)
	}
	if next.Get("done").Bool() {
		return js.Undefined(), nil
	}
	part := next.Get("value")
	if !b.room.IsUndefined() {
		b.room = part.Get("buffer")
	}
	return part, nil
}

// Post sends a GraphQL operation: it is an api.Fetch.
func Post(ctx context.Context, body []byte) (int, []byte, error) {
	r, err := Fetch(ctx, "POST", "/graphql", map[string]string{"Content-Type": "application/json", proto.HeaderRequest: "1"}, body)
	if err != nil {
		return 0, nil, err
	}
	return r.Status, r.Body, nil
}
