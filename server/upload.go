package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Limits of uploads.
const (
	maxUpload        = pack.MaxSize + maxOperations + maxFormMap + 64<<10 // bytes of a whole request
	uploadsPerDevice = 16                                                 // at a time
	uploadsInAll     = 256
	slowestUpload    = 4 << 10         // bytes a second that an upload must make on the whole …
	uploadGrace      = 2 * time.Minute // … after this much time for free, which also is what storing may take
)

// upload is the transport of uploadPack: a GraphQL multipart request that is never in memory. gqlgen's own
// reads the whole body before it looks at anything; this one looks at everything first:
//
//  1. the token, which must be a device's or an import's, the request's length and type: no byte of the body was read;
//  2. operations and map, a few kilobytes: they must be the mutation uploadPack and one file;
//  3. the resolver asks the catalog to admit the pack: the session, the size, the name;
//  4. then the file streams from the connection into the store.
//
// Who is refused before step 4 gets an answer at once, and the connection is closed without reading the rest.
type upload struct{ server *Server }

var _ graphql.Transport = upload{}

// Supports implements graphql.Transport.
func (upload) Supports(r *http.Request) bool { return r.URL.Path == "/graphql/upload" }

// Do implements graphql.Transport.
func (u upload) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	// Until the whole body was read, an answer ends the connection.
	w.Header().Set("Connection", "close")
	dev, code, err := u.admit(r)
	if err != nil {
		writeStatus(w, r, code, err)
		return
	}
	leave, err := u.server.uploads.enter(dev)
	if err != nil {
		writeError(w, r, err)
		return
	}
	defer leave()

	body := newPacedBody(w, r)
	form, err := readForm(body, r.Header.Get("Content-Type"), r.ContentLength)
	if err != nil {
		writeError(w, r, asInput(err))
		return
	}
	params := new(graphql.RawParams)
	dec := json.NewDecoder(strings.NewReader(string(form.Operations)))
	dec.UseNumber()
	if err := dec.Decode(params); err != nil {
		writeError(w, r, fault.Wrap(err, fault.Invalid, "the part operations is not a JSON object with a query"))
		return
	}
	if err := form.place(params.Variables, graphql.Upload{File: form.File, Size: form.Size, Filename: form.Key}); err != nil {
		writeError(w, r, err)
		return
	}
	ctx, cancel := context.WithDeadline(r.Context(), body.end.Add(uploadGrace))
	defer cancel()
	params.Headers = r.Header
	now := graphql.Now()
	params.ReadTime = graphql.TraceTiming{Start: now, End: now}
	op, errs := exec.CreateOperationContext(ctx, params)
	if errs != nil {
		refuse(ctx, w, r, exec, op, errs)
		return
	}
	responses, ctx := exec.DispatchOperation(ctx, op)
	resp := responses(ctx)
	if form.File.left == 0 && form.File.Done() {
		w.Header().Del("Connection")
	}
	answer(w, r, http.StatusOK, resp)
}

// admit decides by the request's headers alone.
func (u upload) admit(r *http.Request) (id.Device, int, error) {
	ctx := r.Context()
	a := actor.FromContext(ctx)
	if a.IsNobody() {
		err := error(fault.New(fault.Unauthenticated, "an upload needs Authorization: Bearer and a device token"))
		if refused := graph.RequestFrom(ctx).Refused; refused != nil {
			err = refused
		}
		return id.Device{}, status(fault.KindOf(err)), err
	}
	dev, err := a.RequireWriter(a.Import) // of which session, the catalog asks
	switch {
	case err != nil:
		return dev, status(fault.KindOf(err)), err
	case r.ContentLength < 0:
		return dev, http.StatusLengthRequired, fault.New(fault.Invalid, "an upload needs a Content-Length: chunked encoding is not supported here")
	case r.ContentLength > maxUpload:
		return dev, http.StatusRequestEntityTooLarge, fault.New(fault.TooLarge, "an upload is limited to %d bytes: a pack has at most %d", int64(maxUpload), int64(pack.MaxSize))
	}
	return dev, 0, nil
}

// asInput makes an error of the connection, while the small parts are read, one of the client.
func asInput(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.HashMismatch, "the upload broke off before its file began: send it again")
}

// pacedBody reads a request's body with deadlines that move along: some byte must come within stallTime, and
// the whole within a time that a slow line can keep and a slow-loris cannot stretch.
type pacedBody struct {
	body    io.Reader
	control *http.ResponseController
	stall   time.Duration
	end     time.Time // for the whole body
	until   time.Time // of the connection's deadline
}

func newPacedBody(w http.ResponseWriter, r *http.Request) *pacedBody {
	return &pacedBody{
		body: r.Body, control: http.NewResponseController(w), stall: stallTime,
		end: time.Now().Add(uploadGrace + time.Duration(r.ContentLength/slowestUpload)*time.Second),
	}
}

func (p *pacedBody) Read(b []byte) (int, error) {
	if now := time.Now(); p.until.Sub(now) < p.stall/2 {
		p.until = now.Add(p.stall)
		if p.until.After(p.end) {
			p.until = p.end
		}
		p.control.SetReadDeadline(p.until) //nolint:errcheck // a test's recorder has none
	}
	n, err := p.body.Read(b)
	if err == io.EOF {
		p.control.SetReadDeadline(time.Time{}) //nolint:errcheck
	}
	return n, err
}

// uploads counts what is under way, so that one device, or all together, cannot take every connection and all
// of the store's spool.
type uploads struct {
	mu     sync.Mutex
	all    int
	device map[id.Device]int
}

func (u *uploads) enter(dev id.Device) (leave func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all >= uploadsInAll || u.device[dev] >= uploadsPerDevice {
		f := fault.New(fault.TooMany, "too many uploads at once: at most %d of one device, %d in all", uploadsPerDevice, uploadsInAll)
		f.RetryAfter = 2
		return nil, f
	}
	if u.device == nil {
		u.device = map[id.Device]int{}
	}
	u.all++
	u.device[dev]++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.all--
		if u.device[dev]--; u.device[dev] == 0 {
			delete(u.device, dev)
		}
	}, nil
}
