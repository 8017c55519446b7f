//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// dumpName is the file that a stream becomes.
const dumpName = "database.sql"

// A streamer is a peer that backs up a stream whose length nobody knows, as a dump program writes one.
type streamer interface {
	peer
	Stream(ctx context.Context, from string) (cost, error) // the file is its standard input
}

// Stream implements [streamer]. holdfast-agent takes no standard input, so this program runs once more and does what the
// agent does with a dump: see pipe.
func (h *holdfast) Stream(ctx context.Context, from string) (cost, error) {
	self, err := os.Executable()
	if err != nil {
		return cost{}, err
	}
	return runOn(ctx, from, nil, self, "-stream", h.agent.State)
}

// Stream implements [streamer].
func (r *restic) Stream(ctx context.Context, from string) (cost, error) {
	return runOn(ctx, from, r.env, r.p.restic, "backup", "--quiet", "--stdin", "--stdin-filename", dumpName)
}

// runOn is run with a file as standard input.
func runOn(ctx context.Context, from string, env []string, name string, args ...string) (cost, error) {
	f, err := os.Open(from)
	if err != nil {
		return cost{}, err
	}
	defer f.Close()
	c, _, err := runFrom(ctx, f, env, name, args...)
	return c, err
}

// pipe backs up in as one file of unknown size, with the credentials and the memory limit of the device's agent, and no
// cache: all that is known of earlier dumps is what the server knows.
func pipe(ctx context.Context, in io.Reader, dir string) error {
	debug.SetMemoryLimit(208 << 20)
	at, err := state.Open(dir)
	if err != nil {
		return err
	}
	d, err := at.Load()
	if err != nil {
		return err
	}
	c, err := agent.ServerOf(d).Dial(d.Token)
	if err != nil {
		return err
	}
	defer c.Close()
	res, err := backup.Run(ctx, backup.Config{
		Space:    keyring.NewSpace([32]byte(d.SpaceKey)),
		Identity: d.Identity,
		Manifest: manifest.Manifest{
			Device: d.ID, DeviceName: d.Name, Hostname: d.Name, OS: runtime.GOOS, Roots: []string{dumpName}, AgentVersion: proto.Version,
		},
	}, &piped{in: in, made: time.Now().UnixNano()}, c, nil)
	if err != nil {
		return err
	}
	if res.ProblemCount > 0 {
		return fmt.Errorf("the backup has problems: %v", res.Problems)
	}
	return nil
}

// piped is a [backup.Source] of one file, and that file.
type piped struct {
	in     io.Reader
	made   int64
	opened bool
}

// Walk implements [backup.Source].
func (p *piped) Walk(_ context.Context, emit func(*backup.Item) error) error {
	return emit(&backup.Item{
		Entry: tree.Entry{Path: dumpName, Type: tree.File, Mode: 0o600, Size: -1, ModTime: p.made},
		Open: func() (backup.File, error) {
			if p.opened {
				return nil, errors.New("a stream can be read only once")
			}
			p.opened = true
			return p, nil
		},
	})
}

// Read implements [io.Reader].
func (p *piped) Read(b []byte) (int, error) { return p.in.Read(b) }

// Stat implements [backup.File]: a stream does not change.
func (p *piped) Stat() (backup.Stat, error) {
	return backup.Stat{Size: -1, ModTime: p.made, Mode: 0o600}, nil
}

// Close implements [io.Closer].
func (p *piped) Close() error { return nil }
