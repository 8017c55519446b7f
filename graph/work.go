package graph

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/graph/internal/exec"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// defaultRuns is how many of a device's newest runs are given when the query does not say.
const defaultRuns = 10

func runPayload(r *run.Run, err error) (*exec.RunPayload, error) {
	if err != nil {
		return nil, err
	}
	return &exec.RunPayload{Run: r}, nil
}

// parseOptional is parse of what may be left out.
func parseOptional[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](s *string) (*T, error) {
	if s == nil {
		return nil, nil
	}
	v, err := parse[T, P](*s)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// parseAll is parse of a list of at most so many.
func parseAll[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](list []string, most int) ([]T, error) {
	if len(list) > most {
		return nil, fault.New(fault.TooLarge, "name at most %d at once", most)
	}
	out := make([]T, len(list))
	for i, s := range list {
		var err error
		if out[i], err = parse[T, P](s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func runFilter(in *exec.RunFilter) (f run.Filter, err error) {
	if in == nil {
		return f, nil
	}
	if f.Device, err = parseOptional[id.Device](in.Device); err != nil {
		return f, err
	}
	if f.User, err = parseOptional[id.User](in.User); err != nil {
		return f, err
	}
	if f.Group, err = parseOptional[id.Group](in.Group); err != nil {
		return f, err
	}
	if f.Policy, err = parseOptional[id.Policy](in.Policy); err != nil {
		return f, err
	}
	if f.Application, err = parseOptional[id.Application](in.Application); err != nil {
		return f, err
	}
	f.Kind, f.States, f.From, f.To = in.Kind, in.States, in.From, in.To
	return f, nil
}

// lastRuns asks for the newest runs of a device.
type lastRuns struct {
	device id.Device
	n      int
}

// lastRuns answers many such questions, with one call for each n that is asked for.
func (c Config) lastRuns(ctx context.Context, a actor.Actor, keys []lastRuns) (map[lastRuns]*[]*run.Run, error) {
	devices := map[int][]id.Device{}
	for _, k := range keys {
		devices[k.n] = append(devices[k.n], k.device)
	}
	out := make(map[lastRuns]*[]*run.Run, len(keys))
	for n, list := range devices {
		m, err := c.Runs.Latest(ctx, a, list, n)
		if err != nil {
			return nil, err
		}
		for d, runs := range m {
			out[lastRuns{d, n}] = &runs
		}
	}
	return out, nil
}
