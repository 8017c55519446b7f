package graph

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	defaultPage = 50  // rows of a connection when the query does not say
	maxPage     = 200 // rows of a connection at most
	listCost    = 10  // what a list without paging is taken for
)

// Limits bounds what one operation may ask for.
type Limits struct {
	Query     int // bytes of the query's text
	Tokens    int // lexical tokens of it
	Depth     int // nested fields
	Fields    int // fields after fragments are written out
	Aliases   int // fields that are renamed
	Roots     int // root fields
	Cost      int // complexity, by costs
	Anonymous int // complexity for callers without a credential
}

// DefaultLimits leaves room for the app's largest screens and for introspection.
var DefaultLimits = Limits{Query: 32 << 10, Tokens: 3000, Depth: 15, Fields: 1500, Aliases: 30, Roots: 20, Cost: 20_000, Anonymous: 200}

// guard refuses operations for their shape, their way in or their caller, before anything is resolved.
type guard struct {
	limits Limits
	schema graphql.ExecutableSchema
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
} = (*guard)(nil)

// ExtensionName implements graphql.HandlerExtension.
func (g *guard) ExtensionName() string { return "guard" }

// Validate implements graphql.HandlerExtension.
func (g *guard) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters is asked before the query is parsed.
func (g *guard) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if len(p.Query) > g.limits.Query {
		return refuse(ctx, fault.TooLarge, "a query is limited to %d bytes: put data into variables", g.limits.Query)
	}
	return nil
}

// MutateOperationContext is asked after the query was found valid.
func (g *guard) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	s := survey(op.Operation, op.Doc.Fragments)
	nobody := actor.FromContext(ctx).IsNobody()
	req := RequestFrom(ctx)
	kind := op.Operation.Operation
	switch {
	case req.TooOld && !s.only("server"):
		return refuse(ctx, fault.ClientTooOld, "this agent is too old for the server: update holdfast-agent")
	case nobody && s.closed:
		return wrapped(ctx, unauthenticated(ctx)) // before limits that are narrower for strangers
	case s.depth > g.limits.Depth:
		return refuse(ctx, fault.TooLarge, "the query nests %d fields, the limit is %d", s.depth, g.limits.Depth)
	case s.fields > g.limits.Fields:
		return refuse(ctx, fault.TooLarge, "the query has more than %d fields", g.limits.Fields)
	case s.aliases > g.limits.Aliases:
		return refuse(ctx, fault.TooLarge, "the query renames more than %d fields", g.limits.Aliases)
	case len(s.roots) > g.limits.Roots, nobody && kind == ast.Mutation && len(s.roots) > 1:
		return refuse(ctx, fault.TooLarge, "the operation has %d root fields, more than are allowed at once", len(s.roots))
	}
	if err := way(ctx, req.Via, kind, s); err != nil {
		return err
	}
	op.DisableIntrospection = nobody
	if nobody && s.introspects {
		return refuse(ctx, fault.Unauthenticated, "introspection is for callers who are logged in: the schema is in the documentation")
	}
	limit := g.limits.Cost
	if nobody {
		limit = g.limits.Anonymous
	}
	if cost := complexity.Calculate(ctx, g.schema, op.Operation, op.Variables); cost > limit {
		return refuse(ctx, fault.TooLarge, "the query would cost %d, the limit is %d: ask for fewer rows or fields", cost, limit)
	}
	if nobody && req.Throttle != nil && !s.only("server") {
		if err := req.Throttle(kind == ast.Mutation); err != nil {
			return wrapped(ctx, err)
		}
	}
	return nil
}

// way refuses operations that came in on a way that is not theirs.
func way(ctx context.Context, via Via, kind ast.Operation, s shape) *gqlerror.Error {
	uploads := s.has("uploadPack")
	switch via {
	case ViaUpload:
		if kind != ast.Mutation || len(s.roots) != 1 || !uploads {
			return refuse(ctx, fault.Invalid, "/graphql/upload takes the mutation uploadPack and nothing else")
		}
		return nil
	case ViaSocket:
		if kind != ast.Subscription {
			return refuse(ctx, fault.Invalid, "send queries and mutations to /graphql by POST: the socket is for subscriptions")
		}
		if len(s.roots) != 1 {
			return refuse(ctx, fault.Invalid, "a subscription has exactly one root field")
		}
		return nil
	}
	switch {
	case kind == ast.Subscription:
		return refuse(ctx, fault.Invalid, "subscriptions need a WebSocket with the subprotocol graphql-transport-ws")
	case kind == ast.Mutation && via == ViaGet:
		return refuse(ctx, fault.Invalid, "a mutation is sent by POST")
	case uploads:
		return refuse(ctx, fault.Invalid, "uploadPack is sent to /graphql/upload as multipart/form-data")
	}
	return nil
}

// refuse returns a fault in the form that gqlgen's extensions want.
func refuse(ctx context.Context, kind fault.Kind, format string, args ...any) *gqlerror.Error {
	return wrapped(ctx, fault.New(kind, format, args...))
}

// wrapped presents an error at once: gqlgen's WebSocket sends refusals without asking the presenter.
func wrapped(ctx context.Context, err error) *gqlerror.Error {
	e := Present(ctx, err)
	e.Err = err
	return e
}

// A refusal of a whole operation is an "error" message on a WebSocket, as the protocol wants it, not a result
// that has errors.
func init() {
	for _, k := range []fault.Kind{
		fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.TooLarge, fault.TooMany, fault.Unavailable, fault.ClientTooOld,
	} {
		errcode.RegisterErrorType(string(k), errcode.KindProtocol)
	}
}

// shape is what a survey of an operation finds, with fragments written out.
type shape struct {
	depth, fields, aliases int
	roots                  []string
	introspects            bool
	closed                 bool // some root field is not @public
}

func (s shape) has(name string) bool {
	for _, r := range s.roots {
		if r == name {
			return true
		}
	}
	return false
}

// only reports whether all root fields are name (or __typename).
func (s shape) only(name string) bool {
	for _, r := range s.roots {
		if r != name && r != "__typename" {
			return false
		}
	}
	return true
}

// survey measures an operation in time linear in its text, though fragments that use fragments may stand
// for exponentially many fields: counting stops at most.
func survey(op *ast.OperationDefinition, fragments ast.FragmentDefinitionList) shape {
	const most = 1 << 20
	known := map[string]shape{}
	var measure func(ast.SelectionSet) shape
	measure = func(set ast.SelectionSet) (s shape) {
		add := func(sub shape) {
			s.depth = max(s.depth, sub.depth)
			s.fields = min(s.fields+sub.fields, most)
			s.aliases = min(s.aliases+sub.aliases, most)
			s.introspects = s.introspects || sub.introspects
			s.closed = s.closed || sub.closed
			if len(s.roots) < 100 {
				s.roots = append(s.roots, sub.roots...)
			}
		}
		for _, selection := range set {
			switch f := selection.(type) {
			case *ast.Field:
				sub := measure(f.SelectionSet)
				sub.depth++
				sub.fields++
				sub.roots = []string{f.Name}
				if f.Alias != f.Name {
					sub.aliases++
				}
				sub.introspects = sub.introspects || f.Name == "__schema" || f.Name == "__type"
				sub.closed = f.Definition.Directives.ForName("public") == nil && !strings.HasPrefix(f.Name, "__")
				add(sub)
			case *ast.InlineFragment:
				add(measure(f.SelectionSet))
			case *ast.FragmentSpread:
				sub, ok := known[f.Name]
				if def := fragments.ForName(f.Name); !ok && def != nil { // validation refused cycles
					sub = measure(def.SelectionSet)
					known[f.Name] = sub
				}
				add(sub)
			}
		}
		return s
	}
	return measure(op.SelectionSet)
}

// costs weighs the fields that are more than a value: lists by how long they may be, and fields that cost a
// statement for every row.
func costs() (c exec.ComplexityRoot) {
	list := func(child int) int { return 1 + listCost*child }
	c.Query.Users = func(child int, first *int, _, _ *string) int { return paged(child, first) }
	c.Query.AuditEvents = func(child int, first *int, _, _, _ *string, _, _ *time.Time) int { return paged(child, first) }
	c.User.BackupCodesLeft = func(child int) int { return 5 + child }
	c.Query.Snapshots = func(child int, _, _ *string, first *int, _ *string) int { return paged(child, first) }
	c.Query.Devices = list
	c.Query.Invitations = list
	c.Query.Runs = func(child int, _ *exec.RunFilter, _ *bool, first *int, _ *string) int { return paged(child, first) }
	c.Device.Runs = func(child int, first *int) int {
		n := defaultRuns
		if first != nil {
			n = *first
		}
		return paged(child, &n)
	}
	c.Query.Policies = list
	c.Query.Groups = list
	c.Query.StorageReport = func(child int, _ *int) int { return 50 + listCost*child }
	c.Query.RunReport = func(child int, _ exec.RunReportInput) int { return 50 + listCost*child }
	c.Query.FleetOverview = func(child int) int { return 50 + listCost*child }
	c.Query.FleetDevices = func(child int, _ []run.HealthState, _ *string, _ *string, first *int, _ *string) int {
		return paged(child, first)
	}
	c.Query.MyUsage = func(child int, _ *int) int { return 1 + listCost*child }
	c.Query.RetentionPreview = func(child int, _ string, _ exec.RetentionInput, _ string) int { return 20 + listCost*child }
	c.Group.Members = list
	c.User.Groups = list
	c.Run.SealedReport = func(child int) int { return 20 + child }
	c.User.Devices = func(child int) int { return 20 + listCost*child }
	c.User.Sessions = list
	c.User.APITokens = list
	c.Query.Applications = func(child int, _ *bool) int { return 1 + listCost*child }
	c.Application.Schedules = list
	c.Application.Stats = func(child int) int { return 20 + child }
	c.ApplicationStats.Trend = list
	c.Application.Snapshots = func(child int, _ *catalog.Origin, _ *catalog.Part, first *int, _ *string) int {
		return 20 + paged(child, first)
	}
	c.Application.Runs = func(child int, _ *run.Kind, first *int, _ *string) int { return 20 + paged(child, first) }
	c.User.Usage = func(child int) int { return 20 + child }
	return c
}

func paged(child int, first *int) int {
	n := defaultPage
	if first != nil {
		n = min(max(*first, 1), maxPage)
	}
	return 1 + n*child
}

var _ fmt.Stringer = Via(0)

// String names the way, for logs.
func (v Via) String() string {
	return [...]string{"post", "get", "socket", "upload"}[v]
}
