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
	r, err := fetch(ctx, method, url, headers, body)
	if err != nil {
		return nil, err
	}
	return &Response{Status: r.status, Body: toGo(r.body)}, nil
}

type response struct {
	status int
	body   js.Value // an ArrayBuffer
}

func fetch(ctx context.Context, method, url string, headers map[string]string, body []byte) (r response, err error) {
	abort := global.Get("AbortController").New()
	defer context.AfterFunc(ctx, func() { abort.Call("abort") })()
	h := object.New()
	for k, v := range headers {
		h.Set(k, v)
	}
	opts := record("method", method, "headers", h, "signal", abort.Get("signal"), "credentials", "same-origin", "cache", "no-store", "redirect", "error")
	if body != nil {
		opts.Set("body", toJS(body))
	}
	resp, err := call(ctx, global, "fetch", url, opts)
	if err != nil {
		return r, fmt.Errorf("fetch: %w", err)
	}
	if r.body, err = call(ctx, resp, "arrayBuffer"); err != nil {
		return r, fmt.Errorf("fetch: %w", err)
	}
	r.status = resp.Get("status").Int()
	return r, nil
}

// Range fills dst with the bytes of what is at an address from offset on, if the answer is 206 Partial Content; otherwise only its status counts.
// Its error says that no answer came, or not all of it.
func Range(ctx context.Context, url string, offset int64, dst []byte) (status int, err error) {
	r, err := fetch(ctx, "GET", url, map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1)}, nil)
	if err != nil {
		return 0, err
	}
	if status = r.status; status != 206 {
		return status, nil
	}
	body := uint8Array.New(r.body)
	if n := body.Get("length").Int(); n != len(dst) {
		return 0, fmt.Errorf("fetch: %d bytes came, and %d were asked for", n, len(dst))
	}
	js.CopyBytesToGo(dst, body)
	return status, nil
}

// Post sends a GraphQL operation: it is an api.Fetch.
func Post(ctx context.Context, body []byte) (int, []byte, error) {
	r, err := Fetch(ctx, "POST", "/graphql", map[string]string{"Content-Type": "application/json", proto.HeaderRequest: "1"}, body)
	if err != nil {
		return 0, nil, err
	}
	return r.Status, r.Body, nil
}
