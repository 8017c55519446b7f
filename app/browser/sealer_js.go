package browser

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/holdfast-backup/holdfast/app/talk"
)

// Sealer is the program that takes files which were made elsewhere. It is started when it is used first.
type Sealer struct {
	URL  string
	Keys *Worker // lend what sealing needs

	mu sync.Mutex
	w  *Worker
}

// worker is the program. One that ended, for want of memory perhaps, is started again; files that were checked have to be checked again then.
func (s *Sealer) worker() *Worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil || s.w.ended() {
		s.w = StartWorker(s.URL, "the part of the app that takes in files")
	}
	return s.w
}

func sealing(progress func(talk.Sealing)) func(json.RawMessage) {
	return func(text json.RawMessage) {
		var p talk.Sealing
		if json.Unmarshal(text, &p) == nil {
			progress(p)
		}
	}
}

// Check reads all of a file and says what is in it. The file is a [Blob].
func (s *Sealer) Check(ctx context.Context, file any, in talk.Check, progress func(talk.Sealing)) (out talk.Recognised, err error) {
	err = s.worker().CallWith(ctx, file.(Blob), talk.MethodCheck, in, &out, sealing(progress))
	return out, err
}

// Send seals and stores what was checked last for an application. The keys lend what that needs over a channel of their own: this program does not see it.
func (s *Sealer) Send(ctx context.Context, in talk.Send, progress func(talk.Sealing)) (out talk.Sent, err error) {
	lender, borrower := channel()
	lending, cancel := context.WithCancel(ctx)
	defer cancel()
	refused := make(chan error, 1)
	go func() { refused <- s.Keys.Call(lending, talk.MethodLend, struct{}{}, nil, nil, lender) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if err := <-refused; err != nil {
			stop(err)
		}
	}()
	err = s.worker().Call(ctx, talk.MethodSend, in, &out, sealing(progress), borrower)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out, err
}
