// Package daemon is the resident service on a device: it hears that there is work, takes it, does it, and says how it
// ended.
//
// # The machine
//
//	          ring, or the time to look
//	waiting ------------------------------> looking --- nothing due ---> waiting
//	   ^                                       |
//	   |                                       | runs and a lease
//	   +-------- told the server <---------- working
//
// Two goroutines share it. The listener holds one subscription and passes rings on; when the connection is lost it comes
// back after a pause that grows and is drawn at random (see pace.go), so that ten thousand devices do not return to a
// server in the same second. The worker looks for work when it is rung, when the time that the server named is over,
// and again at once after it did something. A ring carries nothing: what is due is what the server hands out, so a ring that
// is lost costs time and no backup.
//
// While it works, a third goroutine, the keeper, sends heartbeats with the progress. Their answers may say that somebody
// cancelled the work, or that it is not this device's any more; either ends the work. A ring makes the keeper ask at once, so
// that what is cancelled stops within a second or two, and not with the next heartbeat of a slow upload.
//
// # What becomes of the work when
//
//   - the server cannot be reached: the work goes on and repeats what failed. If the end cannot be told, the server finds
//     out by itself what it can (a committed snapshot), and hands the rest out again;
//   - the machine sleeps: its clocks part, and when it wakes the connection, which looks alive and is not, is cut and made
//     again. A lease that lapsed meanwhile ends the work, and what it stored is found again;
//   - the service is told to stop: the work is ended, what was stored stays, and the run is given back, so that the
//     next start takes it again;
//   - the service is killed: the lease lapses, which comes to the same;
//   - the device is revoked: the service ends with fault.Unauthenticated. It does not try again.
//
// One backup of a device runs at a time: one by hand is waited for, with heartbeats.
//
// # Restores
//
// An order is opened with the device's key and obeyed once: see [state.Dir.BeginOrder]. What came of it is sealed to the
// owner; the server gets numbers by cause. What the service may write is what its user may write.
//
// What this package does not promise. A mutation whose answer is lost may have happened: work can be taken by a process
// that never hears of it, and then waits for its lease to lapse. Logs name runs and codes; names of files are in them
// at the debug level only.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Config is what the service stands on.
type Config struct {
	Dir    *state.Dir
	Log    *slog.Logger        // nil: nothing is logged
	Server func(*agent.Server) // adjusts how the device's server is reached; may be nil

	// OnProgress hears how far the work is, from one goroutine at a time; may be nil.
	OnProgress func(remote.Progress)

	// Spread is the time over which devices come back to a server that went away; 0: 20 s.
	Spread time.Duration
}

// Run is the service. It returns nil when ctx ends, ErrServiceRuns if another one uses the folder, and
// fault.Unauthenticated if the server does not accept the device any more.
func Run(ctx context.Context, cfg Config) error {
	s, err := open(cfg)
	if err != nil {
		return err
	}
	defer s.close()
	s.log.Info("service started", "device", s.device.ID.String(), "server", s.device.Server)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.listen(running) })
	g.Go(func() error { return s.work(running) })
	g.Go(func() error { return s.watchClocks(running) })
	err = g.Wait()
	if ctx.Err() != nil {
		s.log.Info("service stopped")
		return nil
	}
	s.log.Error("service stopped", "code", string(fault.KindOf(err)))
	return err
}

// Once does what is due and returns what it did; it does not wait for more.
func Once(ctx context.Context, cfg Config) ([]Done, error) {
	s, err := open(cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	_, done, err := s.look(ctx)
	return done, err
}

// Now makes a run and does it, and whatever else is due. It returns what came of that run. It fails with ErrServiceRuns if
// the service uses the folder: see [Delegate].
func Now(ctx context.Context, cfg Config) (Done, error) {
	s, err := open(cfg)
	if err != nil {
		return Done{}, err
	}
	defer s.close()
	mine, err := s.client.StartBackup(ctx)
	if err != nil {
		return Done{}, err
	}
	_, done, err := s.look(ctx)
	for _, d := range done {
		for _, r := range d.Runs {
			if r.ID == mine.ID {
				return d, d.Unheard
			}
		}
	}
	switch {
	case err != nil:
	case mine.State == "WAITING" && mine.Attempts > 0:
		err = fault.New(fault.Conflict, "this backup failed before, and is due again at %s: run this then, or keep holdfast-agent run running", mine.DueAt.Local().Format(time.TimeOnly))
	default:
		err = fault.New(fault.Conflict, "another process of this device has taken the backup: holdfast-agent status shows how it stands")
	}
	return Done{}, err
}

// service is one that has the folder to itself.
type service struct {
	cfg    Config
	log    *slog.Logger
	device *state.Device
	home   string // whose "~" is
	keys   *keyring.Device
	space  *keyring.Space
	free   func()

	client  *remote.Client // for questions: it gives up soon, somebody will ask again
	patient *remote.Client // for what must get through, as far as it can

	rings chan struct{} // holds one: look

	mu   sync.Mutex
	cut  func()        // ends the listener's present connection, or pause
	rung chan struct{} // of the last keeper; nil before the first work
}

func open(cfg Config) (*service, error) {
	s := &service{cfg: cfg, log: cfg.Log, rings: make(chan struct{}, 1), cut: func() {}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.cfg.Spread == 0 {
		s.cfg.Spread = defaultSpread
	}
	var err error
	if s.device, err = cfg.Dir.Load(); err != nil {
		return nil, err
	}
	if s.home = s.device.Home; s.home == "" { // enrolled by an agent that did not ask
		s.home, _ = agent.Person(os.Getenv)
	}
	if s.keys, err = keyring.OpenDevice(s.device.PrivateKey); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "this device's key in %s is damaged: enrol this machine again. No backup is lost by that", cfg.Dir.Path())
	}
	s.space = keyring.NewSpace([32]byte(s.device.SpaceKey))
	if s.client, err = s.dial(agent.PatienceInteractive); err != nil {
		return nil, err
	}
	if s.patient, err = s.dial(agent.PatienceBackup); err != nil {
		return nil, err
	}
	if s.free, err = cfg.Dir.LockService(); errors.Is(err, fault.Conflict) {
		err = serviceRuns{err}
	}
	return s, err
}

// ErrServiceRuns is in the chain of the error of whoever wants a folder that the service uses.
var ErrServiceRuns = errors.New("the service runs")

type serviceRuns struct{ error }

// Is makes errors.Is find ErrServiceRuns.
func (serviceRuns) Is(target error) bool { return target == ErrServiceRuns }

// Unwrap returns the error inside.
func (e serviceRuns) Unwrap() error { return e.error }

func (s *service) dial(patience time.Duration) (*remote.Client, error) {
	v := agent.ServerOf(s.device)
	v.RetryFor = patience
	if s.cfg.Server != nil {
		s.cfg.Server(&v)
	}
	return v.Dial(s.device.Token)
}

func (s *service) close() {
	s.free()
	s.client.Close()
	s.patient.Close()
}

// ring says that there may be work, and to work under way that somebody may have asked it to stop.
func (s *service) ring() {
	s.mu.Lock()
	rung := s.rung
	s.mu.Unlock()
	for _, c := range []chan struct{}{s.rings, rung} {
		select {
		case c <- struct{}{}:
		default: // somebody said so already, or nobody works
		}
	}
}

// work is the worker.
func (s *service) work(ctx context.Context) error {
	for failures := 0; ; {
		wait, done, err := s.look(ctx)
		if len(done) > 0 {
			debug.FreeOSMemory() // the buffers of a backup are idle for the rest of the day
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fault.Unauthenticated):
			return err
		case err != nil:
			failures++
			wait = backoff(failures, s.cfg.Spread, rand.Float64())
			s.log.Warn("no work could be taken", "code", string(fault.KindOf(err)), "again", wait.Round(time.Millisecond))
			s.log.Debug("no work could be taken", "error", agent.Sentence(err))
		default:
			failures = 0
			wait = nextLook(wait, rand.Float64())
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.rings:
		case <-again.C:
		}
		again.Stop()
	}
}

// look takes work and does it until nothing is due, and returns when to look again. An error says that work could not be
// taken, or its end not be told.
func (s *service) look(ctx context.Context) (wait time.Duration, done []Done, err error) {
	for {
		w, err := s.client.TakeWork(ctx)
		if err != nil {
			return 0, done, err
		}
		if len(w.Runs) == 0 {
			return w.LookAgain, done, nil
		}
		d := s.do(ctx, w)
		done = append(done, d)
		if d.Unheard != nil {
			return 0, done, d.Unheard
		}
		if ctx.Err() != nil {
			return 0, done, context.Cause(ctx)
		}
	}
}
