package policy

import (
	"context"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	// MaxSlots is how many slots one [Due] gives.
	MaxSlots = 2000

	// MaxNext is how many slots to come can be asked for at once.
	MaxNext = 50
)

// DuePolicy is a policy with slots that have passed and are not accounted for.
type DuePolicy struct {
	*Policy             // without its targets
	Slots   []time.Time // oldest first, at most [MaxSlots]; none if nothing is due
	Now     time.Time   // by the database's clock
	Until   time.Time   // what to hand to [Advance] when all of Slots have their rows
	More    bool        // there are more slots: look again after [Advance]
}

// Target is a device that a policy applies to.
type Target struct {
	Device    id.Device `db:"device_id"`
	Owner     id.User   `db:"user_id"`
	CreatedAt time.Time `db:"created_at"` // it has no slots from before
}

// Due locks a policy until tx ends and returns it with the slots since it was last advanced. It returns nil if there is no
// such policy or it is off.
func Due(ctx context.Context, tx *sqlx.Tx, policy id.Policy) (*DuePolicy, error) {
	p, err := lock(ctx, tx, policy)
	if err != nil || p == nil || !p.Enabled {
		return nil, err
	}
	d := &DuePolicy{Policy: p, Now: p.asOf}
	d.Slots, d.Until, d.More = Passed(p.Schedule, p.tickedAt, d.Now)
	return d, nil
}

// Passed returns the slots of a schedule after one time and up to another, oldest first, at most [MaxSlots]; up to when those are all, and whether
// there are more after that.
func Passed(s plan.Schedule, after, now time.Time) (slots []time.Time, until time.Time, more bool) {
	slots, until = s.Slots(after, now, MaxSlots+1), now
	if more = len(slots) > MaxSlots; more {
		slots = slots[:MaxSlots]
		until = slots[MaxSlots-1]
	}
	return slots, until, more
}

// Advance says that every slot of a policy up to the given time has its rows. It never goes back.
func Advance(ctx context.Context, tx *sqlx.Tx, policy id.Policy, to time.Time) error {
	return advance(ctx, tx, policy, to)
}

// DevicesOf returns the devices that a policy applies to at this moment, by id.
func DevicesOf(ctx context.Context, tx *sqlx.Tx, policy id.Policy) ([]Target, error) {
	return devicesOf(ctx, tx, policy)
}

// Enabled returns the policies that are on, by id.
func (s *Service) Enabled(ctx context.Context) ([]id.Policy, error) {
	return enabled(ctx, s.cfg.DB)
}

// DueAt returns when a device may begin for a slot: delay after it (from 0 to SpreadMinutes), or when the window opens
// next. A longer delay never gives an earlier time.
func (p *Policy) DueAt(slot time.Time, delay time.Duration) time.Time {
	at := slot.Add(delay)
	if p.Window == nil {
		return at
	}
	zone, err := plan.LoadZone(p.Zone)
	if err != nil {
		return at
	}
	return p.Window.Open(at, zone)
}

// DeadlineAt returns when a slot counts as missed: DeadlineMinutes after it. If that is 0, when the next slot comes, but no later than a
// day after this one, and no earlier than an hour after the last device may begin.
func (p *Policy) DeadlineAt(slot time.Time) time.Time {
	if p.DeadlineMinutes > 0 {
		return slot.Add(time.Duration(p.DeadlineMinutes) * time.Minute)
	}
	return AutoDeadline(p.Schedule, slot, p.lastDue(slot))
}

// AutoDeadline returns when a slot of a schedule counts as missed if nobody says: when the next one comes, but no later than a day after this
// one, and no earlier than an hour after the last may begin.
func AutoDeadline(s plan.Schedule, slot, lastDue time.Time) time.Time {
	end := slot.Add(maxAutoDeadline)
	if next, ok := s.Next(slot); ok && next.Before(end) {
		end = next
	}
	if least := lastDue.Add(minDeadline); end.Before(least) {
		end = least
	}
	return end
}

// lastDue returns when the last device may begin for a slot.
func (p *Policy) lastDue(slot time.Time) time.Time {
	return p.DueAt(slot, time.Duration(p.SpreadMinutes)*time.Minute)
}

// Next returns the next n slots, seen from when the policy was read; none if it is off.
func (p *Policy) Next(n int) ([]time.Time, error) {
	return NextSlots(p.Schedule, p.Enabled, p.asOf, n)
}

// NextSlots returns the next n (1 to [MaxNext]) slots of a schedule after a time; none if it is off.
func NextSlots(s plan.Schedule, on bool, after time.Time, n int) ([]time.Time, error) {
	if err := checkNext(n); err != nil {
		return nil, err
	}
	if !on {
		return nil, nil
	}
	return upcoming(s, after, n), nil
}

func checkNext(n int) error {
	if n < 1 || n > MaxNext {
		return fault.New(fault.Invalid, "count: ask for 1 to %d", MaxNext)
	}
	return nil
}

func upcoming(s plan.Schedule, after time.Time, n int) []time.Time {
	slots := []time.Time{}
	for len(slots) < n {
		at, ok := s.Next(after)
		if !ok {
			break
		}
		slots = append(slots, at.UTC())
		after = at
	}
	return slots
}

// CheckSchedule checks a schedule and the name of its zone, puts the zone into the schedule and returns it. No zone is UTC.
func CheckSchedule(s *plan.Schedule, zone *string) (*time.Location, error) {
	if *zone == "" {
		*zone = "UTC"
	}
	loc, err := plan.LoadZone(*zone)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s", err)
	}
	s.Zone = *zone
	if err := s.Validate(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "schedule.%s", err)
	}
	return loc, nil
}

// Preview returns the next n slots of a schedule that is not saved. Its zone is taken from s.
func (s *Service) Preview(ctx context.Context, schedule plan.Schedule, n int) ([]time.Time, error) {
	if err := checkNext(n); err != nil {
		return nil, err
	}
	if err := schedule.Validate(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "schedule: %s", err)
	}
	now, err := pg.Clock(ctx, s.cfg.DB)
	if err != nil {
		return nil, pg.Fault(err)
	}
	return upcoming(schedule, now, n), nil
}

// Next returns the next n slots of all policies of the device, in order.
func (e *Effective) Next(n int) ([]*Slot, error) {
	if err := checkNext(n); err != nil {
		return nil, err
	}
	slots := []*Slot{}
	for _, p := range e.Policies {
		for _, at := range upcoming(p.Schedule, p.asOf, n) {
			slots = append(slots, &Slot{At: at, Policy: p.Name})
		}
	}
	slices.SortStableFunc(slots, func(a, b *Slot) int { return a.At.Compare(b.At) })
	return slots[:min(n, len(slots))], nil
}
