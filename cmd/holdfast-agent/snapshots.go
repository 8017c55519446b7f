package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func snapshotsCommand() *command {
	var w which
	var limit int
	return &command{
		name: "snapshots", summary: "list the account's snapshots, newest first", max: 0,
		long: "Those of files. --application lists the backups of an application, as holdfast-agent app backups does.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&w.device, "device", "", "only those of this device")
			fs.StringVar(&w.application, "application", "", "the backups of this application")
			fs.IntVarP(&limit, "limit", "n", 0, "at most so many (default: all)")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			if limit < 0 {
				return usagef("--limit %d makes no sense", limit)
			}
			if err := w.check(); err != nil {
				return err
			}
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			if w.application != "" {
				return c.backupsOf(a, w.application, limit)
			}
			of, err := c.ofDevice(a, w.device, nil)
			if err != nil {
				return err
			}
			var list []*agent.Snapshot
			err = a.Snapshots(c.ctx, of, func(s *agent.Snapshot) (bool, error) {
				list = append(list, s)
				return limit == 0 || len(list) < limit, nil
			})
			if err != nil {
				return err
			}
			err = c.snapshots(list)
			c.alsoApplications(a)
			return err
		},
	}
}

// alsoApplications says that there are backups which a list of files does not show.
func (c *call) alsoApplications(a *agent.Account) {
	apps, err := a.Client.Applications(c.ctx)
	if err != nil || len(apps) == 0 {
		return
	}
	names := make([]string, 0, len(apps))
	for _, v := range apps[:min(len(apps), 5)] {
		names = append(names, printable(v.Name))
	}
	if len(apps) > len(names) {
		names = append(names, "…")
	}
	c.remark("Backups of applications (%s) are not among them: --application NAME lists those.", strings.Join(names, ", "))
}

func (c *call) snapshots(list []*agent.Snapshot) error {
	var bad *agent.Snapshot
	ids := make([]id.Snapshot, len(list))
	out := make([]snapshotJSON, len(list))
	for i, s := range list {
		ids[i], out[i] = s.ID, snapshotOf(s)
		if s.Err != nil {
			bad = s
		}
	}
	n := agent.ShortIDs(ids)
	if c.json {
		if err := c.print(map[string]any{"snapshots": out}); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tDATE\tDEVICE\tFILES\tSIZE\tNEW\t")
		for i, s := range list {
			remark := ""
			if s.Err != nil {
				remark = "DAMAGED"
			} else if s.Problems > 0 {
				remark = thousands(s.Problems) + " unreadable"
			}
			if !s.PinnedAt.IsZero() {
				remark = strings.TrimPrefix(remark+", pinned", ", ")
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", agent.ShortID(s.ID, n), stamp(s.CreatedAt), printable(out[i].Device.Name), thousands(out[i].Files), agent.Size(out[i].Bytes), agent.Size(s.UploadedBytes), remark)
		}
		t.Flush()
		if len(list) == 0 {
			c.remark("There is no snapshot yet.")
		}
	}
	if bad != nil {
		c.remark("%s", agent.Sentence(bad.Err))
		return warning{}
	}
	return nil
}

type snapshotJSON struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	Device    struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"device"`
	Hostname      string    `json:"hostname,omitempty"`
	OS            string    `json:"os,omitempty"`
	Roots         []string  `json:"roots"`
	Started       time.Time `json:"started,omitzero"`
	Finished      time.Time `json:"finished,omitzero"`
	Files         int64     `json:"files"`
	Dirs          int64     `json:"dirs"`
	Bytes         int64     `json:"bytes"`
	UploadedBytes int64     `json:"uploadedBytes"`
	Problems      int64     `json:"problems"`
	AgentVersion  string    `json:"agentVersion,omitempty"`
	Scheduled     bool      `json:"scheduled"` // made for a policy: rules may delete it
	Pinned        bool      `json:"pinned"`
	Error         string    `json:"error,omitempty"`
}

// snapshotOf prefers what the device sealed to what the server says.
func snapshotOf(s *agent.Snapshot) snapshotJSON {
	v := snapshotJSON{ID: s.ID.String(), CreatedAt: s.CreatedAt.UTC(), Files: s.Files, Bytes: s.Bytes, UploadedBytes: s.UploadedBytes, Problems: s.Problems, Roots: []string{},
		Scheduled: s.Scheduled, Pinned: !s.PinnedAt.IsZero()}
	v.Device.ID, v.Device.Name = s.Device.String(), s.DeviceName
	if s.Err != nil {
		v.Error = agent.Sentence(s.Err)
		return v
	}
	m := s.Manifest
	v.Hostname, v.OS, v.Started, v.Finished, v.AgentVersion = m.Hostname, m.OS, m.Started.UTC(), m.Finished.UTC(), m.AgentVersion
	v.Files, v.Dirs, v.Bytes, v.Problems = m.Files, m.Dirs, m.Bytes, m.ProblemCount
	v.Roots = append(v.Roots, m.Roots...)
	return v
}
