package graph

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
)

// ringEvery is how long a device is not rung at most.
const ringEvery = run.LookEvery

// rings rings a device at once, whenever there may be work for it, and every now and then. Rings that come while one waits to be
// sent are one. The channel is closed when ctx ends.
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
			for quiet := false; !quiet; { // what was rung until now, this ring has told
				select {
				case _, ok := <-hints:
					quiet = !ok
				default:
					quiet = true
				}
			}
			wait.Reset(ringEvery)
		listen:
			for {
				select {
				case <-ctx.Done():
					return
				case <-wait.C:
					break listen
				case m, ok := <-hints:
					switch {
					case !ok:
						hints = nil // the bus is closed; the clock goes on
					case m.Topic == "":
						// The bus was cut off, for every device at once: they do not all ask at once.
						wait.Reset(rand.N(c.Sweep))
					default:
						break listen
					}
				}
			}
		}
	}()
	return out, nil
}
