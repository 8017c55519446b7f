package agent

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/sink"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// List calls fn for what lies in a folder of a snapshot, or under it if recursive is set, in order. A path
// that is no folder is listed itself. "" is the top.
func (a *Account) List(ctx context.Context, s *Snapshot, at string, recursive bool, fn func(*tree.Entry) error) error {
	r := a.Tree(s)
	at = TreePath(at)
	if at != "" {
		e, err := r.Get(ctx, at)
		if errors.Is(err, fault.NotFound) {
			return fault.Wrap(err, fault.NotFound, "snapshot %s holds no %s", ShortID(s.ID, 10), LocalPath(at))
		} else if err != nil {
			return err
		}
		if e.Type != tree.Dir {
			return fn(e)
		}
	}
	if !recursive {
		return r.List(ctx, at, fn)
	}
	return r.Walk(ctx, at, func(e *tree.Entry) error {
		if e.Path == at {
			return nil
		}
		return fn(e)
	})
}

// Pattern returns a match for Find. A pattern with *, ? or [ is a glob over an entry's name, or over its whole
// path if it holds a slash; any other text is looked for anywhere in the name (or path), in any case.
func Pattern(pattern string) (func(*tree.Entry) bool, error) {
	if pattern == "" {
		return nil, fault.New(fault.Invalid, "say what to look for: a part of a name, or a pattern such as '*.docx'")
	}
	whole := strings.Contains(pattern, "/")
	subject := func(e *tree.Entry) string {
		if whole {
			return "/" + e.Path
		}
		return e.Base()
	}
	if !strings.ContainsAny(pattern, "*?[") {
		low := strings.ToLower(pattern)
		return func(e *tree.Entry) bool { return strings.Contains(strings.ToLower(subject(e)), low) }, nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fault.New(fault.Invalid, "%q is no pattern: a [ is never closed", pattern)
	}
	if whole && !strings.HasPrefix(pattern, "/") {
		pattern = "/" + pattern
	}
	return func(e *tree.Entry) bool {
		ok, _ := path.Match(pattern, subject(e))
		return ok
	}, nil
}

// Newest returns the newest snapshot of each device, or of one.
func (a *Account) Newest(ctx context.Context, device id.Device) ([]*Snapshot, error) {
	devices, err := a.Client.Devices(ctx)
	if err != nil {
		return nil, err
	}
	var list []*Snapshot
	for _, d := range devices {
		if d.Latest == nil || !device.IsZero() && d.ID != device {
			continue
		}
		s, err := a.FindSnapshot(ctx, d.Latest.ID.String(), id.Device{})
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "there is no snapshot yet: holdfast-agent backup makes one")
	}
	return list, nil
}

// Diff calls fn for what changed from one snapshot to another.
func (a *Account) Diff(ctx context.Context, before, after *Snapshot, fn func(tree.Change) error) error {
	objects := a.Objects() // one cache of nodes for both
	return tree.Diff(ctx, tree.Open(objects, before.Manifest.Root), tree.Open(objects, after.Manifest.Root), fn)
}

// ReadInput says what is restored or verified.
type ReadInput struct {
	Paths      []string
	Extensions []string
	Conflict   restore.Conflict
	To         string  // folder; for Restore
	Sync       bool    // for Restore: what is reported done has reached the disk
	Sample     float64 // per cent of the objects; for Verify
	OnProgress func(restore.Progress)
}

func (a *Account) config(s *Snapshot, in ReadInput) restore.Config {
	paths := make([]string, len(in.Paths))
	for i, p := range in.Paths {
		paths[i] = TreePath(p)
	}
	return restore.Config{Objects: a.Objects(), Root: s.Manifest.Root, Conflict: in.Conflict, OnProgress: in.OnProgress,
		Select: restore.Select{Paths: paths, Extensions: in.Extensions}}
}

// Restore writes a snapshot, or a part of it, under a folder. Result.Failures lists what could not be restored;
// the error is about the whole.
func (a *Account) Restore(ctx context.Context, s *Snapshot, in ReadInput) (restore.Result, error) {
	if err := need(in.To != "", "say where to restore to: --to DIR"); err != nil {
		return restore.Result{}, err
	}
	to, err := sink.Open(in.To, sink.Options{Sync: in.Sync})
	if err != nil {
		return restore.Result{}, err
	}
	return restore.Run(ctx, a.config(s, in), to)
}

// Verify reads a snapshot and checks every object, or a random part of the files' objects, against the tree.
func (a *Account) Verify(ctx context.Context, s *Snapshot, in ReadInput) (restore.Result, error) {
	return restore.Verify(ctx, a.config(s, in), in.Sample)
}
