package browser

import (
	"context"
	"fmt"

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
		return nil, fmt.Errorf("fetch: %w", err)
	}
	buf, err := call(ctx, resp, "arrayBuffer")
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	return &Response{Status: resp.Get("status").Int(), Body: toGo(buf)}, nil
}

// Post sends a GraphQL operation: it is an api.Fetch.
func Post(ctx context.Context, body []byte) (int, []byte, error) {
	r, err := Fetch(ctx, "POST", "/graphql", map[string]string{"Content-Type": "application/json", proto.HeaderRequest: "1"}, body)
	if err != nil {
		return 0, nil, err
	}
	return r.Status, r.Body, nil
}
