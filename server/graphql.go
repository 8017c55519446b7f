package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/graph"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// How large the body of an ordinary request may be. Strangers send a login or an invitation; people at most
// the ids of objectLocations (about 430 KiB); devices also a manifest, in base64.
const (
	strangerBody = 64 << 10
	personBody   = 1 << 20
	deviceBody   = catalog.MaxManifest*4/3 + 64<<10
)

// largeBodies is how many bodies over personBody are held in memory at a time.
const largeBodies = 4

// deviceTime replaces requestTime for devices and imports: commitSnapshot looks at every new tree node.
const deviceTime = 15 * time.Minute

// commits reports whether the caller may commit a snapshot, which takes more than other requests do.
func commits(a actor.Actor) bool { return a.IsDevice() || a.IsImport() }

// post is the transport of queries and mutations: a JSON object in the body.
type post struct{ server *Server }

var _ graphql.Transport = post{}

// Supports implements graphql.Transport.
func (post) Supports(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/graphql"
}

// Do implements graphql.Transport.
func (p post) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		writeStatus(w, r, http.StatusUnsupportedMediaType, fault.New(fault.Invalid, "send the operation as application/json"))
		return
	}
	params, done, err := p.read(w, r)
	if err != nil {
		w.Header().Set("Connection", "close") // the rest of the body is not worth reading
		writeError(w, r, err)
		return
	}
	defer done()
	run(w, r, exec, params)
}

// read reads the body, within a size and a time. done gives back its place among the large ones.
func (p post) read(w http.ResponseWriter, r *http.Request) (params *graphql.RawParams, done func(), err error) {
	a := actor.FromContext(r.Context())
	limit := int64(personBody)
	switch {
	case a.IsNobody():
		limit = strangerBody
	case commits(a):
		limit = deviceBody
	}
	if r.ContentLength > limit {
		return nil, nil, tooLarge(limit)
	}
	done = func() {}
	if limit == deviceBody && (r.ContentLength < 0 || r.ContentLength > personBody) {
		select {
		case p.server.large <- struct{}{}:
			done = func() { <-p.server.large }
		case <-r.Context().Done():
			return nil, nil, r.Context().Err()
		}
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTime)) //nolint:errcheck // a test's recorder has none
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	// While the operation runs the server reads on, to notice that the client went away: without a deadline.
	control.SetReadDeadline(time.Time{}) //nolint:errcheck
	if err != nil {
		done()
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, nil, tooLarge(limit)
		}
		return nil, nil, fault.Wrap(err, fault.Invalid, "the request's body broke off")
	}
	params, err = decode(body)
	if err != nil {
		done()
		return nil, nil, err
	}
	return params, done, nil
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "a request is limited to %d bytes here", limit)
}

// decode reads one operation.
func decode(body []byte) (*graphql.RawParams, error) {
	params := new(graphql.RawParams)
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	if err := dec.Decode(params); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the body is not a JSON object with a query")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, "the body has something after its JSON object: batches are not supported")
	}
	return params, nil
}

// get is the transport of queries in an address.
type get struct{}

var _ graphql.Transport = get{}

// Supports implements graphql.Transport.
func (get) Supports(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/graphql"
}

// Do implements graphql.Transport.
func (get) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	q := r.URL.Query()
	params := &graphql.RawParams{Query: q.Get("query"), OperationName: q.Get("operationName")}
	if v := q.Get("variables"); v != "" {
		dec := json.NewDecoder(strings.NewReader(v))
		dec.UseNumber()
		if err := dec.Decode(&params.Variables); err != nil {
			writeError(w, r, fault.Wrap(err, fault.Invalid, "variables is not a JSON object"))
			return
		}
	}
	run(w, r, exec, params)
}

// run executes an operation and writes its response: 200 once it was begun, whatever its fields say; a
// status that fits when it was refused as a whole.
func run(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, params *graphql.RawParams) {
	limit := requestTime
	if commits(actor.FromContext(r.Context())) {
		limit = deviceTime
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
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
	answer(w, r, http.StatusOK, responses(ctx))
}

// refuse answers an operation that was not begun.
func refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, op *graphql.OperationContext, errs gqlerror.List) {
	resp := exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
	code := http.StatusBadRequest
	if len(resp.Errors) > 0 {
		kind, _ := resp.Errors[0].Extensions["code"].(string)
		if code = status(fault.Kind(kind)); code == http.StatusInternalServerError && fault.Kind(kind) != fault.Internal {
			code = http.StatusBadRequest // one of gqlgen's own
		}
		retryAfter(w.Header(), resp.Errors[0])
	}
	answer(w, r, code, resp)
}

func answer(w http.ResponseWriter, r *http.Request, code int, resp *graphql.Response) {
	body, err := json.Marshal(resp)
	if err != nil {
		writeError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	if strings.Contains(r.Header.Get("Accept"), "application/graphql-response+json") {
		h.Set("Content-Type", "application/graphql-response+json; charset=utf-8")
	}
	h.Set("Cache-Control", "no-store")
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTime)) //nolint:errcheck
	w.WriteHeader(code)
	w.Write(body) //nolint:errcheck // the client went away
}

// graphql is the handler of /graphql and /graphql/upload.
func (s *Server) graphql(w http.ResponseWriter, r *http.Request) {
	via := graph.ViaPost
	switch {
	case r.URL.Path == "/graphql/upload":
		via = graph.ViaUpload
	case r.Header.Get("Upgrade") != "":
		via = graph.ViaSocket
	case r.Method == http.MethodGet:
		via = graph.ViaGet
	}
	if r.Method != http.MethodPost && (r.Method != http.MethodGet || via == graph.ViaUpload) {
		w.Header().Set("Allow", map[bool]string{true: "POST", false: "GET, POST"}[via == graph.ViaUpload])
		writeStatus(w, r, http.StatusMethodNotAllowed, fault.New(fault.Invalid, "GraphQL is sent by POST"))
		return
	}
	defer func() {
		if w.Header().Get("Connection") == "close" {
			// net/http reads up to 256 KiB of the body before it hangs up, so that the answer is not lost to a
			// reset. A client that holds them back does not get more time for it than that takes.
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTime)) //nolint:errcheck
		}
	}()
	r, err := s.identify(w, r, via)
	if err != nil {
		w.Header().Set("Connection", "close")
		writeError(w, r, err)
		return
	}
	s.api.ServeHTTP(w, r)
}
