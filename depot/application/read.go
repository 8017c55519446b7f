package application

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// scope narrows reads to what an actor may see; the zero scope is everything.
type scope struct {
	owner  *id.User
	device *id.Device
}

// scopeOf says whose applications a may see: a device its own, a person theirs, an administrator all.
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

// scopeFor is scopeOf of somebody who asks for so many at once.
func scopeFor(a actor.Actor, n int) (scope, error) {
	sc, err := scopeOf(a)
	if err == nil && n > MaxByID {
		err = fault.New(fault.TooLarge, "at most %d at once", MaxByID)
	}
	return sc, err
}

// List returns the applications of the caller's devices by name, also those that a device has no more; or, with fleet, those of all: to
// administrators.
func (s *Service) List(ctx context.Context, a actor.Actor, fleet bool) ([]*Application, error) {
	if fleet {
		if err := a.Require(actor.Admin); err != nil {
			return nil, err
		}
		return list(ctx, s.cfg.DB, scope{})
	}
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	return list(ctx, s.cfg.DB, scope{owner: &me})
}

// Application returns one application: to its owner, its device, and administrators.
func (s *Service) Application(ctx context.Context, a actor.Actor, app id.Application) (*Application, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	return one(ctx, s.cfg.DB, sc, app)
}

// ByID returns those of the applications that exist and that the caller may see, at most [MaxByID] at once. An import may see those of the
// device in whose name it writes: what it has committed is of one of them.
func (s *Service) ByID(ctx context.Context, a actor.Actor, apps []id.Application) (map[id.Application]*Application, error) {
	if a.IsImport() {
		a = actor.Actor{Device: a.ImportTo}
	}
	sc, err := scopeFor(a, len(apps))
	if err != nil {
		return nil, err
	}
	list, err := byID(ctx, s.cfg.DB, sc, apps)
	if err != nil {
		return nil, err
	}
	found := make(map[id.Application]*Application, len(list))
	for _, app := range list {
		found[app.ID] = app
	}
	return found, nil
}

// Schedule returns one schedule: to whoever may see its application.
func (s *Service) Schedule(ctx context.Context, a actor.Actor, schedule id.ApplicationSchedule) (*Schedule, error) {
	found, err := s.SchedulesByID(ctx, a, []id.ApplicationSchedule{schedule})
	if err == nil && found[schedule] == nil {
		err = noSchedule()
	}
	return found[schedule], err
}

// SchedulesByID returns those of the schedules that exist and that the caller may see, at most [MaxByID] at once.
func (s *Service) SchedulesByID(ctx context.Context, a actor.Actor, ids []id.ApplicationSchedule) (map[id.ApplicationSchedule]*Schedule, error) {
	sc, err := scopeFor(a, len(ids))
	if err != nil {
		return nil, err
	}
	list, err := schedulesByID(ctx, s.cfg.DB, sc, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[id.ApplicationSchedule]*Schedule, len(list))
	for _, s := range list {
		found[s.ID] = s
	}
	return found, nil
}

// SchedulesOf returns the schedules of each of the applications that the caller may see, by name; at most [MaxByID] applications at once.
func (s *Service) SchedulesOf(ctx context.Context, a actor.Actor, apps []id.Application) (map[id.Application][]*Schedule, error) {
	sc, err := scopeFor(a, len(apps))
	if err != nil {
		return nil, err
	}
	list, err := schedulesOf(ctx, s.cfg.DB, sc, apps)
	if err != nil {
		return nil, err
	}
	found := map[id.Application][]*Schedule{}
	for _, s := range list {
		found[s.ApplicationID] = append(found[s.ApplicationID], s)
	}
	return found, nil
}

// Stats is what came of an application's runs.
type Stats struct {
	ID            id.Application
	Backups       int // runs of backups that have ended with a result
	Failed        int // of these: failed, missed
	Restores      int
	Snapshots     int        // that are live
	Bytes         int64      // that these describe
	LastSuccessAt *time.Time `db:"last_success_at"`
	LastRunID     *id.Run    `db:"last_run_id"` // the newest backup
	Trend         []*Size    `db:"-"`
}

// Size is how large one backup was.
type Size struct {
	Application   id.Application `db:"application_id"`
	At            time.Time
	Part          catalog.Part
	Bytes         int64
	UploadedBytes int64 `db:"uploaded_bytes"`
}

// maxTrend is how many sizes a [Stats] has at most.
const maxTrend = 60

// Stats returns what came of the runs of each of the applications that the caller may see, at most [MaxByID] at once, in two statements.
func (s *Service) Stats(ctx context.Context, a actor.Actor, apps []id.Application) (map[id.Application]*Stats, error) {
	sc, err := scopeFor(a, len(apps))
	if err != nil {
		return nil, err
	}
	rows, err := stats(ctx, s.cfg.DB, sc, apps)
	if err != nil {
		return nil, err
	}
	found := make(map[id.Application]*Stats, len(rows))
	ids := make([]id.Application, len(rows))
	for i, r := range rows {
		r.LastSuccessAt, r.Trend = utc(r.LastSuccessAt), []*Size{}
		found[r.ID], ids[i] = r, r.ID
	}
	sizes, err := trend(ctx, s.cfg.DB, ids, maxTrend)
	if err != nil {
		return nil, err
	}
	for _, size := range sizes {
		size.At = size.At.UTC()
		found[size.Application].Trend = append(found[size.Application].Trend, size)
	}
	return found, nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// Find returns the one application of a name, of those that the caller may see and that a device has: "name", or "device/name" where several
// devices have one of that name. It fails with fault.Invalid if there are several, and names them. An id finds also what is gone.
func (s *Service) Find(ctx context.Context, a actor.Actor, name string) (*Application, error) {
	if app := (id.Application{}); app.UnmarshalText([]byte(name)) == nil {
		return s.Application(ctx, a, app)
	}
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, s.cfg.DB, sc)
	if err != nil {
		return nil, err
	}
	key := named.Key(name)
	var found []*Application
	for _, app := range all {
		if !app.Gone() && (named.Key(app.Name) == key || named.Key(app.Path()) == key) {
			found = append(found, app)
		}
	}
	switch len(found) {
	case 0:
		return nil, fault.New(fault.NotFound, "there is no application “%s”", name)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, app := range found {
		names = append(names, app.Path()+" ("+app.ID.String()+")")
	}
	slices.Sort(names)
	return nil, fault.New(fault.Invalid, "there are %d applications “%s”: name one of %s", len(found), name, strings.Join(names, ", "))
}

// Path names an application among those of all devices: device/name.
func (app *Application) Path() string { return app.Device + "/" + app.Name }

// FindSchedule returns the one schedule of a name or an id, of those that the caller may see: "name", "application/name" or "device/application/name". It fails
// with fault.Invalid if there are several, and names them.
func (s *Service) FindSchedule(ctx context.Context, a actor.Actor, name string) (*Schedule, *Application, error) {
	all, err := s.Schedules(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	key := named.Key(name)
	var found []Scheduled
	var names []string
	for _, at := range all {
		path := at.Application.Path() + "/" + at.Schedule.Name
		if name == at.Schedule.ID.String() || slices.Contains([]string{named.Key(at.Schedule.Name), named.Key(at.Application.Name + "/" + at.Schedule.Name), named.Key(path)}, key) {
			found, names = append(found, at), append(names, path+" ("+at.Schedule.ID.String()+")")
		}
	}
	switch len(found) {
	case 0:
		return nil, nil, fault.New(fault.NotFound, "there is no schedule “%s”", name)
	case 1:
		return found[0].Schedule, found[0].Application, nil
	}
	return nil, nil, fault.New(fault.Invalid, "there are %d schedules “%s”: name one of %s", len(found), name, strings.Join(names, ", "))
}

// Scheduled is a schedule with its application.
type Scheduled struct {
	*Schedule
	Application *Application
}

// Schedules returns all schedules that the caller may see, by application and name, without those of applications that a device has no more.
func (s *Service) Schedules(ctx context.Context, a actor.Actor) ([]Scheduled, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	apps, err := list(ctx, s.cfg.DB, sc)
	if err != nil {
		return nil, err
	}
	ids := make([]id.Application, len(apps))
	for i, app := range apps {
		ids[i] = app.ID
	}
	all, err := schedulesOf(ctx, s.cfg.DB, sc, ids)
	if err != nil {
		return nil, err
	}
	of := map[id.Application][]*Schedule{}
	for _, schedule := range all {
		of[schedule.ApplicationID] = append(of[schedule.ApplicationID], schedule)
	}
	var found []Scheduled
	for _, app := range apps {
		if app.Gone() {
			continue
		}
		for _, schedule := range of[app.ID] {
			found = append(found, Scheduled{schedule, app})
		}
	}
	return found, nil
}
