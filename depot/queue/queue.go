// Package queue hands tasks to workers through Redis, with asynq.
//
// A task is a name and, at most, an id: what is to be done is read from PostgreSQL when the task runs. So a task may be lost (Redis was
// flushed), run twice (a worker died, or Redis was away when one finished) or run late, and nothing is wrong afterwards: handlers are idempotent,
// and whoever must not depend on a task has a periodic one look for what was never rung.
//
// Two ways in:
//
//   - [Client.Ring] says that something is to be done for one id, soon. Ringing twice before it is done makes one task.
//   - [Client.Tick] says that a slot of a calendar has come. Every worker's clock says so for every slot; the first one makes the task, and the
//     slot's number in the task's id turns the others away, also after the task is done.
//
// [Inspector] shows what is in the queue, for administrators.
//
// asynq remembers a task's id as long as the task exists in any state, and a task that failed for good is kept for months: an id used for
// ever would be blocked for ever. So ticks never fail in asynq's eyes (an error is logged; the next slot is the repeat), and Ring clears a failed predecessor away.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// queueName is the one queue. Its tasks are few and short.
const queueName = "holdfast"

const (
	ringRetries = 12 // with asynq's growing pauses: about a day
	ringTimeout = 10 * time.Minute
)

// Client puts tasks into the queue. It is safe for concurrent use.
type Client struct {
	client    *asynq.Client
	inspector *asynq.Inspector
}

// NewClient returns a client over a Redis connection that stays the caller's: see bus.Connect.
func NewClient(r redis.UniversalClient) *Client {
	return &Client{asynq.NewClientFromRedisClient(r), asynq.NewInspectorFromRedisClient(r)}
}

// Ring asks for the named task to be run for an id. If it waits already, that is enough. If it is running at this moment,
// one more run is queued, because the running one may have looked too early. A handler's error makes it run again, later and later.
func (c *Client) Ring(ctx context.Context, name, id string) error {
	taskID := name + ":" + id
	task := asynq.NewTask(name, []byte(id))
	opts := []asynq.Option{asynq.Queue(queueName), asynq.MaxRetry(ringRetries), asynq.Timeout(ringTimeout)}
	for range 3 {
		_, err := c.client.EnqueueContext(ctx, task, append(opts, asynq.TaskID(taskID))...)
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return unavailable(ctx, err)
		}
		info, err := c.inspector.GetTaskInfo(queueName, taskID)
		switch {
		case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
			continue // it ended meanwhile
		case err != nil:
			return unavailable(ctx, err)
		}
		switch info.State {
		case asynq.TaskStateActive:
			if strings.HasSuffix(taskID, again) {
				return nil // both run at this moment: only after two rings in a moment, and the sweep is there
			}
			taskID += again
		case asynq.TaskStateArchived, asynq.TaskStateCompleted:
			if err := c.inspector.DeleteTask(queueName, taskID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
				return unavailable(ctx, err)
			}
		case asynq.TaskStateRetry:
			// It failed before and waits for its pause to end: now there is a reason to try at once.
			if err := c.inspector.RunTask(queueName, taskID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
				return unavailable(ctx, err)
			}
			return nil
		default:
			return nil // it waits
		}
	}
	return nil
}

const again = ":again"

// Tick asks for the named task to be run for the slot that began at the given time; every is the length of slots. It reports
// whether this call made the task: false means that another worker was first. The handler gets the slot's time (RFC 3339) as id.
func (c *Client) Tick(ctx context.Context, name string, slot time.Time, every time.Duration) (bool, error) {
	_, err := c.client.EnqueueContext(ctx, asynq.NewTask(name, []byte(slot.UTC().Format(time.RFC3339))),
		asynq.Queue(queueName),
		asynq.TaskID(fmt.Sprintf("%s@%d", name, slot.UnixMilli())),
		asynq.MaxRetry(0),
		// The id outlives the slot, so that a worker whose clock is a little behind finds it taken. asynq counts seconds.
		asynq.Retention(max(every, time.Minute)),
		// The worker's own, shorter limit ends the handler; this one is for a handler that does not listen.
		asynq.Timeout(every+time.Minute),
	)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return false, nil
	}
	return err == nil, unavailable(ctx, err)
}

func unavailable(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.Wrap(err, fault.Unavailable, "the task queue (Redis) cannot be reached now")
}

// Handler runs one task. It must be idempotent and listen to its context.
type Handler func(ctx context.Context, id string) error

// Server runs tasks.
type Server struct {
	server *asynq.Server
	stop   context.CancelFunc
}

const (
	concurrency = 4
	// stopTimeout is how long Stop waits for handlers, whose contexts are over by then.
	stopTimeout = 5 * time.Second
)

// Serve starts to run tasks with the given handlers, by name, until [Server.Stop]. It returns at once; while Redis is away it tries to
// come through, and logs.
func Serve(r redis.UniversalClient, log *slog.Logger, handlers map[string]Handler) (*Server, error) {
	stopping, stop := context.WithCancel(context.Background())
	mux := asynq.NewServeMux()
	for name, handler := range handlers {
		mux.HandleFunc(name, func(ctx context.Context, t *asynq.Task) error {
			// A context of our own beside asynq's: when asynq's ends, asynq lets go of the task while the handler still
			// runs. Ours ends first, and the handler's return is what asynq sees.
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(stopping, cancel)()
			return handler(ctx, string(t.Payload()))
		})
	}
	server := asynq.NewServerFromRedisClient(r, asynq.Config{
		Concurrency:     concurrency,
		Queues:          map[string]int{queueName: 1},
		ShutdownTimeout: stopTimeout,
		Logger:          libraryLog{log},
		LogLevel:        asynq.WarnLevel,
	})
	if err := server.Start(mux); err != nil {
		stop()
		return nil, fmt.Errorf("start the task server: %w", err)
	}
	return &Server{server, stop}, nil
}

// Stop takes no more tasks, ends the contexts of those that run, and waits for them. What does not end in time goes
// back into the queue.
func (s *Server) Stop() {
	s.server.Stop()
	s.stop()
	s.server.Shutdown()
}

// libraryLog is asynq's log.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Debug(args ...any) { l.log.Debug("task queue: " + fmt.Sprint(args...)) }
func (l libraryLog) Info(args ...any)  { l.log.Debug("task queue: " + fmt.Sprint(args...)) }
func (l libraryLog) Warn(args ...any)  { l.log.Warn("task queue: " + fmt.Sprint(args...)) }
func (l libraryLog) Error(args ...any) { l.log.Warn("task queue: " + fmt.Sprint(args...)) }

// Fatal does not end the program: that is the program's own decision.
func (l libraryLog) Fatal(args ...any) { l.log.Error("task queue: " + fmt.Sprint(args...)) }
