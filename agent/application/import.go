package application

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/archive/intake"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Foreign is a file that other tools made, and that was checked.
type Foreign struct {
	*intake.Import
	file *os.File
	name string
}

// OpenForeign reads a file and finds out what it is and whether it is good. The caller closes it.
func OpenForeign(ctx context.Context, path, application string, progress func(n, all int64)) (*Foreign, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "%s cannot be opened (%s)", path, plain(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.Invalid, "%s is no file", path)
	}
	var i *intake.Import
	if err == nil {
		i, err = intake.Open(ctx, f, info.Size(), filepath.Base(path), intake.Options{Application: application, ModTime: info.ModTime(), Progress: progress})
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Foreign{i, f, filepath.Base(path)}, nil
}

// Close releases the file.
func (f *Foreign) Close() error { return f.file.Close() }

// Import keeps a file that was checked as a backup of an application of this device. What of in counts is Title, Level and the functions.
func Import(ctx context.Context, dir *state.Dir, a *App, f *Foreign, in BackupInput) (Made, error) {
	m := f.Manifest
	if err := f.fits(a.Name, a.Engine()); err != nil {
		return Made{}, err
	}
	release, err := agent.LockWait(ctx, dir)
	if err != nil {
		return Made{}, err
	}
	defer release()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	result, err := run(ctx, dir, nothing{}, f.Source(end), remote.Label{
		Application: a.ID, Part: string(m.Part), Origin: string(archive.Import), Title: in.Title,
	}, in)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return Made{result, m.Tables}, err
}

// fits refuses what an application of this engine could not restore: the dump of another one, unless the portable form is with it.
func (f *Foreign) fits(application string, e dump.Engine) error {
	m := f.Manifest
	if !m.Part.HasDatabase() || e == "" || m.Engine == e || f.Portable {
		return nil
	}
	return fault.New(fault.Invalid, "%s is a dump of %s, and %s has a database of %s: put %s beside it, which every kind of database can take", f.name, m.Engine, application, e, archive.Portable)
}

// nothing is a cache that knows nothing: what is imported is imported once.
type nothing struct{}

func (nothing) Open() (backup.CacheReader, error)   { return nil, nil }
func (nothing) Create() (backup.CacheWriter, error) { return nothing{}, nil }
func (nothing) Add(*backup.Cached) error            { return nil }
func (nothing) Commit(backup.CacheMeta) error       { return nil }
func (nothing) Abort()                              {}

// ImportAs is [Import] on another machine than the application's, by its owner.
func ImportAs(ctx context.Context, owner *agent.Account, a remote.Application, f *Foreign, in BackupInput) (Made, error) {
	m := f.Manifest
	if err := f.fits(a.Name, dump.Engine(a.Engine)); err != nil {
		return Made{}, err
	}
	to, err := owner.Client.Import(ctx, remote.Label{Application: a.ID, Part: string(m.Part), Origin: string(archive.Import), Title: in.Title})
	if err != nil {
		return Made{}, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	result, err := backup.Run(ctx, backup.Config{
		Space: owner.Keys.Space(), Identity: owner.Keys.IdentityPublic(), Level: in.Level, OnProgress: in.OnProgress,
		Manifest: manifest.Manifest{Device: a.Device, DeviceName: a.DeviceName, Hostname: hostname(), OS: runtime.GOOS, AgentVersion: proto.Version},
	}, f.Source(end), to, nothing{})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return Made{result, m.Tables}, err
}
