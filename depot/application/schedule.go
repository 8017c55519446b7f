package application

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxSchedules is how many schedules one application has at most.
const MaxSchedules = 20

// Options are how an application is backed up.
type Options struct {
	Level       policy.Level `json:"level"`
	ExcludeLogs bool         `json:"exclude_logs"` // leaves log files of the media folders out
	Portable    bool         `json:"portable"`     // writes the portable export beside the native dump
}

// Check refuses what cannot be.
func (o Options) Check() error { return o.Level.Check() }

// Schedule says when an application is backed up, what of it, and how long that is kept.
type Schedule struct {
	ID            id.ApplicationSchedule
	ApplicationID id.Application
	Name          string
	Enabled       bool
	Revision      int // rises with every change
	Part          catalog.Part
	Schedule      plan.Schedule
	Zone          string // IANA name: of schedule and retention; Schedule.Zone is the same
	Options
	Retention plan.Retention
	CreatedAt time.Time
	UpdatedAt time.Time

	tickedAt time.Time // every slot up to here is accounted for
	asOf     time.Time // when it was read, by the database's clock
}

// Input is what somebody says of a schedule. See [Schedule] for the fields.
type Input struct {
	Name     string
	Enabled  bool
	Part     catalog.Part
	Schedule plan.Schedule // its zone is not looked at
	Zone     string
	Options
	Retention plan.Retention
}

// schedule checks the input and returns it in its one spelling.
func (in Input) schedule(app *Application) (*Schedule, error) {
	s := &Schedule{ApplicationID: app.ID, Enabled: in.Enabled, Part: in.Part, Schedule: in.Schedule, Zone: in.Zone, Options: in.Options, Retention: in.Retention}
	var err error
	if s.Name, err = named.Clean("name", in.Name, catalog.MaxTitle); err != nil {
		return nil, err
	}
	if err := app.Has(s.Part); err != nil {
		return nil, err
	}
	if _, err := policy.CheckSchedule(&s.Schedule, &s.Zone); err != nil {
		return nil, err
	}
	if err := s.Options.Check(); err != nil {
		return nil, err
	}
	if err := s.Retention.Validate(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "retention.%s", err)
	}
	return s, nil
}

// Has refuses a part that an application has not got. Of one with only a database, or only media, full is that.
func (app *Application) Has(p catalog.Part) error {
	switch err := p.Check(); {
	case err != nil:
		return err
	case p == catalog.Database && app.Engine == nil:
		return fault.New(fault.Invalid, "part: the application “%s” has no database", app.Name)
	case p == catalog.Media && app.MediaFolders == 0:
		return fault.New(fault.Invalid, "part: the application “%s” has no media folders", app.Name)
	}
	return nil
}

func noSchedule() error { return fault.New(fault.NotFound, "there is no such schedule") }

// CreateSchedule makes a schedule of an application: its owner may, and administrators. Its first slot is the next one.
func (s *Service) CreateSchedule(ctx context.Context, a actor.Actor, app id.Application, in Input) (*Schedule, error) {
	var made *Schedule
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		app, err := hold(ctx, tx, a, app)
		if err != nil {
			return err
		}
		if app.RemovedAt != nil {
			return fault.New(fault.Conflict, "the device “%s” has the application “%s” no more: it cannot be scheduled", app.Device, app.Name)
		}
		made, err = in.schedule(app)
		if err != nil {
			return err
		}
		n, err := countSchedules(ctx, tx, app.ID)
		if err != nil {
			return err
		}
		if n >= MaxSchedules {
			return fault.New(fault.Conflict, "the application “%s” has %d schedules, which is the limit: delete one first", app.Name, n)
		}
		made.ID = id.ApplicationSchedule{}.New()
		var by *id.User
		if !a.IsSystem() {
			by = &a.User
		}
		if err := insertSchedule(ctx, tx, made, by); err != nil {
			return taken(err, made.Name)
		}
		if err := app.log(ctx, tx, a, "schedule.created", "The schedule “%s” was made: %s.", made.Name, made.describe()); err != nil {
			return err
		}
		made, err = reread(ctx, tx, made.ID)
		return err
	})
	return made, err
}

// UpdateSchedule changes a schedule. It fails with CONFLICT if revision is not the present one: somebody else was faster.
func (s *Service) UpdateSchedule(ctx context.Context, a actor.Actor, schedule id.ApplicationSchedule, revision int, in Input) (*Schedule, error) {
	return s.change(ctx, a, schedule, func(app *Application, was *Schedule) (*Schedule, error) {
		if was.Revision != revision {
			return nil, fault.New(fault.Conflict,
				"the schedule “%s” was changed by somebody else meanwhile (it is at revision %d, you saw %d): load it again, and make your change there", was.Name, was.Revision, revision)
		}
		return in.schedule(app)
	})
}

// EnableSchedule switches a schedule on or off. What was due before stays due. Repeating it changes nothing.
func (s *Service) EnableSchedule(ctx context.Context, a actor.Actor, schedule id.ApplicationSchedule, on bool) (*Schedule, error) {
	return s.change(ctx, a, schedule, func(_ *Application, was *Schedule) (*Schedule, error) {
		is := *was
		is.Enabled = on
		return &is, nil
	})
}

// DeleteSchedule deletes a schedule. Its runs and what it saved stay.
func (s *Service) DeleteSchedule(ctx context.Context, a actor.Actor, schedule id.ApplicationSchedule) error {
	return pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		app, was, err := holdSchedule(ctx, tx, a, schedule)
		if err != nil {
			return err
		}
		if _, err := s.settle(ctx, tx, was); err != nil {
			return err
		}
		if err := removeSchedule(ctx, tx, schedule); err != nil {
			return err
		}
		return app.log(ctx, tx, a, "schedule.deleted", "The schedule “%s” was deleted: %s.", was.Name, was.describe())
	})
}

// change replaces a schedule by what decide makes of it. If that is the same, nothing is done.
func (s *Service) change(ctx context.Context, a actor.Actor, schedule id.ApplicationSchedule, decide func(*Application, *Schedule) (*Schedule, error)) (*Schedule, error) {
	var after *Schedule
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		app, was, err := holdSchedule(ctx, tx, a, schedule)
		if err != nil {
			return err
		}
		is, err := decide(app, was)
		if err != nil {
			return err
		}
		changes := is.changes(was)
		if after = was; changes == "" {
			return nil
		}
		settled, err := s.settle(ctx, tx, was)
		if err != nil {
			return err
		}
		is.ID = schedule
		if err := updateSchedule(ctx, tx, is, settled); err != nil {
			return taken(err, is.Name)
		}
		if err := app.log(ctx, tx, a, "schedule.changed", "The schedule “%s” was changed: %s.", was.Name, changes); err != nil {
			return err
		}
		after, err = reread(ctx, tx, schedule)
		return err
	})
	return after, err
}

// holdSchedule locks a schedule, and its application before it, for a change by somebody who may make it.
func holdSchedule(ctx context.Context, tx *sqlx.Tx, a actor.Actor, schedule id.ApplicationSchedule) (*Application, *Schedule, error) {
	seen, err := schedulesByID(ctx, tx, scope{}, []id.ApplicationSchedule{schedule})
	if err != nil {
		return nil, nil, err
	}
	var of id.Application // none: hold says first whether the caller may ask at all
	if len(seen) > 0 {
		of = seen[0].ApplicationID
	}
	app, err := hold(ctx, tx, a, of)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil, noSchedule()
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := lockSchedule(ctx, tx, schedule)
	if err == nil && s == nil {
		err = noSchedule()
	}
	return app, s, err
}

// settle accounts for the slots of a schedule that have passed, and reports whether ticked_at says up to when.
func (s *Service) settle(ctx context.Context, tx *sqlx.Tx, schedule *Schedule) (bool, error) {
	if !schedule.Enabled || s.cfg.BeforeChange == nil {
		return false, nil
	}
	return true, s.cfg.BeforeChange(ctx, tx, schedule.ID)
}

// settleAll is settle of all schedules of an application, whose row tx holds.
func (s *Service) settleAll(ctx context.Context, tx *sqlx.Tx, app id.Application) error {
	list, err := schedulesOf(ctx, tx, scope{}, []id.Application{app})
	if err != nil {
		return err
	}
	for _, schedule := range list {
		if _, err := s.settle(ctx, tx, schedule); err != nil {
			return err
		}
	}
	return nil
}

// taken turns a name that is taken into a fault.
func taken(err error, name string) error {
	if pg.IsUnique(err, "application_schedules_application_id_name_key_key") {
		return fault.Wrap(err, fault.Conflict, "this application has a schedule with the name “%s” already: choose another", name)
	}
	return err
}

func (app *Application) log(ctx context.Context, tx *sqlx.Tx, a actor.Actor, kind, format string, args ...any) error {
	return audit.Write(ctx, tx, audit.Event{Kind: kind, Actor: a, Owner: app.OwnerID,
		Text: fmt.Sprintf("Application “%s” of the device “%s”: ", app.Name, app.Device) + fmt.Sprintf(format, args...)})
}

// describe says what a schedule is, for the log.
func (s *Schedule) describe() string {
	return fmt.Sprintf("%s; saves %s; keeps %s", s.Schedule, s.what(), s.Retention)
}

// what says what is saved.
func (s *Schedule) what() string {
	text := fmt.Sprintf("%s, compression %s", s.Part, s.Level)
	if s.ExcludeLogs {
		text += ", without logs"
	}
	if s.Portable {
		text += ", with a portable export"
	}
	return text
}

// changes says what differs from what was before: "" if nothing does.
func (s *Schedule) changes(was *Schedule) string {
	var parts []string
	note := func(what, before, after string) {
		if before != after {
			parts = append(parts, fmt.Sprintf("%s: %s (was: %s)", what, after, before))
		}
	}
	state := map[bool]string{true: "on", false: "off"}
	note("name", was.Name, s.Name)
	note("state", state[was.Enabled], state[s.Enabled])
	note("saves", was.what(), s.what())
	note("schedule", was.Schedule.String(), s.Schedule.String())
	note("kept", was.Retention.String(), s.Retention.String())
	return strings.Join(parts, "; ")
}
