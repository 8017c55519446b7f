package graph

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/queue"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// tasksPage is how many tasks a page holds.
const tasksPage = 50

// inspector is what looks into the queue.
func (c Config) inspector() (*queue.Inspector, error) {
	if c.Queue == nil {
		return nil, fault.New(fault.Unavailable, "this server runs without a task queue (Redis)")
	}
	return c.Queue, nil
}

// queue reads the state of the queue and its workers.
func (c Config) queue(ctx context.Context, a actor.Actor) (*exec.Queue, error) {
	i, err := c.inspector()
	if err != nil {
		return nil, err
	}
	queues, err := i.Queues(ctx, a)
	if err != nil {
		return nil, err
	}
	servers, err := i.Servers(ctx, a)
	if err != nil {
		return nil, err
	}
	q := &exec.Queue{Workers: []*exec.Worker{}}
	for _, info := range queues {
		q.Pending, q.Active, q.Scheduled = q.Pending+info.Pending, q.Active+info.Active, q.Scheduled+info.Scheduled
		q.Retry, q.Dead = q.Retry+info.Retry, q.Dead+info.Archived
		q.ProcessedToday, q.FailedToday = q.ProcessedToday+info.Processed, q.FailedToday+info.Failed
		q.LatencySeconds = max(q.LatencySeconds, info.Latency.Seconds())
	}
	for _, s := range servers {
		q.Workers = append(q.Workers, &exec.Worker{Host: s.Host, Pid: s.PID, StartedAt: s.Started.UTC(), Active: len(s.Running)})
	}
	return q, nil
}

// taskStates are the API's words for the queue's.
var taskStates = map[exec.TaskState]queue.State{
	exec.TaskStatePending: queue.Pending, exec.TaskStateActive: queue.Active, exec.TaskStateScheduled: queue.Scheduled,
	exec.TaskStateRetry: queue.Retry, exec.TaskStateArchived: queue.Archived, exec.TaskStateCompleted: queue.Completed,
}

func (c Config) tasks(ctx context.Context, a actor.Actor, state exec.TaskState, page *int) ([]*exec.Task, error) {
	i, err := c.inspector()
	if err != nil {
		return nil, err
	}
	n := 1
	if page != nil {
		n = *page
	}
	found, err := i.Tasks(ctx, a, taskStates[state], n, tasksPage)
	if err != nil {
		return nil, err
	}
	list := []*exec.Task{}
	for _, t := range found {
		task := &exec.Task{ID: t.ID, Name: t.Name, Subject: t.Payload, State: state, Retried: t.Retried, MaxRetry: t.MaxRetry, LastFailedAt: known(t.LastFailedAt), NextAt: known(t.NextAt)}
		if t.LastError != "" {
			task.LastError = &t.LastError
		}
		list = append(list, task)
	}
	return list, nil
}

// known returns a time, nil for one that never was.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
