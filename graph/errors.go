package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// present is the only place where an error becomes what a client sees: a sentence, extensions.code (one of
// the kinds of wire/fault, or gqlgen's two for malformed operations) and, where they help, retryAfter and missing. The cause of a fault and
// everything that is not a fault stays in the log.
func present(ctx context.Context, err error) *gqlerror.Error {
	return Present(ctx, graphql.ErrorOnPath(ctx, err))
}

// Present is what present does, for errors outside of an operation.
func Present(ctx context.Context, err error) *gqlerror.Error {
	out := &gqlerror.Error{Extensions: map[string]any{}}
	var located *gqlerror.Error
	if errors.As(err, &located) {
		out.Path, out.Locations = located.Path, located.Locations
	}

	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Kind != fault.Internal:
		if f.Err != nil {
			logger(ctx).DebugContext(ctx, "refused", "code", string(f.Kind), "error", err)
		}
	case errors.Is(err, context.DeadlineExceeded):
		f = fault.New(fault.Unavailable, "this took the server too long: try again, with less at once")
	case errors.Is(err, context.Canceled):
		f = fault.New(fault.Unavailable, "the request was given up before it was done")
	case located != nil && located.Err == nil && (code(located) == errcode.ParseFailed || code(located) == errcode.ValidationFailed):
		f = fault.New(fault.Kind(code(located)), "%s", located.Message)
	default:
		logger(ctx).ErrorContext(ctx, "internal error", "path", out.Path.String(), "error", err)
		f = fault.New(fault.Internal, "something went wrong on the server (request %s)", RequestFrom(ctx).ID)
	}

	out.Message = f.Message
	out.Extensions["code"] = string(f.Kind)
	if f.RetryAfter > 0 {
		out.Extensions["retryAfter"] = f.RetryAfter
	}
	if f.Kind == fault.ObjectsMissing {
		out.Extensions["missing"] = base64.StdEncoding.EncodeToString(f.Data)
	}
	return out
}

// code is gqlgen's own word for an operation that does not parse or does not fit the schema. Agents take it
// for a sign that they and the server are of different versions.
func code(err *gqlerror.Error) string {
	c, _ := err.Extensions["code"].(string)
	return c
}

// recovered logs a panic and gives the error that present shows as ours.
func recovered(ctx context.Context, p any) error {
	logger(ctx).ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", p)
}

func logger(ctx context.Context) *slog.Logger {
	r := RequestFrom(ctx)
	log := r.Log
	if log == nil {
		log = slog.Default()
	}
	return log.With("request", r.ID)
}
