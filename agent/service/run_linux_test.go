package service

import (
	"context"
	"errors"
	"testing"

	kardianos "github.com/kardianos/service"
)

var errEnd = errors.New("the end")

func TestRunStopsWhenAsked(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	for range 50 { // what the daemon and the library report comes in either order
		started := make(chan struct{})
		told := false
		err := managed(t.Context(), noting{m.system, &told}, kardianos.KeyValue{"RunWait": func() { <-started }}, func(ctx context.Context) error {
			close(started)
			<-ctx.Done()
			return errEnd
		})
		if err != errEnd || !told {
			t.Fatalf("%v, and the service manager was told: %v", err, told)
		}
	}
}

// noting notes when the library is done.
type noting struct {
	kardianos.System
	done *bool
}

func (n noting) New(i kardianos.Interface, c *kardianos.Config) (kardianos.Service, error) {
	s, err := n.System.New(i, c)
	return notingService{s, n.done}, err
}

type notingService struct {
	kardianos.Service
	done *bool
}

func (s notingService) Run() error {
	err := s.Service.Run()
	*s.done = true
	return err
}

func TestRunEndsByItself(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	block := make(chan struct{})
	defer close(block)
	err := managed(t.Context(), m.system, kardianos.KeyValue{"RunWait": func() { <-block }}, func(context.Context) error { return errEnd })
	if err != errEnd {
		t.Error(err)
	}
}

func TestRunWithoutTheManager(t *testing.T) {
	t.Parallel()
	if err := managed(t.Context(), broken{}, nil, nil); err == nil {
		t.Error("no error")
	}
	err := managed(t.Context(), refusing{newManager(t).system}, nil, func(ctx context.Context) error { <-ctx.Done(); return nil })
	if err != errEnd {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, func(ctx context.Context) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// refusing makes services that cannot be run.
type refusing struct{ kardianos.System }

func (r refusing) New(i kardianos.Interface, c *kardianos.Config) (kardianos.Service, error) {
	s, err := r.System.New(i, c)
	return refusingService{s}, err
}

type refusingService struct{ kardianos.Service }

func (refusingService) Run() error { return errEnd }
