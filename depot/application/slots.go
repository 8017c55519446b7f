package application

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// DueSchedule is a schedule with slots that have passed and are not accounted for.
type DueSchedule struct {
	*Schedule
	Application *Application
	Slots       []time.Time // oldest first, at most policy.MaxSlots; none if nothing is due
	Now         time.Time   // by the database's clock
	Until       time.Time   // what to hand to [Advance] when all of Slots have their rows
	More        bool        // there are more slots: look again after [Advance]
}

// Due locks a schedule until tx ends and returns it with the slots since it was last advanced. It returns nil if there is no such schedule or it is
// off. Where nobody could carry it out (the device has the application no more or was revoked, or its owner is suspended) there are no slots.
func Due(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule) (*DueSchedule, error) {
	s, err := lockSchedule(ctx, tx, schedule)
	if err != nil || s == nil || !s.Enabled {
		return nil, err
	}
	d := &DueSchedule{Schedule: s, Now: s.asOf, Until: s.asOf}
	idle, err := idle(ctx, tx, s.ApplicationID)
	if err != nil {
		return nil, err
	}
	if d.Application, err = one(ctx, tx, scope{}, s.ApplicationID); err != nil || idle {
		return d, err
	}
	d.Slots, d.Until, d.More = policy.Passed(s.Schedule, s.tickedAt, d.Now)
	return d, nil
}

// Retained returns the schedules that have live snapshots to which their rules apply, whether they are on or off.
func (s *Service) Retained(ctx context.Context) ([]*Schedule, error) { return retained(ctx, s.cfg.DB) }

// Saved returns the applications that have live safety backups.
func (s *Service) Saved(ctx context.Context) ([]*Application, error) { return saved(ctx, s.cfg.DB) }

// Advance says that every slot of a schedule up to the given time has its rows. It never goes back.
func Advance(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule, to time.Time) error {
	return advance(ctx, tx, schedule, to)
}

// Enabled returns the schedules that are on, by id.
func (s *Service) Enabled(ctx context.Context) ([]id.ApplicationSchedule, error) {
	return enabled(ctx, s.cfg.DB)
}

// DeadlineAt returns when a slot counts as missed: when the next one comes, but no later than a day after it and no earlier than an hour.
func (s *Schedule) DeadlineAt(slot time.Time) time.Time {
	return policy.AutoDeadline(s.Schedule, slot, slot)
}

// Next returns the next n slots, seen from when the schedule was read; none if it is off.
func (s *Schedule) Next(n int) ([]time.Time, error) {
	return policy.NextSlots(s.Schedule, s.Enabled, s.asOf, n)
}

// NextDue returns when one of an application's schedules is due next; nil: never.
func NextDue(schedules []*Schedule) (*time.Time, error) {
	var first *time.Time
	for _, s := range schedules {
		at, err := s.Next(1)
		if err != nil {
			return nil, err
		}
		if len(at) > 0 && (first == nil || at[0].Before(*first)) {
			first = &at[0]
		}
	}
	return first, nil
}
