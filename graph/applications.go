package graph

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func applicationPayload(app *application.Application, err error) (*exec.ApplicationPayload, error) {
	if err != nil {
		return nil, err
	}
	return &exec.ApplicationPayload{Application: app}, nil
}

func schedulePayload(s *application.Schedule, err error) (*exec.ApplicationSchedulePayload, error) {
	if err != nil {
		return nil, err
	}
	return &exec.ApplicationSchedulePayload{Schedule: s}, nil
}

func applicationScheduleInput(in *exec.ApplicationScheduleInput) (s application.Input, err error) {
	s = application.Input{
		Name: in.Name, Enabled: in.Enabled, Part: in.Part, Zone: in.Zone, Retention: retentionInput(in.Retention),
		Options: application.Options{Level: in.Level, ExcludeLogs: in.ExcludeLogs, Portable: in.Portable},
	}
	s.Schedule, err = scheduleInput(in.Schedule, in.Zone)
	return s, err
}

// schedulesOf returns the schedules of an application, by name.
func schedulesOf(ctx context.Context, app *application.Application) ([]*application.Schedule, error) {
	list, err := found(load(ctx).schedulesOf.Load(ctx, app.ID))
	if err != nil || list == nil {
		return []*application.Schedule{}, err
	}
	return *list, nil
}

// thisDeviceApplications returns the applications of the calling device that it names, nil for each that the server does not know.
func thisDeviceApplications(ctx context.Context, cfg Config, ids []string) ([]*application.Application, error) {
	a := actor.FromContext(ctx)
	if _, err := a.RequireDevice(); err != nil {
		return nil, err
	}
	if len(ids) > application.MaxApplications {
		return nil, fault.New(fault.TooLarge, "at most %d applications at once", application.MaxApplications)
	}
	apps := make([]applicationID, len(ids))
	for i, text := range ids {
		var err error
		if apps[i], err = parse[applicationID](text); err != nil {
			return nil, err
		}
	}
	known, err := cfg.Applications.ByID(ctx, a, apps)
	if err != nil {
		return nil, err
	}
	list := make([]*application.Application, len(apps))
	for i, app := range apps {
		list[i] = known[app]
	}
	return list, nil
}

func snapshotConnection(p *catalog.SnapshotPage, err error) (*exec.SnapshotConnection, error) {
	if err != nil {
		return nil, err
	}
	c := &exec.SnapshotConnection{Edges: []*exec.SnapshotEdge{}, PageInfo: &exec.PageInfo{HasNextPage: p.HasNext}, TotalCount: p.TotalCount}
	for _, s := range p.Snapshots {
		c.Edges = append(c.Edges, &exec.SnapshotEdge{Cursor: s.Cursor(), Node: s})
		c.PageInfo.EndCursor = &c.Edges[len(c.Edges)-1].Cursor
	}
	return c, nil
}

func runConnection(p *run.Page, err error) (*exec.RunConnection, error) {
	if err != nil {
		return nil, err
	}
	c := &exec.RunConnection{Edges: []*exec.RunEdge{}, PageInfo: &exec.PageInfo{HasNextPage: p.HasNext}, TotalCount: p.TotalCount}
	for _, n := range p.Runs {
		c.Edges = append(c.Edges, &exec.RunEdge{Cursor: n.Cursor(), Node: n})
		c.PageInfo.EndCursor = &c.Edges[len(c.Edges)-1].Cursor
	}
	return c, nil
}

// begun hands a session over.
func begun(b *catalog.Begun) *exec.BeginBackupPayload {
	return &exec.BeginBackupPayload{
		ID: b.ID.String(), Fence: b.Fence, TTL: int(b.TTL.Seconds()), ParentUsable: b.ParentUsable, SpaceEmpty: b.SpaceEmpty,
		ChunkMin: b.ChunkMin, ChunkAvg: b.ChunkAvg, ChunkMax: b.ChunkMax, MaxPack: b.MaxPack,
	}
}

// commitLabel reads what a session says of an application; nil: it is of files.
func commitLabel(in *exec.CommitApplicationInput) (*catalog.Label, error) {
	if in == nil {
		return nil, nil
	}
	app, err := parse[applicationID](in.ID)
	if err != nil {
		return nil, err
	}
	l := &catalog.Label{Application: app, Part: in.Part, Origin: in.Origin, Title: in.Title}
	l.Schedule, err = parseOptional[scheduleID](in.Schedule)
	return l, err
}
