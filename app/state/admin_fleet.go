package state

import (
	"context"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// FleetDevices is the devices of everybody, worst first. Make it with [NewFleetDevices].
type FleetDevices struct {
	Desk
	v FleetDevicesView
}

// FleetDevicesView is what pages show of [FleetDevices].
type FleetDevicesView struct {
	Work
	Search string
	Health []api.HealthState // only these; none: all
	Rows   Rows[*api.AdminDevice]
}

// NewFleetDevices returns the list.
func NewFleetDevices(client *api.Client) *FleetDevices { return &FleetDevices{Desk: Desk{api: client}} }

// View returns what to show.
func (f *FleetDevices) View() (v FleetDevicesView) {
	f.read(func() {
		v = f.v
		v.Work = f.work
	})
	return v
}

// Reload loads the first page.
func (f *FleetDevices) Reload() { f.page(false) }

// More loads the next one.
func (f *FleetDevices) More() { f.page(true) }

// Filter shows only devices with a text in their names and of some health.
func (f *FleetDevices) Filter(search string, health []api.HealthState) {
	f.change(func() { f.v.Search, f.v.Health = search, health })
	f.Reload()
}

func (f *FleetDevices) page(more bool) {
	fetchRows(&f.Model, &f.v.Rows, more, func(ctx context.Context, after *string) (slice[*api.AdminDevice], error) {
		var search *string
		var health []api.HealthState
		f.read(func() {
			if s := strings.TrimSpace(f.v.Search); s != "" {
				search = &s
			}
			health = f.v.Health
		})
		r, err := api.AdminDevices(ctx, f.api, health, search, pageSize, after)
		if err != nil {
			return slice[*api.AdminDevice]{}, err
		}
		d := r.FleetDevices
		page := slice[*api.AdminDevice]{after: next(d.PageInfo.HasNextPage, d.PageInfo.EndCursor), total: d.TotalCount}
		for _, e := range d.Edges {
			page.rows = append(page.rows, e.Node)
		}
		return page, nil
	})
}

// BackUp backs up a device now.
func (f *FleetDevices) BackUp(d *api.AdminDevice) {
	f.do(d.Id, func(ctx context.Context) (string, error) {
		_, err := api.AdminBackUpNow(ctx, f.api, d.Id)
		if err == nil {
			f.Reload()
		}
		return d.Name + " was told to back up now.", err
	})
}

// Revoke withdraws a device's access.
func (f *FleetDevices) Revoke(d *api.AdminDevice) {
	f.do(d.Id, func(ctx context.Context) (string, error) {
		_, err := api.AdminRevokeDevice(ctx, f.api, d.Id)
		if err == nil {
			f.Reload()
		}
		return d.Name + " no longer has access. Its snapshots stay.", err
	})
}

// gib reads a number of GiB as it was typed; "" is nil.
func gib(text string) (*int64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1<<30) {
		return nil, fault.New(fault.Invalid, "%q is not a number of GiB", text)
	}
	n := int64(v*(1<<30) + .5)
	return &n, nil
}
