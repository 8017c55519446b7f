package page

import (
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Storage is the screen of what is stored, and of the care that is taken of it.
type Storage struct {
	app.Compo
	watched
	m *state.Storage
}

// OnMount implements app.Mounter.
func (s *Storage) OnMount(ctx app.Context) { s.open(ctx) }

func (s *Storage) open(ctx app.Context) {
	s.watch(ctx, s.model())
	s.model().Reload()
}

func (s *Storage) model() *state.Storage {
	if s.m == nil {
		s.m = state.NewStorage(World.API)
	}
	return s.m
}

// Render implements app.Composer.
func (s *Storage) Render() app.UI {
	m := s.model()
	v := m.View()
	return app.Div().Body(
		worked(v.Work, m.Dismiss),
		loading(v.Load, 10, m.Reload, func(r *api.AdminStorageResponse) app.UI {
			return app.Div().Body(
				stored(r.StorageReport),
				app.Div().Class("row").Body(
					app.Div().Class("col-xl-7").Body(storageCard(r.StorageReport.Days)),
					app.Div().Class("col-xl-5").Body(doctor(r.Doctor)),
				),
				owners(r.StorageReport.Spaces),
			)
		}),
		under(v.Load, func() app.UI {
			return loading(v.Replicas, 3, m.Reload, func(list []*api.ReplicaFields) app.UI { return s.replicas(list) })
		}),
		under(v.Load, func() app.UI { return under(v.Replicas, func() app.UI { return s.jobs(v) }) }),
	)
}

func stored(r *api.AdminStorageStorageReport) app.UI {
	free, pace, full := "not known", "not known yet", "–"
	if r.FreeBytes != nil {
		free = state.Size(*r.FreeBytes)
		if r.TotalBytes != nil {
			free += " of " + state.Size(*r.TotalBytes)
		}
	}
	if r.GrowthPerDay != nil {
		pace = state.Size(int64(*r.GrowthPerDay)) + " a day"
	}
	if r.FullAt != nil {
		full = r.FullAt.Local().Format("2 January 2006")
	}
	return ui.Card("", nil,
		ui.Facts("Stored", state.Size(r.StoredBytes), "All snapshots together", state.Size(r.LogicalBytes), "Saved by storing once", state.Saved(r.LogicalBytes, r.StoredBytes), "Newest snapshots", state.Size(r.ProtectedBytes),
			"Free", free, "Growth", pace, "Full at that pace", full, "In quarantine", state.Size(r.QuarantinedBytes), "Snapshots", state.Number(int64(r.Snapshots)), "Objects", state.Number(r.Objects)),
		app.P().Class("form-text mb-0").Text("Quarantine holds what nothing refers to any more, for some days, before it is deleted."),
	)
}

func doctor(checks []*api.AdminStorageDoctorDoctorCheck) app.UI {
	return ui.Panel("Checks", nil, ui.Table("Checks", []ui.Column{{Title: "Check"}, {Title: "State"}}, len(checks), func(i int) []app.UI {
		c := checks[i]
		badge := ui.Badge("success", "good")
		if !c.Ok {
			badge = ui.Badge("danger", "look at it")
		}
		return []app.UI{app.Div().Body(app.Div().Class("fw-semibold").Text(state.Capital(c.Name)), app.Div().Class("small text-body-secondary text-break").Text(c.Text)), badge}
	}))
}

func owners(spaces []*api.AdminStorageStorageReportSpacesSpaceUsage) app.UI {
	if len(spaces) == 0 {
		return ui.Panel("By owner", nil, ui.Empty("hdd-stack", "Nothing is stored yet", "The first backup of anybody appears here.", nil))
	}
	return ui.Panel("By owner", nil, ui.Table("By owner", []ui.Column{{Title: "Owner"}, {Title: "Stored", Class: "text-end"}, {Title: "All snapshots", Class: "text-end"}, {Title: "Saved", Class: "text-end"}, {Title: "Limit"}}, len(spaces), func(i int) []app.UI {
		s := spaces[i]
		owner := ui.Two(app.Text("Somebody who was deleted"), "")
		if s.User != nil {
			owner = ui.Two(app.Span().Title(s.User.Name).Text(s.User.Name), s.User.Email)
		}
		limit := app.UI(app.Text("none"))
		if s.QuotaBytes != nil && *s.QuotaBytes > 0 {
			limit = app.Div().Body(app.Div().Class("small mb-1").Text(state.Size(*s.QuotaBytes)), ui.Progress("Used of the limit", min(s.StoredBytes, *s.QuotaBytes), *s.QuotaBytes))
		}
		return []app.UI{owner, app.Text(state.Size(s.StoredBytes)), app.Text(state.Size(s.LogicalBytes)), app.Text(state.Saved(s.LogicalBytes, s.StoredBytes)), limit}
	}))
}

func (s *Storage) jobs(v state.StorageView) app.UI {
	m := s.m
	tools := app.Div().Class("d-flex flex-wrap gap-2 justify-content-end").Body(app.Range(state.Care).Slice(func(i int) app.UI {
		kind := state.Care[i]
		return ui.Button("outline-secondary", "play-fill", kind[1], "Run it now: "+kind[1], func() { m.Run(kind[0]) })
	}))
	return loading(v.Jobs.Load, 4, m.Reload, func(list []*api.JobFields) app.UI {
		if len(list) == 0 {
			return ui.Panel("Care", tools, ui.Empty("heart-pulse", "No care was needed yet", "Cleaning, checking, retention and the installation's own backup run by themselves and are listed here.", nil))
		}
		return ui.Panel("Care", tools,
			ui.Table("Care", []ui.Column{{Title: "What"}, {Title: "Outcome", Class: "hf-whole"}, {Title: "When", Class: "text-end"}, {Title: "Took", Class: "text-end"}}, len(list), func(i int) []app.UI {
				j := list[i]
				badge, took := ui.Badge("info", "running"), "–"
				if j.EndedAt != nil {
					took = state.Duration(j.EndedAt.Sub(j.StartedAt))
				}
				if j.Ok != nil {
					badge = ui.Badge("success", "done")
					if !*j.Ok {
						badge = ui.Badge("danger", "failed")
					}
				}
				return []app.UI{app.Text(state.CareWord(j.Kind)), app.Div().Body(badge, app.Div().Class("small text-body-secondary hf-clamp").Title(j.Text).Text(j.Text)), ago(&j.StartedAt), app.Span().Class("text-nowrap").Text(took)}
			}),
			ui.More(len(list), 0, v.Jobs.More, v.Jobs.Loading, func(n int) string { return state.Count(int64(n), "piece of care", "pieces of care") }, m.More),
		)
	})
}

// Tasks is the screen of the queue that workers read.
type Tasks struct {
	app.Compo
	watched
	m        *state.Tasks
	deleting *api.TaskFields
}

// OnMount implements app.Mounter.
func (t *Tasks) OnMount(ctx app.Context) { t.open(ctx) }

func (t *Tasks) open(ctx app.Context) {
	t.watch(ctx, t.model())
	t.model().Reload()
}

func (t *Tasks) model() *state.Tasks {
	if t.m == nil {
		t.m = state.NewTasks(World.API)
	}
	return t.m
}

var taskStates = []ui.Choice{{Value: "ARCHIVED", Title: "Given up"}, {Value: "RETRY", Title: "To be retried"}, {Value: "ACTIVE", Title: "Being done"}, {Value: "PENDING", Title: "Waiting"}, {Value: "SCHEDULED", Title: "Later"}, {Value: "COMPLETED", Title: "Done"}}

// Render implements app.Composer.
func (t *Tasks) Render() app.UI {
	m := t.model()
	v := m.View()
	return app.Div().Body(
		worked(v.Work, m.Dismiss),
		loading(v.Queue, 4, m.Reload, func(q *api.QueueFields) app.UI {
			if q == nil {
				return ui.Trouble(errNoQueue, m.Reload)
			}
			return app.Div().Body(
				app.If(len(q.Workers) == 0, func() app.UI { return ui.Trouble(errNoWorker, m.Reload) }),
				ui.Card("Queue", ui.Button("outline-secondary", "arrow-clockwise", "Look again", "", m.Reload), ui.Facts("Waiting", state.Number(int64(q.Pending)), "Being done", state.Number(int64(q.Active)), "Later", state.Number(int64(q.Scheduled)), "To be retried", state.Number(int64(q.Retry)),
					"Given up", state.Number(int64(q.Dead)), "Done today", state.Number(int64(q.ProcessedToday)), "Failed today", state.Number(int64(q.FailedToday)), "Oldest waits", state.Duration(time.Duration(q.LatencySeconds*float64(time.Second))))),
				app.If(len(q.Workers) > 0, func() app.UI {
					return ui.Panel("Workers", nil, ui.Table("Workers", []ui.Column{{Title: "Host"}, {Title: "Process", Class: "text-end"}, {Title: "At work on", Class: "text-end"}, {Title: "Since", Class: "text-end"}}, len(q.Workers), func(i int) []app.UI {
						w := q.Workers[i]
						return []app.UI{ui.Name(w.Host), app.Textf("%d", w.Pid), app.Text(state.Count(int64(w.Active), "task", "tasks")), ago(&w.StartedAt)}
					}))
				}),
			)
		}),
		under(v.Queue, func() app.UI {
			return app.Div().Body(
				app.Div().Class("mb-3").Body(ui.OneOf("State", string(v.State), taskStates, func(s string) { m.Show(api.TaskState(s), 1) })),
				loading(v.Tasks, 4, m.Reload, func(list []*api.TaskFields) app.UI { return t.table(v, list) }),
			)
		}),
		app.If(t.deleting != nil, func() app.UI {
			task := t.deleting
			return ui.Confirm("Remove this task?", "“"+task.Name+"” about “"+task.Subject+"” is not tried again. What it was to do stays undone until something asks for it anew.", "danger", "Remove the task", false, nil,
				func() { t.deleting = nil; m.Delete(task) }, func() { t.deleting = nil })
		}),
	)
}

func (t *Tasks) table(v state.TasksView, list []*api.TaskFields) app.UI {
	m := t.m
	if len(list) == 0 && v.Page == 1 {
		return ui.Panel("", nil, ui.Empty("check2-all", "No task is in this state", "Tasks that were given up after their last try stay here until they are tried again or removed.", nil))
	}
	pages := app.Div().Class("d-flex gap-2 align-items-center p-3 border-top").Body(
		app.Span().Class("text-body-secondary small me-auto").Textf("Page %d", v.Page),
		app.If(v.Page > 1, func() app.UI {
			return ui.Button("outline-secondary", "chevron-left", "Back", "", func() { m.Show(v.State, v.Page-1) })
		}),
		app.If(len(list) > 0, func() app.UI {
			return ui.Button("outline-secondary", "chevron-right", "Next", "", func() { m.Show(v.State, v.Page+1) })
		}),
	)
	return ui.Panel("", nil, ui.Table("Tasks", []ui.Column{{Title: "Task"}, {Title: "Last error", Class: "hf-whole"}, {Title: "Tries", Class: "text-end"}, {Title: "When", Class: "text-end"}, {Class: "text-end"}}, len(list), func(i int) []app.UI {
		k := list[i]
		when := k.NextAt
		if when == nil {
			when = k.LastFailedAt
		}
		at := app.UI(app.Text("–"))
		if when != nil {
			at = ago(when)
		}
		return []app.UI{
			ui.Two(app.Text(k.Name), k.Subject),
			app.Div().Class("hf-clamp small").Title(orElse(k.LastError, "")).Text(orElse(k.LastError, "–")),
			app.Textf("%d of %d", k.Retried, k.MaxRetry), at,
			app.Div().Class("btn-group").Body(
				app.If(k.State == api.TaskStateRetry || k.State == api.TaskStateArchived, func() app.UI {
					return ui.Button("outline-secondary", "arrow-repeat", "", "Try "+k.Name+" again now", func() { m.Retry(k) })
				}),
				app.If(k.State == api.TaskStateArchived, func() app.UI {
					return ui.Button("outline-secondary", "trash3", "", "Remove "+k.Name, func() { t.deleting = k })
				}),
			),
		}
	}), pages)
}
