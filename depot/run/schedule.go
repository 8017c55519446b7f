package run

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// TickSchedules is [Service.Tick] of the schedules of applications: one run for each slot.
func (s *Service) TickSchedules(ctx context.Context) error {
	ids, err := s.cfg.Applications.Enabled(ctx)
	if err != nil {
		return err
	}
	return tickAll(ctx, s, "schedule", ids, tickSchedule)
}

// TickSchedule is [Service.TickPolicy] of a schedule of an application.
func (s *Service) TickSchedule(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule) error {
	for {
		if more, err := tickSchedule(ctx, tx, schedule, new(news)); err != nil || !more {
			return err
		}
	}
}

// tickSchedule makes the rows of a portion of a schedule's slots and reports whether there are more.
func tickSchedule(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule, n *news) (more bool, err error) {
	due, err := application.Due(ctx, tx, schedule)
	if err != nil || due == nil {
		return false, err
	}
	app := due.Application
	rows := make([]*row, len(due.Slots))
	for i, slot := range due.Slots {
		rows[i] = of(app, &due.Schedule.Part, due.Name, due.Options)
		r := rows[i]
		r.Kind, r.Trigger, r.ScheduleID, r.Slot, r.DueAt, r.DeadlineAt = Backup, Schedule, &due.ID, &slot, slot, due.DeadlineAt(slot)
	}
	made, err := enter(ctx, tx, rows, due.Now, n)
	if err != nil {
		return false, err
	}
	for _, r := range made {
		r.ScheduleName, r.Zone = &due.Name, &due.Zone
	}
	if err := tell(ctx, tx, missed(made), n); err != nil {
		return false, err
	}
	return due.More, application.Advance(ctx, tx, schedule, due.Until)
}

// of returns a row for an application, without what makes it due.
func of(app *application.Application, part *catalog.Part, title string, o application.Options) *row {
	return &row{ID: id.Run{}.New(), DeviceID: app.DeviceID, OwnerID: app.OwnerID, Device: app.Device, ApplicationID: &app.ID, Application: &app.Name,
		Notify: &app.Notify, Part: part, Title: &title, Options: (*options)(&o)}
}
