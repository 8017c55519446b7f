package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/holdfast-backup/holdfast/agent/cache"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// BackupInput says what is to be saved, and how.
type BackupInput struct {
	Paths         []string // relative ones count from the working directory
	Extensions    []string
	Exclude       []string
	MaxSize       int64 // bytes of one file; 0: no limit
	OneFileSystem bool
	Level         seal.Level

	Rules []walk.Rule // of policies: instead of all of the above but Level
	Wait  bool        // for another backup of this device to end, instead of failing

	Server     func(*Server) // adjusts limits and patience of the device's own server; may be nil
	OnSession  func(id.Backup)
	OnProgress func(backup.Progress)
}

// source returns the walk over the input's paths, or what its rules take. expected are the roots of the last backup by
// rules.
func (in BackupInput) source(expected []string, skip ...string) (*walk.Tree, error) {
	if len(in.Rules) > 0 {
		return walk.New(walk.Options{Rules: in.Rules, Expected: expected, Skip: skip})
	}
	if len(in.Paths) == 0 {
		return nil, fault.New(fault.Invalid, "say what to back up: holdfast-agent backup PATH…")
	}
	roots := make([]string, len(in.Paths))
	for i, p := range in.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%q", p)
		}
		if _, err := os.Lstat(abs); errors.Is(err, os.ErrNotExist) {
			return nil, fault.New(fault.NotFound, "%s does not exist", abs)
		} else if err != nil {
			return nil, fault.Wrap(err, fault.NotFound, "%s cannot be read", abs)
		}
		roots[i] = abs
	}
	rule := walk.Rule{Roots: roots, Exclude: in.Exclude, Extensions: in.Extensions, MaxSize: in.MaxSize}
	return walk.New(walk.Options{Rules: []walk.Rule{rule}, OneFileSystem: in.OneFileSystem, Skip: skip})
}

// Backup makes one snapshot. One backup of a state folder runs at a time; how it ended is kept for [Check].
func Backup(ctx context.Context, dir *state.Dir, in BackupInput) (backup.Result, error) {
	var none backup.Result
	d, err := dir.Load()
	if err != nil {
		return none, err
	}
	release, err := in.lock(ctx, dir)
	if err != nil {
		return none, err
	}
	defer release()
	src, err := in.source(dir.Roots(), dir.Path())
	if err != nil {
		return none, err
	}
	defer src.Close()
	s := ServerOf(d)
	s.RetryFor = PatienceBackup
	if in.Server != nil {
		in.Server(&s)
	}
	c, err := s.Dial(d.Token)
	if err != nil {
		return none, err
	}
	defer c.Close()

	last := &state.Last{Started: time.Now().UTC(), Roots: src.Roots()}
	result, err := backup.Run(ctx, backup.Config{
		Space:    keyring.NewSpace([32]byte(d.SpaceKey)),
		Identity: d.Identity,
		Manifest: manifest.Manifest{
			Device: d.ID, DeviceName: d.Name, Hostname: hostname(), OS: runtime.GOOS, Roots: src.Roots(), AgentVersion: proto.Version,
		},
		Level: in.Level, OnProgress: in.OnProgress,
	}, src, noting{c, in.OnSession}, cache.New(dir.Cache()))
	last.Finished = time.Now().UTC()
	if err != nil {
		last.Error = Sentence(err)
	} else {
		last.Snapshot = result.Snapshot
		last.Files, last.Bytes, last.UploadedBytes, last.Problems = result.Files, result.Bytes, result.UploadedBytes, result.ProblemCount
	}
	// The backup stands, or failed, whether or not these can be written.
	_ = dir.SaveLast(last)
	if err == nil && len(in.Rules) > 0 {
		_ = dir.SaveRoots(src.Roots())
	}
	return result, err
}

// lockEvery is how often somebody who waits for another backup looks whether it is over.
const lockEvery = time.Second

// lock takes the folder's lock.
func (in BackupInput) lock(ctx context.Context, dir *state.Dir) (release func(), err error) {
	if in.Wait {
		return LockWait(ctx, dir)
	}
	return dir.Lock()
}

// LockWait takes the lock of a state folder, once no other backup holds it.
func LockWait(ctx context.Context, dir *state.Dir) (release func(), err error) {
	look := time.NewTicker(lockEvery)
	defer look.Stop()
	for {
		release, err := dir.Lock()
		if !errors.Is(err, fault.Conflict) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-look.C:
		}
	}
}

// noting is a remote that tells which sessions it begins.
type noting struct {
	backup.Remote
	began func(id.Backup) // may be nil
}

// Begin implements [backup.Remote].
func (n noting) Begin(ctx context.Context, parent id.Snapshot) (backup.Session, error) {
	s, err := n.Remote.Begin(ctx, parent)
	if err == nil && n.began != nil {
		n.began(s.Info().ID)
	}
	return s, err
}

// Plan is what a backup would save.
type Plan struct {
	Files, Dirs, Others, Bytes int64
	Problems                   []manifest.Problem // at most manifest.MaxProblems
	ProblemCount               int64
}

// DryRun walks what Backup would walk, and asks no server anything. fn, which may be nil, sees every entry.
func DryRun(ctx context.Context, in BackupInput, skip []string, fn func(*tree.Entry)) (Plan, error) {
	var p Plan
	src, err := in.source(nil, skip...)
	if err != nil {
		return p, err
	}
	defer src.Close()
	err = src.Walk(ctx, func(i *backup.Item) error {
		if i.Err != nil {
			p.ProblemCount++
			if len(p.Problems) < manifest.MaxProblems {
				p.Problems = append(p.Problems, manifest.Problem{Path: i.Path, Text: backup.Reason(i.Err)})
			}
			if i.Type != tree.Dir {
				return nil
			}
		}
		switch i.Type {
		case tree.File:
			p.Files++
			p.Bytes += max(i.Size, 0)
		case tree.Dir:
			p.Dirs++
		default:
			p.Others++
		}
		if fn != nil {
			fn(&i.Entry)
		}
		return nil
	})
	return p, err
}
