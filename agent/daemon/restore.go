package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/sink"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// ordered is an order that was begun.
type ordered struct {
	*order.Order
	started time.Time
	said    *remote.EndInput // what was to be said of its end already; nil: it was not at its end
}

// restore does what an order says. Without an *ordered, none was begun.
func (s *service) restore(ctx context.Context, w *remote.Work, k *keeper) (*ordered, restore.Result, id.Snapshot, error) {
	var none restore.Result
	o, err := s.begin(w)
	if err != nil || o.said != nil {
		return o, none, id.Snapshot{}, err
	}
	objects := restore.NewObjects(s.patient.RunRemote(w.Runs[0].ID, w.Lease), seal.New(s.space.Content), restore.Options{})
	if o.Application != nil {
		r, err := s.restoreApplication(ctx, o, objects, k)
		return o, r.Result, r.Safety, err
	}
	to, err := target(o.To)
	if err != nil {
		return o, none, id.Snapshot{}, err
	}
	r, err := restore.Run(ctx, restore.Config{
		Objects: objects, Root: o.Root, Conflict: rules[o.Conflict],
		Select:     restore.Select{Paths: o.Paths, Extensions: o.Extensions},
		OnProgress: func(p restore.Progress) { k.progress(restoring("restore", p)) },
	}, to)
	if o.Conflict == order.Skip {
		r = leftAlone(r)
	}
	return o, r, id.Snapshot{}, err
}

// begin opens the order of a run and remembers that it was begun.
func (s *service) begin(w *remote.Work) (*ordered, error) {
	now := time.Now()
	opened, err := order.Open(s.keys, s.space, w.Order, s.device.ID, now)
	if err != nil {
		return nil, refusal(err)
	}
	if run := w.Runs[0].Application; opened.Application == nil != run.IsZero() || opened.Application != nil && opened.Application.ID != run {
		return nil, refused{fault.New(fault.Forbidden, "this restore was ordered for another application")}
	}
	o := &ordered{Order: opened, started: now.UTC()}
	said, err := s.cfg.Dir.BeginOrder(o.ID.String(), w.Runs[0].ID, o.Expires.Add(order.Tolerance), now)
	if errors.Is(err, fault.Conflict) {
		return nil, refused{err}
	} else if err != nil {
		return nil, err
	}
	if said != nil {
		o.said = new(remote.EndInput)
		if err := json.Unmarshal(said, o.said); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "what was remembered of this restore cannot be read")
		}
	}
	return o, nil
}

// restoring is how far a restore is, for the server.
func restoring(phase string, p restore.Progress) remote.Progress {
	return remote.Progress{Phase: phase, Files: p.Files, Bytes: p.Bytes, TotalFiles: p.TotalFiles, TotalBytes: p.TotalBytes, Problems: p.Failures}
}

// rules are those of vault/restore by those of vault/order.
var rules = map[order.Conflict]restore.Conflict{order.Skip: restore.Skip, order.Overwrite: restore.Overwrite, order.KeepBoth: restore.KeepBoth}

// target opens where files go.
func target(to string) (restore.Sink, error) {
	if to == "" {
		return sink.Original(sink.Options{})
	}
	if !filepath.IsAbs(to) {
		return nil, fault.New(fault.Invalid, "the folder %q is none of this system: order the restore again, with a folder of this machine", to)
	}
	return sink.Open(to, sink.Options{})
}

// leftAlone takes files that were to be skipped out of the failures: something else is in their place, and that is
// what was asked for.
func leftAlone(r restore.Result) restore.Result {
	rest := slices.DeleteFunc(slices.Clone(r.Failures), func(f restore.Failure) bool { return errors.Is(f.Err, fault.Conflict) })
	left := int64(len(r.Failures) - len(rest))
	r.Failures, r.FailureCount, r.Skipped = rest, r.FailureCount-left, r.Skipped+left
	return r
}

// refused is why an order is not obeyed.
type refused struct{ error }

// Unwrap returns the error inside.
func (r refused) Unwrap() error { return r.error }

// refusal says so in a sentence.
func refusal(err error) error {
	kind := fault.Invalid
	switch {
	case errors.Is(err, order.ErrExpired), errors.Is(err, order.ErrTooEarly):
		kind = fault.Conflict
	case errors.Is(err, order.ErrForged), errors.Is(err, order.ErrNotOurs), errors.Is(err, keyring.ErrWrongKey):
		kind = fault.Forbidden
	}
	return refused{fault.Wrap(err, kind, "%s", err)}
}

// tellRestore tells how a restore ended, and remembers it until the server has heard it.
func (s *service) tellRestore(ctx context.Context, w *remote.Work, d *Done, v verdict, o *ordered) {
	r := d.Restore
	in := remote.EndInput{Outcome: v.outcome, Code: v.code, Retry: v.retry, Files: r.Files, Bytes: r.Bytes, Safety: d.Safety, Causes: failureCauses(r)}
	if o != nil && o.said != nil {
		in = *o.said
	} else if o != nil {
		in.Report = s.report(o, d)
		if !v.retry {
			s.remember(o, &in)
		}
	}
	in.Runs, in.Lease = runIDs(w.Runs), w.Lease
	d.Runs, d.Unheard = s.end(ctx, in, w.Runs)
	if o != nil && d.Unheard == nil && over(d.Runs) {
		s.remember(o, nil)
	}
}

// remember keeps what there is to say of an order's end; nil: the server heard it. If that fails the order was begun, and
// is not obeyed in another run; in its own it could be once more.
func (s *service) remember(o *ordered, in *remote.EndInput) {
	var b []byte
	var err error
	if in != nil {
		b, err = json.Marshal(in)
	}
	if err == nil {
		err = s.cfg.Dir.EndOrder(o.ID.String(), b)
	}
	if err != nil {
		s.log.Error("the end of a restore could not be remembered", "order", o.ID.String(), "error", err.Error())
	}
}

// over reports whether the server gives none of the runs out again.
func over(runs []remote.Due) bool {
	return !slices.ContainsFunc(runs, func(r remote.Due) bool { return r.State == "WAITING" || r.State == "RUNNING" })
}

// report seals what came of an order; nil if that cannot be.
func (s *service) report(o *ordered, d *Done) []byte {
	r := d.Restore
	v := order.Report{Order: o.ID, Snapshot: o.Snapshot, Device: s.device.ID, Started: o.started, Finished: time.Now().UTC(),
		Files: r.Files, Dirs: r.Dirs, Others: r.Others, Bytes: r.Bytes, Skipped: r.Skipped, FailureCount: r.FailureCount}
	if d.Err != nil {
		v.Error = agent.Sentence(d.Err)
	}
	for _, f := range r.Failures {
		v.Failures = append(v.Failures, order.Failure{Path: f.Path, Text: agent.Sentence(f.Err)})
	}
	sealed, err := v.Seal(s.space, s.device.Identity)
	if err != nil {
		s.log.Error("a report could not be sealed", "order", o.ID.String(), "error", err.Error())
		return nil
	}
	return sealed
}

// failureCauses counts what could not be restored by cause. What is beyond the list is counted as "other".
func failureCauses(r restore.Result) map[string]int64 {
	m := map[string]int64{}
	for _, f := range r.Failures {
		m[string(backup.CauseOf(f.Err))]++
	}
	if rest := r.FailureCount - int64(len(r.Failures)); rest > 0 {
		m[string(backup.Other)] += rest
	}
	return m
}
