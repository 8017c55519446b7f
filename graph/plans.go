package graph

import (
	"context"
	"strings"

	"github.com/vikstrous/dataloadgen"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Policies and reports: what is more than a call.

const defaultSlots = 5

// slots is how many slots are wanted.
func slots(count *int) int { return numberOr(count, defaultSlots) }

func numberOr(n *int, def int) int {
	if n == nil {
		return def
	}
	return *n
}

// pointers is the form in which gqlgen wants a list.
func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// loadAll reads many things through their loader, in order. What is not there, or not for the actor, is left out.
func loadAll[K comparable, V any](ctx context.Context, l *dataloadgen.Loader[K, *V], keys []K) ([]*V, error) {
	thunks := make([]func() (*V, error), len(keys))
	for i, k := range keys {
		thunks[i] = l.LoadThunk(ctx, k)
	}
	list := []*V{}
	for _, thunk := range thunks {
		v, err := found(thunk())
		if err != nil {
			return nil, err
		}
		if v != nil {
			list = append(list, v)
		}
	}
	return list, nil
}

// inPointers makes lists fit for a loader.
func inPointers[K comparable, V any](fetch func(context.Context, actor.Actor, []K) (map[K][]V, error)) func(context.Context, actor.Actor, []K) (map[K]*[]V, error) {
	return func(ctx context.Context, a actor.Actor, keys []K) (map[K]*[]V, error) {
		lists, err := fetch(ctx, a, keys)
		out := make(map[K]*[]V, len(lists))
		for k, v := range lists {
			out[k] = &v
		}
		return out, err
	}
}

func policyPayload(p *policy.Policy, err error) (*exec.PolicyPayload, error) {
	if err != nil {
		return nil, err
	}
	return &exec.PolicyPayload{Policy: p}, nil
}

func groupPayload(g *policy.Group, err error) (*exec.GroupPayload, error) {
	if err != nil {
		return nil, err
	}
	return &exec.GroupPayload{Group: g}, nil
}

func policyInput(in *exec.PolicyInput) (p policy.Input, err error) {
	p = policy.Input{
		Name: in.Name, Enabled: in.Enabled, Roots: in.Roots, Presets: in.Presets, Extensions: in.Extensions, ExcludePresets: in.ExcludePresets,
		Excludes: in.Excludes, MaxFileSize: in.MaxFileSize, Zone: in.Zone, DeadlineMinutes: in.DeadlineMinutes, SpreadMinutes: in.SpreadMinutes,
		UploadLimit: in.UploadLimit, Level: in.Level, Retention: retentionInput(in.Retention),
	}
	if p.Targets, err = targetsInput(in.Targets); err != nil {
		return p, err
	}
	if p.Schedule, err = scheduleInput(in.Schedule, in.Zone); err != nil {
		return p, err
	}
	if in.Window != nil {
		p.Window = &plan.Window{}
		if p.Window.From, err = clock("window.from", in.Window.From); err != nil {
			return p, err
		}
		if p.Window.To, err = clock("window.to", in.Window.To); err != nil {
			return p, err
		}
	}
	return p, nil
}

func targetsInput(in *exec.PolicyTargetsInput) (t policy.Targets, err error) {
	t.Everyone = in.Everyone
	if t.Groups, err = parseAll[id.Group](in.Groups, policy.MaxTargets); err != nil {
		return t, err
	}
	if t.Devices, err = parseAll[id.Device](in.Devices, policy.MaxTargets); err != nil {
		return t, err
	}
	if t.ExceptGroups, err = parseAll[id.Group](in.ExceptGroups, policy.MaxTargets); err != nil {
		return t, err
	}
	t.ExceptDevices, err = parseAll[id.Device](in.ExceptDevices, policy.MaxTargets)
	return t, err
}

func scheduleInput(in *exec.ScheduleInput, zone string) (plan.Schedule, error) {
	s := plan.Schedule{Kind: in.Kind, Days: in.Days, Dates: in.Dates, Cron: in.Cron, Zone: zone}
	if len(in.Times) > plan.MaxTimes {
		return s, fault.New(fault.Invalid, "schedule.times: want from 1 to %d times of day; there are %d", plan.MaxTimes, len(in.Times))
	}
	for _, text := range in.Times {
		at, err := clock("schedule.times", text)
		if err != nil {
			return s, err
		}
		s.Times = append(s.Times, at)
	}
	return s, nil
}

func clock(field, text string) (plan.Clock, error) {
	c, err := plan.ParseClock(text)
	if err != nil {
		return c, fault.Wrap(err, fault.Invalid, "%s: %s", field, err)
	}
	return c, nil
}

func retentionInput(in *exec.RetentionInput) plan.Retention {
	return plan.Retention{Days: in.Days, Last: in.Last, Daily: in.Daily, Weekly: in.Weekly, Monthly: in.Monthly, Yearly: in.Yearly}
}

// retentionPreview turns the catalog's list, oldest first, into the answer.
func retentionPreview(list []catalog.Retained) *exec.RetentionPreview {
	p := &exec.RetentionPreview{Snapshots: make([]*exec.RetentionVerdict, 0, len(list))}
	for i := len(list) - 1; i >= 0; i-- {
		r := list[i]
		if r.Keep {
			p.Keep++
		} else {
			p.Delete++
		}
		reasons := r.Reasons
		if reasons == nil {
			reasons = []string{}
		}
		p.Snapshots = append(p.Snapshots, &exec.RetentionVerdict{
			Snapshot: r.Snapshot.String(), CreatedAt: r.CreatedAt, Files: r.Files, Bytes: r.Bytes, Keep: r.Keep, Reasons: reasons,
		})
	}
	return p
}

func runReportFilter(in *exec.RunReportInput) (f report.Filter, err error) {
	f = report.Filter{From: in.From, To: in.To, By: report.By(strings.ToLower(string(in.By))), Kind: in.Kind, Zone: in.Zone}
	if f.Device, err = parseOptional[id.Device](in.Device); err != nil {
		return f, err
	}
	if f.User, err = parseOptional[id.User](in.User); err != nil {
		return f, err
	}
	if f.Group, err = parseOptional[id.Group](in.Group); err != nil {
		return f, err
	}
	f.Policy, err = parseOptional[id.Policy](in.Policy)
	return f, err
}

func deviceConnection(ctx context.Context, p *report.DevicePage) (*exec.DeviceConnection, error) {
	ids := make([]id.Device, len(p.Devices))
	cursors := map[id.Device]string{}
	for i, d := range p.Devices {
		ids[i], cursors[d.ID] = d.ID, d.Cursor
	}
	devices, err := loadAll(ctx, load(ctx).devices, ids)
	if err != nil {
		return nil, err
	}
	c := &exec.DeviceConnection{Edges: []*exec.DeviceEdge{}, PageInfo: &exec.PageInfo{HasNextPage: p.HasNext}, TotalCount: p.TotalCount}
	for _, d := range devices {
		c.Edges = append(c.Edges, &exec.DeviceEdge{Cursor: cursors[d.ID], Node: d})
	}
	if n := len(p.Devices); n > 0 {
		c.PageInfo.EndCursor = &p.Devices[n-1].Cursor
	}
	return c, nil
}
