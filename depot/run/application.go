package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	maxAsked  = 20        // backups of one application that are asked for and not over
	probeTime = time.Hour // until a probe must have begun: whoever asked for it looks on
)

// ApplicationInput is what to back up of an application.
type ApplicationInput struct {
	Application id.Application
	Part        catalog.Part
	Title       string // at most catalog.MaxTitle characters
	application.Options
	Schedule *id.ApplicationSchedule // whose retention is to apply; nil: none
}

// BackUpApplication asks for a backup of an application: its owner may, and administrators. If one of the same part, title and options, and by
// the same schedule, waits already because somebody asked, that is due at once and returned instead.
func (s *Service) BackUpApplication(ctx context.Context, a actor.Actor, in ApplicationInput) (*Run, error) {
	title, err := named.Optional("title", in.Title, catalog.MaxTitle)
	if err != nil {
		return nil, err
	}
	if err := in.Options.Check(); err != nil {
		return nil, err
	}
	return s.askOf(ctx, a, in.Application, func(tx *sqlx.Tx, app *application.Application) (*row, string, error) {
		if err := app.Has(in.Part); err != nil {
			return nil, "", err
		}
		open, err := askedOf(ctx, tx, app.ID, Backup)
		if err != nil {
			return nil, "", err
		}
		for _, r := range open {
			if r.State == Waiting && *r.Part == in.Part && *r.Title == title && application.Options(*r.Options) == in.Options && same(r.ScheduleID, in.Schedule) {
				return r, "", nil
			}
		}
		if len(open) >= maxAsked {
			return nil, "", fault.New(fault.Conflict, "%d backups of “%s” are waiting already: let them end, or cancel some", len(open), app.Name)
		}
		r := of(app, &in.Part, title, in.Options)
		r.Kind, r.ScheduleID = Backup, in.Schedule
		return r, "A backup of the application “%s” of the device “%s” was asked for.", nil
	})
}

// TestApplication asks the device of an application to look whether everything is there that a backup needs: as [Service.BackUpApplication], with the
// probe that is open if there is one.
func (s *Service) TestApplication(ctx context.Context, a actor.Actor, app id.Application) (*Run, error) {
	return s.askOf(ctx, a, app, func(tx *sqlx.Tx, app *application.Application) (*row, string, error) {
		open, err := askedOf(ctx, tx, app.ID, Probe)
		if err != nil {
			return nil, "", err
		}
		if len(open) > 0 {
			return open[0], "", nil
		}
		r := of(app, nil, "", application.Options{})
		r.Kind, r.Title, r.Options = Probe, nil, nil
		return r, "A test of the application “%s” of the device “%s” was asked for.", nil
	})
}

// askOf makes the run that want gives for an application, with the line for the log; or, if want gives one that is there already, makes that due at
// once. want is called with the device locked.
func (s *Service) askOf(ctx context.Context, a actor.Actor, of id.Application, want func(*sqlx.Tx, *application.Application) (*row, string, error)) (*Run, error) {
	var me *id.User
	if !a.IsSystem() {
		u, err := a.Person()
		if err != nil {
			return nil, err
		}
		me = &u
	}
	app, err := s.cfg.Applications.Application(ctx, a, of)
	if err != nil {
		return nil, err
	}
	var run *row
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		n = news{}
		d, err := lockFor(ctx, tx, app)
		if err != nil {
			return err
		}
		if d.Revoked || d.Suspended {
			return fault.New(fault.Conflict, "the device “%s” was revoked, or its owner suspended: its applications cannot be backed up any more", d.Name)
		}
		r, text, err := want(tx, app)
		if err != nil {
			return err
		}
		if text == "" {
			hastened, err := hasten(ctx, tx, r.ID)
			if err != nil || !hastened {
				run = r
				return err
			}
		} else {
			r.Trigger, r.AskedBy = Admin, me
			if me != nil && *me == d.Owner {
				r.Trigger = Owner
			}
			ttl := askedTime
			if r.Kind == Probe {
				ttl = probeTime
			}
			if err := r.move(Waiting, byPerson); err != nil {
				return err
			}
			if err := insertAsked(ctx, tx, []*row{r}, nil, ttl); err != nil {
				return err
			}
			if err := audit.Write(ctx, tx, audit.Event{Kind: "run.ordered", Actor: a, Owner: d.Owner, Text: fmt.Sprintf(text, app.Name, app.Device)}); err != nil {
				return err
			}
		}
		run, err = reread(ctx, tx, r.ID)
		n.changed, n.devices = []*row{run}, []id.Device{app.DeviceID}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.ring(ctx, n)
	return seen(a, run), nil
}

// lockFor locks the device of an application for a run, and refuses one that has it no more.
func lockFor(ctx context.Context, tx *sqlx.Tx, app *application.Application) (*deviceRow, error) {
	if app.RemovedAt != nil {
		return nil, fault.New(fault.Conflict, "the device “%s” has the application “%s” no more: register it there again", app.Device, app.Name)
	}
	found, err := lockDevices(ctx, tx, []id.Device{app.DeviceID})
	if err == nil && len(found) == 0 {
		err = noDevice()
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// RestoreApplication makes a restore run of an application of the caller's, from a live snapshot of that application which holds the part. The
// order is sealed for the device: its bytes are relayed as they are. Only the owner may.
func (s *Service) RestoreApplication(ctx context.Context, a actor.Actor, of id.Application, snapshot id.Snapshot, part catalog.Part, order []byte) (*Run, error) {
	me, err := a.Person()
	if err != nil {
		return nil, err
	}
	if err := part.Check(); err != nil {
		return nil, err
	}
	app, err := s.cfg.Applications.Application(ctx, a, of)
	if err != nil {
		return nil, err
	}
	if app.OwnerID != me {
		return nil, fault.New(fault.NotFound, "there is no such application of yours: only its owner can restore it")
	}
	return s.order(ctx, a, app.DeviceID, snapshot, order, func(tx *sqlx.Tx) (*row, string, error) {
		if _, err := lockFor(ctx, tx, app); err != nil {
			return nil, "", err
		}
		held, err := partOf(ctx, tx, app.ID, snapshot)
		switch {
		case err != nil:
			return nil, "", err
		case held == nil:
			return nil, "", fault.New(fault.NotFound, "there is no such snapshot of this application")
		case !held.Holds(part):
			return nil, "", fault.New(fault.Invalid, "part: this snapshot holds %s only", *held)
		}
		return &row{ApplicationID: &app.ID, Part: &part},
			fmt.Sprintf("A restore of the application “%s” from the snapshot %s was ordered for the device “%s”.", app.Name, snapshot, app.Device), nil
	})
}

// same reports whether both are nil, or equal.
func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// eventsOf is events of one application. A probe is watched by whoever asked for it: it is no news.
func eventsOf(group []*row) []notice.Event {
	r := group[0]
	name := fmt.Sprintf("“%s” on “%s”", *r.Application, r.Device)
	e := notice.Event{}
	switch {
	case r.Kind == Probe:
		return nil
	case r.Kind == Restore && r.State.good():
		e.Kind = "restore.finished"
		e.Title = fmt.Sprintf("The restore of %s has ended", name)
		e.Body = "What was there before was backed up first: the restore can be undone."
		if r.SafetyID == nil {
			e.Body = "Nothing was there before that could be backed up first, or it was ordered without: the restore cannot be undone."
		}
		if r.State == Warned {
			e.Severity = notice.Warning
			e.Body = fmt.Sprintf("%s could not be restored. Open the restore to see which, and why. ", files(r.Problems)) + e.Body
		}
	case r.Kind == Restore && r.State == Failed:
		e.Kind = "restore.failed"
		e.Title = fmt.Sprintf("The restore of %s failed", name)
		e.Body = sentence(r.Code) + " Open the restore to see how far it came, and order it again once that is mended."
	case r.Kind == Restore && r.State == Missed:
		e.Kind = "restore.failed"
		e.Title = fmt.Sprintf("The restore of %s was not begun", name)
		e.Body = "The device was not heard of until its deadline. Switch it on, and order the restore again."
	case r.State == Succeeded:
		e.Kind = "application.succeeded"
		if *r.Notify == application.Always {
			e.Kind = "application.reported"
		}
		e.Title = fmt.Sprintf("%s is backed up", name)
		e.Body = fmt.Sprintf("The backup%s is done.", whose(group))
	case r.State == Warned:
		e.Kind = "application.warned"
		e.Title = fmt.Sprintf("%s of %s could not be read", files(r.Problems), name)
		e.Body = fmt.Sprintf("The rest is saved%s. Open the backup to see what is missing, and why.", whose(group))
	case r.State == Failed:
		e.Kind = "application.failed"
		e.Title = fmt.Sprintf("The backup of %s failed", name)
		e.Body = sentence(r.Code) + been(group)
	case r.State == Missed && len(group) == 1:
		e.Kind = "application.missed"
		e.Title = fmt.Sprintf("A backup of %s was missed", name)
		e.Body = fmt.Sprintf("It was due%s, and the device was not heard of until its deadline. Switch it on and connect it, or ask for a backup now.", whose(group))
	case r.State == Missed:
		e.Kind = "application.missed"
		e.Title = fmt.Sprintf("%d backups of %s were missed", len(group), name)
		e.Body = fmt.Sprintf("They were due%s, and the device was not heard of until their deadlines. Switch it on and connect it, or ask for a backup now.", whose(group))
	default:
		return nil // cancelled, or not over
	}
	return []notice.Event{e}
}

// about names the application that a run is about, in the middle of a sentence; "": files of the device.
func (r *row) about() string {
	if r.Application == nil {
		return ""
	}
	return fmt.Sprintf(" of the application “%s”", *r.Application)
}
