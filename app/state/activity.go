package state

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Activity is the account's runs, newest first. Make it with [NewActivity].
type Activity struct {
	Model
	Sources
	v    ActivityView
	asks int // counts the loads: an answer to an older one is not shown
	stop func()
}

// ActivityView is what pages show of [Activity].
type ActivityView struct {
	Runs   Load[[]*api.RunFields]
	Total  int
	More   bool // there are older ones
	Adding bool // and they are on their way
	Filter ActivityFilter

	after *string
}

// ActivityFilter chooses runs. The zero value chooses all.
type ActivityFilter struct {
	Device string
	Kind   api.RunKind
	State  string // "", "open", "good", "bad"
}

// states are the states that a word of the filter stands for.
var states = map[string][]api.RunState{
	"open": {api.RunStateWaiting, api.RunStateRunning},
	"good": {api.RunStateSucceeded, api.RunStateWarned},
	"bad":  {api.RunStateFailed, api.RunStateMissed, api.RunStateWarned},
}

func (f ActivityFilter) input() *api.RunFilter {
	in := &api.RunFilter{States: states[f.State]}
	if f.Device != "" {
		in.Device = &f.Device
	}
	if f.Kind != "" {
		in.Kind = &f.Kind
	}
	return in
}

// takes reports whether a run passes.
func (f ActivityFilter) takes(r *api.RunFields) bool {
	if f.Device != "" && r.Device.Id != f.Device || f.Kind != "" && r.Kind != f.Kind {
		return false
	}
	if f.State == "" {
		return true
	}
	for _, s := range states[f.State] {
		if r.State == s {
			return true
		}
	}
	return false
}

// NewActivity returns a model that knows nothing yet.
func NewActivity(s Sources) *Activity { return &Activity{Sources: s} }

// View returns what to show.
func (m *Activity) View() (v ActivityView) {
	m.read(func() { v = m.v })
	return v
}

// runsPage is how many runs are loaded at once.
const runsPage = 30

// Open loads the runs that a filter takes and follows them until [Activity.Close].
func (m *Activity) Open(f ActivityFilter) {
	end := m.runChanges(m.run)
	m.read(func() { m.stop, m.v.Filter = end, f })
	m.Reload()
}

// Close ends what Open began.
func (m *Activity) Close() {
	var stop func()
	m.read(func() { stop, m.stop = m.stop, nil })
	if stop != nil {
		stop()
	}
}

// Choose shows other runs.
func (m *Activity) Choose(f ActivityFilter) {
	m.change(func() { m.v.Filter, m.v.Runs = f, Load[[]*api.RunFields]{} })
	m.Reload()
}

// Reload loads the newest runs.
func (m *Activity) Reload() {
	var f ActivityFilter
	ask := 0
	m.change(func() {
		m.asks++
		ask, f = m.asks, m.v.Filter
		m.v.Runs.begin()
		m.v.Adding = false
	})
	go m.load(ask, f, nil)
}

// LoadMore loads older runs.
func (m *Activity) LoadMore() {
	var f ActivityFilter
	var after *string
	ask := 0
	m.change(func() {
		if m.v.Adding || !m.v.More {
			return
		}
		m.v.Adding = true
		m.asks++
		ask, f, after = m.asks, m.v.Filter, m.v.after
	})
	if ask > 0 {
		go m.load(ask, f, after)
	}
}

func (m *Activity) load(ask int, f ActivityFilter, after *string) {
	r, err := api.Runs(context.Background(), m.API, f.input(), runsPage, after)
	m.change(func() {
		if ask != m.asks {
			return
		}
		m.v.Adding = false
		if err != nil {
			m.v.Runs.end(nil, err)
			return
		}
		var list []*api.RunFields
		if after != nil {
			list = append(list, m.v.Runs.Value...)
		}
		for _, e := range r.Runs.Edges {
			list = append(list, e.Node)
		}
		m.v.Runs.end(list, nil)
		m.v.Total, m.v.More, m.v.after = r.Runs.TotalCount, r.Runs.PageInfo.HasNextPage, r.Runs.PageInfo.EndCursor
	})
}

// run takes in a run that changed. One that no longer passes the filter stays where it is: it would vanish under the person's eyes.
func (m *Activity) run(r *api.RunFields) {
	m.change(func() {
		if m.v.Runs.Status != Ready {
			return
		}
		list, before := mergeRun(m.v.Runs.Value, r)
		switch {
		case before != nil:
			m.v.Runs.Value = list
		case m.v.Filter.takes(r):
			m.v.Runs.Value = list
			m.v.Total++
		}
	})
}

// RunPage is one run and what its device said about it. Make it with [NewRunPage].
type RunPage struct {
	Model
	Sources
	v     RunView
	id    string
	heard *api.RunFields // the last change of which the server told; nil: of none yet
	stop  func()
}

// RunView is what pages show of a [RunPage].
type RunView struct {
	Run    Load[*api.RunDetail] // a nil value: there is no such run
	Report Load[*talk.Report]   // a nil value: the device wrote none
	Lacks  Load[[]talk.Problem] // the first files that its backup lacks, or has otherwise than they were
	Busy   bool                 // asking it to stop
	Err    error                // of that
}

// NewRunPage returns the model of a run.
func NewRunPage(s Sources, id string) *RunPage { return &RunPage{Sources: s, id: id} }

// View returns what to show.
func (m *RunPage) View() (v RunView) {
	m.read(func() { v = m.v })
	return v
}

// Open loads the run and follows it until [RunPage.Close].
func (m *RunPage) Open() {
	end := m.runChanges(m.run)
	m.read(func() { m.stop = end })
	m.Reload()
}

// Close ends what Open began.
func (m *RunPage) Close() {
	var stop func()
	m.read(func() { stop, m.stop = m.stop, nil })
	if stop != nil {
		stop()
	}
}

// Reload loads the run again.
func (m *RunPage) Reload() {
	m.change(func() { m.v.Run.begin() })
	go m.load(context.Background())
}

func (m *RunPage) load(ctx context.Context) {
	r, err := api.Run(ctx, m.API, m.id)
	if err != nil {
		m.change(func() { m.v.Run.end(nil, err) })
		return
	}
	m.change(func() { m.v.Run.end(r.Run, nil) })
	m.catchUp(r.Run)
	if r.Run != nil && r.Run.Kind == api.RunKindBackup && r.Run.Snapshot != nil && r.Run.Progress.Problems > 0 {
		go m.lacks(ctx, r.Run.Snapshot)
	}
	if r.Run == nil || r.Run.SealedReport == nil {
		m.change(func() { m.v.Report.end(nil, nil) })
		return
	}
	m.change(func() { m.v.Report.begin() })
	in := talk.SealedReport{Sealed: *r.Run.SealedReport, Kind: string(r.Run.Kind), Run: r.Run.Id, Device: r.Run.Device.Id}
	if r.Run.Snapshot != nil {
		in.Snapshot = r.Run.Snapshot.Id
	}
	report := &talk.Report{}
	err = m.Keys.Call(ctx, talk.MethodOpenReport, in, report)
	m.change(func() { m.v.Report.end(report, err) })
}

// lookAgain is after how long a run is looked at again of which nothing was heard.
const lookAgain = time.Second

// catchUp loads a run again that may have ended while it was loaded. Of a run that is open the server tells as soon as it is followed: one that is
// not over by its answer, and of which nothing comes, ended between the answer and then.
func (m *RunPage) catchUp(r *api.RunDetail) {
	if r == nil || Over(r.State) {
		return
	}
	var heard *api.RunFields
	m.read(func() { heard = m.heard })
	switch {
	case heard == nil:
		time.AfterFunc(lookAgain, func() {
			again := false
			m.read(func() { again = m.stop != nil && m.heard == nil })
			if again {
				m.load(context.Background())
			}
		})
	case Over(heard.State):
		go m.load(context.Background())
	}
}

// maxLacks is how many files are listed that a backup lacks.
const maxLacks = 500

// lacks reads from a backup's manifest, which only the keys open, which files it lacks.
func (m *RunPage) lacks(ctx context.Context, s *api.RunSnapshot) {
	m.change(func() { m.v.Lacks.begin() })
	list, err := func() (list []talk.Problem, err error) {
		found, err := m.openManifests(ctx, []*api.SnapshotFields{{Id: s.Id, Device: &api.RunDevice{Id: s.Device.Id}, Root: s.Root, Manifest: s.Manifest}})
		if err == nil && found[s.Id].Error != "" {
			err = fault.New(fault.Internal, "%s", found[s.Id].Error)
		}
		if err == nil {
			err = m.Keys.Call(ctx, talk.MethodProblems, talk.Problems{Snapshot: s.Id, Page: talk.Page{Limit: maxLacks}}, &list)
		}
		return list, err
	}()
	m.change(func() { m.v.Lacks.end(list, err) })
}

func (m *RunPage) run(r *api.RunFields) {
	if r.Id != m.id {
		return
	}
	ended := false
	m.change(func() {
		m.heard = r
		d := m.v.Run.Value
		if d == nil {
			return
		}
		ended = Over(r.State) && !Over(d.State)
		newer := *d
		newer.RunFields = *r
		m.v.Run.Value = &newer
	})
	if ended {
		go m.load(context.Background())
	}
}

// Cancel asks the run to stop.
func (m *RunPage) Cancel() {
	busy := false
	m.change(func() {
		busy = m.v.Busy
		m.v.Busy = true
	})
	if busy {
		return
	}
	go func() {
		r, err := api.CancelRun(context.Background(), m.API, &api.CancelRunInput{Id: m.id})
		m.change(func() { m.v.Busy, m.v.Err = false, err })
		if err == nil {
			m.run(r.CancelRun.Run)
		}
	}()
}
