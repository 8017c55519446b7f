package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/vault/remote"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// named makes a command that does something to the snapshot that its argument names.
func named(name, summary, long string, do func(c *call, a *agent.Account, s *agent.Snapshot) error) *command {
	var w which
	return &command{
		name: name, args: "SNAP", summary: summary, long: strings.TrimSpace(long + "\n\n" + snapUsage), min: 1, max: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			w.flags(fs)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			a, s, err := c.snapshot(w)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			return do(c, a, s)
		},
	}
}

func pinCommand() *command {
	return named("pin", "keep a snapshot from being deleted", "A pinned snapshot is deleted by no rule and by nobody, until it is unpinned.",
		func(c *call, a *agent.Account, s *agent.Snapshot) error { return c.pin(a, s, true) })
}

func unpinCommand() *command {
	return named("unpin", "let go of a pinned snapshot", "",
		func(c *call, a *agent.Account, s *agent.Snapshot) error { return c.pin(a, s, false) })
}

func (c *call) pin(a *agent.Account, s *agent.Snapshot, pinned bool) error {
	after, err := a.Client.PinSnapshot(c.ctx, s.ID, pinned)
	if err != nil {
		return err
	}
	if c.json {
		return c.print(keptOf(after))
	}
	word := "pinned: nothing deletes it"
	if !pinned {
		word = "no longer pinned"
	}
	fmt.Fprintf(c.out, "%s is %s.\n", called(s), word)
	return nil
}

func deleteCommand() *command {
	return named("delete", "delete a snapshot; for some days it can be taken back",
		"The files of other snapshots are not touched, whatever they share with it. No device can do this by itself.",
		func(c *call, a *agent.Account, s *agent.Snapshot) error {
			if err := a.Client.DeleteSnapshot(c.ctx, s.ID); err != nil {
				return err
			}
			after, err := a.FindDeleted(c.ctx, s.ID.String())
			if err != nil {
				return err
			}
			if c.json {
				return c.print(keptOf(after.Snapshot))
			}
			fmt.Fprintf(c.out, "%s is deleted.\n", called(s))
			c.remark("Until %s it can be taken back: holdfast-agent undelete %s", stamp(after.PurgeAfter), agent.ShortID(s.ID, 10))
			return nil
		})
}

func undeleteCommand() *command {
	return &command{
		name: "undelete", args: "[SNAP]", summary: "take a deletion back; without SNAP, list what can be", max: 1, flags: unlockFlags,
		run: func(c *call) error {
			a, _, err := c.unlock()
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			if len(c.args) == 0 {
				return c.deleted(a)
			}
			s, err := a.FindDeleted(c.ctx, c.args[0])
			if err != nil {
				return err
			}
			after, err := a.Client.RestoreDeletedSnapshot(c.ctx, s.ID)
			if err != nil {
				return err
			}
			if c.json {
				return c.print(keptOf(after))
			}
			fmt.Fprintf(c.out, "%s is back.\n", called(s))
			return nil
		},
	}
}

// deleted lists what can be taken back.
func (c *call) deleted(a *agent.Account) error {
	list, err := a.Deleted(c.ctx)
	if err != nil {
		return err
	}
	if c.json {
		out := make([]keptJSON, len(list))
		for i, s := range list {
			out[i] = keptOf(s.Snapshot)
		}
		return c.print(map[string]any{"snapshots": out})
	}
	ids := make([]id.Snapshot, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	n := agent.ShortIDs(ids)
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tDATE\tOF\tFILES\tSIZE\tDELETED\tGONE AFTER")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", agent.ShortID(s.ID, n), stamp(s.CreatedAt), printable(whose(s.Snapshot)), thousands(s.Files), agent.Size(s.Bytes), stamp(s.DeletedAt), stamp(s.PurgeAfter))
	}
	t.Flush()
	if len(list) == 0 {
		c.remark("No deletion can be taken back.")
	}
	return nil
}

// keptJSON is how long a snapshot is kept.
type keptJSON struct {
	ID         string    `json:"id"`
	CreatedAt  time.Time `json:"createdAt"`
	Device     nameJSON  `json:"device"`
	Of         *nameJSON `json:"application,omitempty"` // absent: files of the device
	Files      int64     `json:"files"`
	Bytes      int64     `json:"bytes"`
	Pinned     bool      `json:"pinned"`
	DeletedAt  time.Time `json:"deletedAt,omitzero"`
	PurgeAfter time.Time `json:"purgeAfter,omitzero"` // until then a deletion can be taken back
}

func keptOf(s *remote.Snapshot) keptJSON {
	v := keptJSON{ID: s.ID.String(), CreatedAt: s.CreatedAt, Device: nameJSON{s.Device.String(), s.DeviceName}, Files: s.Files, Bytes: s.Bytes,
		Pinned: !s.PinnedAt.IsZero(), DeletedAt: s.DeletedAt, PurgeAfter: s.PurgeAfter}
	if s.Label != nil {
		v.Of = &nameJSON{s.Label.Application.String(), s.Label.Name}
	}
	return v
}
