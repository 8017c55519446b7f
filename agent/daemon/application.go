package daemon

import (
	"context"
	"errors"

	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// errNotReady is how a probe ends that found something wrong.
var errNotReady = errors.New("something that a backup of the application needs is not there")

// probe looks at an application.
func (s *service) probe(ctx context.Context, run remote.Due) (source.Check, error) {
	a, err := application.In(s.cfg.Dir).ByID(run.Application)
	if err != nil {
		return source.Check{}, err
	}
	c, err := application.Probe(ctx, s.cfg.Dir, a)
	if err == nil && !c.OK() {
		err = errNotReady
	}
	return c, err
}

// tellProbe tells what a probe found, to the owner line by line.
func (s *service) tellProbe(ctx context.Context, w *remote.Work, d *Done, v verdict) {
	in := remote.EndInput{Runs: runIDs(w.Runs), Lease: w.Lease, Outcome: v.outcome, Code: v.code}
	if len(d.Probe.Points) > 0 {
		in.Report = s.note(w.Runs[0].ID, errors.New(application.Lines(d.Probe)))
	} else if d.Err != nil {
		in.Report = s.note(w.Runs[0].ID, d.Err)
	}
	d.Runs, d.Unheard = s.end(ctx, in, w.Runs)
}

// backUpApplication makes a snapshot of an application.
func (s *service) backUpApplication(ctx context.Context, w *remote.Work, k *keeper) (backup.Result, error) {
	run := w.Runs[0]
	a, err := application.In(s.cfg.Dir).ByID(run.Application)
	if err != nil {
		return backup.Result{}, err
	}
	in := s.saving(k)
	in.Part, in.Origin, in.Title, in.Schedule = archive.Part(run.Part), archive.Backup, run.Title, run.Schedule
	in.OnProgress = func(p backup.Progress) { k.progress(remote.Progress(p)) }
	if h := w.How; h != nil {
		in.Level, in.ExcludeLogs, in.Portable = levelOf(h.Level), h.ExcludeLogs, h.Portable
	}
	made, err := application.Backup(ctx, s.cfg.Dir, a, in)
	return made.Result, err
}

// saving is how an application is saved for the runs of a keeper.
func (s *service) saving(k *keeper) application.BackupInput {
	return application.BackupInput{Level: seal.LevelDefault, Server: s.cfg.Server, OnSession: k.session}
}

// restoreApplication puts an application back. A safety backup that an earlier attempt made stands.
func (s *service) restoreApplication(ctx context.Context, o *ordered, objects *restore.Objects, k *keeper) (application.Restored, error) {
	var none application.Restored
	want := o.Application
	a, err := application.In(s.cfg.Dir).ByID(want.ID)
	if err != nil {
		return none, err
	}
	saved, err := s.cfg.Dir.Safety(o.ID.String())
	if err != nil {
		return none, err
	}
	safety := s.saving(k)
	safety.OnSession = nil // the run's snapshot is the one that is restored
	safety.Title = "before the restore of " + o.Issued.Local().Format("2006-01-02 15:04")
	r, err := application.Restore(ctx, s.cfg.Dir, a, application.RestoreInput{
		Objects: objects, Root: o.Root, Part: archive.Part(want.Part.String()), Database: want.Database, Folder: o.To, Conflict: rules[o.Conflict],
		Bare: want.Bare || !saved.IsZero(), Safety: safety,
		OnSafety:   func(v id.Snapshot) error { return s.cfg.Dir.SaveSafety(o.ID.String(), v) },
		OnProgress: func(phase string, p restore.Progress) { k.progress(restoring(phase, p)) },
	})
	if r.Safety.IsZero() {
		r.Safety = saved
	}
	return r, err
}
