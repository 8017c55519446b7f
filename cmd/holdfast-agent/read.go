package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/tree"
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
