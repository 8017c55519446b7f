package run

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	MaxPage = 200  // runs of a page
	MaxByID = 500  // of the methods for many at once
	MaxOpen = 5000 // runs that [Service.Changes] gives
)

// Filter narrows a list of runs. A nil field does not.
type Filter struct {
	Device      *id.Device
	Application *id.Application
	User        *id.User // the device's owner
	Group       *id.Group
	Policy      *id.Policy
	Kind        *Kind
	States      []State
	From        *time.Time // when they were made, inclusive
	To          *time.Time // exclusive
}

// Page is a part of a list of runs, newest first.
type Page struct {
	Runs       []*Run
	HasNext    bool
	TotalCount int
}

// scopeOf says whose runs a may see.
func scopeOf(a actor.Actor) (scope, error) {
	if a.IsDevice() {
		return scope{device: &a.Device}, nil
	}
	if a.Require(actor.Admin) == nil {
		return scope{}, nil
	}
	u, err := a.SignedIn()
	return scope{owner: &u}, err
}

// ownScope is scopeOf of somebody who asks for their own, or, with fleet, for those of all: only administrators may.
func ownScope(a actor.Actor, fleet bool) (scope, error) {
	if fleet {
		return scope{}, a.Require(actor.Admin)
	}
	u, err := a.SignedIn()
	return scope{owner: &u}, err
}

// seen is a run as an actor sees it: which snapshots it made are its owner's and its device's to know.
func seen(a actor.Actor, r *row) *Run {
	run := r.noun()
	if a.Device != r.DeviceID && !a.MayRead(r.OwnerID) {
		run.SnapshotID, run.BackupID, run.SafetyID = nil, nil, nil
	}
	return run
}

func allSeen(a actor.Actor, rows []*row) []*Run {
	list := make([]*Run, len(rows))
	for i, r := range rows {
		list[i] = seen(a, r)
	}
	return list
}

// Run returns one run: of the owner's devices, of the device that asks, or any to an administrator.
func (s *Service) Run(ctx context.Context, a actor.Actor, run id.Run) (*Run, error) {
	m, err := s.RunsByID(ctx, a, []id.Run{run})
	if err != nil {
		return nil, err
	}
	if m[run] == nil {
		return nil, noRun()
	}
	return m[run], nil
}

// RunsByID returns those of the runs that exist and that the actor may see, at most [MaxByID] at once.
func (s *Service) RunsByID(ctx context.Context, a actor.Actor, runs []id.Run) (map[id.Run]*Run, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	if len(runs) > MaxByID {
		return nil, fault.New(fault.TooLarge, "at most %d runs at once", MaxByID)
	}
	rows, err := byID(ctx, s.cfg.DB, sc, runs)
	if err != nil {
		return nil, err
	}
	m := make(map[id.Run]*Run, len(rows))
	for _, r := range rows {
		m[r.ID] = seen(a, r)
	}
	return m, nil
}

// Runs returns a page of the runs of the caller's devices, or, with fleet, of all: to administrators.
func (s *Service) Runs(ctx context.Context, a actor.Actor, f Filter, fleet bool, first int, after string) (*Page, error) {
	sc, err := ownScope(a, fleet)
	if err != nil {
		return nil, err
	}
	if first < 1 || first > MaxPage {
		return nil, fault.New(fault.Invalid, "first: ask for 1 to %d", MaxPage)
	}
	from, err := keyset.Parse[id.Run](after, "a list of runs")
	if err != nil {
		return nil, err
	}
	rows, err := page(ctx, s.cfg.DB, sc, f, from, first+1)
	if err != nil {
		return nil, err
	}
	p := &Page{HasNext: len(rows) > first}
	if p.HasNext {
		rows = rows[:first]
	}
	p.Runs = allSeen(a, rows)
	p.TotalCount, err = count(ctx, s.cfg.DB, sc, f)
	return p, err
}

// Latest returns up to n (at most [MaxPage]) of the newest runs of each of the devices, of those that the actor may see.
func (s *Service) Latest(ctx context.Context, a actor.Actor, devices []id.Device, n int) (map[id.Device][]*Run, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > MaxPage || len(devices) > MaxByID {
		return nil, fault.New(fault.Invalid, "first: ask for 1 to %d, of at most %d devices", MaxPage, MaxByID)
	}
	rows, err := latest(ctx, s.cfg.DB, sc, devices, n)
	if err != nil {
		return nil, err
	}
	m := map[id.Device][]*Run{}
	for _, r := range rows {
		m[r.DeviceID] = append(m[r.DeviceID], seen(a, r))
	}
	return m, nil
}

// Health returns how each of the devices is doing, of those that the actor may see: at most [MaxByID] at once.
func (s *Service) Health(ctx context.Context, a actor.Actor, devices []id.Device) (map[id.Device]*Health, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	if len(devices) > MaxByID {
		return nil, fault.New(fault.TooLarge, "at most %d devices at once", MaxByID)
	}
	set, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := health(ctx, s.cfg.DB, sc, devices, set.StaleDays)
	if err != nil {
		return nil, err
	}
	m := make(map[id.Device]*Health, len(rows))
	for _, h := range rows {
		h.LastSuccessAt = utc(h.LastSuccessAt)
		m[h.DeviceID] = h
	}
	return m, nil
}

// Changes returns the runs that are open and those that have ended since a time, oldest first, at most [MaxOpen]; and the time at which it looked, for the
// next call. The zero time gives the open ones. Of the caller's devices, or, with fleet, of all: to administrators.
//
// A run that ends in a transaction which commits after the look has ended before it: who calls again asks from a little earlier.
func (s *Service) Changes(ctx context.Context, a actor.Actor, fleet bool, since time.Time) ([]*Run, time.Time, error) {
	sc, err := ownScope(a, fleet)
	if err != nil {
		return nil, time.Time{}, err
	}
	now, err := clock(ctx, s.cfg.DB)
	if err != nil {
		return nil, time.Time{}, err
	}
	if since.IsZero() {
		since = now.Add(time.Hour) // nothing has ended there
	}
	rows, err := sinceRows(ctx, s.cfg.DB, sc, since, MaxOpen)
	return allSeen(a, rows), now, err
}

// SealedReport returns what a device told the owner, who alone may have it; nil if there is none.
func (s *Service) SealedReport(ctx context.Context, a actor.Actor, run id.Run) ([]byte, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	return readReport(ctx, s.cfg.DB, me, run)
}

// LocationsAllowed refuses a device that asks where objects lie without having a restore under way: the run must be its own, taken under
// this lease, not lapsed, and not asked to stop. Which objects it asks for is not looked at: all of its owner's are sealed.
func (s *Service) LocationsAllowed(ctx context.Context, a actor.Actor, run id.Run, lease int64) error {
	device, err := a.RequireDevice()
	if err != nil {
		return err
	}
	ok, err := isAtRestore(ctx, s.cfg.DB, device, run, lease)
	if err == nil && !ok {
		err = fault.New(fault.Conflict, "no restore is under way on this device under this lease: look for work again")
	}
	return err
}

// Cursor returns where r stands in [Service.Runs].
func (r *Run) Cursor() string { return keyset.Position[id.Run]{At: r.CreatedAt, ID: r.ID}.Cursor() }
