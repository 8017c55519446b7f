package depot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// digests gathers from the reports what digests say: [notice.Numbers]. It asks as the system, for people who may know: their own
// devices, or as administrators all of them.
type digests struct{ d *Depot }

// maxUnwell is how many devices a digest names.
const maxUnwell = 50

// Fleet implements [notice.Numbers].
func (x digests) Fleet(ctx context.Context, from, to time.Time) (*notice.Fleet, error) {
	all, err := x.d.Reports.Overview(ctx, actor.System())
	if err != nil {
		return nil, err
	}
	runs, err := x.d.Reports.Runs(ctx, actor.System(), report.Filter{From: from, To: to, By: report.ByDay, Kind: run.Backup, Zone: from.Location().String()})
	if err != nil {
		return nil, err
	}
	stored, err := x.d.Reports.Storage(ctx, actor.System(), 30)
	if err != nil {
		return nil, err
	}
	page, err := x.d.Reports.Devices(ctx, actor.System(), report.DeviceFilter{Health: []run.HealthState{run.HealthBad, run.HealthWarning}}, maxUnwell, "")
	if err != nil {
		return nil, err
	}
	ids := make([]id.Device, len(page.Devices))
	for i, p := range page.Devices {
		ids[i] = p.ID
	}
	found, err := x.d.Fleet.DevicesByID(ctx, actor.System(), ids)
	if err != nil {
		return nil, err
	}
	var list []*fleet.Device
	var owners []id.User
	for _, dev := range ids {
		if d := found[dev]; d != nil { // it may have gone since
			list = append(list, d)
			if !slices.Contains(owners, d.OwnerID) {
				owners = append(owners, d.OwnerID)
			}
		}
	}
	people, err := x.d.Accounts.UsersByID(ctx, actor.System(), owners)
	if err != nil {
		return nil, err
	}
	f := &notice.Fleet{
		Devices: all.Devices, Unwell: page.TotalCount,
		Succeeded: runs.Total.Succeeded, Warned: runs.Total.Warned, Failed: runs.Total.Failed, Missed: runs.Total.Missed, SuccessRate: runs.Total.SuccessRate,
		StoredBytes: stored.StoredBytes, GrowthPerDay: stored.GrowthPerDay, FreeBytes: stored.FreeBytes, FullAt: stored.FullAt,
	}
	f.Attention, err = x.states(ctx, list, func(d *fleet.Device) string {
		if u := people[d.OwnerID]; u != nil {
			return d.Name + " of " + u.Name
		}
		return d.Name
	})
	return f, err
}

// Devices implements [notice.Numbers].
func (x digests) Devices(ctx context.Context, owner id.User) ([]notice.Device, error) {
	list, err := x.d.Fleet.Devices(ctx, actor.System(), owner)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(d *fleet.Device) bool { return d.RevokedAt != nil })
	states, err := x.states(ctx, list, func(d *fleet.Device) string { return d.Name })
	rank := map[notice.Severity]int{notice.Error: 0, notice.Warning: 1, notice.Info: 2, notice.Success: 3}
	slices.SortStableFunc(states, func(a, b notice.Device) int { return rank[a.Severity] - rank[b.Severity] })
	return states, err
}

// states says of each device how it is, in words.
func (x digests) states(ctx context.Context, list []*fleet.Device, name func(*fleet.Device) string) ([]notice.Device, error) {
	if len(list) == 0 {
		return nil, nil
	}
	set, err := x.d.Settings.Get(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(set.Zone)
	if err != nil {
		return nil, err
	}
	ids := make([]id.Device, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	health, err := x.d.Runs.Health(ctx, actor.System(), ids)
	if err != nil {
		return nil, err
	}
	var out []notice.Device
	for _, d := range list {
		h := health[d.ID]
		if h == nil {
			continue // it has gone since
		}
		severity, text := healthWords(h, set.StaleDays, zone)
		out = append(out, notice.Device{ID: d.ID, Name: name(d), Severity: severity, State: text})
	}
	return out, nil
}

// healthWords says how a device is.
func healthWords(h *run.Health, staleDays int, zone *time.Location) (notice.Severity, string) {
	last := "never backed up"
	if h.LastSuccessAt != nil {
		last = "backed up on " + h.LastSuccessAt.In(zone).Format("Monday, 2 January, 15:04")
	}
	switch h.State {
	case run.HealthGood:
		return notice.Success, last
	case run.HealthWarning:
		return notice.Warning, last + ", but some files could not be read"
	case run.HealthBad:
		if h.LastSuccessAt != nil && h.StaleDays >= staleDays {
			return notice.Error, fmt.Sprintf("no backup for %d days", h.StaleDays)
		}
		return notice.Error, "the last backup failed or was missed; " + last
	case run.HealthWorking:
		return notice.Info, "a backup is under way or waits for the device; " + last
	}
	return notice.Info, "nothing was due yet"
}
