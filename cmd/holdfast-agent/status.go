package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func statusCommand() *command {
	var watch bool
	return &command{
		name: "status", summary: "show how this device stands", max: 0,
		long: "With --watch, shows the progress of all the account's devices as it happens (needs the password), until interrupted.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVar(&watch, "watch", false, "follow the backups of the account's devices")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			if watch {
				return c.watch()
			}
			dir, err := c.dir()
			if err != nil {
				return err
			}
			apps, err := application.In(dir).All()
			if err != nil {
				return err
			}
			st, err := agent.Check(c.ctx, dir, c.adjust, slices.Collect(maps.Keys(namesOf(apps)))...)
			if err != nil {
				return err
			}
			if c.json {
				v := statusOf(st)
				v.Applications = applicationsOf(apps, st)
				if err := c.print(v); err != nil {
					return err
				}
			} else {
				c.status(st, apps)
			}
			if st.Reached != nil || st.Accepted != nil {
				return failed{}
			}
			return nil
		},
	}
}

func (c *call) status(st *agent.Status, apps []*application.App) {
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	d := st.Device
	row("device", "%s (%s) of %s", printable(d.Name), d.ID, d.Email)
	switch {
	case st.Reached != nil:
		row("server", "%s: %s", d.Server, agent.Sentence(st.Reached))
	case st.Accepted != nil:
		row("server", "%s: %s", d.Server, agent.Sentence(st.Accepted))
	default:
		row("server", "%s, version %s, answers in %s", d.Server, st.Server.Version, st.Server.RoundTrip.Round(100*time.Microsecond))
		if st.Server.Skew.Abs() > remote.MaxSkew {
			row("clock", "%s: set it", agent.Skew(st.Server.Skew))
		}
	}
	if r := st.Remote; r != nil && r.Latest != nil {
		row("newest snapshot", "%s, %s: %s, %s", agent.ShortID(r.Latest.ID, 10), stamp(r.Latest.CreatedAt), count(r.Latest.Files, "file", "files"), agent.Size(r.Latest.Bytes))
	} else if r != nil {
		row("newest snapshot", "none")
	}
	if p := st.Policy; p != nil && len(p.Policies) == 0 {
		row("policy", "none: no files are saved by themselves")
	} else if p != nil {
		for _, v := range p.Policies {
			row("policy", "%s: %s", printable(v.Name), printable(v.Schedule))
		}
		if !p.Next.IsZero() {
			row("next due", "%s", stamp(p.Next))
		}
	}
	for _, a := range apps {
		row("application", "%s: %s", printable(a.Name), standing(st, a.ID))
	}
	if st.Service {
		row("service", "runs")
	} else {
		row("service", "does not run: holdfast-agent service install, or holdfast-agent run")
	}
	if l := st.Last; l != nil && l.Error != "" {
		row("last attempt", "%s: failed: %s", stamp(l.Finished), printable(l.Error))
	} else if l != nil && l.Problems > 0 {
		row("last attempt", "%s: done; %s could not be read", stamp(l.Finished), count(l.Problems, "file", "files"))
	} else if l != nil {
		row("last attempt", "%s: done", stamp(l.Finished))
	}
	switch {
	case st.Running && st.Remote != nil && st.Remote.Active != nil:
		p := st.Remote.Active
		row("now", "a backup is running: %s, %s, %s", p.Phase, count(p.Files, "file", "files"), agent.Size(p.Bytes))
	case st.Running:
		row("now", "a backup is running")
	case st.Last != nil && st.Last.Error != "":
		row("pending", "the failed backup: the next one continues from what was stored")
	default:
		row("now", "idle")
	}
	t.Flush()
}

type statusJSON struct {
	Device struct {
		ID         string    `json:"id"`
		Name       string    `json:"name"`
		Email      string    `json:"email"`
		EnrolledAt time.Time `json:"enrolledAt"`
	} `json:"device"`
	Server struct {
		URL         string  `json:"url"`
		Reachable   bool    `json:"reachable"`
		Accepted    bool    `json:"accepted"`
		Version     string  `json:"version,omitempty"`
		SkewSeconds float64 `json:"clockSkewSeconds"`
		Error       string  `json:"error,omitempty"`
	} `json:"server"`
	Running bool         `json:"running"`
	Service bool         `json:"serviceRuns"`
	Policy  *policyJSON  `json:"policy"` // null if the server did not say
	Latest  *latestJSON  `json:"latestSnapshot"`
	Last    *attemptJSON `json:"lastAttempt"`

	Applications []applicationJSON `json:"applications"`
}

type policyJSON struct {
	Policies []scheduleJSON `json:"policies"`
	NextDue  time.Time      `json:"nextDueAt,omitzero"`
}

type scheduleJSON struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
}

type attemptJSON struct {
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Snapshot string    `json:"snapshot,omitempty"`
	Problems int64     `json:"problems"`
	Error    string    `json:"error,omitempty"`
}

func statusOf(st *agent.Status) statusJSON {
	var v statusJSON
	v.Device.ID, v.Device.Name, v.Device.Email, v.Device.EnrolledAt = st.Device.ID.String(), st.Device.Name, st.Device.Email, st.Device.EnrolledAt
	v.Server.URL, v.Server.Reachable, v.Server.Accepted = st.Device.Server, st.Reached == nil, st.Remote != nil
	if err := errors.Join(st.Reached, st.Accepted); st.Reached != nil || st.Accepted != nil {
		v.Server.Error = agent.Sentence(err)
	}
	if st.Server != nil {
		v.Server.Version, v.Server.SkewSeconds = st.Server.Version, st.Server.Skew.Seconds()
	}
	v.Running, v.Service = st.Running, st.Service
	if p := st.Policy; p != nil {
		v.Policy = &policyJSON{Policies: []scheduleJSON{}, NextDue: p.Next}
		for _, k := range p.Policies {
			v.Policy.Policies = append(v.Policy.Policies, scheduleJSON{k.Name, k.Schedule})
		}
	}
	if st.Remote != nil && st.Remote.Latest != nil {
		l := st.Remote.Latest
		v.Latest = &latestJSON{l.ID.String(), l.CreatedAt, l.Files, l.Bytes, l.Problems}
	}
	if l := st.Last; l != nil {
		v.Last = &attemptJSON{Started: l.Started, Finished: l.Finished, Problems: l.Problems, Error: l.Error}
		if !l.Snapshot.IsZero() {
			v.Last.Snapshot = l.Snapshot.String()
		}
	}
	return v
}

// maxWatched is how many subscriptions a server allows on one connection.
const maxWatched = 32

// watch follows the account's devices until interrupted. On a terminal the newest state of whatever runs is
// the last line; what ended stays above it. Elsewhere every event is a line (with --json, an object).
func (c *call) watch() error {
	a, _, err := c.unlock()
	if err != nil {
		return err
	}
	defer a.Close(c.ctx)
	list, err := a.Devices(c.ctx)
	if err != nil {
		return err
	}
	names := map[id.Device]string{}
	var ids []id.Device
	for _, d := range list {
		if d.RevokedAt.IsZero() {
			ids, names[d.ID] = append(ids, d.ID), d.Name
		}
	}
	if len(ids) == 0 {
		return usagef("the account has no device to watch")
	}
	if len(ids) > maxWatched {
		c.remark("Only the first %d of %d devices can be watched at once.", maxWatched, len(ids))
		ids = ids[:maxWatched]
	}
	c.bar = c.newBar()
	defer c.bar.done()
	c.remark("Watching %s. Interrupt to end.", count(int64(len(ids)), "device", "devices"))
	err = a.Client.Watch(c.ctx, ids, func(e remote.Event) error {
		p := e.Progress
		switch {
		case c.json:
			return c.event(e, names[e.Device])
		case e.State == "ACTIVE" && c.bar != nil:
			c.bar.show(step{phase: printable(names[e.Device]) + ": " + p.Phase, files: p.Files, bytes: p.Bytes, all: p.TotalBytes, sent: p.UploadedBytes, problems: p.Problems, problemsAre: "unreadable"})
		default:
			text := fmt.Sprintf("%s  %s  %s  %s, %s, sent %s", stamp(time.Now()), printable(names[e.Device]), stateWord(e), count(p.Files, "file", "files"), agent.Size(p.Bytes), agent.Size(p.UploadedBytes))
			c.bar.say(c.out, text)
		}
		return nil
	})
	if errors.Is(err, context.Canceled) {
		return nil // that is how watching ends
	}
	return err
}

func stateWord(e remote.Event) string {
	switch e.State {
	case "ACTIVE":
		if e.Progress.Phase == "" {
			return "begins"
		}
		return printable(e.Progress.Phase)
	case "COMMITTED":
		return "done, snapshot " + agent.ShortID(e.Snapshot, 10)
	case "ABORTED":
		return "given up"
	case "VOID":
		return "lost: the device went silent"
	}
	return strings.ToLower(printable(e.State))
}

func (c *call) event(e remote.Event, name string) error {
	v := map[string]any{
		"device": map[string]any{"id": e.Device, "name": name}, "backup": e.Backup, "state": strings.ToLower(e.State), "startedAt": e.StartedAt,
		"phase": e.Progress.Phase, "files": e.Progress.Files, "bytes": e.Progress.Bytes, "totalFiles": e.Progress.TotalFiles,
		"totalBytes": e.Progress.TotalBytes, "uploadedBytes": e.Progress.UploadedBytes, "problems": e.Progress.Problems,
	}
	if !e.Snapshot.IsZero() {
		v["snapshot"] = e.Snapshot
	}
	return c.print(v)
}

func doctorCommand() *command {
	return &command{
		name: "doctor", summary: "check everything that a backup stands on, and say what to do", max: 0,
		flags: connectFlags,
		run: func(c *call) error {
			path, err := c.dirPath()
			if err != nil {
				return err
			}
			list := agent.Doctor(c.ctx, path, c.adjust, applicationsAt(path))
			worst := agent.Good
			for _, f := range list {
				if f.Grade == agent.Bad || f.Grade == agent.Warn && worst == agent.Good {
					worst = f.Grade
				}
			}
			if c.json {
				if err := c.print(map[string]any{"result": worst, "checks": list}); err != nil {
					return err
				}
			} else {
				for _, f := range list {
					fmt.Fprintf(c.out, "%-8s %-16s %s\n", f.Grade, f.What, f.Says)
					if f.Do != "" {
						fmt.Fprintf(c.out, "%-8s %-16s -> %s\n", "", "", f.Do)
					}
				}
			}
			switch worst {
			case agent.Bad:
				return failed{}
			case agent.Warn:
				return warning{}
			}
			return nil
		},
	}
}
