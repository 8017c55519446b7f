package graph

import (
	"context"
	"errors"
	"time"

	"github.com/vikstrous/dataloadgen"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// batchWait is how long a loader collects keys: gqlgen resolves the rows of a list at the same time, so they
// arrive together.
const batchWait = time.Millisecond

// loaders ask the depot for many things at once. They live as long as one root field, or one event of a
// subscription, so that nothing they remember is stale; and they ask as the request's actor.
type loaders struct {
	users   *dataloadgen.Loader[id.User, *account.User]
	devices *dataloadgen.Loader[id.Device, *fleet.Device]
	latest  *dataloadgen.Loader[id.Device, *catalog.Snapshot]
	active  *dataloadgen.Loader[id.Device, *catalog.Backup]

	snapshots *dataloadgen.Loader[id.Snapshot, *catalog.Snapshot]
	policies  *dataloadgen.Loader[id.Policy, *policy.Policy]
	groups    *dataloadgen.Loader[id.Group, *policy.Group]
	members   *dataloadgen.Loader[id.Group, *[]id.User]
	groupsOf  *dataloadgen.Loader[id.User, *[]*policy.Group]
	quotas    *dataloadgen.Loader[id.User, *int64]
	effective *dataloadgen.Loader[id.Device, *policy.Effective]
	runs      *dataloadgen.Loader[id.Run, *run.Run]
	health    *dataloadgen.Loader[id.Device, *run.Health]
	lastRuns  *dataloadgen.Loader[lastRuns, *[]*run.Run]

	deviceCounts *dataloadgen.Loader[id.Policy, int]

	applications *dataloadgen.Loader[id.Application, *application.Application]
	schedules    *dataloadgen.Loader[id.ApplicationSchedule, *application.Schedule]
	schedulesOf  *dataloadgen.Loader[id.Application, *[]*application.Schedule]
	stats        *dataloadgen.Loader[id.Application, *application.Stats]
}

type loadersKey struct{}

func withLoaders(ctx context.Context, cfg Config) context.Context {
	a := actor.FromContext(ctx)
	return context.WithValue(ctx, loadersKey{}, &loaders{
		users:   loader(a, cfg.Accounts.UsersByID),
		devices: loader(a, cfg.Fleet.DevicesByID),
		latest:  loader(a, cfg.Catalog.LatestSnapshots),
		active:  loader(a, cfg.Catalog.ActiveBackups),

		snapshots: loader(a, cfg.Catalog.SnapshotsByID),
		policies:  loader(a, cfg.Policies.ByID),
		groups:    loader(a, cfg.Policies.GroupsByID),
		members:   loader(a, inPointers(cfg.Policies.Members)),
		groupsOf:  loader(a, inPointers(cfg.Policies.GroupsOf)),
		quotas:    loader(a, cfg.Settings.Quotas),
		effective: loader(a, cfg.Policies.EffectiveOf),
		runs:      loader(a, cfg.Runs.RunsByID),
		health:    loader(a, cfg.Runs.Health),
		lastRuns:  loader(a, cfg.lastRuns),

		deviceCounts: loader(a, cfg.Policies.DeviceCounts),

		applications: loader(a, cfg.Applications.ByID),
		schedules:    loader(a, cfg.Applications.SchedulesByID),
		schedulesOf:  loader(a, inPointers(cfg.Applications.SchedulesOf)),
		stats:        loader(a, cfg.Applications.Stats),
	})
}

func loader[K comparable, V any](a actor.Actor, fetch func(context.Context, actor.Actor, []K) (map[K]V, error)) *dataloadgen.Loader[K, V] {
	return dataloadgen.NewMappedLoader(func(ctx context.Context, keys []K) (map[K]V, error) {
		return fetch(ctx, a, keys)
	}, dataloadgen.WithWait(batchWait), dataloadgen.WithBatchCapacity(account.MaxPage))
}

func load(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(*loaders) }

// found turns a loader's "no such key" into null.
func found[V any](v *V, err error) (*V, error) {
	if errors.Is(err, dataloadgen.ErrNotFound) {
		return nil, nil
	}
	return v, err
}
