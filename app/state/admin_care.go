package state

import (
	"context"
	"fmt"

	"github.com/holdfast-backup/holdfast/app/api"
)

// Storage is what is stored, and the care that is taken of it. Make it with [NewStorage].
type Storage struct {
	Desk
	fetch fetch
	load  Load[*api.AdminStorageResponse]
	jobs  Rows[*api.JobFields]

	replicasF fetch
	replicas  Load[[]*api.ReplicaFields]
}

// StorageView is what pages show of a [Storage].
type StorageView struct {
	Load[*api.AdminStorageResponse]
	Work
	Jobs     Rows[*api.JobFields]
	Replicas Load[[]*api.ReplicaFields]
}

// NewStorage returns what is stored.
func NewStorage(client *api.Client) *Storage { return &Storage{Desk: Desk{api: client}} }

// View returns what to show.
func (s *Storage) View() (v StorageView) {
	s.read(func() { v = StorageView{Load: s.load, Work: s.work, Jobs: s.jobs, Replicas: s.replicas} })
	return v
}

// Reload loads all of it.
func (s *Storage) Reload() {
	fetchInto(&s.Model, &s.fetch, &s.load, func(ctx context.Context) (*api.AdminStorageResponse, error) { return api.AdminStorage(ctx, s.api) })
	fetchInto(&s.Model, &s.replicasF, &s.replicas, func(ctx context.Context) ([]*api.ReplicaFields, error) {
		r, err := api.Replicas(ctx, s.api)
		if err != nil {
			return nil, err
		}
		return r.Replicas, nil
	})
	s.page(false)
}

// More loads older jobs.
func (s *Storage) More() { s.page(true) }

func (s *Storage) page(more bool) {
	fetchRows(&s.Model, &s.jobs, more, func(ctx context.Context, after *string) (slice[*api.JobFields], error) {
		r, err := api.AdminJobs(ctx, s.api, pageSize, after)
		if err != nil {
			return slice[*api.JobFields]{}, err
		}
		page := slice[*api.JobFields]{after: next(r.Jobs.PageInfo.HasNextPage, r.Jobs.PageInfo.EndCursor)}
		for _, e := range r.Jobs.Edges {
			page.rows = append(page.rows, e.Node)
		}
		return page, nil
	})
}

// Care are the kinds of care that can be rung for, and what each is.
var Care = [][2]string{{"retention", "Retention"}, {"gc", "Cleaning"}, {"scrub", "Checking"}, {"selfbackup", "Own backup"}}

// CareWord says what a kind of care is.
func CareWord(kind string) string {
	for _, c := range Care {
		if c[0] == kind {
			return c[1]
		}
	}
	switch kind { // of replicas, which have a card of their own
	case "replicate":
		return "Copying to replicas"
	case "replica-check":
		return "Checking replicas"
	}
	return Capital(kind)
}

// Run rings for a piece of care.
func (s *Storage) Run(kind string) {
	s.do(kind, func(ctx context.Context) (string, error) {
		_, err := api.RunCare(ctx, s.api, kind)
		if err == nil {
			s.Reload()
		}
		return CareWord(kind) + " was asked for: a worker does it, and it appears below.", err
	})
}

// Saved says how much less is stored than all snapshots count.
func Saved(logical, stored int64) string {
	if logical <= 0 || stored >= logical {
		return "–"
	}
	return fmt.Sprintf("%s (%s)", Size(logical-stored), percent(1-float64(stored)/float64(logical)))
}

// Tasks is the queue. Make it with [NewTasks].
type Tasks struct {
	Desk
	qf, tf fetch
	v      TasksView
}

// TasksView is what pages show of [Tasks].
type TasksView struct {
	Work
	Queue Load[*api.QueueFields] // Value nil: Redis is away
	State api.TaskState
	Page  int // from 1
	Tasks Load[[]*api.TaskFields]
}

// NewTasks returns the queue, and its tasks that died.
func NewTasks(client *api.Client) *Tasks {
	return &Tasks{Desk: Desk{api: client}, v: TasksView{State: api.TaskStateArchived, Page: 1}}
}

// View returns what to show.
func (t *Tasks) View() (v TasksView) {
	t.read(func() {
		v = t.v
		v.Work = t.work
	})
	return v
}

// Show lists tasks of a state, a page of them.
func (t *Tasks) Show(state api.TaskState, page int) {
	t.change(func() {
		t.v.State, t.v.Page, t.v.Tasks = state, max(1, page), Load[[]*api.TaskFields]{}
		t.tf.asked++
	})
	t.Reload()
}

// Reload loads the queue and the page.
func (t *Tasks) Reload() {
	v := t.View()
	fetchInto(&t.Model, &t.qf, &t.v.Queue, func(ctx context.Context) (*api.QueueFields, error) {
		r, err := api.AdminQueue(ctx, t.api)
		if err != nil {
			return nil, err
		}
		return r.Queue, nil
	})
	fetchInto(&t.Model, &t.tf, &t.v.Tasks, func(ctx context.Context) ([]*api.TaskFields, error) {
		r, err := api.AdminTasks(ctx, t.api, v.State, v.Page)
		if err != nil {
			return nil, err
		}
		return r.QueueTasks, nil
	})
}

// Retry tries a task again now.
func (t *Tasks) Retry(task *api.TaskFields) {
	t.do(task.Id, func(ctx context.Context) (string, error) {
		_, err := api.RetryTask(ctx, t.api, task.Id)
		if err == nil {
			t.Reload()
		}
		return "The task is tried again now.", err
	})
}

// Delete removes a task that has died.
func (t *Tasks) Delete(task *api.TaskFields) {
	t.do(task.Id, func(ctx context.Context) (string, error) {
		_, err := api.DeleteTask(ctx, t.api, task.Id)
		if err == nil {
			t.Reload()
		}
		return "The task was removed.", err
	})
}
