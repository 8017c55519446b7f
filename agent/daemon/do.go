package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Done is work that was done, or not.
type Done struct {
	Kind    string // remote.KindBackup, remote.KindRestore or remote.KindProbe
	Runs    []remote.Due
	Backup  backup.Result
	Restore restore.Result
	Safety  id.Snapshot  // that was made before the restore of an application; zero: none
	Probe   source.Check // of an application
	Err     error        // why it ended before its end; nil: it came to its end
	Unheard error        // why the server could not be told
}

// Warned reports whether something could not be read or restored.
func (d Done) Warned() bool { return d.Backup.ProblemCount+d.Restore.FailureCount > 0 }

// farewell is how long the server may take to hear of an end when the service stops.
const farewell = 5 * time.Second

// do does what was taken and says how it ended.
func (s *service) do(ctx context.Context, w *remote.Work) Done {
	d := Done{Kind: w.Runs[0].Kind, Runs: w.Runs}
	log := s.log.With("kind", d.Kind, "runs", idTexts(w.Runs))
	log.Info("work begins", "attempt", w.Runs[0].Attempts)
	began := time.Now()
	working, k := s.keep(ctx, w)
	defer k.stop()

	var o *ordered
	switch {
	case d.Kind == remote.KindRestore:
		o, d.Restore, d.Safety, d.Err = s.restore(working, w, k)
	case d.Kind == remote.KindProbe:
		d.Probe, d.Err = s.probe(working, w.Runs[0])
	case !w.Runs[0].Application.IsZero():
		d.Backup, d.Err = s.backUpApplication(working, w, k)
	default:
		d.Backup, d.Err = s.backup(working, w.Policy, k)
	}
	v := judge(d.Err, context.Cause(working), ctx.Err() != nil)
	if v.code == string(fault.Invalid) && !w.Runs[0].Application.IsZero() {
		v.code = codeNotReady // it is the machine that says so, not the server
	}
	log.Info("work ended", "outcome", string(v.outcome), "code", v.code, "retry", v.retry, "after", time.Since(began).Round(time.Millisecond))
	if d.Err != nil {
		log.Debug("work ended", "error", agent.Sentence(d.Err))
	}
	if v.outcome == "" {
		return d // it is not ours any more: nobody would listen
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
	}
	switch d.Kind {
	case remote.KindRestore:
		s.tellRestore(ctx, w, &d, v, o)
	case remote.KindProbe:
		s.tellProbe(ctx, w, &d, v)
	default:
		s.tellBackup(ctx, w, &d, v)
	}
	if d.Unheard != nil {
		log.Warn("the server could not be told", "code", string(fault.KindOf(d.Unheard)))
		log.Debug("the server could not be told", "error", agent.Sentence(d.Unheard))
	}
	return d
}

// verdict is what the server is told of an end.
type verdict struct {
	outcome remote.Outcome // "": nothing
	code    string         // of a failure
	retry   bool           // trying again later may help
}

// Codes of failures that are no fault.
const (
	codeStopped      = "AGENT_STOPPED" // the service was told to end: the attempt does not count
	codeNothingFound = "NOTHING_FOUND" // not one of the folders exists on this machine
	codeRefused      = "ORDER_REFUSED" // a restore order that is not to be obeyed
	codeDiskFull     = "DISK_FULL"     // of this machine
	codeNotReady     = "NOT_READY"     // an application lacks what a backup of it needs
)

// judge decides what the server is told. err is how the work ended, cause why its context did, if it did, and
// stopping that the service is to end. Work that came to its end did so whatever was asked meanwhile.
func judge(err, cause error, stopping bool) verdict {
	switch {
	case err == nil:
		return verdict{outcome: remote.Succeeded}
	case errors.Is(cause, errCancelled):
		return verdict{outcome: remote.Cancelled}
	case errors.Is(cause, errLost):
		return verdict{}
	case stopping:
		return verdict{remote.Failed, codeStopped, true}
	case errors.As(err, new(refused)):
		return verdict{remote.Failed, codeRefused, false}
	case errors.Is(err, errNotReady):
		return verdict{remote.Failed, codeNotReady, false}
	case agent.DiskFull(err):
		return verdict{remote.Failed, codeDiskFull, true}
	}
	kind := fault.KindOf(err)
	switch kind {
	case fault.Unavailable, fault.TooMany, fault.SessionExpired, fault.HashMismatch, fault.ObjectsMissing, fault.StorageFull, fault.Internal:
		return verdict{remote.Failed, string(kind), true}
	case fault.NotFound:
		return verdict{remote.Failed, codeNothingFound, false}
	}
	return verdict{remote.Failed, string(kind), false}
}

// tellBackup tells how a backup ended. Why one failed is told for each run by itself: a note names its run.
func (s *service) tellBackup(ctx context.Context, w *remote.Work, d *Done, v verdict) {
	r := d.Backup
	in := remote.EndInput{Runs: runIDs(w.Runs), Lease: w.Lease, Outcome: v.outcome, Code: v.code, Retry: v.retry, Snapshot: r.Snapshot,
		Files: r.Files, Bytes: r.Bytes, UploadedBytes: r.UploadedBytes, Causes: causes(r)}
	if v.outcome != remote.Failed {
		d.Runs, d.Unheard = s.end(ctx, in, w.Runs)
		return
	}
	d.Runs = nil
	for _, run := range w.Runs {
		in.Runs, in.Report = []id.Run{run.ID}, s.note(run.ID, d.Err)
		runs, err := s.end(ctx, in, []remote.Due{run})
		d.Runs, d.Unheard = append(d.Runs, runs...), errors.Join(d.Unheard, err)
	}
}

// end tells the server and returns the runs as it has them then, or runs if it does not listen.
func (s *service) end(ctx context.Context, in remote.EndInput, runs []remote.Due) ([]remote.Due, error) {
	after, err := s.patient.EndRuns(ctx, in)
	if err != nil {
		return runs, err
	}
	return after, nil
}

// note seals why a backup failed; nil if that cannot be.
func (s *service) note(run id.Run, err error) []byte {
	n := order.Note{Run: run, Device: s.device.ID, At: time.Now().UTC(), Text: agent.Sentence(err)}
	sealed, err := n.Seal(s.space, s.device.Identity)
	if err != nil {
		s.log.Error("a note could not be sealed", "run", run.String(), "error", err.Error())
		return nil
	}
	return sealed
}

// causes counts the unreadable files of a backup by cause. Those beyond the list are counted as "other".
func causes(r backup.Result) map[string]int64 {
	m := map[string]int64{}
	for _, p := range r.Problems {
		m[p.Cause]++
	}
	if rest := r.ProblemCount - int64(len(r.Problems)); rest > 0 {
		m[string(backup.Other)] += rest
	}
	return m
}

func idTexts(runs []remote.Due) []string {
	list := make([]string, len(runs))
	for i, r := range runs {
		list[i] = r.ID.String()
	}
	return list
}
