package state

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Application is one application: what it is, its backups, restores and schedules. Make it with [NewApplication].
type Application struct {
	Desk
	Sources
	id    string
	v     ApplicationView
	fetch fetch
	stop  func()
	down  *Download
	probe *RunPage
}

// ApplicationView is what pages show of an [Application].
type ApplicationView struct {
	App Load[*api.ApplicationDetail] // a nil value: there is no such application
	Work
	Open      []*api.RunFields // its runs that are due or under way, newest first
	Snapshots Rows[*api.ApplicationSnapshot]
	Origin    api.SnapshotOrigin  // of the snapshots; "": all
	Part      api.ApplicationPart // likewise
	Restores  Rows[*api.ApplicationRun]
	Backups   Rows[*api.ApplicationRun]
	Deleted   *api.ApplicationSnapshot // the last that was deleted here, to be taken back
	Details   *Details                 // of a snapshot that is looked at
	Ordered   string                   // the run of the restore that was ordered last
	Save      *Saving                  // the download
	Probe     *RunView                 // the look at the configuration, if one was asked for
	Schedule  *ScheduleDraft           // that is edited
}

// Details is what a backup says about itself.
type Details struct {
	Snapshot *api.ApplicationSnapshot
	About    Load[*ApplicationManifest]
}

// ApplicationManifest is the manifest in a backup, as far as people want to know it: see vault/archive.
type ApplicationManifest struct {
	Application   string    `json:"application"`
	Engine        string    `json:"engine"`
	EngineVersion string    `json:"engine_version"`
	Tool          string    `json:"tool"`
	TakenAt       time.Time `json:"taken_at"`
	Tables        []struct {
		Name string `json:"name"`
		Rows int64  `json:"rows"`
	} `json:"tables"`
	Dump *struct {
		Format string `json:"format"`
		Bytes  int64  `json:"bytes"`
		SHA256 string `json:"sha256"`
	} `json:"dump"`
	Media []struct {
		Label string `json:"label"`
		Path  string `json:"root"`
	} `json:"media"`
}

// Rows is how many rows the tables have.
func (m *ApplicationManifest) Rows() (n int64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// NewApplication returns the model of an application.
func NewApplication(s Sources, id string) *Application {
	m := &Application{Desk: Desk{api: s.API}, Sources: s, id: id, down: NewDownload(s.Keys)}
	m.down.Observe(func() { m.change(func() {}) })
	return m
}

// View returns what to show.
func (m *Application) View() (v ApplicationView) {
	save := m.down.View()
	var probe *RunPage
	m.read(func() { probe = m.probe })
	if probe != nil {
		p := probe.View()
		defer func() { v.Probe = &p }()
	}
	m.read(func() {
		v = m.v
		v.Work, v.Save = m.work, save
		if m.v.Details != nil {
			d := *m.v.Details
			v.Details = &d
		}
		if m.v.Schedule != nil {
			s := *m.v.Schedule
			v.Schedule = &s
		}
	})
	return v
}

// Open loads the application and follows it until [Application.Close].
func (m *Application) Open() {
	m.Close()
	end, deaf := m.runChanges(m.run), m.imported(m.id, m.uploaded)
	m.read(func() { m.stop = func() { end(); deaf() } })
	m.Reload()
}

// uploaded shows a backup that was uploaded, also if the list is filtered.
func (m *Application) uploaded() {
	hidden := false
	m.read(func() { hidden = m.v.Part != "" || m.v.Origin != "" && m.v.Origin != api.SnapshotOriginImport })
	if hidden {
		m.Choose("", "")
	}
	m.Reload()
}

// Close ends what Open and Test began.
func (m *Application) Close() {
	var stop func()
	var probe *RunPage
	m.read(func() { stop, m.stop, probe = m.stop, nil, m.probe })
	if stop != nil {
		stop()
	}
	if probe != nil {
		probe.Close()
	}
}

// Reload loads all that is shown.
func (m *Application) Reload() {
	fetchInto(&m.Model, &m.fetch, &m.v.App, func(ctx context.Context) (*api.ApplicationDetail, error) {
		r, err := api.Application(ctx, m.API, m.id)
		if err != nil {
			return nil, err
		}
		return r.Application, nil
	})
	m.loadSnapshots(false)
	m.loadRuns(&m.v.Restores, api.RunKindRestore, false)
	m.loadRuns(&m.v.Backups, api.RunKindBackup, false)
}

// run takes in a run that changed.
func (m *Application) run(r *api.RunFields) {
	if r.Application == nil || r.Application.Id != m.id {
		return
	}
	over := Over(r.State)
	m.change(func() {
		m.work.heard(r.State)
		if over {
			m.v.Open = slices.DeleteFunc(slices.Clone(m.v.Open), func(o *api.RunFields) bool { return o.Id == r.Id })
		} else {
			m.v.Open, _ = mergeRun(m.v.Open, r)
		}
	})
	if over {
		m.Reload()
	}
}

// snapshotRows is how many backups come at once.
const snapshotRows = 25

func (m *Application) loadSnapshots(more bool) {
	var origin *api.SnapshotOrigin
	var part *api.ApplicationPart
	m.read(func() {
		if o := m.v.Origin; o != "" {
			origin = &o
		}
		if p := m.v.Part; p != "" {
			part = &p
		}
	})
	fetchRows(&m.Model, &m.v.Snapshots, more, func(ctx context.Context, after *string) (s slice[*api.ApplicationSnapshot], err error) {
		r, err := api.ApplicationSnapshots(ctx, m.API, m.id, origin, part, snapshotRows, after)
		if err != nil || r.Application == nil {
			return s, err
		}
		page := r.Application.Snapshots
		for _, e := range page.Edges {
			s.rows = append(s.rows, e.Node)
		}
		s.after, s.total = next(page.PageInfo.HasNextPage, page.PageInfo.EndCursor), page.TotalCount
		return s, nil
	})
}

func (m *Application) loadRuns(into *Rows[*api.ApplicationRun], kind api.RunKind, more bool) {
	fetchRows(&m.Model, into, more, func(ctx context.Context, after *string) (s slice[*api.ApplicationRun], err error) {
		r, err := api.ApplicationRuns(ctx, m.API, m.id, &kind, snapshotRows, after)
		if err != nil || r.Application == nil {
			return s, err
		}
		page := r.Application.Runs
		for _, e := range page.Edges {
			s.rows = append(s.rows, e.Node)
		}
		s.after, s.total = next(page.PageInfo.HasNextPage, page.PageInfo.EndCursor), page.TotalCount
		return s, nil
	})
}

// MoreSnapshots loads older backups.
func (m *Application) MoreSnapshots() { m.loadSnapshots(true) }

// MoreRestores loads older restores.
func (m *Application) MoreRestores() { m.loadRuns(&m.v.Restores, api.RunKindRestore, true) }

// MoreBackups loads older runs of backups.
func (m *Application) MoreBackups() { m.loadRuns(&m.v.Backups, api.RunKindBackup, true) }

// Choose shows the backups of an origin and a part; "" is any.
func (m *Application) Choose(origin api.SnapshotOrigin, part api.ApplicationPart) {
	m.change(func() {
		m.v.Origin, m.v.Part = origin, part
		m.v.Snapshots.Load = Load[[]*api.ApplicationSnapshot]{}
	})
	m.loadSnapshots(false)
}

// act does something, and loads everything again.
func (m *Application) act(what string, fn func(ctx context.Context) (string, error)) {
	m.do(what, func(ctx context.Context) (string, error) {
		done, err := fn(ctx)
		if err == nil {
			m.Reload()
		}
		return done, err
	})
}

// What is said when a device is asked for something, until it is heard of.
const (
	wasTold  = "The device was told. It begins as soon as it is connected."
	willStop = "The device stops when it hears of it."
)

// heard takes away what a run that is in this state shows by itself.
func (w *Work) heard(s api.RunState) {
	if w.Done == wasTold && s != api.RunStateWaiting || w.Done == willStop && Over(s) {
		w.Done = ""
	}
}

// BackUp asks for a backup.
func (m *Application) BackUp(in api.BackUpApplicationInput) {
	in.Application, in.Title = m.id, strings.TrimSpace(in.Title)
	m.act("backup", func(ctx context.Context) (string, error) {
		_, err := api.BackUpApplication(ctx, m.API, &in)
		return wasTold, err
	})
}

// Stop asks a run to stop.
func (m *Application) Stop(run string) {
	m.act("stop", func(ctx context.Context) (string, error) {
		_, err := api.CancelRun(ctx, m.API, &api.CancelRunInput{Id: run})
		return willStop, err
	})
}

// Test has the device look whether everything is there that a backup needs, and follows what it finds.
func (m *Application) Test() {
	m.do("test", func(ctx context.Context) (string, error) {
		r, err := api.TestApplication(ctx, m.API, m.id)
		if err != nil {
			return "", err
		}
		p := NewRunPage(m.Sources, r.TestApplication.Run.Id)
		var old *RunPage
		m.change(func() { old, m.probe = m.probe, p })
		if old != nil {
			old.Close()
		}
		p.Observe(func() { m.change(func() {}) })
		p.Open()
		return "", nil
	})
}

// EndTest takes the last look at the configuration away.
func (m *Application) EndTest() {
	var old *RunPage
	m.change(func() { old, m.probe = m.probe, nil })
	if old != nil {
		old.Close()
	}
}

// ProbePoint is one thing that a device looked at.
type ProbePoint struct {
	OK         bool
	What, Text string
}

// ProbePoints reads what a device wrote of a look: a line each.
func ProbePoints(text string) (list []ProbePoint) {
	for line := range strings.Lines(text) {
		sign, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || sign != "+" && sign != "-" {
			continue
		}
		what, say, _ := strings.Cut(rest, ": ")
		list = append(list, ProbePoint{sign == "+", what, say})
	}
	return list
}

// manifests has the keys open what backups say about themselves, so that they can be named.
func (m *Application) manifests(ctx context.Context, list ...*api.SnapshotFields) error {
	names, err := m.openManifests(ctx, list)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.Error != "" {
			return fault.New(fault.Internal, "%s", n.Error)
		}
	}
	return nil
}

// Look shows what a backup says about itself.
func (m *Application) Look(s *api.ApplicationSnapshot) {
	d := &Details{Snapshot: s}
	d.About.begin()
	m.change(func() { m.v.Details = d })
	go func() {
		about, err := m.about(context.Background(), s)
		m.change(func() { d.About.end(about, err) })
	}()
}

// manifestName is where a backup has its manifest: see vault/archive.
const manifestName = "holdfast.json"

func (m *Application) about(ctx context.Context, s *api.ApplicationSnapshot) (*ApplicationManifest, error) {
	if err := m.manifests(ctx, &s.SnapshotFields); err != nil {
		return nil, err
	}
	var p talk.Preview
	if err := m.Keys.Call(ctx, talk.MethodPreview, talk.Path{Snapshot: s.Id, Path: manifestName}, &p); err != nil {
		return nil, err
	}
	about := new(ApplicationManifest)
	if err := json.Unmarshal([]byte(p.Text), about); err != nil || p.Truncated {
		return nil, fault.New(fault.Internal, "what this backup says about itself cannot be read; it can still be restored")
	}
	return about, nil
}

// EndLook stops looking at a backup.
func (m *Application) EndLook() { m.change(func() { m.v.Details = nil }) }

// Save downloads a backup as a ZIP.
func (m *Application) Save(s *api.ApplicationSnapshot) {
	m.do("open", func(ctx context.Context) (string, error) {
		err := m.manifests(ctx, &s.SnapshotFields)
		if err == nil {
			m.down.Save(talk.Selection{Snapshot: s.Id, Paths: []string{}})
		}
		return "", err
	})
}

// CancelSave stops the download, or takes away what is said about it.
func (m *Application) CancelSave() { m.down.Cancel() }

// RestoreInput is what is to be put back, and where.
type RestoreInput struct {
	Part     api.ApplicationPart
	Database string // "": in place
	Folder   string // "": in place
	Keep     bool   // media that exist are left alone
	Bare     bool   // without a safety backup first
}

// InPlace reports whether something that is there will be replaced.
func (in RestoreInput) InPlace() bool {
	return in.Part != api.ApplicationPartMedia && in.Database == "" || in.Part != api.ApplicationPartDatabase && in.Folder == ""
}

// Restore orders a restore of a backup.
func (m *Application) Restore(s *api.SnapshotFields, in RestoreInput) {
	m.change(func() { m.v.Ordered = "" })
	m.act("restore", func(ctx context.Context) (string, error) {
		var a *api.ApplicationDetail
		m.read(func() { a = m.v.App.Value })
		if a == nil {
			return "", fault.New(fault.NotFound, "there is no such application any more")
		}
		if err := m.manifests(ctx, s); err != nil {
			return "", err
		}
		o := talk.ApplicationOrder{Snapshot: s.Id, Device: talk.Device{ID: a.Device.Id, PublicKey: a.Device.PublicKey, MAC: a.Device.Mac}, Application: m.id,
			Part: strings.ToLower(string(in.Part)), Database: strings.TrimSpace(in.Database), Folder: strings.TrimSpace(in.Folder), Conflict: "overwrite", Bare: in.Bare}
		if in.Keep {
			o.Conflict = "skip"
		}
		var sealed talk.Ordered
		if err := m.Keys.Call(ctx, talk.MethodOrderApplication, o, &sealed); err != nil {
			return "", err
		}
		r, err := api.RestoreApplication(ctx, m.API, &api.RestoreApplicationInput{Application: m.id, Snapshot: s.Id, Part: in.Part, Order: sealed.Sealed})
		if err == nil {
			m.change(func() { m.v.Ordered = r.RestoreApplication.Run.Id })
		}
		return "", err
	})
}

// DismissOrder forgets the last order.
func (m *Application) DismissOrder() { m.change(func() { m.v.Ordered, m.work = "", Work{} }) }

// Safety is a safety backup of a run, as [Application.Restore] wants it; nil if there is none.
func Safety(r *api.ApplicationRun) *api.SnapshotFields {
	s := r.Safety
	if s == nil {
		return nil
	}
	return &api.SnapshotFields{Id: s.Id, CreatedAt: s.CreatedAt, Root: s.Root, Manifest: s.Manifest, Device: &api.RunDevice{Id: s.Device.Id}}
}

// Pin keeps a backup from being deleted by rule, or lets go of it.
func (m *Application) Pin(s *api.ApplicationSnapshot, pinned bool) {
	m.act("pin", func(ctx context.Context) (string, error) {
		_, err := api.PinSnapshot(ctx, m.API, &api.PinSnapshotInput{Id: s.Id, Pinned: pinned})
		return "", err
	})
}

// Delete deletes a backup. For some days it can be taken back.
func (m *Application) Delete(s *api.ApplicationSnapshot) {
	m.act("delete", func(ctx context.Context) (string, error) {
		_, err := api.DeleteSnapshot(ctx, m.API, &api.DeleteSnapshotInput{Id: s.Id})
		if err == nil {
			m.change(func() { m.v.Deleted = s })
		}
		return "", err
	})
}

// Undelete takes the last deletion back.
func (m *Application) Undelete() {
	var s *api.ApplicationSnapshot
	m.read(func() { s = m.v.Deleted })
	if s == nil {
		return
	}
	m.act("undelete", func(ctx context.Context) (string, error) {
		_, err := api.RestoreDeletedSnapshot(ctx, m.API, &api.RestoreDeletedSnapshotInput{Id: s.Id})
		if err == nil {
			m.change(func() { m.v.Deleted = nil })
		}
		return "It is back.", err
	})
}

// Forget takes what is said about the last deletion away.
func (m *Application) Forget() { m.change(func() { m.v.Deleted = nil }) }

// Set changes how many safety backups are kept, and what mails are sent.
func (m *Application) Set(keepSafety int, notify api.ApplicationNotify) {
	m.act("settings", func(ctx context.Context) (string, error) {
		_, err := api.UpdateApplication(ctx, m.API, &api.UpdateApplicationInput{Id: m.id, KeepSafety: &keepSafety, Notify: &notify})
		return "Saved.", err
	})
}

// enabled says in words that a schedule is on or off.
func enabled(name string, on bool) string {
	if on {
		return fmt.Sprintf("“%s” is on.", name)
	}
	return fmt.Sprintf("“%s” is off: nothing new becomes due by it.", name)
}
