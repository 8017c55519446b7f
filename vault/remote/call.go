package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Khan/genqlient/graphql"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// maxReply bounds a GraphQL reply: a page of 500 snapshots with their manifests is the largest one.
const maxReply = 64 << 20

// repeat says when a call may be made again after it failed.
type repeat int

const (
	always     repeat = iota // twice does the same as once
	ifUnsent                 // it uses something up: only if no connection was made
	never                    // the caller repeats it
	slowAnswer               // as always, and the server may think for long before it answers
)

// answerWithin is how long a call of class slowAnswer waits in silence: commit checks completeness over
// every new node.
const answerWithin = 15 * time.Minute

// caller is a graphql.Client with a class of repetition; the generated functions call it.
type caller struct {
	c      *Client
	repeat repeat
}

func (c *Client) gql(r repeat) graphql.Client { return caller{c, r} }

// MakeRequest implements graphql.Client. Its errors are what the package comment promises.
func (k caller) MakeRequest(ctx context.Context, req *graphql.Request, resp *graphql.Response) error {
	body, err := json.Marshal(req)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "encoding the request %s", req.OpName)
	}
	return k.c.retry(ctx, k.repeat, func(ctx context.Context) error {
		idle := k.c.opts.Idle
		if k.repeat == slowAnswer {
			idle = max(idle, answerWithin)
		}
		ctx, w := watch(ctx, idle)
		defer w.stop()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.c.endpoint("/graphql"), bytes.NewReader(body))
		if err != nil {
			return fault.Wrap(err, fault.Internal, "making the request %s", req.OpName)
		}
		r.Header.Set("Content-Type", "application/json")
		k.c.headers(r)
		reply, err := k.c.api.Do(r)
		if err != nil {
			return k.c.broken(ctx, w, err)
		}
		defer reply.Body.Close()
		k.c.clock(reply)
		return k.c.read(ctx, w, reply, resp.Data)
	})
}

func (c *Client) headers(r *http.Request) {
	r.Header.Set("User-Agent", c.opts.UserAgent)
	r.Header.Set("Accept", "application/json")
	r.Header.Set(proto.HeaderAgent, agentHeader())
	if c.opts.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.opts.Token)
	}
}

// clock learns the server's clock from a reply, to a second. Signed addresses expire by it.
func (c *Client) clock(reply *http.Response) {
	if t, err := http.ParseTime(reply.Header.Get("Date")); err == nil {
		c.skew.Store(int64(time.Until(t)))
	}
}

// envelope is a GraphQL reply.
type envelope struct {
	Data   json.RawMessage `json:"data"`
	Errors []gqlError      `json:"errors"`
}

type gqlError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code       string          `json:"code"`
		RetryAfter float64         `json:"retryAfter"`
		Missing    json.RawMessage `json:"missing"`
	} `json:"extensions"`
}

// read turns an HTTP reply into data or a fault.
func (c *Client) read(ctx context.Context, w *watchdog, reply *http.Response, data any) error {
	b, err := io.ReadAll(io.LimitReader(w.reader(reply.Body), maxReply+1))
	if err != nil {
		return c.broken(ctx, w, err)
	}
	if len(b) > maxReply {
		return fault.New(fault.TooLarge, "%s sent a reply of more than %d MiB", c.base, maxReply>>20)
	}
	var e envelope
	kind, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	isJSON := strings.HasSuffix(kind, "json") && json.Unmarshal(b, &e) == nil
	if isJSON && len(e.Errors) > 0 {
		return c.refused(reply, e.Errors[0])
	}
	if reply.StatusCode != http.StatusOK || !isJSON || len(e.Data) == 0 {
		return c.status(reply, b)
	}
	if err := json.Unmarshal(e.Data, data); err != nil {
		return fault.Wrap(err, fault.Internal, "the reply of %s is not what this version (%s) expects", c.base, proto.Version)
	}
	return nil
}

// refused turns the server's error into a fault.
func (c *Client) refused(reply *http.Response, e gqlError) error {
	f := &fault.Error{Kind: fault.Kind(e.Extensions.Code), Message: e.Message, RetryAfter: int(e.Extensions.RetryAfter)}
	switch f.Kind {
	case fault.Invalid, fault.NotFound, fault.WrongPassword, fault.SecondFactor, fault.FactorMissing, fault.Forbidden, fault.Conflict,
		fault.SessionExpired, fault.TooLarge, fault.HashMismatch, fault.BadPack, fault.StorageFull,
		fault.ClientTooOld, fault.Internal, fault.Unauthenticated:
	case fault.TooMany, fault.Unavailable:
		if f.RetryAfter <= 0 {
			f.RetryAfter = retryAfter(reply)
		}
	case fault.ObjectsMissing:
		if f.Data = decodeIDs(e.Extensions.Missing); len(f.Data) == 0 {
			return fault.New(fault.Internal, "the server misses objects and does not say which")
		}
	case "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED":
		return fault.New(fault.ClientTooOld, "%s does not know this request: it runs another version than this agent (%s). Bring both to the same one", c.base, proto.Version)
	default:
		if reply.StatusCode >= 500 {
			return c.status(reply, nil)
		}
		f.Kind = fault.Internal
	}
	if f.Message == "" {
		f.Message = "the server refused with " + string(f.Kind)
	}
	return f
}

// decodeIDs reads extensions.missing: the ids' bytes in base64, as one string.
func decodeIDs(raw json.RawMessage) []byte {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b)%16 != 0 {
		return nil
	}
	return b
}

// status turns a reply that is no GraphQL reply into a fault.
func (c *Client) status(reply *http.Response, body []byte) error {
	text := clip(string(body))
	switch code := reply.StatusCode; {
	case code == http.StatusBadRequest && strings.Contains(text, "HTTP request to an HTTPS server"):
		return fault.New(fault.Invalid, "%s speaks TLS: write https:// instead of http://", c.base)
	case code == http.StatusUnauthorized:
		return fault.New(fault.Unauthenticated, "%s does not accept this login", c.base)
	case code == http.StatusForbidden:
		return fault.New(fault.Forbidden, "%s refuses this: %s", c.base, text)
	case code == http.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "%s (or a proxy before it) refuses requests of this size; it must take at least 48 MiB", c.base)
	case code == http.StatusTooManyRequests:
		f := fault.New(fault.TooMany, "%s is asked too often", c.base)
		f.RetryAfter = retryAfter(reply)
		return f
	case code == http.StatusInsufficientStorage:
		return fault.New(fault.StorageFull, "%s has no room left", c.base)
	case code >= 500:
		f := fault.New(fault.Unavailable, "%s answers %s", c.base, reply.Status)
		f.RetryAfter = retryAfter(reply)
		return f
	case code >= 300 && code < 400:
		return fault.New(fault.Invalid, "%s points to %s: use that address", c.base, clip(reply.Header.Get("Location")))
	default:
		return fault.New(fault.Invalid, "what answers at %s is not a Holdfast server (%s): check the address", c.base, reply.Status)
	}
}

func retryAfter(reply *http.Response) int {
	n, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// errStalled is the cause of a context that a watchdog cancelled.
var errStalled = errors.New("nothing moved")

// watchdog cancels a call in which nothing moves.
type watchdog struct {
	timer  *time.Timer
	idle   time.Duration
	cancel context.CancelCauseFunc
}

// watch returns a context that ends when touch was not called for idle.
func watch(ctx context.Context, idle time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{idle: idle, cancel: cancel}
	w.timer = time.AfterFunc(idle, func() { cancel(errStalled) })
	return ctx, w
}

func (w *watchdog) touch() { w.timer.Reset(w.idle) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *watchdog) reader(r io.Reader) io.Reader { return touching{r, w} }

type touching struct {
	io.Reader
	w *watchdog
}

func (t touching) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if n > 0 {
		t.w.touch()
	}
	return n, err
}

// broken turns an error of the HTTP client into a fault. ctx is the call's own.
func (c *Client) broken(ctx context.Context, w *watchdog, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return fault.Wrap(errStalled, fault.Unavailable, "%s went silent for %s", c.base.Host, w.idle)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.network(err)
}

func (c *Client) network(err error) error {
	var cert *CertificateError
	if errors.As(err, &cert) {
		return &fault.Error{Kind: fault.Unavailable, Message: cert.Reason, Err: quiet{cert}}
	}
	return &fault.Error{Kind: fault.Unavailable, Message: fmt.Sprintf("cannot reach %s: %s", c.base.Host, words(err)), Err: quiet{err}}
}

// quiet keeps a cause reachable by errors.As while the message, which says the same in better words, stands
// alone.
type quiet struct{ err error }

func (q quiet) Error() string { return "network" }
func (q quiet) Unwrap() error { return q.err }
