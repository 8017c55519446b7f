package report

import (
	"context"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxPage is the largest page that [Service.Devices] gives.
const MaxPage = 200

const (
	maxFailures = 20
	maxStale    = 100
	maxSearch   = 200 // bytes
)

// Worst is the order of devices by health, the worst first.
var Worst = []run.HealthState{run.HealthBad, run.HealthWarning, run.HealthWorking, run.HealthNew, run.HealthGood, run.HealthRevoked}

// Overview is the fleet at a glance.
type Overview struct {
	Users          int
	Devices        int // not counting revoked ones
	Good           int
	Working        int
	Warning        int
	Bad            int
	New            int
	SuccessRate    *float64 // of backups of the last 24 hours
	RunsToday      *Row     // backups; a day of the settings' zone
	OpenRuns       int
	RecentFailures []id.Run    // newest first, at most 20 of the last 7 days
	Stale          []id.Device // longest first, at most 100
}

// Overview returns the fleet at a glance.
func (s *Service) Overview(ctx context.Context, a actor.Actor) (*Overview, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	set, err := s.cfg.Settings.Get(ctx)
	if err != nil {
		return nil, err
	}
	o, now, err := glance(ctx, s.cfg.DB, set.StaleDays)
	if err != nil {
		return nil, err
	}
	last, err := s.total(ctx, Filter{From: now.Add(-24 * time.Hour), To: now, Kind: run.Backup})
	if err != nil {
		return nil, err
	}
	o.SuccessRate = last.SuccessRate
	zone, err := plan.LoadZone(set.Zone)
	if err != nil {
		zone = time.UTC // it was checked when it was set
	}
	year, month, day := now.In(zone).Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if o.RunsToday, err = s.total(ctx, Filter{From: midnight, To: midnight.AddDate(0, 0, 1), Kind: run.Backup}); err != nil {
		return nil, err
	}
	o.RunsToday.Key = midnight.Format(time.DateOnly)
	o.RunsToday.Label = o.RunsToday.Key
	if o.RecentFailures, err = failures(ctx, s.cfg.DB, maxFailures); err != nil {
		return nil, err
	}
	o.Stale, err = stale(ctx, s.cfg.DB, set.StaleDays, maxStale)
	return o, err
}

// DeviceFilter says which devices are wanted.
type DeviceFilter struct {
	Health []run.HealthState // empty: all
	Search string            // part of the device's name, its host's, or its owner's name or e-mail; "": all
	Group  *id.Group         // of the owner
}

// DevicePage is a part of the list of devices.
type DevicePage struct {
	Devices    []Place
	HasNext    bool
	TotalCount int
}

// Place is a device, and where it stands in the list.
type Place struct {
	ID     id.Device
	Cursor string
}

// Devices returns up to first devices of everybody from the cursor after on (empty: from the first), those of worst health first, then by
// name.
func (s *Service) Devices(ctx context.Context, a actor.Actor, f DeviceFilter, first int, after string) (*DevicePage, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if first < 0 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 0 to %d", MaxPage)
	}
	if len(f.Search) > maxSearch || !text(f.Search) {
		return nil, fault.New(fault.Invalid, "search: at most %d bytes of text", maxSearch)
	}
	var from *position
	if after != "" {
		p, err := parseCursor(after)
		if err != nil {
			return nil, err
		}
		from = &p
	}
	set, err := s.cfg.Settings.Get(ctx)
	if err != nil {
		return nil, err
	}
	places, total, err := worst(ctx, s.cfg.DB, set.StaleDays, f, from, first+1)
	if err != nil {
		return nil, err
	}
	page := &DevicePage{Devices: []Place{}, TotalCount: total, HasNext: len(places) > first}
	for _, p := range places[:min(first, len(places))] {
		page.Devices = append(page.Devices, Place{p.id, p.cursor()})
	}
	return page, nil
}

// position is a place between two devices.
type position struct {
	rank int
	name string
	id   id.Device
}

// cursor writes a position: a byte, the id, the name.
func (p position) cursor() string {
	return base64.RawURLEncoding.EncodeToString(append(append([]byte{byte(p.rank)}, p.id[:]...), p.name...))
}

func parseCursor(s string) (p position, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 1+len(p.id) || int(b[0]) > len(Worst) || !text(string(b[1+len(p.id):])) {
		return p, fault.New(fault.Invalid, "after: this is not a cursor of the list of devices")
	}
	p.rank = int(b[0])
	copy(p.id[:], b[1:])
	p.name = string(b[1+len(p.id):])
	return p, nil
}

// text reports whether PostgreSQL can take s for text.
func text(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
