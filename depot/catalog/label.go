package catalog

import (
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// MaxTitle is how many characters the title of a snapshot has at most.
const MaxTitle = 80

// Part is what of an application a backup holds. Its text is what PostgreSQL stores.
type Part string

// The parts.
const (
	Database Part = "database"
	Media    Part = "media"
	Full     Part = "full" // both
)

// Check refuses what is none of the parts.
func (p Part) Check() error {
	switch p {
	case Database, Media, Full:
		return nil
	}
	return fault.New(fault.Invalid, "part: want database, media or full")
}

// Holds reports whether a backup of part p can give part of it back.
func (p Part) Holds(part Part) bool { return p == Full || p == part }

// Origin is how a snapshot of an application came to be. Its text is what PostgreSQL stores.
type Origin string

// The origins.
const (
	MadeByBackup Origin = "backup" // by a schedule, or because somebody asked
	MadeForUndo  Origin = "safety" // before a restore
	Imported     Origin = "import" // saved elsewhere, and uploaded
)

// Label says that a snapshot is an application's, and what it is of it.
type Label struct {
	Application id.Application
	Part        Part
	Origin      Origin
	Title       string                  // that somebody gave it; may be empty
	Schedule    *id.ApplicationSchedule // whose retention applies, from when its run ended with the snapshot; nil: no rule of a schedule deletes it
}

// record is the label as the record of a snapshot keeps it, with the name of the application.
func (l *Label) record(name string) *record.Application {
	return &record.Application{ID: l.Application, Name: name, Part: string(l.Part), Origin: string(l.Origin), Title: l.Title, Schedule: l.Schedule}
}

// unruled returns the record of a snapshot as its row begins: subject to no schedule's rule, until the run ends that made it ([MadeBySchedule]). Of a
// schedule there is one run a slot; what a device says would be as many snapshots as it likes, and each would push an older one out.
func unruled(r *record.Snapshot) *record.Snapshot {
	if r.Application == nil {
		return r
	}
	row, app := *r, *r.Application
	app.Schedule, row.Application = nil, &app
	return &row
}

// check returns a label in its one spelling.
func (l Label) check() (*Label, error) {
	if l.Application.IsZero() {
		return nil, fault.New(fault.Invalid, "application: its id is missing")
	}
	if err := l.Part.Check(); err != nil {
		return nil, err
	}
	switch l.Origin {
	case MadeByBackup, MadeForUndo, Imported:
	default:
		return nil, fault.New(fault.Invalid, "origin: want backup, safety or import")
	}
	if l.Origin != MadeByBackup {
		l.Schedule = nil // rules of schedules are for what they made
	}
	var err error
	l.Title, err = named.Optional("title", l.Title, MaxTitle)
	return &l, err
}
