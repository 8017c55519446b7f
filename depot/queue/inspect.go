package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Inspector shows administrators what is in the queue, and lets them run again what failed. What it shows was true a moment ago, and
// all of it may be gone a moment later: Redis may be flushed. While Redis is away every method fails with UNAVAILABLE
// after about two seconds, whatever ctx says: asynq's inspector does not listen to one.
type Inspector struct {
	inspector *asynq.Inspector
}

// NewInspector returns an inspector over a Redis connection that stays the caller's: see bus.Connect.
func NewInspector(r redis.UniversalClient) *Inspector {
	return &Inspector{asynq.NewInspectorFromRedisClient(r)}
}

// QueueInfo is the state of a queue.
type QueueInfo struct {
	Name                                                   string
	Pending, Active, Scheduled, Retry, Archived, Completed int           // tasks by state: see [State]
	Processed, Failed                                      int           // runs since midnight UTC; Processed includes the failed ones
	Latency                                                time.Duration // how long the oldest pending task has waited
	MemoryBytes                                            int64         // about
	Paused                                                 bool
}

// State is what a task is doing.
type State string

// The states.
const (
	Pending   State = "pending"   // waits for a worker
	Active    State = "active"    // runs
	Scheduled State = "scheduled" // waits for a time
	Retry     State = "retry"     // failed, and waits for its next attempt
	Archived  State = "archived"  // failed for good
	Completed State = "completed" // done; kept for a while, so that its id stays taken
)

// TaskInfo is a task.
type TaskInfo struct {
	ID, Name     string
	Payload      string // the id that the task is about
	State        State
	MaxRetry     int // attempts after the first
	Retried      int // of them, those that were made
	LastError    string
	LastFailedAt time.Time // zero: never
	NextAt       time.Time // zero: not scheduled
	CompletedAt  time.Time // zero: not done
}

// ServerInfo is a worker process.
type ServerInfo struct {
	Host    string
	PID     int
	Started time.Time
	Running []RunningTask // what it runs now
}

// RunningTask is a task that a worker runs.
type RunningTask struct {
	ID, Name string
	Since    time.Time
}

// Queues returns the state of every queue: of one, or of none before the first task. Administrators may ask.
func (i *Inspector) Queues(ctx context.Context, a actor.Actor) ([]QueueInfo, error) {
	if err := gate(ctx, a); err != nil {
		return nil, err
	}
	names, err := i.inspector.Queues()
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	if !slices.Contains(names, queueName) {
		return nil, nil
	}
	q, err := i.inspector.GetQueueInfo(queueName)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return []QueueInfo{{
		Name: q.Queue, Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled, Retry: q.Retry, Archived: q.Archived, Completed: q.Completed,
		Processed: q.Processed, Failed: q.Failed, Latency: q.Latency, MemoryBytes: q.MemoryUsage, Paused: q.Paused,
	}}, nil
}

// MaxTasks is the largest page of tasks.
const MaxTasks = 100

// Tasks returns a page of the tasks in a state: the page-th, from 1 on, of the given size. Administrators may ask.
func (i *Inspector) Tasks(ctx context.Context, a actor.Actor, state State, page, size int) ([]TaskInfo, error) {
	if err := gate(ctx, a); err != nil {
		return nil, err
	}
	list := map[State]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		Pending: i.inspector.ListPendingTasks, Active: i.inspector.ListActiveTasks, Scheduled: i.inspector.ListScheduledTasks,
		Retry: i.inspector.ListRetryTasks, Archived: i.inspector.ListArchivedTasks, Completed: i.inspector.ListCompletedTasks,
	}[state]
	switch {
	case list == nil:
		return nil, fault.New(fault.Invalid, "a task is pending, active, scheduled, retry, archived or completed, not %q", state)
	case page < 1 || size < 1 || size > MaxTasks:
		return nil, fault.New(fault.Invalid, "pages are counted from 1 and hold 1 to %d tasks: there is no page %d of %d", MaxTasks, page, size)
	}
	found, err := list(queueName, asynq.Page(page), asynq.PageSize(size))
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, unavailable(ctx, err)
	}
	tasks := make([]TaskInfo, 0, len(found))
	for _, t := range found {
		tasks = append(tasks, TaskInfo{
			ID: t.ID, Name: t.Type, Payload: string(t.Payload), State: State(t.State.String()), MaxRetry: t.MaxRetry, Retried: t.Retried,
			LastError: t.LastErr, LastFailedAt: t.LastFailedAt, NextAt: t.NextProcessAt, CompletedAt: t.CompletedAt,
		})
	}
	return tasks, nil
}

// Retry has a task run now that failed, or waits for its time. One that waits for a worker or runs is left as it is. It
// fails with NOT_FOUND if there is no such task, and with CONFLICT if it is done. Administrators may ask.
func (i *Inspector) Retry(ctx context.Context, a actor.Actor, id string) error {
	return i.change(ctx, a, id, func(s State) (func(string, string) error, error) {
		switch s {
		case Pending, Active:
			return nil, nil
		case Completed:
			return nil, fault.New(fault.Conflict, "the task %s is done", id)
		}
		return i.inspector.RunTask, nil
	})
}

// Delete takes away a task that failed, for now or for good. Nothing is lost by it that is not found again when
// the next task looks. It fails with NOT_FOUND if there is no such task, and with CONFLICT if it did not fail. Administrators may ask.
func (i *Inspector) Delete(ctx context.Context, a actor.Actor, id string) error {
	return i.change(ctx, a, id, func(s State) (func(string, string) error, error) {
		if s != Retry && s != Archived {
			return nil, fault.New(fault.Conflict, "the task %s is %s: only tasks that failed can be deleted", id, s)
		}
		return i.inspector.DeleteTask, nil
	})
}

// change does to a task what decide says of its state; nil: nothing. If that fails, the state may have
// changed meanwhile: it is looked at again.
func (i *Inspector) change(ctx context.Context, a actor.Actor, id string, decide func(State) (func(string, string) error, error)) error {
	if err := gate(ctx, a); err != nil {
		return err
	}
	var failed error
	for range 3 {
		info, err := i.inspector.GetTaskInfo(queueName, id)
		switch {
		case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
			return fault.New(fault.NotFound, "there is no task %s: it may be done, or deleted", id)
		case err != nil:
			return unavailable(ctx, err)
		}
		do, err := decide(State(info.State.String()))
		if err != nil || do == nil {
			return err
		}
		if failed = do(queueName, id); failed == nil {
			return nil
		}
	}
	return unavailable(ctx, failed)
}

// Servers returns the workers that live, and what they run, by host and process. Administrators may ask.
func (i *Inspector) Servers(ctx context.Context, a actor.Actor) ([]ServerInfo, error) {
	if err := gate(ctx, a); err != nil {
		return nil, err
	}
	found, err := i.inspector.Servers()
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	servers := make([]ServerInfo, 0, len(found))
	for _, s := range found {
		info := ServerInfo{Host: s.Host, PID: s.PID, Started: s.Started}
		for _, w := range s.ActiveWorkers {
			info.Running = append(info.Running, RunningTask{w.TaskID, w.TaskType, w.Started})
		}
		slices.SortFunc(info.Running, func(a, b RunningTask) int { return a.Since.Compare(b.Since) })
		servers = append(servers, info)
	}
	slices.SortFunc(servers, func(a, b ServerInfo) int {
		if c := strings.Compare(a.Host, b.Host); c != 0 {
			return c
		}
		return a.PID - b.PID
	})
	return servers, nil
}

func gate(ctx context.Context, a actor.Actor) error {
	if err := a.Require(actor.Admin); err != nil {
		return err
	}
	return ctx.Err()
}
