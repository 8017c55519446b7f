package daemon

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// errWoke is the cause of a connection's end when the machine slept.
var errWoke = errors.New("the machine was asleep")

// listen is the listener.
func (s *service) listen(ctx context.Context) error {
	for failures := 0; ; {
		conn, cut := context.WithCancelCause(ctx)
		s.mu.Lock()
		s.cut = func() { cut(errWoke) }
		s.mu.Unlock()
		heard := false
		err := s.client.Rings(conn, func(time.Time) {
			if !heard {
				s.log.Debug("listening")
			}
			heard = true
			s.ring()
		})
		if heard {
			failures = 0
		}
		switch {
		case ctx.Err() != nil:
			cut(nil)
			return context.Cause(ctx)
		case errors.Is(err, fault.Unauthenticated):
			cut(nil)
			return err
		case !errors.Is(err, errWoke):
			pause := backoff(failures, s.cfg.Spread, rand.Float64())
			failures++
			s.log.Info("not listening", "code", string(fault.KindOf(err)), "again", pause.Round(time.Millisecond))
			s.log.Debug("not listening", "error", agent.Sentence(err))
			select {
			case <-conn.Done(): // stopped, or awake
			case <-time.After(pause):
			}
		}
		cut(nil)
	}
}

// clocksEvery is how often the clocks are compared.
const clocksEvery = 10 * time.Second

// watchClocks finds out that the machine was asleep. The connection may look alive then for a long time; it is cut, and
// work is looked for at once.
func (s *service) watchClocks(ctx context.Context) error {
	tick := time.NewTicker(clocksEvery)
	defer tick.Stop()
	c := newClock()
	for last := c.now(); ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now := c.now()
		if slept(last, now) {
			s.log.Info("awake again")
			s.awake()
		}
		last = now
	}
}

// awake makes the listener connect again and the worker look.
func (s *service) awake() {
	s.mu.Lock()
	cut := s.cut
	s.mu.Unlock()
	cut()
	s.ring()
}
