//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/policy"
	runs "github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

type backupFlags struct {
	application, part, name, level string
	excludeLogs, portable, wait    bool
	limit                          int
}

const waitHelp = "wait until it is over; exit code 1 if it did not succeed"

func backupCreateCommand() *command {
	return &command{
		name: "backup create", args: "--application NAME [--type database|media|full] [--name NAME] [--wait]",
		summary: "back an application up now",
		long: `
Asks the application's device for a backup: it begins when the device is connected, within a week. An application is named as
its device calls it, or as DEVICE/NAME where several devices have one of that name.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&c.backup.application, "application", "", "the application's `NAME`, or DEVICE/NAME, or its id")
			fs.StringVar(&c.backup.part, "type", "full", "what of it: database, media or full (`PART`)")
			fs.StringVar(&c.backup.name, "name", "", "what the backup is to be called (`NAME`)")
			fs.StringVar(&c.backup.level, "compression", "default", "none, fast, default or better (`LEVEL`)")
			fs.BoolVar(&c.backup.excludeLogs, "exclude-logs", false, "leave log files of the media folders out")
			fs.BoolVar(&c.backup.portable, "portable", false, "write the portable export beside the native dump")
			fs.BoolVar(&c.backup.wait, "wait", false, waitHelp)
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			f := c.backup
			if f.application == "" {
				return usagef("--application is needed")
			}
			return c.order(ctx, func(in *installation) (runs.ApplicationInput, *application.Application, error) {
				app, err := in.Applications.Find(ctx, actor.System(), f.application)
				if err != nil {
					return runs.ApplicationInput{}, nil, err
				}
				return runs.ApplicationInput{Application: app.ID, Part: catalog.Part(f.part), Title: f.name,
					Options: application.Options{Level: policy.Level(f.level), ExcludeLogs: f.excludeLogs, Portable: f.portable}}, app, nil
			})
		},
	}
}

func scheduleRunCommand() *command {
	return &command{
		name: "schedule run", args: "NAME [--wait]", positional: 1,
		summary: "make the backup of a schedule of an application now",
		long: `
Backs up what the schedule names, as it says, and its rule decides how long that is kept. The schedule itself goes on as before; it need not be
on. It is named by its name, or as APPLICATION/NAME or DEVICE/APPLICATION/NAME where there are several, or by its id.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVar(&c.backup.wait, "wait", false, waitHelp)
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			return c.order(ctx, func(in *installation) (runs.ApplicationInput, *application.Application, error) {
				s, app, err := in.Applications.FindSchedule(ctx, actor.System(), c.args[0])
				if err != nil {
					return runs.ApplicationInput{}, nil, err
				}
				return runs.ApplicationInput{Application: app.ID, Part: s.Part, Title: s.Name, Options: s.Options, Schedule: &s.ID}, app, nil
			})
		},
	}
}

// ordered is a run as these commands print one.
type ordered struct {
	ID          string     `json:"id"`
	Application string     `json:"application"`
	Part        string     `json:"part"`
	Name        string     `json:"name"`
	State       runs.State `json:"state"`
	Code        *string    `json:"code,omitempty"`
	Text        *string    `json:"text,omitempty"`
	Snapshot    string     `json:"snapshot,omitempty"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
}

func showRun(r *runs.Run, app *application.Application) ordered {
	o := ordered{ID: r.ID.String(), Application: app.Path(), Part: string(*r.Part), Name: *r.Title, State: r.State, Code: r.Code, Text: r.Text(), EndedAt: r.EndedAt}
	if r.SnapshotID != nil {
		o.Snapshot = r.SnapshotID.String()
	}
	return o
}

func (o ordered) write(w io.Writer) {
	switch {
	case o.Snapshot != "":
		fmt.Fprintf(w, "%s: %s, as %s.\n", o.Application, o.State, o.Snapshot)
	case o.Text != nil:
		fmt.Fprintf(w, "%s: %s. %s\n", o.Application, o.State, *o.Text)
	default:
		fmt.Fprintf(w, "%s: %s (%s).\n", o.Application, o.State, o.ID)
	}
}

// order asks for the backup that what names, and waits for its end if that is wanted.
func (c *call) order(ctx context.Context, what func(*installation) (runs.ApplicationInput, *application.Application, error)) error {
	in, err := c.openPeople(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	input, app, err := what(in)
	if err != nil {
		return err
	}
	r, err := in.Runs.BackUpApplication(ctx, actor.System(), input)
	if err != nil {
		return err
	}
	if c.backup.wait {
		if r, err = in.await(ctx, r); err != nil {
			return err
		}
	}
	out := showRun(r, app)
	if err := c.print(out, out.write); err != nil {
		return err
	}
	if r.State.Over() && r.State != runs.Succeeded && r.State != runs.Warned {
		return failed{}
	}
	return nil
}

// How often await looks whether a run is over, and how often it looks after runs that nobody speaks for, as a worker does.
const (
	lookEvery  = 500 * time.Millisecond
	sweepEvery = 30 * time.Second
)

// await returns a run once it is over. Where no worker runs, it sees to it that a run whose device is gone does end.
func (in *installation) await(ctx context.Context, r *runs.Run) (*runs.Run, error) {
	look, sweep := time.NewTicker(lookEvery), time.NewTicker(sweepEvery)
	defer look.Stop()
	defer sweep.Stop()
	for !r.State.Over() {
		select {
		case <-ctx.Done():
			return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "it goes on without being waited for: it is the run %s", r.ID)
		case <-sweep.C:
			if err := in.Runs.Sweep(ctx); err != nil {
				return nil, err
			}
		case <-look.C:
			var err error
			if r, err = in.Runs.Run(ctx, actor.System(), r.ID); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// saved is a backup of an application as these commands print one.
type saved struct {
	ID          string    `json:"id"`
	Application string    `json:"application"`
	Part        string    `json:"part"`
	Origin      string    `json:"origin"`
	Name        string    `json:"name"`
	CreatedAt   time.Time `json:"created_at"`
	Bytes       int64     `json:"bytes"`
	Warnings    int64     `json:"warnings"`
	Pinned      bool      `json:"pinned"`
}

const maxListed = 10_000

func backupListCommand() *command {
	return &command{
		name: "backup list", args: "[--application NAME] [--limit N]", summary: "list the backups of applications, newest first",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&c.backup.application, "application", "", "only those of the application of this `NAME`, DEVICE/NAME or id")
			fs.IntVar(&c.backup.limit, "limit", 100, "at most so many (`N`)")
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			if n := c.backup.limit; n < 1 || n > maxListed {
				return usagef("--limit %d: want 1 to %d", n, maxListed)
			}
			in, err := c.openStored(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			var only *id.Application
			if c.backup.application != "" {
				app, err := in.Applications.Find(ctx, actor.System(), c.backup.application)
				if err != nil {
					return err
				}
				only = &app.ID
			}
			list, err := in.Catalog.ApplicationSnapshots(ctx, actor.System(), only, c.backup.limit)
			if err != nil {
				return err
			}
			apps, err := in.Applications.List(ctx, actor.System(), true)
			if err != nil {
				return err
			}
			names := map[id.Application]string{}
			for _, app := range apps {
				names[app.ID] = app.Path()
			}
			out := []saved{}
			for _, sn := range list {
				l := sn.Label
				out = append(out, saved{sn.ID.String(), names[l.Application], string(l.Part), string(l.Origin), l.Title, sn.CreatedAt, sn.Bytes, sn.Problems, sn.PinnedAt != nil})
			}
			return c.print(map[string]any{"backups": out}, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "MADE\tAPPLICATION\tPART\tORIGIN\tBYTES\tNAME\tID")
				for _, b := range out {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", b.CreatedAt.Local().Format("2006-01-02 15:04"), b.Application, b.Part, b.Origin, b.Bytes, b.Name, b.ID)
				}
				t.Flush()
			})
		},
	}
}

func backupDeleteCommand() *command {
	return &command{
		name: "backup delete", args: "ID", positional: 1, summary: "delete a backup of an application; its owner can take that back for a while",
		flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			var sn id.Snapshot
			if err := sn.UnmarshalText([]byte(c.args[0])); err != nil {
				return usagef("%v: holdfast backup list shows them", err)
			}
			in, err := c.openStored(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			until, err := in.Catalog.DeleteApplicationSnapshot(ctx, actor.System(), sn)
			if err != nil {
				return err
			}
			return c.print(map[string]any{"id": sn, "until": until}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is deleted. Its owner can take that back until %s.\n", sn, until.Local().Format("2 January 2006, 15:04"))
			})
		},
	}
}

func scheduleListCommand() *command {
	return &command{
		name: "schedule list", summary: "list the schedules of applications, and when each is due next", flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			in, err := c.openPeople(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			all, err := in.Applications.Schedules(ctx, actor.System())
			if err != nil {
				return err
			}
			type line struct {
				ID          string     `json:"id"`
				Application string     `json:"application"`
				Name        string     `json:"name"`
				Enabled     bool       `json:"enabled"`
				Part        string     `json:"part"`
				Schedule    string     `json:"schedule"`
				Keeps       string     `json:"keeps"`
				Next        *time.Time `json:"next"`
			}
			out := []line{}
			for _, s := range all {
				next, err := application.NextDue([]*application.Schedule{s.Schedule})
				if err != nil {
					return err
				}
				out = append(out, line{s.ID.String(), s.Application.Path(), s.Name, s.Enabled, string(s.Part), s.Schedule.Schedule.String(), s.Retention.String(), next})
			}
			return c.print(map[string]any{"schedules": out}, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "APPLICATION\tNAME\tPART\tNEXT\tSCHEDULE\tID")
				for _, l := range out {
					next := "off"
					if l.Next != nil {
						next = l.Next.Local().Format("2006-01-02 15:04")
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Application, l.Name, l.Part, next, l.Schedule, l.ID)
				}
				t.Flush()
			})
		},
	}
}

func cleanupCommand() *command {
	return &command{
		name: "cleanup", summary: "delete once what no rule keeps any more, and free its room",
		long: `
Deletes snapshots by the rules of policies, schedules and applications, and cleans the spaces in which there is something to clean: what the worker
does by itself. It is for installations without a worker, from cron or a timer. It may run at any time, beside anything.`,
		flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			in, err := c.openStored(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			r, err := in.CleanUp(ctx)
			if err != nil {
				return err
			}
			return c.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "%d snapshots were deleted by rule; %d spaces were cleaned.\n", r.Deleted, r.Spaces)
			})
		},
	}
}
