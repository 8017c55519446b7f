// Package graph is the GraphQL API: who asks, what with, one depot call, the noun back.
//
// The schema in schema/ comes first; gqlgen writes graph/internal/exec from it and binds the depot's nouns as
// they are, so there is no third model, and what must not be public is no field of a noun. Each .graphqls
// file has its resolvers in the .go file of the same name.
//
// What is decided where:
//
//   - the directives @auth, @device, @writer and @public are a first gate, on every field of a root type; a test
//     holds that none lacks one. The rule that counts is in the depot method, which gets the actor;
//   - [Limits] refuses an operation for its shape before anything is resolved;
//   - errors.go turns a fault into the error that a client sees, and everything else into a sentence
//     with a request id, in one place;
//   - loaders.go keeps lists from asking the database once per row.
//
// The server knows HTTP; this package knows only a [Request], which says how the operation came in.
package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/queue"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Bus is what subscriptions need of depot/bus.
type Bus interface {
	Subscribe(ctx context.Context, topics ...string) *bus.Sub
}

// Config is what the API stands on.
type Config struct {
	Accounts     *account.Service
	Fleet        *fleet.Service
	Catalog      *catalog.Service
	Policies     *policy.Service
	Runs         *run.Service
	Notices      *notice.Service
	Reports      *report.Service
	Settings     *setting.Service
	Applications *application.Service
	Audit        func(ctx context.Context, a actor.Actor, f audit.Filter, first int, after string) (*audit.Page, error)
	Reset        func(ctx context.Context, a actor.Actor, user id.User, email string) (*depot.Reset, error)
	Bus          Bus

	// Of care: what was done, what waits, what can be asked for, and whether all is well.
	Jobs     func(ctx context.Context, a actor.Actor, kind string, first int, after string) (*carelog.Page, error)
	Job      func(ctx context.Context, a actor.Actor, job id.Job) (*carelog.Entry, error)
	Queue    *queue.Inspector // nil: without Redis
	Care     func(ctx context.Context, a actor.Actor, kind string) error
	Doctor   func(ctx context.Context, a actor.Actor) ([]catalog.Check, error)
	Replicas *replica.Service

	// SelfBackup says when the installation last backed itself up, nil if never; nil itself: it is not told to.
	SelfBackup func(ctx context.Context) (*time.Time, error)

	Fingerprint string        // SHA-256 of the local CA's certificate in hex, "" without one
	Sweep       time.Duration // how often a subscription looks without a hint; 0: 15 s
	Limits      Limits        // zero: DefaultLimits
}

// Over is a Config that stands on a depot.
func Over(d *depot.Depot) Config {
	cfg := Config{
		Accounts: d.Accounts, Fleet: d.Fleet, Catalog: d.Catalog, Policies: d.Policies, Runs: d.Runs, Notices: d.Notices, Reports: d.Reports,
		Settings: d.Settings, Applications: d.Applications, Audit: d.Audit, Reset: d.Reset, Bus: d.Bus,
		Jobs: d.Jobs, Job: d.Job, Queue: d.Inspector, Care: d.Care, Doctor: d.Doctor, Replicas: d.Replicas,
	}
	if d.SelfBackup != nil && d.SelfBackup.Configured() {
		cfg.SelfBackup = d.SelfBackupAt
	}
	return cfg
}

// New returns the API without transports: the server adds those. Without an Introspection extension gqlgen
// keeps introspection off; [Limits] switches it on for whoever is known.
func New(cfg Config) *handler.Server {
	if cfg.Sweep == 0 {
		cfg.Sweep = 15 * time.Second
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits
	}
	es := exec.NewExecutableSchema(exec.Config{
		Resolvers:  &Resolver{cfg},
		Directives: exec.DirectiveRoot{Auth: auth, Device: device, Writer: writer, Public: public},
		Complexity: costs(),
	})
	srv := handler.New(es)
	srv.SetErrorPresenter(present)
	srv.SetRecoverFunc(recovered)
	srv.SetParserTokenLimit(cfg.Limits.Tokens)
	srv.SetDisableSuggestion(true) // suggestions spell the schema out to whoever may not introspect it
	srv.SetQueryCache(lru.New[*ast.QueryDocument](200))
	srv.Use(&guard{limits: cfg.Limits, schema: es})
	srv.AroundRootFields(func(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
		return next(withLoaders(ctx, cfg))
	})
	srv.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		return next(withLoaders(ctx, cfg))
	})
	return srv
}

// auth is the directive @auth: a person, with at least the role. A session by recovery code passes for the
// lowest role, because a few fields are open to it: the depot knows which.
func auth(ctx context.Context, _ any, next graphql.Resolver, role actor.Role) (any, error) {
	a := actor.FromContext(ctx)
	if a.IsNobody() {
		return nil, unauthenticated(ctx)
	}
	if f := graphql.GetFieldContext(ctx); f != nil && settingUp[f.Field.Name] {
		a = a.Excused()
	}
	if role == actor.Staff {
		if _, err := a.SignedIn(); err != nil {
			return nil, err
		}
	} else if err := a.Require(role); err != nil {
		return nil, err
	}
	return next(ctx)
}

// settingUp are the root fields that an administrator may use who lacks the second factor that is wanted of them.
var settingUp = map[string]bool{"me": true, "logout": true, "changePassword": true, "beginSecondFactor": true, "confirmSecondFactor": true}

// device is the directive @device.
func device(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
	a := actor.FromContext(ctx)
	if a.IsNobody() {
		return nil, unauthenticated(ctx)
	}
	if _, err := a.RequireDevice(); err != nil {
		return nil, err
	}
	return next(ctx)
}

// writer is the directive @writer: a device, or an import. Of which session, the depot asks.
func writer(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
	a := actor.FromContext(ctx)
	if a.IsNobody() {
		return nil, unauthenticated(ctx)
	}
	if _, err := a.RequireWriter(a.Import); err != nil {
		return nil, err
	}
	return next(ctx)
}

// public is the directive @public.
func public(ctx context.Context, _ any, next graphql.Resolver) (any, error) { return next(ctx) }

// unauthenticated says why there is no actor: the credential was refused, or there was none.
func unauthenticated(ctx context.Context) error {
	if err := RequestFrom(ctx).Refused; err != nil {
		return err
	}
	return fault.New(fault.Unauthenticated, "log in first: send Authorization: Bearer and a token")
}

// parse reads a public id. An id of another noun, or a mistyped one, is BAD_INPUT.
func parse[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s string) (T, error) {
	var v T
	if err := P(&v).UnmarshalText([]byte(s)); err != nil {
		return v, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	return v, nil
}

// objects cuts a string of object ids into pieces of 16 bytes.
func objects(b []byte) ([]id.Object, error) {
	const size = len(id.Object{})
	if len(b)%size != 0 {
		return nil, fault.New(fault.Invalid, "object ids are %d bytes each: %d is not a multiple", size, len(b))
	}
	if len(b) > catalog.MaxIDs*size {
		return nil, fault.New(fault.TooLarge, "ask for at most %d objects at once", catalog.MaxIDs)
	}
	ids := make([]id.Object, len(b)/size)
	for i := range ids {
		ids[i] = id.Object(b[i*size:])
	}
	return ids, nil
}

// page checks the arguments of a connection.
func page(first *int, after *string) (int, string, error) {
	n, cursor := defaultPage, ""
	if first != nil {
		n = *first
	}
	if after != nil {
		cursor = *after
	}
	if n < 1 || n > maxPage {
		return 0, "", fault.New(fault.Invalid, "first: ask for 1 to %d", maxPage)
	}
	if len(cursor) > 1024 {
		return 0, "", fault.New(fault.Invalid, "after: this is no cursor of ours")
	}
	return n, cursor, nil
}

// optional turns NOT_FOUND into null, for fields that may be null.
func optional[T any](v *T, err error) (*T, error) {
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return v, err
}
