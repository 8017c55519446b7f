package backup

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

const (
	showEvery = 200 * time.Millisecond // OnProgress
	beatEvery = 2 * time.Second        // to the server, or a quarter of the session's time to live
)

// meter counts while a backup runs. Anybody may read it at any time.
type meter struct {
	phase                  atomic.Value // string
	files, bytes           atomic.Int64
	totalFiles, totalBytes atomic.Int64
	uploaded, problems     atomic.Int64
}

func (m *meter) reset() {
	m.phase.Store(PhaseScan)
	for _, c := range []*atomic.Int64{&m.files, &m.bytes, &m.totalFiles, &m.totalBytes, &m.uploaded, &m.problems} {
		c.Store(0)
	}
}

func (m *meter) progress() Progress {
	phase, _ := m.phase.Load().(string)
	return Progress{
		Phase: phase, Files: m.files.Load(), Bytes: m.bytes.Load(),
		TotalFiles: m.totalFiles.Load(), TotalBytes: m.totalBytes.Load(),
		UploadedBytes: m.uploaded.Load(), Problems: m.problems.Load(),
	}
}

// showProgress calls OnProgress until the function that it returns is called, and a last time then.
func (r *runner) showProgress() (stop func()) {
	show := r.cfg.OnProgress
	if show == nil {
		return func() {}
	}
	f := func() { show(r.meter.progress()) }
	return every(showEvery, f, f)
}

// heartbeat keeps the session alive, whatever else is slow, and ends the attempt when it is void. Other errors do
// not matter: what needs the server will see for itself.
func (a *attempt) heartbeat(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	interval := beatEvery
	if a.info.TTL > 0 {
		interval = min(interval, a.info.TTL/4)
	}
	ctx, cancelBeat := context.WithCancel(ctx)
	stopTicks := every(max(interval, time.Millisecond), func() {
		if err := a.session.Progress(ctx, a.meter.progress()); errors.Is(err, fault.SessionExpired) {
			cancel(err)
		}
	}, func() {})
	return func() {
		cancelBeat() // a beat on its way is not waited for
		stopTicks()
	}
}

// every calls f in intervals, and last when stopped, from one goroutine. stop waits for it.
func every(interval time.Duration, f, last func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f()
			case <-quit:
				last()
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-done
	})
}
