package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func lsCommand() *command {
	var w which
	var recursive bool
	return &command{
		name: "ls", args: "SNAP [PATH]", summary: "list a folder of a snapshot", min: 1, max: 2,
		long: snapUsage,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVarP(&recursive, "recursive", "r", false, "list what lies deeper, too")
			w.flags(fs)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			a, s, err := c.snapshot(w)
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
	var w which
	var snap string
	return &command{
		name: "find", args: "PATTERN", summary: "look for files in the newest snapshot of each device", min: 1, max: 1,
		long: `PATTERN is a part of a name in any case, or a glob such as '*.docx'. With a slash in it, it is about the whole path.
Applications are looked into with --application, or with --snapshot and the id of a backup.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&snap, "snapshot", "", "look in this snapshot")
			fs.StringVar(&w.device, "device", "", "look in this device's newest snapshot")
			fs.StringVar(&w.application, "application", "", "look in this application's newest backup")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			match, err := agent.Pattern(c.args[0])
			if err == nil {
				err = w.check()
			}
			if err != nil {
				return err
			}
			a, this, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			list, err := c.searched(a, this, w, snap)
			if err != nil {
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
							Of       string `json:"application,omitempty"`
							*entryJSON
						}{s.ID.String(), s.DeviceName, applicationOf(s.Snapshot), entryOf(e)})
					}
					_, err := fmt.Fprintf(c.out, "%s  %s  %10s  %s  %s\n", agent.ShortID(s.ID, 10), printable(whose(s.Snapshot)), agent.Size(e.Size), stamp(time.Unix(0, e.ModTime)), printable(agent.LocalPath(e.Path)))
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

// searched returns the snapshots that find looks into.
func (c *call) searched(a *agent.Account, this *state.Device, w which, snap string) ([]*agent.Snapshot, error) {
	if snap == "" && w.application == "" {
		of, err := c.ofDevice(a, w.device, nil)
		if err != nil {
			return nil, err
		}
		return a.Newest(c.ctx, of)
	}
	if snap == "" {
		snap = "latest"
	}
	s, err := c.pick(a, this, w, snap)
	if err != nil {
		return nil, err
	}
	return []*agent.Snapshot{s}, nil
}

func diffCommand() *command {
	var w which
	return &command{
		name: "diff", args: "SNAP SNAP", summary: "list what changed from one snapshot to another", min: 2, max: 2,
		long: "+ was added, - was removed, M was modified.\n\n" + snapUsage + "\nThe second latest is of what the first SNAP is of. Both are of files, or both of applications.",
		flags: func(fs *pflag.FlagSet, c *call) {
			w.flags(fs)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			a, before, err := c.snapshot(w)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			after, err := c.later(a, before, w)
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

// later returns the second snapshot of a diff.
func (c *call) later(a *agent.Account, before *agent.Snapshot, w which) (*agent.Snapshot, error) {
	ref := c.args[1]
	if ref == "latest" && before.Label != nil {
		w.application = before.Label.Application.String()
	}
	after, err := c.pick(a, &state.Device{ID: before.Device}, w, ref)
	if err == nil && (before.Label == nil) != (after.Label == nil) {
		err = fault.New(fault.Invalid, "%s holds %s, and %s holds %s: there is nothing to compare", agent.ShortID(before.ID, 10), held(before), agent.ShortID(after.ID, 10), held(after))
	}
	return after, err
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
