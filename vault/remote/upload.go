package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/time/rate"

	"github.com/holdfast-backup/holdfast/vault/remote/internal/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// uploadPack sends one pack as a GraphQL multipart request, written by hand for three reasons: the pack is
// sent from the caller's memory without a copy, the request's length and the file part's own length are known
// in advance, so that the server can admit or refuse before it reads a byte of the pack, and a reply that
// comes while we still send is read (net/http does that, if only nobody waits for the sending to end).
//
//	POST /graphql/upload
//	part "operations": the query with variables.input.pack null; part "map": {"0":["variables.input.pack"]};
//	part "0": the pack, with a Content-Length of its own
//
// pack is not touched any more when uploadPack returns.
func (c *Client) uploadPack(ctx context.Context, backup id.Backup, fence int64, name id.Pack, pack []byte) error {
	head, tail, boundary, err := frame(backup, fence, name, len(pack))
	if err != nil {
		return err
	}
	return c.retry(ctx, always, func(ctx context.Context) error {
		ctx, w := watch(ctx, c.opts.Idle)
		b := &packBody{ctx: ctx, w: w, limit: c.up}
		defer b.wait() // after stop: it ends what still sends
		defer w.stop()

		body := b.open(head, pack, tail)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint("/graphql/upload"), body)
		if err != nil {
			body.Close()
			return fault.Wrap(err, fault.Internal, "making the upload request")
		}
		r.ContentLength = int64(len(head) + len(pack) + len(tail))
		// A kept-alive connection that the server closed meanwhile: net/http starts over on a new one.
		r.GetBody = func() (io.ReadCloser, error) { return b.open(head, pack, tail), nil }
		r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
		c.headers(r)
		reply, err := c.api.Do(r)
		if err != nil {
			return c.broken(ctx, w, err)
		}
		defer reply.Body.Close()
		var data api.UploadPackResponse
		return c.read(ctx, w, reply, &data)
	})
}

// frame returns what goes before and after the pack.
func frame(backup id.Backup, fence int64, name id.Pack, size int) (head, tail []byte, boundary string, err error) {
	operations, err := json.Marshal(map[string]any{
		"operationName": "UploadPack",
		"query":         api.UploadPack_Operation,
		"variables": map[string]any{"input": map[string]any{
			"backup": backup.String(), "fence": fence, "name": name.String(), "size": size, "pack": nil,
		}},
	})
	if err != nil {
		return nil, nil, "", fault.Wrap(err, fault.Internal, "encoding the upload request")
	}
	boundary = "holdfast-" + rand.Text()
	var b bytes.Buffer
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"operations\"\r\nContent-Type: application/json\r\n\r\n%s\r\n", boundary, operations)
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"map\"\r\nContent-Type: application/json\r\n\r\n{\"0\":[\"variables.input.pack\"]}\r\n", boundary)
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"0\"; filename=\"%s\"\r\nContent-Type: application/octet-stream\r\nContent-Length: %s\r\n\r\n",
		boundary, name, strconv.Itoa(size))
	return b.Bytes(), []byte("\r\n--" + boundary + "--\r\n"), boundary, nil
}

// packBody makes the bodies of one attempt and knows when all of them are closed: net/http may still read
// from a body after the reply is there, and the pack's memory is the caller's.
type packBody struct {
	ctx    context.Context
	w      *watchdog
	limit  *rate.Limiter
	bodies sync.WaitGroup
}

func (b *packBody) wait() { b.bodies.Wait() }

func (b *packBody) open(parts ...[]byte) io.ReadCloser {
	b.bodies.Add(1)
	return &packReader{b: b, parts: append([][]byte(nil), parts...)}
}

type packReader struct {
	b      *packBody
	mu     sync.Mutex // held while bytes are copied: after Close nobody reads the pack
	parts  [][]byte
	closed bool
}

// Read hands out the parts at the pace that the limit allows.
func (r *packReader) Read(p []byte) (int, error) {
	if l := r.b.limit; l != nil {
		p = p[:min(len(p), l.Burst())]
		if err := l.WaitN(r.b.ctx, len(p)); err != nil {
			return 0, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	for len(r.parts) > 0 && len(r.parts[0]) == 0 {
		r.parts = r.parts[1:]
	}
	if len(r.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.parts[0])
	r.parts[0] = r.parts[0][n:]
	r.b.w.touch()
	return n, nil
}

// Close lets go of the pack.
func (r *packReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed, r.parts = true, nil
		r.b.bodies.Done()
	}
	return nil
}
