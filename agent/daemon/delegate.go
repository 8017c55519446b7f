package daemon

import (
	"context"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// delegateEvery is how often Delegate looks at the folder and the server.
const delegateEvery = time.Second

// Delegate makes a run for the service that uses the folder, and waits until it has done it. It returns how that backup
// ended. Interrupted, only the waiting ends.
func Delegate(ctx context.Context, cfg Config) (*state.Last, error) {
	d, err := cfg.Dir.Load()
	if err != nil {
		return nil, err
	}
	v := agent.ServerOf(d)
	if cfg.Server != nil {
		cfg.Server(&v)
	}
	c, err := v.Dial(d.Token)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	asked := time.Now()
	if _, err := c.StartBackup(ctx); err != nil {
		return nil, err
	}
	look := time.NewTicker(delegateEvery)
	defer look.Stop()
	for {
		if l := cfg.Dir.Last(); l != nil && !l.Started.Before(asked) {
			return l, nil
		}
		if free, err := cfg.Dir.LockService(); err == nil {
			free()
			return nil, fault.New(fault.Unavailable, "the service stopped before it had begun: the next start does this backup")
		}
		if cfg.OnProgress != nil {
			if r, err := c.ThisDevice(ctx); err == nil && r.Active != nil {
				cfg.OnProgress(*r.Active)
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-look.C:
		}
	}
}
