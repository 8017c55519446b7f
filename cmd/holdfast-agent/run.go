package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/calm"
	"github.com/holdfast-backup/holdfast/agent/daemon"
	"github.com/holdfast-backup/holdfast/agent/service"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func runCommand() *command {
	var once, verbose, logJSON bool
	return &command{
		name: "run", summary: "the resident service: back up and restore as the server says", max: 0,
		long: `Runs until it is told to stop (Ctrl-C or SIGTERM). A backup under way is given up then, keeps what it stored, and
is taken again by the next start. holdfast-agent service install makes the system run it.

If the device was revoked it ends with exit code 2, after which a service manager does not start it again.

With --once it does what is due, and ends: exit code 3 if some files could not be read or restored, 1 if something failed.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVar(&once, "once", false, "do what is due, then end")
			fs.BoolVarP(&verbose, "verbose", "v", false, "log more, names of files included")
			fs.BoolVar(&logJSON, "log-json", false, "log JSON objects instead of text")
			connectFlags(fs, c)
		},
		run: func(c *call) error {
			dir, err := c.dir()
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			switch {
			case verbose:
				level = slog.LevelDebug
			case c.quiet:
				level = slog.LevelWarn
			}
			var h slog.Handler = slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level})
			if logJSON {
				h = slog.NewJSONHandler(c.err, &slog.HandlerOptions{Level: level})
			}
			log := slog.New(h)
			cfg := daemon.Config{Dir: dir, Log: log, Server: c.adjust}
			if err := calm.Lower(); err != nil {
				log.Debug("priority", "error", err.Error())
			}
			if !once {
				err := service.Run(c.ctx, func(ctx context.Context) error { return daemon.Run(ctx, cfg) })
				if errors.Is(err, fault.Unauthenticated) {
					return final{err}
				}
				return err
			}
			done, err := daemon.Once(c.ctx, cfg)
			if perr := c.done(done); perr != nil {
				return perr
			}
			if err != nil {
				return err
			}
			return worst(done)
		},
	}
}

// final is an error that the next start would not mend: its exit code keeps a service manager from starting it.
type final struct{ error }

// Unwrap returns the error inside.
func (f final) Unwrap() error { return f.error }

// worst is the exit code of several pieces of work.
func worst(done []daemon.Done) error {
	var err error
	for _, d := range done {
		switch {
		case d.Err != nil:
			return failed{}
		case d.Warned():
			err = warning{}
		}
	}
	return err
}

type doneJSON struct {
	Kind     string        `json:"kind"`
	Runs     []string      `json:"runs"`
	Backup   *summaryJSON  `json:"backup,omitempty"`
	Restore  *restoredJSON `json:"restore,omitempty"`
	Error    string        `json:"error,omitempty"`
	Problems int64         `json:"problems"`
}

// done prints what run --once did.
func (c *call) done(list []daemon.Done) error {
	out := []doneJSON{}
	for _, d := range list {
		v := doneJSON{Kind: strings.ToLower(d.Kind), Runs: []string{}, Problems: d.Backup.ProblemCount + d.Restore.FailureCount}
		for _, r := range d.Runs {
			v.Runs = append(v.Runs, r.ID.String())
		}
		switch {
		case d.Err != nil:
			v.Error = agent.Sentence(d.Err)
		case d.Kind == remote.KindBackup:
			s := summaryOf(d.Backup)
			v.Backup = &s
		default:
			s := restoredOf("", d.Restore)
			v.Restore = &s
		}
		out = append(out, v)
		if c.json {
			continue
		}
		switch {
		case d.Err != nil:
			fmt.Fprintf(c.out, "The %s failed: %s\n", v.Kind, printable(v.Error))
		case v.Problems > 0:
			fmt.Fprintf(c.out, "The %s is done: %s, %s could not be read or restored.\n", v.Kind, count(d.Backup.Files+d.Restore.Files, "file", "files"), thousands(v.Problems))
		default:
			fmt.Fprintf(c.out, "The %s is done: %s.\n", v.Kind, count(d.Backup.Files+d.Restore.Files, "file", "files"))
		}
	}
	if c.json {
		return c.print(map[string]any{"done": out})
	}
	if len(list) == 0 {
		c.remark("Nothing is due.")
	}
	return nil
}

// byPolicy backs up by policy: here, or, if the service runs, by it.
func (c *call) byPolicy() error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	c.bar = c.newBar()
	cfg := daemon.Config{Dir: dir, Server: c.adjust, OnProgress: func(p remote.Progress) {
		c.bar.show(step{phase: p.Phase, files: p.Files, bytes: p.Bytes, all: p.TotalBytes, sent: p.UploadedBytes, problems: p.Problems, problemsAre: "unreadable"})
	}}
	d, err := daemon.Now(c.ctx, cfg)
	if errors.Is(err, daemon.ErrServiceRuns) {
		c.remark("The service does it. Interrupted, only the waiting ends.")
		l, err := daemon.Delegate(c.ctx, cfg)
		c.bar.done()
		if err != nil {
			return err
		}
		return c.delegated(l)
	}
	c.bar.done()
	if err == nil {
		err = d.Err
	}
	return c.backedUp(d.Backup, err)
}
