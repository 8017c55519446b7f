package state

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
)

// Applications is the list of applications. Make it with [NewApplications].
type Applications struct {
	Desk
	Sources
	list  Load[[]*api.ApplicationRow]
	fetch fetch
	fleet bool
	find  string
	runs  map[string]*api.RunFields // under way or due, by application
	stop  func()
}

// ApplicationsView is what pages show of [Applications].
type ApplicationsView struct {
	Load[[]*api.ApplicationRow] // those that are found
	Work
	Fleet bool   // all of the installation
	Find  string // what is looked for
	All   int    // how many there are, found or not
	Runs  map[string]*api.RunFields
	Sum   ApplicationsSum
}

// ApplicationsSum is the numbers of all applications together.
type ApplicationsSum struct {
	Backups, Failed, Restores int
	Ailing                    int // applications whose last backup did not succeed
	Bytes                     int64
	Next                      *api.ApplicationRow // the one that is due next; nil: none
}

// NewApplications returns the list.
func NewApplications(s Sources) *Applications {
	return &Applications{Desk: Desk{api: s.API}, Sources: s, runs: map[string]*api.RunFields{}}
}

// View returns what to show.
func (m *Applications) View() (v ApplicationsView) {
	m.read(func() {
		v.Load, v.Work, v.Fleet, v.Find, v.All = m.list, m.work, m.fleet, m.find, len(m.list.Value)
		v.Runs = map[string]*api.RunFields{}
		for k, r := range m.runs {
			v.Runs[k] = r
		}
		v.Value = nil
		for _, a := range m.list.Value {
			v.Sum.Backups += a.Stats.Backups
			v.Sum.Failed += a.Stats.Failed
			v.Sum.Restores += a.Stats.Restores
			if r := a.Stats.LastRun; r != nil && a.RemovedAt == nil && (r.State == api.RunStateFailed || r.State == api.RunStateMissed) {
				v.Sum.Ailing++
			}
			v.Sum.Bytes += a.Stats.Bytes
			if a.NextDueAt != nil && (v.Sum.Next == nil || a.NextDueAt.Before(*v.Sum.Next.NextDueAt)) {
				v.Sum.Next = a
			}
			if found(a, m.find) {
				v.Value = append(v.Value, a)
			}
		}
	})
	return v
}

// found reports whether an application has a text in a name of its own.
func found(a *api.ApplicationRow, text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, s := range []string{a.Name, a.Device.Name, a.Device.Owner.Name} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

// Open loads the list and follows it until [Applications.Close].
func (m *Applications) Open() {
	m.Close()
	end := m.runChanges(m.run)
	ctx, cancel := context.WithCancel(context.Background())
	m.read(func() { m.stop = func() { end(); cancel() } })
	m.Reload()
	go every(ctx, refresh, m.Reload)
}

// Close ends what Open began.
func (m *Applications) Close() {
	var stop func()
	m.read(func() { stop, m.stop = m.stop, nil })
	if stop != nil {
		stop()
	}
}

// run takes in a run that changed.
func (m *Applications) run(r *api.RunFields) {
	if r.Application == nil {
		return
	}
	over := Over(r.State)
	m.change(func() {
		if over {
			delete(m.runs, r.Application.Id)
		} else {
			m.runs[r.Application.Id] = r
		}
	})
	if over {
		m.Reload()
	}
}

// Reload loads the list.
func (m *Applications) Reload() {
	fleet := false
	m.read(func() { fleet = m.fleet })
	fetchInto(&m.Model, &m.fetch, &m.list, func(ctx context.Context) ([]*api.ApplicationRow, error) {
		r, err := api.Applications(ctx, m.API, fleet)
		if err != nil {
			return nil, err
		}
		return r.Applications, nil
	})
}

// ShowFleet shows all applications of the installation, or the person's own.
func (m *Applications) ShowFleet(on bool) {
	m.change(func() { m.fleet, m.list = on, Load[[]*api.ApplicationRow]{} })
	m.Reload()
}

// Find shows those with a text in their names.
func (m *Applications) Find(text string) { m.change(func() { m.find = text }) }

// BackUp backs all of an application up now.
func (m *Applications) BackUp(a *api.ApplicationRow) {
	m.do(a.Id, func(ctx context.Context) (string, error) {
		_, err := api.BackUpApplication(ctx, m.API, &api.BackUpApplicationInput{Application: a.Id, Part: Whole(a), Level: api.CompressionLevelDefault})
		return fmt.Sprintf("%s backs up %s as soon as it hears of it.", a.Device.Name, a.Name), err
	})
}

// Whole is all that an application has.
func Whole(a *api.ApplicationRow) api.ApplicationPart {
	switch {
	case a.Engine == nil:
		return api.ApplicationPartMedia
	case a.MediaFolders == 0:
		return api.ApplicationPartDatabase
	}
	return api.ApplicationPartFull
}

// Parts are what can be backed up of an application, all of it first.
func Parts(a *api.ApplicationRow) []api.ApplicationPart {
	whole := Whole(a)
	if whole == api.ApplicationPartFull {
		return []api.ApplicationPart{whole, api.ApplicationPartDatabase, api.ApplicationPartMedia}
	}
	return []api.ApplicationPart{whole}
}

// PartWord is a part in words.
func PartWord(p api.ApplicationPart) string {
	switch p {
	case api.ApplicationPartDatabase:
		return "Database"
	case api.ApplicationPartMedia:
		return "Media"
	}
	return "Database and media"
}

// OriginWord says how a backup came to be.
func OriginWord(o api.SnapshotOrigin) string {
	switch o {
	case api.SnapshotOriginSafety:
		return "Safety"
	case api.SnapshotOriginImport:
		return "Uploaded"
	}
	return "Backup"
}

// EngineWord is the name of a kind of database.
func EngineWord(e *api.DatabaseEngine) string {
	if e == nil {
		return "no database"
	}
	switch *e {
	case api.DatabaseEnginePostgres:
		return "PostgreSQL"
	case api.DatabaseEngineMysql:
		return "MariaDB or MySQL"
	}
	return "SQLite"
}
