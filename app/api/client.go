// Package api is the app's side of the GraphQL API: the operations of its pages, generated from operations/ by genqlient, and a client that
// sends them over whatever can fetch. It imports no HTTP: net/http would double the size of the program.
//
// Errors are faults with the server's code and sentence, so that state and pages tell kinds apart as every other part does. A server that
// cannot be reached, or answers nonsense, is fault.Unavailable.
package api

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/Khan/genqlient/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A Fetch posts a body to /graphql and returns what came back. Its error means that nothing did.
type Fetch func(ctx context.Context, body []byte) (status int, answer []byte, err error)

// Client sends operations. The generated functions take it.
type Client struct {
	Fetch Fetch

	// LoggedOut is called when the server says that the session is over; may be nil.
	LoggedOut func()

	// Unproven is called when the server says that the account lacks a second factor that is wanted of it; may be nil.
	Unproven func()
}

var _ graphql.Client = (*Client)(nil)

// MakeRequest implements graphql.Client.
func (c *Client) MakeRequest(ctx context.Context, req *graphql.Request, resp *graphql.Response) error {
	body, err := json.Marshal(req)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "encoding %s", req.OpName)
	}
	status, answer, err := c.Fetch(ctx, body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the server cannot be reached: check the connection")
	}
	if err := json.Unmarshal(answer, resp); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the server answered %d and nothing that can be understood: try again in a moment", status)
	}
	if len(resp.Errors) == 0 {
		return nil
	}
	err = Fault(resp.Errors)
	if errors.Is(err, fault.Unauthenticated) && c.LoggedOut != nil {
		c.LoggedOut()
	}
	if errors.Is(err, fault.FactorMissing) && c.Unproven != nil {
		c.Unproven()
	}
	return err
}

// Fault is what the first of some GraphQL errors says.
func Fault(list gqlerror.List) error {
	e := list[0]
	f := &fault.Error{Kind: fault.Internal, Message: e.Message}
	if code, ok := e.Extensions["code"].(string); ok {
		f.Kind = fault.Kind(code)
	}
	if wait, ok := e.Extensions["retryAfter"].(float64); ok {
		f.RetryAfter = int(wait)
	}
	return f
}
