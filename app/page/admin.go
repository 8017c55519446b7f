package page

import (
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// zone is the time zone of whoever sits here, as an IANA name.
func zone() string {
	if z := app.Window().Get("Intl").Call("DateTimeFormat").Call("resolvedOptions").Get("timeZone").String(); strings.Contains(z, "/") {
		return z
	}
	return "UTC"
}

// ago is a time in words.
func ago(t *time.Time) app.UI {
	return ui.Time(t, func(t time.Time) string { return state.Ago(t, time.Now()) }, state.Exact)
}

// runColor is the colour of a state of runs.
func runColor(s api.RunState) string {
	switch s {
	case api.RunStateSucceeded:
		return "success"
	case api.RunStateWarned:
		return "warning"
	case api.RunStateFailed:
		return "danger"
	case api.RunStateMissed:
		return "secondary"
	case api.RunStateRunning, api.RunStateWaiting:
		return "info"
	}
	return "light"
}

// runWord is a state of runs in a word.
func runWord(s api.RunState) string {
	words := map[api.RunState]string{
		api.RunStateWaiting: "waiting", api.RunStateRunning: "running", api.RunStateSucceeded: "succeeded", api.RunStateWarned: "with warnings",
		api.RunStateFailed: "failed", api.RunStateMissed: "missed", api.RunStateCancelled: "cancelled",
	}
	return words[s]
}

// healthBadge shows how a device is doing.
func healthBadge(h api.HealthState) app.UI {
	switch h {
	case api.HealthStateGood:
		return ui.Badge("success", "good")
	case api.HealthStateWorking:
		return ui.Badge("info", "working")
	case api.HealthStateWarning:
		return ui.Badge("warning", "warning")
	case api.HealthStateBad:
		return ui.Badge("danger", "bad")
	case api.HealthStateRevoked:
		return ui.Badge("dark", "revoked")
	}
	return ui.Badge("secondary", "new")
}

// reason is why a run did not succeed.
func reason(r *api.AdminRun) string {
	switch {
	case r.Text != nil && *r.Text != "":
		return *r.Text
	case r.Code != nil:
		return *r.Code
	case r.State == api.RunStateMissed:
		return "It was not begun before its deadline: the device was off or out of reach."
	}
	return ""
}

// worked shows what came of the last thing that was done.
func worked(w state.Work, dismiss func()) app.UI {
	return app.Div().Body(ui.Done(w.Done, dismiss), ui.Trouble(w.Err, nil))
}

// runChart is a chart of counted runs.
func runChart(title string, rows []*api.ReportCounts, name func(string) string) app.UI {
	c := ui.Chart{Title: title}
	series := []ui.Series{{Name: "succeeded", Color: "success"}, {Name: "with warnings", Color: "warning"}, {Name: "failed", Color: "danger"}, {Name: "missed", Color: "secondary"}}
	for _, r := range rows {
		c.Labels = append(c.Labels, name(r.Label))
		for i, n := range []int{r.Succeeded, r.Warned, r.Failed, r.Missed} {
			series[i].Values = append(series[i].Values, float64(n))
		}
	}
	c.Series = series
	return c.UI()
}

// storageChart is a chart of what is stored by days.
func storageChart(title string, days []*api.StorageDay) app.UI {
	c := ui.Chart{Title: title, Lines: true, Scale: ui.Bytes(state.Size), Text: func(v float64) string { return state.Size(int64(v)) }}
	stored, protected := ui.Series{Name: "stored", Color: "success"}, ui.Series{Name: "protected", Color: "info"}
	for _, d := range days {
		c.Labels = append(c.Labels, dayName(d.Day))
		stored.Values = append(stored.Values, float64(d.StoredBytes))
		protected.Values = append(protected.Values, float64(d.ProtectedBytes))
	}
	c.Series = []ui.Series{stored, protected}
	return c.UI()
}

// dayName shortens a day: "2026-11-25" is "25 Nov".
func dayName(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.Format("2 Jan")
}

// loading shows a thing that has to be loaded: a skeleton, what went wrong, or what came.
func loading[T any](l state.Load[T], lines int, retry func(), show func(T) app.UI) app.UI {
	switch l.Status {
	case state.Failed:
		return ui.Trouble(l.Err, retry)
	case state.Ready:
		return app.Div().Body(ui.Trouble(l.Err, retry), show(l.Value))
	}
	// Another element than what comes: that would be made of this one, and be seen to move.
	return app.Section().Class("card mb-4 shadow-sm").Body(app.Div().Class("card-body").Body(ui.Skeleton(lines)))
}

// under shows what stands under something that has to be loaded, once that is there and pushes nothing down any more.
func under[T any](l state.Load[T], show func() app.UI) app.UI {
	return app.If(l.Status == state.Ready || l.Status == state.Failed, show)
}

// What the screens say about a queue that is not well.
var (
	errNoQueue  = fault.New(fault.Unavailable, "the queue cannot be read: Redis is away. Backups go on; care and mails wait")
	errNoWorker = fault.New(fault.Unavailable, "no worker reads the queue: start holdfast worker, or nothing is cleaned, checked or mailed")
)
