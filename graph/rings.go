package graph

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
)

const (
	ringEvery = run.LookEvery          // a device is rung at least so often
	ringSoon  = 100 * time.Millisecond // hints that come within this are one ring: several policies may be due at once
)

// rings rings a device at once, whenever there may be work for it, and every now and then. The channel is closed when ctx ends.
func (c Config) rings(ctx context.Context, a actor.Actor) (<-chan *exec.Ring, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	sub := c.Bus.Subscribe(ctx, run.RingTopic(device)) // before the first ring, so that nothing falls between
	out := make(chan *exec.Ring)
	go func() {
		defer close(out)
		defer sub.Close()
		wait := time.NewTimer(ringEvery)
		defer wait.Stop()
		hints := sub.C
		for {
			select {
			case out <- &exec.Ring{At: time.Now()}:
			case <-ctx.Done():
				return
			}
			wait.Reset(ringEvery)
			soon, cutOff := false, false
			for waiting := true; waiting; {
				select {
				case <-ctx.Done():
					return
				case <-wait.C:
					waiting = false
				case m, ok := <-hints:
					switch {
					case !ok:
						hints = nil // the bus is closed; the clock goes on
					case m.Topic != "" && !soon:
						soon = true
						wait.Reset(ringSoon)
					case m.Topic == "" && !soon && !cutOff:
						cutOff = true
						wait.Reset(rand.N(c.Sweep)) // every device was cut off: they do not all ask at once
					}
				}
			}
		}
	}()
	return out, nil
}
