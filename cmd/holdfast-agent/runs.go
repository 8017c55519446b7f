package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func runsCommand() *command {
	var device string
	var limit int
	var wait bool
	return &command{
		name: "runs", args: "[RUN]", summary: "list backups and restores that are due, under way or over, newest first", max: 1,
		long: "With RUN, an id or the beginning of one, shows that one, with what its device said to you alone.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&device, "device", "", "only those of this device")
			fs.IntVarP(&limit, "limit", "n", 50, "at most so many (0: all)")
			fs.BoolVar(&wait, "wait", false, "with RUN: follow it to its end")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			if limit < 0 {
				return usagef("--limit %d makes no sense", limit)
			}
			if wait && len(c.args) == 0 {
				return usagef("--wait is for a RUN: name it")
			}
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			if len(c.args) > 0 {
				r, err := a.FindRun(c.ctx, c.args[0])
				if err == nil && wait {
					r, err = c.follow(a, r)
				}
				if err != nil {
					return err
				}
				return c.ended(a, r, order.ID{})
			}
			of, err := c.ofDevice(a, device, nil)
			if err != nil {
				return err
			}
			var list []*remote.Run
			err = a.Client.Runs(c.ctx, of, func(r *remote.Run) (bool, error) {
				list = append(list, r)
				return limit == 0 || len(list) < limit, nil
			})
			if err != nil {
				return err
			}
			return c.runs(list)
		},
	}
}

func (c *call) runs(list []*remote.Run) error {
	if c.json {
		out := make([]runJSON, len(list))
		for i, r := range list {
			out[i] = runOf(r)
		}
		return c.print(map[string]any{"runs": out})
	}
	ids := make([]id.Run, len(list))
	for i, r := range list {
		ids[i] = r.ID
	}
	n := agent.ShortIDs(ids)
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tDEVICE\tWHAT\tFOR\tDUE\tENDED\tSTATE\t")
	for _, r := range list {
		ended := "-"
		if !r.EndedAt.IsZero() {
			ended = stamp(r.EndedAt)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", agent.ShortID(r.ID, n), printable(r.DeviceName), printable(task(r)), printable(reason(r)), stamp(r.DueAt), ended, runState(r), printable(r.Text))
	}
	t.Flush()
	if len(list) == 0 {
		c.remark("There is no run yet.")
	}
	return nil
}

// task says what a run does.
func task(r *remote.Run) string {
	kind := strings.ToLower(r.Kind)
	if r.ApplicationName != "" {
		return kind + " of " + r.ApplicationName
	}
	return kind
}

// reason says what a run is for.
func reason(r *remote.Run) string {
	switch {
	case r.Policy != "":
		return r.Policy
	case r.Trigger == "OWNER":
		return "you"
	case r.Trigger == "ADMIN":
		return "an administrator"
	case r.Trigger == "DEVICE":
		return "the device"
	}
	return "-"
}

// runState says how a run stands, in a few words.
func runState(r *remote.Run) string {
	s := strings.ToLower(printable(r.State))
	switch {
	case r.Cancelling && !r.Over():
		return s + ", asked to stop"
	case r.State == "RUNNING" && r.Progress.TotalBytes > 0:
		return fmt.Sprintf("%s, %d%%", s, min(100, r.Progress.Bytes*100/r.Progress.TotalBytes))
	}
	return s
}

func nowCommand() *command {
	var wait bool
	return &command{
		name: "now", args: "DEVICE", summary: "have a device of yours back up by policy, as soon as it can", min: 1, max: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVar(&wait, "wait", false, "follow it to its end")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			d, err := a.FindDevice(c.ctx, c.args[0])
			if err != nil {
				return err
			}
			r, err := a.Client.BackUpNow(c.ctx, d.ID)
			if err != nil {
				return err
			}
			return c.asked(a, r, order.ID{}, wait, fmt.Sprintf("%s backs up as soon as it hears of it", printable(d.Name)))
		},
	}
}

func cancelCommand() *command {
	return &command{
		name: "cancel", args: "RUN", summary: "have a backup or restore stop", min: 1, max: 1,
		long:  "RUN is an id, or the beginning of one, as holdfast-agent runs lists them.",
		flags: unlockFlags,
		run: func(c *call) error {
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			r, err := a.FindRun(c.ctx, c.args[0])
			if err != nil {
				return err
			}
			if r, err = a.Client.CancelRun(c.ctx, r.ID); err != nil {
				return err
			}
			switch {
			case c.json:
				return c.print(runOf(r))
			case r.Over():
				fmt.Fprintf(c.out, "The %s is cancelled.\n", strings.ToLower(printable(r.Kind)))
			default:
				fmt.Fprintf(c.out, "The %s stops when %s hears of it.\n", strings.ToLower(printable(r.Kind)), printable(r.DeviceName))
			}
			return nil
		},
	}
}

// order orders a restore on a device.
func (c *call) order(a *agent.Account, s *agent.Snapshot, on string, in agent.OrderInput, wait bool) error {
	d, err := a.FindDevice(c.ctx, on)
	if err != nil {
		return err
	}
	r, o, err := a.OrderRestore(c.ctx, d, s, in)
	if err != nil {
		return err
	}
	where := "to where the files were"
	if in.To != "" {
		where = "under " + in.To
	}
	return c.asked(a, r, o, wait, fmt.Sprintf("%s restores %s as soon as it hears of it", printable(d.Name), printable(where)))
}

// asked reports a run that was just made, and follows it if that is wanted.
func (c *call) asked(a *agent.Account, r *remote.Run, o order.ID, wait bool, text string) error {
	if !wait {
		if c.json {
			return c.print(runOf(r))
		}
		fmt.Fprintf(c.out, "%s.\n", text)
		c.remark("holdfast-agent runs %s shows what comes of it.", agent.ShortID(r.ID, 10))
		return nil
	}
	c.remark("%s. Interrupted, only the waiting ends.", text)
	r, err := c.follow(a, r)
	if err != nil {
		return err
	}
	return c.ended(a, r, o)
}

// follow shows how a run goes on, and returns it when it is over.
func (c *call) follow(a *agent.Account, r *remote.Run) (*remote.Run, error) {
	c.bar = c.newBar()
	defer c.bar.done()
	return a.Client.FollowRun(c.ctx, r.ID, func(r *remote.Run) {
		p := r.Progress
		phase := p.Phase
		if r.State == "WAITING" {
			phase = "waiting"
		}
		c.bar.show(step{phase: printable(phase), files: p.Files, bytes: p.Bytes, all: p.TotalBytes, sent: p.UploadedBytes, problems: p.Problems, problemsAre: "failed"})
	})
}

// ended reports a run with all that its owner may know of it. The exit code is that of the run.
func (c *call) ended(a *agent.Account, r *remote.Run, o order.ID) error {
	v := runOf(r)
	report, err := a.Report(r, o)
	if err != nil {
		return err
	}
	if v.Note, err = a.Note(r); err != nil {
		return err
	}
	if report != nil {
		v.Report = reportOf(report)
	}
	if c.json {
		err = c.print(v)
	} else {
		err = c.story(r, v)
	}
	switch {
	case err != nil:
		return err
	case r.State == "WARNED":
		return warning{}
	case r.State == "FAILED", r.State == "MISSED", r.State == "CANCELLED":
		return failed{}
	}
	return nil
}

// story tells people of a run.
func (c *call) story(r *remote.Run, v runJSON) error {
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	row("run", "%s: %s on %s, for %s", r.ID, v.Kind, printable(r.DeviceName), printable(reason(r)))
	row("state", "%s", runState(r))
	row("due", "%s, to be begun by %s", stamp(r.DueAt), stamp(r.DeadlineAt))
	if !r.StartedAt.IsZero() {
		row("begun", "%s", stamp(r.StartedAt))
	}
	if !r.EndedAt.IsZero() {
		row("ended", "%s", stamp(r.EndedAt))
	}
	if r.Progress.Files > 0 {
		row("done", "%s, %s", count(r.Progress.Files, "file", "files"), agent.Size(r.Progress.Bytes))
	}
	if !r.Snapshot.IsZero() {
		row("snapshot", "%s", agent.ShortID(r.Snapshot, 10))
	}
	if v.Text != "" {
		row("why", "%s", printable(v.Text))
	}
	if v.Note != "" {
		row("it says", "%s", printable(v.Note))
	}
	for _, cause := range slices.Sorted(maps.Keys(r.Causes)) {
		row("not read", "%s: %s", printable(cause), thousands(r.Causes[cause]))
	}
	if p := v.Report; p != nil {
		if p.Error != "" {
			row("it says", "%s", printable(p.Error))
		}
		row("restored", "%s, %s; %s left as they were", count(p.Files, "file", "files"), agent.Size(p.Bytes), count(p.Skipped, "file", "files"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if p := v.Report; p != nil && p.Failures > 0 {
		fmt.Fprintf(c.err, "%s not restored:\n", count(p.Failures, "entry was", "entries were"))
		for _, f := range p.FailureList[:min(len(p.FailureList), maxListed)] {
			fmt.Fprintf(c.err, "  %s: %s\n", printable(f.Path), printable(f.Text))
		}
		if rest := p.Failures - int64(min(len(p.FailureList), maxListed)); rest > 0 {
			fmt.Fprintf(c.err, "  and %s more\n", thousands(rest))
		}
	}
	return nil
}

type runJSON struct {
	ID         string           `json:"id"`
	Kind       string           `json:"kind"`
	Trigger    string           `json:"trigger"`
	Policy     string           `json:"policy,omitempty"`
	State      string           `json:"state"`
	Cancelling bool             `json:"cancelling"`
	Device     nameJSON         `json:"device"`
	Of         *nameJSON        `json:"application,omitempty"` // absent: files of the device
	Part       string           `json:"part,omitempty"`        // of the application: database, media, full
	CreatedAt  time.Time        `json:"createdAt"`
	DueAt      time.Time        `json:"dueAt"`
	DeadlineAt time.Time        `json:"deadlineAt"`
	StartedAt  time.Time        `json:"startedAt,omitzero"`
	EndedAt    time.Time        `json:"endedAt,omitzero"`
	Attempts   int              `json:"attempts"`
	Phase      string           `json:"phase"`
	Files      int64            `json:"files"`
	Bytes      int64            `json:"bytes"`
	TotalFiles int64            `json:"totalFiles"`
	TotalBytes int64            `json:"totalBytes"`
	Uploaded   int64            `json:"uploadedBytes"`
	Problems   int64            `json:"problems"`
	Causes     map[string]int64 `json:"causes"`
	Snapshot   string           `json:"snapshot,omitempty"`
	Code       string           `json:"code,omitempty"`
	Text       string           `json:"text,omitempty"`
	Note       string           `json:"note,omitempty"`   // what the device said to its owner of a failure
	Report     *reportJSON      `json:"report,omitempty"` // likewise, of a restore
}

type nameJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type reportJSON struct {
	Files       int64         `json:"files"`
	Dirs        int64         `json:"dirs"`
	Others      int64         `json:"others"`
	Bytes       int64         `json:"bytes"`
	Skipped     int64         `json:"skipped"`
	Failures    int64         `json:"failures"`
	FailureList []problemJSON `json:"failureList"`
	Error       string        `json:"error,omitempty"`
	Started     time.Time     `json:"started"`
	Finished    time.Time     `json:"finished"`
}

func runOf(r *remote.Run) runJSON {
	p := r.Progress
	v := runJSON{ID: r.ID.String(), Kind: strings.ToLower(r.Kind), Trigger: strings.ToLower(r.Trigger), Policy: r.Policy, State: strings.ToLower(r.State),
		Cancelling: r.Cancelling, Device: nameJSON{r.Device.String(), r.DeviceName}, CreatedAt: r.CreatedAt, DueAt: r.DueAt, DeadlineAt: r.DeadlineAt,
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, Attempts: r.Attempts, Phase: p.Phase, Files: p.Files, Bytes: p.Bytes, TotalFiles: p.TotalFiles,
		TotalBytes: p.TotalBytes, Uploaded: p.UploadedBytes, Problems: p.Problems, Causes: r.Causes, Code: r.Code, Text: r.Text}
	if v.Causes == nil {
		v.Causes = map[string]int64{}
	}
	if !r.Snapshot.IsZero() {
		v.Snapshot = r.Snapshot.String()
	}
	if !r.Application.IsZero() {
		v.Of, v.Part = &nameJSON{r.Application.String(), r.ApplicationName}, r.Part
	}
	return v
}

func reportOf(p *order.Report) *reportJSON {
	v := &reportJSON{Files: p.Files, Dirs: p.Dirs, Others: p.Others, Bytes: p.Bytes, Skipped: p.Skipped, Failures: p.FailureCount,
		FailureList: []problemJSON{}, Error: p.Error, Started: p.Started, Finished: p.Finished}
	for _, f := range p.Failures[:min(len(p.Failures), maxListedJSON)] {
		v.FailureList = append(v.FailureList, problemJSON{Path: agent.LocalPath(f.Path), Text: f.Text})
	}
	return v
}
