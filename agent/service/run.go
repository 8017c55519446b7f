package service

import (
	"context"
	"runtime"

	kardianos "github.com/kardianos/service"
)

// Run runs the daemon until it ends or ctx does. Under the service manager of Windows it also does what that asks for: it
// says that the service runs, and ends the daemon's context when it is to stop. Everywhere else a service is a program that
// ends on a signal, for which the caller's ctx is.
func Run(ctx context.Context, daemon func(context.Context) error) error {
	if runtime.GOOS != "windows" || kardianos.Interactive() {
		return daemon(ctx)
	}
	return managed(ctx, kardianos.ChosenSystem(), nil, daemon)
}

// managed runs the daemon under the library.
func managed(ctx context.Context, system kardianos.System, option kardianos.KeyValue, daemon func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &program{stop: cancel, asked: make(chan struct{}), ended: make(chan struct{})}
	p.daemon = func() { p.err = daemon(ctx) }
	s, err := system.New(p, &kardianos.Config{Name: Name, Option: option})
	if err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() { over <- s.Run() }()
	select {
	case err = <-over: // it cannot be run, or it was asked to stop
	case <-p.ended:
		select {
		case <-p.asked:
			err = <-over // the service manager is told first
		default:
			// By itself. The program ends without having said that it stopped: to the service manager a failure, after
			// which it starts it again.
		}
	}
	if err != nil {
		return err
	}
	return p.err
}

// program is a daemon as the library sees it.
type program struct {
	daemon func()
	stop   func()
	asked  chan struct{} // closed when it is to stop
	ended  chan struct{}
	err    error // once ended is closed
}

// Start implements kardianos.Interface.
func (p *program) Start(kardianos.Service) error {
	go func() {
		defer close(p.ended)
		p.daemon()
	}()
	return nil
}

// Stop implements kardianos.Interface. A backup under way ends in its own time.
func (p *program) Stop(kardianos.Service) error {
	close(p.asked)
	p.stop()
	<-p.ended
	return nil
}
