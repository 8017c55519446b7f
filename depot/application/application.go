package application

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Bounds of what is written.
const (
	MaxName         = 80
	MaxApplications = 100 // of one device, without those that it has no more
	MaxKnown        = 500 // of one device, with them
	MaxFolders      = 1000
	MaxSafety       = 50 // safety backups that are kept
	MaxByID         = 500
)

// Engine is a kind of database. Its text is what PostgreSQL stores.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	MySQL    Engine = "mysql" // and MariaDB
	SQLite   Engine = "sqlite"
)

// Notify says when a mail goes out about a backup.
type Notify string

// The modes.
const (
	Failures Notify = "failures"
	Always   Notify = "always"
)

// Application is a database, folders of media, or both, on one device.
type Application struct {
	ID           id.Application
	DeviceID     id.Device `db:"device_id"`
	OwnerID      id.User   `db:"owner_id"` // the device's
	Device       string    // its name
	Name         string
	Engine       *Engine    // nil: it has no database
	MediaFolders int        `db:"media_folders"`
	KeepSafety   int        `db:"keep_safety"`
	Notify       Notify     `db:"notify"`
	CreatedAt    time.Time  `db:"created_at"`
	RemovedAt    *time.Time `db:"removed_at"` // its device has it no more
	Revoked      bool       // the device was: it never comes back
}

// Gone reports whether no device has the application any more.
func (app *Application) Gone() bool { return app.RemovedAt != nil || app.Revoked }

// Config is what a Service stands on.
type Config struct {
	DB *sqlx.DB

	// BeforeChange accounts for all slots of an enabled schedule that have passed, by the rule that held until now. It is called inside the transaction
	// of the change, which holds the schedule's row. Nil: there are no runs.
	BeforeChange func(ctx context.Context, tx *sqlx.Tx, s id.ApplicationSchedule) error
}

// Service is the noun application. It is safe for concurrent use, and any number of them may work on one database.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }

func noApplication() error { return fault.New(fault.NotFound, "there is no such application") }

// RegisterInput is what a device says of an application.
type RegisterInput struct {
	Name         string
	Engine       *Engine // nil: no database
	MediaFolders int
}

func (in *RegisterInput) check() (err error) {
	if in.Name, err = named.Clean("name", in.Name, MaxName); err != nil {
		return err
	}
	switch {
	case in.Engine != nil && !slices.Contains([]Engine{Postgres, MySQL, SQLite}, *in.Engine):
		return fault.New(fault.Invalid, "engine: want postgres, mysql or sqlite")
	case in.MediaFolders < 0 || in.MediaFolders > MaxFolders:
		return fault.New(fault.Invalid, "mediaFolders: want 0 to %d", MaxFolders)
	case in.Engine == nil && in.MediaFolders == 0:
		return fault.New(fault.Invalid, "an application has a database, folders of media, or both: this one has nothing to save")
	}
	return nil
}

// Register tells of an application of the device that asks, or of what has changed about it. One that the device knew under this name is the
// same again.
func (s *Service) Register(ctx context.Context, a actor.Actor, in RegisterInput) (*Application, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var app *Application
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		if ok, err := lockDevice(ctx, tx, device); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.Unauthenticated, "this device was revoked: enrol it again")
		}
		was, err := findNamed(ctx, tx, device, named.Key(in.Name))
		if err != nil {
			return err
		}
		if was == nil || was.RemovedAt != nil {
			n, err := countOf(ctx, tx, device)
			if err != nil {
				return err
			}
			switch {
			case n.Live >= MaxApplications:
				return fault.New(fault.Conflict, "this device has %d applications, which is the limit: remove one first", n.Live)
			case was == nil && n.Known >= MaxKnown:
				return fault.New(fault.Conflict, "this device has, or had, %d applications, which is the limit: give this one the name of one that is gone", n.Known)
			}
		}
		if was != nil && was.RemovedAt != nil {
			if err := s.settleAll(ctx, tx, was.ID); err != nil { // while it was gone there were no slots
				return err
			}
		}
		which := id.Application{}.New()
		if was != nil {
			which = was.ID
		}
		if err := write(ctx, tx, which, device, in); err != nil {
			return err
		}
		if app, err = one(ctx, tx, scope{}, which); err != nil {
			return err
		}
		text := app.news(was)
		if text == "" {
			return nil
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "application.registered", Actor: a, Owner: app.OwnerID, Text: text})
	})
	if err != nil {
		return nil, err
	}
	return app, nil
}

// news says what a registration has changed; "": nothing.
func (app *Application) news(was *Application) string {
	holds := app.holds()
	switch {
	case was == nil:
		return fmt.Sprintf("The device “%s” told of its application “%s”: %s.", app.Device, app.Name, holds)
	case was.RemovedAt != nil:
		return fmt.Sprintf("The device “%s” has its application “%s” again: %s.", app.Device, app.Name, holds)
	case was.holds() != holds || was.Name != app.Name:
		return fmt.Sprintf("The application “%s” of the device “%s” is now “%s”: %s (was: %s).", was.Name, app.Device, app.Name, holds, was.holds())
	}
	return ""
}

// holds says what an application consists of.
func (app *Application) holds() string {
	var parts []string
	if app.Engine != nil {
		parts = append(parts, string(*app.Engine))
	}
	if n := app.MediaFolders; n == 1 {
		parts = append(parts, "1 folder of media")
	} else if n > 1 {
		parts = append(parts, fmt.Sprintf("%d folders of media", n))
	}
	return strings.Join(parts, " and ")
}

// Remove notes that the device that asks has an application no more, and tells the owner if it was to be backed up by a schedule. What waits for it is cancelled at the next
// sweep. Repeating it changes nothing.
func (s *Service) Remove(ctx context.Context, a actor.Actor, app id.Application) (*Application, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	var gone *Application
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		was, err := lock(ctx, tx, app)
		if err != nil {
			return err
		}
		if was == nil || was.DeviceID != device {
			return noApplication()
		}
		if gone = was; was.RemovedAt != nil {
			return nil
		}
		if err := s.settleAll(ctx, tx, app); err != nil {
			return err
		}
		if err := remove(ctx, tx, app); err != nil {
			return err
		}
		if err := was.rest(ctx, tx); err != nil {
			return err
		}
		if gone, err = one(ctx, tx, scope{}, app); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "application.removed", Actor: a, Owner: was.OwnerID,
			Text: fmt.Sprintf("The device “%s” has its application “%s” no more. Its backups stay.", was.Device, was.Name)})
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// rest tells the owner of an application that is removed of the schedules that rest now.
func (app *Application) rest(ctx context.Context, tx *sqlx.Tx) error {
	list, err := schedulesOf(ctx, tx, scope{}, []id.Application{app.ID})
	if err != nil {
		return err
	}
	n := 0
	for _, s := range list {
		if s.Enabled {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return notice.Write(ctx, tx, notice.Event{User: app.OwnerID, Kind: "application.removed", Device: app.DeviceID,
		Title: fmt.Sprintf("“%s” on “%s” is backed up no more", app.Name, app.Device),
		Body:  fmt.Sprintf("The device has it no more, so its %d schedules rest. Its backups stay. If that is a mistake, add it there again: everything is as before then.", n)})
}

// Change is what an owner decides about an application. A nil field stays.
type Change struct {
	KeepSafety *int
	Notify     *Notify
}

// Update changes what its owner, or an administrator, decides about an application.
func (s *Service) Update(ctx context.Context, a actor.Actor, app id.Application, change Change) (*Application, error) {
	if n := change.KeepSafety; n != nil && (*n < 1 || *n > MaxSafety) {
		return nil, fault.New(fault.Invalid, "keepSafety: want 1 to %d", MaxSafety)
	}
	if n := change.Notify; n != nil && *n != Failures && *n != Always {
		return nil, fault.New(fault.Invalid, "notify: want failures or always")
	}
	var after *Application
	err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		was, err := hold(ctx, tx, a, app)
		if err != nil {
			return err
		}
		is := *was
		if change.KeepSafety != nil {
			is.KeepSafety = *change.KeepSafety
		}
		if change.Notify != nil {
			is.Notify = *change.Notify
		}
		if after = was; is == *was {
			return nil
		}
		if err := update(ctx, tx, &is); err != nil {
			return err
		}
		after = &is
		return audit.Write(ctx, tx, audit.Event{Kind: "application.changed", Actor: a, Owner: was.OwnerID,
			Text: fmt.Sprintf("The application “%s” of the device “%s” was changed: it keeps %d safety backups (was: %d), and mails about %s (was: %s).",
				was.Name, was.Device, is.KeepSafety, was.KeepSafety, is.Notify, was.Notify)})
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// hold locks an application for a change by somebody who may make it.
func hold(ctx context.Context, tx *sqlx.Tx, a actor.Actor, app id.Application) (*Application, error) {
	if !a.IsSystem() {
		if _, err := a.Person(); err != nil {
			return nil, err
		}
	}
	found, err := lock(ctx, tx, app)
	if err == nil && (found == nil || !found.MayChange(a)) {
		err = noApplication()
	}
	return found, err
}

// MayChange reports whether somebody may decide about an application: its owner and administrators.
func (app *Application) MayChange(a actor.Actor) bool {
	if me, err := a.Person(); err == nil && me == app.OwnerID {
		return true
	}
	return a.Require(actor.Admin) == nil
}
