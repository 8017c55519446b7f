package backup

import (
	"context"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	asksInFlight = 3
	askArenas    = 3 // arenas of one question at most
)

// asker asks which chunks are missing, many at once, before they are sealed. While no question is on its way it sends
// whatever it has; while one is, it gathers. So a slow line makes few, large questions, and nothing waits
// for company that may never come.
func (a *attempt) asker(ctx context.Context, in <-chan *arena, out chan<- *arena) error {
	type answer struct {
		arenas []*arena
		err    error
	}
	answers := make(chan answer, asksInFlight)
	var gathered []*arena
	ids, flying := 0, 0
	for in != nil || len(gathered) > 0 || flying > 0 {
		full := len(gathered) >= askArenas || ids >= MaxAsk/2
		if len(gathered) > 0 && (flying == 0 || full && flying < asksInFlight) {
			question := gathered
			gathered, ids = nil, 0
			flying++
			go func() { answers <- answer{question, a.askFor(ctx, question)} }()
			continue
		}
		more := in
		if full {
			more = nil
		}
		select {
		case ar, ok := <-more:
			if !ok {
				in = nil
				continue
			}
			gathered = append(gathered, ar)
			ids += len(ar.pieces)
		case ans := <-answers:
			if flying--; ans.err != nil {
				return ans.err
			}
			for _, ar := range ans.arenas {
				if err := send(ctx, out, ar); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	close(out)
	return nil
}

// askFor marks the pieces that the server has.
func (a *attempt) askFor(ctx context.Context, arenas []*arena) error {
	var ids []id.Object
	for _, ar := range arenas {
		for i := range ar.pieces {
			ids = append(ids, ar.pieces[i].id)
		}
	}
	missing, err := a.missing(ctx, ids)
	if err != nil {
		return err
	}
	for _, ar := range arenas {
		for i := range ar.pieces {
			ar.pieces[i].present = !missing[i]
		}
		missing = missing[len(ar.pieces):]
	}
	return nil
}

// missing asks in pieces that the server takes.
func (a *attempt) missing(ctx context.Context, ids []id.Object) ([]bool, error) {
	var all []bool
	for len(ids) > 0 {
		n := min(len(ids), MaxAsk)
		m, err := a.session.Missing(ctx, ids[:n])
		if err != nil {
			return nil, err
		}
		if len(m) != n {
			return nil, fault.New(fault.Internal, "the server was asked about %d objects and answered about %d", n, len(m))
		}
		if ids = ids[n:]; all == nil && len(ids) == 0 {
			return m, nil
		}
		all = append(all, m...)
	}
	return all, nil
}
