package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// ofDevice returns the device that --device names, or this one, or none.
func (c *call) ofDevice(a *agent.Account, name string, this *state.Device) (id.Device, error) {
	if name != "" {
		d, err := a.FindDevice(c.ctx, name)
		if err != nil {
			return id.Device{}, err
		}
		return d.ID, nil
	}
	if this != nil {
		return this.ID, nil
	}
	return id.Device{}, nil
}

func snapshotsCommand() *command {
	var device string
	var limit int
	return &command{
		name: "snapshots", summary: "list the account's snapshots, newest first", max: 0,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&device, "device", "", "only those of this device")
			fs.IntVarP(&limit, "limit", "n", 0, "at most so many (default: all)")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			if limit < 0 {
				return usagef("--limit %d makes no sense", limit)
			}
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			of, err := c.ofDevice(a, device, nil)
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
			return c.snapshots(list)
		},
	}
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
	Error         string    `json:"error,omitempty"`
}

// snapshotOf prefers what the device sealed to what the server says.
func snapshotOf(s *agent.Snapshot) snapshotJSON {
	v := snapshotJSON{ID: s.ID.String(), CreatedAt: s.CreatedAt.UTC(), Files: s.Files, Bytes: s.Bytes, UploadedBytes: s.UploadedBytes, Problems: s.Problems, Roots: []string{}}
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

// snapshot opens the account and the snapshot that the first argument names.
func (c *call) snapshot(device string) (*agent.Account, *agent.Snapshot, error) {
	a, this, err := c.unlock()
	if err != nil {
		return nil, nil, err
	}
	of, err := c.ofDevice(a, device, this)
	if err == nil {
		var s *agent.Snapshot
		if s, err = a.FindSnapshot(c.ctx, c.args[0], of); err == nil {
			return a, s, nil
		}
	}
	a.Close(c.ctx)
	return nil, nil, err
}

const deviceUsage = "whose latest snapshot is meant (default: this device's)"

func lsCommand() *command {
	var device string
	var recursive bool
	return &command{
		name: "ls", args: "SNAP [PATH]", summary: "list a folder of a snapshot", min: 1, max: 2,
		long: "SNAP is an id, the beginning of one, or latest.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVarP(&recursive, "recursive", "r", false, "list what lies deeper, too")
			fs.StringVar(&device, "device", "", deviceUsage)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			a, s, err := c.snapshot(device)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			at := ""
			if len(c.args) > 1 {
				at = c.args[1]
			}
			if c.json {
				out, err := newArray(c.out, map[string]any{"snapshot": s.ID}, "entries")
				if err != nil {
					return err
				}
				if err := a.List(c.ctx, s, at, recursive, func(e *tree.Entry) error { return out.add(entryOf(e)) }); err != nil {
					return err
				}
				return out.close()
			}
			return a.List(c.ctx, s, at, recursive, func(e *tree.Entry) error {
				name := e.Base()
				if recursive {
					name = agent.LocalPath(e.Path)
				}
				if e.Type == tree.Symlink {
					name += " -> " + e.Link
				}
				_, err := fmt.Fprintf(c.out, "%s %-8s %-8s %10s %s %s\n", mode(e), owner(e.User, e.UID), owner(e.Group, e.GID), sizeOf(e), stamp(time.Unix(0, e.ModTime)), printable(name))
				return err
			})
		},
	}
}

func findCommand() *command {
	var device, snap string
	return &command{
		name: "find", args: "PATTERN", summary: "look for files in the newest snapshot of each device", min: 1, max: 1,
		long: "PATTERN is a part of a name in any case, or a glob such as '*.docx'. With a slash in it, it is about the whole path.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&snap, "snapshot", "", "look in this snapshot")
			fs.StringVar(&device, "device", "", "look in this device's newest snapshot")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			match, err := agent.Pattern(c.args[0])
			if err != nil {
				return err
			}
			a, this, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			var list []*agent.Snapshot
			var of id.Device
			if device != "" || snap != "" {
				if of, err = c.ofDevice(a, device, this); err != nil {
					return err
				}
			}
			if snap != "" {
				s, err := a.FindSnapshot(c.ctx, snap, of)
				if err != nil {
					return err
				}
				list = append(list, s)
			} else if list, err = a.Newest(c.ctx, of); err != nil {
				return err
			}
			var out *array
			if c.json {
				if out, err = newArray(c.out, nil, "matches"); err != nil {
					return err
				}
			}
			n := 0
			for _, s := range list {
				err := a.Tree(s).Search(c.ctx, match, func(e *tree.Entry) error {
					n++
					if out != nil {
						return out.add(struct {
							Snapshot string `json:"snapshot"`
							Device   string `json:"device"`
							*entryJSON
						}{s.ID.String(), s.DeviceName, entryOf(e)})
					}
					_, err := fmt.Fprintf(c.out, "%s  %s  %10s  %s  %s\n", agent.ShortID(s.ID, 10), printable(s.DeviceName), agent.Size(e.Size), stamp(time.Unix(0, e.ModTime)), printable(agent.LocalPath(e.Path)))
					return err
				})
				if err != nil {
					return err
				}
			}
			if out != nil {
				return out.close()
			}
			if n == 0 {
				c.remark("Nothing matches.")
			}
			return nil
		},
	}
}

func diffCommand() *command {
	var device string
	return &command{
		name: "diff", args: "SNAP SNAP", summary: "list what changed from one snapshot to another", min: 2, max: 2,
		long: "+ was added, - was removed, M was modified.",
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&device, "device", "", deviceUsage)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			a, before, err := c.snapshot(device)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			after, err := a.FindSnapshot(c.ctx, c.args[1], before.Device)
			if err != nil {
				return err
			}
			var out *array
			if c.json {
				if out, err = newArray(c.out, map[string]any{"before": before.ID, "after": after.ID}, "changes"); err != nil {
					return err
				}
			}
			err = a.Diff(c.ctx, before, after, func(k tree.Change) error {
				if out != nil {
					return out.add(struct {
						Change string     `json:"change"`
						Before *entryJSON `json:"before,omitempty"`
						After  *entryJSON `json:"after,omitempty"`
					}{changeWord(k), entryOf(k.Before), entryOf(k.After)})
				}
				return c.changed(k)
			})
			if err != nil {
				return err
			}
			if out != nil {
				return out.close()
			}
			return nil
		},
	}
}

func changeWord(k tree.Change) string {
	switch {
	case k.Before == nil:
		return "added"
	case k.After == nil:
		return "removed"
	}
	return "modified"
}

// changed prints one line of a diff.
func (c *call) changed(k tree.Change) error {
	mark, sizes, e := "M", "", k.After
	switch {
	case k.Before == nil:
		mark, sizes = "+", sizeOf(k.After)
	case k.After == nil:
		mark, sizes, e = "-", sizeOf(k.Before), k.Before
	default:
		if sizes = sizeOf(k.After); sizeOf(k.Before) != sizes {
			sizes = sizeOf(k.Before) + " -> " + sizes
		}
	}
	_, err := fmt.Fprintf(c.out, "%s %10s  %s\n", mark, sizes, printable(agent.LocalPath(e.Path)))
	return err
}

// sizeOf writes the size of what has one.
func sizeOf(e *tree.Entry) string {
	if e.Type != tree.File {
		return "-"
	}
	return agent.Size(e.Size)
}

func verifyCommand() *command {
	var device, sample string
	return &command{
		name: "verify", args: "SNAP", summary: "read a snapshot and check every byte of it, writing nothing", min: 1, max: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&sample, "sample", "100%", "check the whole tree, and this part of the files' content, chosen at random")
			fs.StringVar(&device, "device", "", deviceUsage)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			part, err := percent(sample)
			if err != nil {
				return err
			}
			a, s, err := c.snapshot(device)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			r, err := a.Verify(c.ctx, s, agent.ReadInput{Sample: part, OnProgress: c.reading("verify")})
			c.bar.done()
			if err != nil {
				return err
			}
			if c.json {
				if err := c.print(restoredOf(s, r)); err != nil {
					return err
				}
			} else if r.FailureCount == 0 {
				fmt.Fprintf(c.out, "Snapshot %s is sound: %s of %s files (%s) checked in %s.\n", agent.ShortID(s.ID, 10), sample, thousands(r.Files), agent.Size(r.Bytes), round(r.Duration))
			}
			if r.FailureCount > 0 {
				c.failures(r, "is damaged", "are damaged")
				return failed{}
			}
			return nil
		},
	}
}

// reading returns a progress function that draws a bar.
func (c *call) reading(phase string) func(restore.Progress) {
	c.bar = c.newBar()
	return func(p restore.Progress) {
		c.bar.show(step{phase: phase, files: p.Files, bytes: p.Bytes, all: p.TotalBytes, problems: p.Failures, problemsAre: "failed"})
	}
}

func (c *call) failures(r restore.Result, one, many string) {
	verb := many
	if r.FailureCount == 1 {
		verb = one
	}
	fmt.Fprintf(c.err, "%s %s:\n", count(r.FailureCount, "entry", "entries"), verb)
	for _, f := range r.Failures[:min(len(r.Failures), maxListed)] {
		fmt.Fprintf(c.err, "  %s: %s\n", printable(agent.LocalPath(f.Path)), agent.Sentence(f.Err))
	}
	if rest := r.FailureCount - int64(min(len(r.Failures), maxListed)); rest > 0 {
		fmt.Fprintf(c.err, "  and %s more\n", thousands(rest))
	}
}

type restoredJSON struct {
	Snapshot        string        `json:"snapshot"`
	Files           int64         `json:"files"`
	Dirs            int64         `json:"dirs"`
	Others          int64         `json:"others"`
	Bytes           int64         `json:"bytes"`
	Skipped         int64         `json:"skipped"`
	Objects         int64         `json:"objects"`
	ReadBytes       int64         `json:"readBytes"`
	Failures        int64         `json:"failures"`
	FailureList     []problemJSON `json:"failureList"`
	DurationSeconds float64       `json:"durationSeconds"`
}

func restoredOf(s *agent.Snapshot, r restore.Result) restoredJSON {
	v := restoredJSON{Snapshot: s.ID.String(), Files: r.Files, Dirs: r.Dirs, Others: r.Others, Bytes: r.Bytes, Skipped: r.Skipped,
		Objects: r.Objects, ReadBytes: r.ReadBytes, Failures: r.FailureCount, FailureList: []problemJSON{}, DurationSeconds: r.Duration.Seconds()}
	for _, f := range r.Failures[:min(len(r.Failures), maxListedJSON)] {
		v.FailureList = append(v.FailureList, problemJSON{Path: agent.LocalPath(f.Path), Text: agent.Sentence(f.Err)})
	}
	return v
}

func restoreCommand() *command {
	var device, to, conflict string
	var paths, ext []string
	var sync bool
	return &command{
		name: "restore", args: "SNAP|latest --to DIR", summary: "bring files back", min: 1, max: 1,
		long: `Everything is restored under DIR with its whole path: /home/ada/x becomes DIR/home/ada/x. Every byte is checked
before a file gets its name. A restore that was interrupted continues when it is run again.

A file that exists and is the same (size and time) is left alone. --conflict says what becomes of one that is not:
skip leaves it, overwrite replaces it, keep-both restores beside it.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&to, "to", "", "folder to restore to")
			fs.StringArrayVar(&paths, "path", nil, "only this file or folder (repeatable)")
			fs.StringSliceVar(&ext, "ext", nil, "only files with these extensions, such as .docx,.pdf")
			fs.StringVar(&conflict, "conflict", "skip", "skip, overwrite or keep-both")
			fs.BoolVar(&sync, "sync", false, "report success only when everything has reached the disk, against a power cut")
			fs.StringVar(&device, "device", "", deviceUsage)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			rule, ok := map[string]restore.Conflict{"skip": restore.Skip, "overwrite": restore.Overwrite, "keep-both": restore.KeepBoth}[conflict]
			if !ok {
				return usagef("--conflict %s: want skip, overwrite or keep-both", conflict)
			}
			if to == "" {
				return usagef("say where to restore to: --to DIR")
			}
			exts, err := extensions(ext)
			if err != nil {
				return err
			}
			a, s, err := c.snapshot(device)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			r, err := a.Restore(c.ctx, s, agent.ReadInput{Paths: paths, Extensions: exts, Conflict: rule, To: to, Sync: sync, OnProgress: c.reading("restore")})
			c.bar.done()
			if err != nil {
				return err
			}
			return c.restored(s, r, to, rule == restore.Skip && c.flags.Changed("conflict"))
		},
	}
}

// restored reports. asked says that --conflict skip was given: then a file that was left alone because another is in
// its place is what was wanted, and no failure.
func (c *call) restored(s *agent.Snapshot, r restore.Result, to string, asked bool) error {
	left := int64(0)
	if asked {
		rest := r.Failures[:0:0]
		for _, f := range r.Failures {
			if errors.Is(f.Err, fault.Conflict) {
				left++
			} else {
				rest = append(rest, f)
			}
		}
		r.Failures, r.FailureCount, r.Skipped = rest, r.FailureCount-left, r.Skipped+left
	}
	if c.json {
		if err := c.print(restoredOf(s, r)); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, "Restored %s (%s) to %s in %s.\n", count(r.Files, "file", "files"), agent.Size(r.Bytes), to, round(r.Duration))
		if same := r.Skipped - left; same > 0 {
			fmt.Fprintf(c.out, "%s there already, unchanged.\n", count(same, "file was", "files were"))
		}
		if left > 0 {
			fmt.Fprintf(c.out, "%s left alone: something else is there.\n", count(left, "file was", "files were"))
		}
	}
	if r.FailureCount == 0 {
		return nil
	}
	c.failures(r, "was not restored", "were not restored")
	if r.Files+r.Others+r.Skipped == 0 {
		return failed{}
	}
	return warning{}
}
