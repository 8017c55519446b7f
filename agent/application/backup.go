package application

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/cache"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// BackupInput says what of an application is saved, and how.
type BackupInput struct {
	Part        archive.Part
	Origin      archive.Origin
	Title       string
	Schedule    string // of the run, as the server named it; "": none
	Level       seal.Level
	ExcludeLogs bool
	Portable    bool

	Server     func(*agent.Server) // adjusts limits and patience; may be nil
	OnSession  func(id.Backup)
	OnProgress func(backup.Progress)
}

// Made is what came of a backup.
type Made struct {
	backup.Result
	Tables []dump.Table
}

// Backup makes one snapshot of an application. Other backups of the device wait, and are waited for.
func Backup(ctx context.Context, dir *state.Dir, a *App, in BackupInput) (Made, error) {
	if err := a.has(in.Part); err != nil {
		return Made{}, err
	}
	release, err := agent.LockWait(ctx, dir)
	if err != nil {
		return Made{}, err
	}
	defer release()
	return backUp(ctx, dir, a, in)
}

// backUp is Backup for who has the folder's lock.
func backUp(ctx context.Context, dir *state.Dir, a *App, in BackupInput) (_ Made, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	src := &snapshot{app: a, part: in.Part, origin: in.Origin, portable: in.Portable, excludeLogs: in.ExcludeLogs, skip: dir.Path(), end: end}
	if in.Part.HasDatabase() {
		if src.db, err = In(dir).open(a); err != nil {
			return Made{}, err
		}
		defer src.db.Close()
		if _, err := src.db.Mend(ctx); err != nil {
			return Made{}, err
		}
		if src.check, err = src.db.Check(ctx); err != nil {
			return Made{}, err
		}
		if err := refuse(src.check); err != nil {
			return Made{}, err
		}
	}
	known, err := a.cache(dir, in.Part)
	if err != nil {
		return Made{}, err
	}
	result, err := run(ctx, dir, known, src, remote.Label{
		Application: a.ID, Part: string(in.Part), Origin: string(in.Origin), Title: in.Title, Schedule: in.Schedule,
	}, in)
	return Made{result, src.tables}, err
}

// run makes the snapshot.
func run(ctx context.Context, dir *state.Dir, known backup.Cache, src backup.Source, label remote.Label, in BackupInput) (backup.Result, error) {
	var none backup.Result
	d, err := dir.Load()
	if err != nil {
		return none, err
	}
	s := agent.ServerOf(d)
	s.RetryFor = agent.PatienceBackup
	if in.Server != nil {
		in.Server(&s)
	}
	c, err := s.Dial(d.Token)
	if err != nil {
		return none, err
	}
	defer c.Close()
	result, err := backup.Run(ctx, backup.Config{
		Space:    keyring.NewSpace([32]byte(d.SpaceKey)),
		Identity: d.Identity,
		Manifest: manifest.Manifest{Device: d.ID, DeviceName: d.Name, Hostname: hostname(), OS: runtime.GOOS, AgentVersion: proto.Version},
		Level:    in.Level, OnProgress: in.OnProgress,
	}, src, c.Labelled(label, in.OnSession), known)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return result, err
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// cache is where the application's last backup of a part is remembered. Each part has its own: what one has, the other
// lacks.
func (a *App) cache(dir *state.Dir, p archive.Part) (backup.Cache, error) {
	folder, err := dir.Sub("applications")
	if err != nil {
		return nil, err
	}
	return cache.New(filepath.Join(folder, a.ID.UUID()+"-"+string(p))), nil
}

// has refuses a part that the application does not have.
func (a *App) has(p archive.Part) error {
	switch {
	case p.HasDatabase() && a.Database == "":
		return fault.New(fault.Invalid, "%s has no database: back up its media only, or add one with holdfast-agent app add", a.Name)
	case p.HasMedia() && len(a.Media) == 0:
		return fault.New(fault.Invalid, "%s has no media folder: back up its database only, or add one with holdfast-agent app add", a.Name)
	}
	return nil
}

// refuse makes an error of what a check found wrong.
func refuse(c source.Check) error {
	for _, p := range c.Points {
		if !p.OK {
			return fault.New(fault.Invalid, "%s: %s", p.What, p.Text)
		}
	}
	return nil
}
