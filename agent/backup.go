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

	Server     func(*Server) // adjusts limits and patience of the device's own server; may be nil
	OnProgress func(backup.Progress)
}

// source returns the walk over the input's paths.
func (in BackupInput) source(skip ...string) (*walk.Tree, error) {
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
	return walk.New(walk.Options{Roots: roots, Exclude: in.Exclude, Extensions: in.Extensions, MaxSize: in.MaxSize,
		OneFileSystem: in.OneFileSystem, Skip: skip})
}

// Backup makes one snapshot. One backup of a state folder runs at a time; how it ended is kept for [Check].
func Backup(ctx context.Context, dir *state.Dir, in BackupInput) (backup.Result, error) {
	var none backup.Result
	d, err := dir.Load()
	if err != nil {
		return none, err
	}
	src, err := in.source(dir.Path())
	if err != nil {
		return none, err
	}
	defer src.Close()
	release, err := dir.Lock()
	if err != nil {
		return none, err
	}
	defer release()
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
	}, src, c, cache.New(dir.Cache()))
	last.Finished = time.Now().UTC()
	if err != nil {
		last.Error = Sentence(err)
	} else {
		last.Snapshot = result.Snapshot
		last.Files, last.Bytes, last.UploadedBytes, last.Problems = result.Files, result.Bytes, result.UploadedBytes, result.ProblemCount
	}
	// The backup stands, or failed, whether or not this can be written.
	_ = dir.SaveLast(last)
	return result, err
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
	src, err := in.source(skip...)
	if err != nil {
		return p, err
	}
	defer src.Close()
	err = src.Walk(ctx, func(i *backup.Item) error {
		if i.Err != nil {
			p.ProblemCount++
			if len(p.Problems) < manifest.MaxProblems {
				p.Problems = append(p.Problems, manifest.Problem{Path: i.Path, Text: i.Err.Error()})
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
