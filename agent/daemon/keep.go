package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The causes with which a keeper ends the work.
var (
	errCancelled = errors.New("somebody asked to stop")
	errLost      = errors.New("the work is not this device's any more")
)

// beatEvery is how often progress is told at most.
const beatEvery = 3 * time.Second

// keeper sends the heartbeats of work under way.
type keeper struct {
	client *remote.Client
	work   context.Context
	runs   []id.Run
	lease  int64
	ttl    time.Duration
	end    context.CancelCauseFunc // of the work
	show   func(remote.Progress)   // may be nil

	mu     sync.Mutex
	backup id.Backup
	now    remote.Progress
	news   bool // since the last beat

	rung       chan struct{} // holds one: ask at once how the work stands
	quit, gone chan struct{}
}

// keep begins the heartbeats. The context that it returns is the work's: it ends with errCancelled, errLost, or a
// fault.Unauthenticated.
func (s *service) keep(ctx context.Context, w *remote.Work) (context.Context, *keeper) {
	ctx, end := context.WithCancelCause(ctx)
	k := &keeper{client: s.client, work: ctx, runs: runIDs(w.Runs), lease: w.Lease, ttl: w.TTL, end: end, show: s.cfg.OnProgress,
		rung: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{})}
	s.mu.Lock()
	s.rung = k.rung
	s.mu.Unlock()
	go k.run(context.WithoutCancel(ctx))
	return ctx, k
}

// session says which backup session works, and tells the server before it returns: whatever becomes of this process after the commit, the server
// knows then whose snapshot it is.
func (k *keeper) session(b id.Backup) {
	k.mu.Lock()
	k.backup = b
	if k.now.Phase == "" {
		k.now.Phase = backup.PhaseScan
	}
	in := remote.KeepInput{Runs: k.runs, Lease: k.lease, Backup: b, Progress: k.now}
	k.mu.Unlock()
	k.beat(k.work, in)
}

// progress says how far the work is.
func (k *keeper) progress(p remote.Progress) {
	k.mu.Lock()
	k.news = k.news || p != k.now
	k.now = p
	k.mu.Unlock()
	if k.show != nil {
		k.show(p)
	}
}

// stop ends the heartbeats and returns once none is on its way.
func (k *keeper) stop() {
	close(k.quit)
	<-k.gone
	k.end(nil)
}

// run beats when there is news, when the device is rung, since somebody may have asked to stop, and at least three times within the lease.
func (k *keeper) run(ctx context.Context) {
	defer close(k.gone)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-k.quit:
			cancel() // a beat on its way is not waited for
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(min(beatEvery, k.ttl/3))
	defer tick.Stop()
	for last := time.Now(); ; {
		rung := false
		select {
		case <-k.quit:
			return
		case <-k.rung:
			rung = true
		case <-tick.C:
		}
		k.mu.Lock()
		in := remote.KeepInput{Runs: k.runs, Lease: k.lease, Backup: k.backup, Progress: k.now}
		due := rung || k.news || time.Since(last) >= k.ttl/3
		k.news = false
		k.mu.Unlock()
		if !due {
			continue
		}
		last = time.Now()
		if !k.beat(ctx, in) {
			return
		}
	}
}

// beat sends one heartbeat, and reports whether the work goes on. That the server cannot be reached does not end it.
func (k *keeper) beat(ctx context.Context, in remote.KeepInput) bool {
	ctx, cancel := context.WithTimeout(ctx, k.ttl/3)
	defer cancel()
	stop, err := k.client.KeepRuns(ctx, in)
	switch {
	case stop:
		k.end(errCancelled)
	case errors.Is(err, fault.Conflict), errors.Is(err, fault.NotFound), errors.Is(err, fault.SessionExpired):
		k.end(errLost)
	case errors.Is(err, fault.Unauthenticated):
		k.end(err)
	default:
		return true
	}
	return false
}

func runIDs(runs []remote.Due) []id.Run {
	list := make([]id.Run, len(runs))
	for i, r := range runs {
		list[i] = r.ID
	}
	return list
}
