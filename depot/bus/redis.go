package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// connectFor is how long Connect waits for a Redis that is just starting.
const connectFor = 15 * time.Second

// Connect returns a client for the Redis at a URL such as redis://:password@host:6379/0, rediss://… (TLS) or
// unix:///path/of/socket, for this package and depot/queue. It waits up to 15 s (or until ctx is over) for a server that is just
// starting, and fails with fault.Unavailable, naming the server but never the password.
//
// The Redis must keep what it is given: one that evicts keys when memory is short would lose tasks, so that is logged as a warning.
func Connect(ctx context.Context, redisURL string, log *slog.Logger) (redis.UniversalClient, error) {
	quietLibrary(log)
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address and its password
		}
		return nil, fault.New(fault.Invalid, "the address of Redis is not understood (want redis://:password@host:6379/0 or unix:///path): %s", err)
	}
	opts.DialerRetries = 1 // a request waits for each: whoever needs Redis tries again by itself
	client := redis.NewClient(opts)
	limit := time.Now().Add(connectFor)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := client.Ping(ctx).Err()
		if err == nil {
			break
		}
		if ctx.Err() == nil && !isRefusal(err) && time.Now().Before(limit) {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
				continue
			}
		}
		client.Close()
		return nil, fault.Wrap(err, fault.Unavailable, "cannot reach Redis at %s", opts.Addr)
	}
	// Managed servers may forbid the question.
	if got, err := client.ConfigGet(ctx, "maxmemory-policy").Result(); err == nil {
		if p := got["maxmemory-policy"]; p != "" && p != "noeviction" {
			log.Warn("Redis may throw away queued tasks when its memory is short: set maxmemory-policy to noeviction", "maxmemory-policy", p)
		}
	}
	return client, nil
}

// isRefusal reports an answer that waiting does not change, such as a wrong password.
func isRefusal(err error) bool {
	var e redis.Error
	return errors.As(err, &e) && !redis.HasErrorPrefix(err, "LOADING")
}

// quietLibrary sends the library's own messages, one for each failed dial, to the log at debug level instead of to
// standard error. The library has one logger for the whole process.
func quietLibrary(log *slog.Logger) {
	once.Do(func() { redis.SetLogger(libraryLog{log}) })
}

var once sync.Once

type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf("redis client: "+format, args...))
}
