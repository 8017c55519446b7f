//go:build unix

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/id"
)

type gcFlags struct {
	space  string
	dryRun bool
}

func gcCommand() *command {
	return &command{
		name: "gc", args: "[--space ID] [--dry-run]",
		summary: "free the room of what no snapshot needs any more",
		long: `
Purges deleted snapshots that cannot be taken back any more, deletes what nothing refers to, and copies packs that
are mostly dead. Packs that are no longer needed wait in quarantine for a day before their files are removed. The worker
does all of this by itself. It may run at any time, beside anything; spaces into which backups run at the moment are left for later.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&c.gc.space, "space", "", "clean only the space with this `ID`, such as spc_…")
			fs.BoolVar(&c.gc.dryRun, "dry-run", false, "only say what would be done")
			toolFlags(fs, c)
		},
		run: runGC,
	}
}

// cleaned is what became of one space.
type cleaned struct {
	catalog.GCReport
	Error string `json:"error,omitempty"`
}

func runGC(ctx context.Context, c *call) error {
	var only id.Space
	if c.gc.space != "" {
		if err := only.UnmarshalText([]byte(c.gc.space)); err != nil {
			return usagef("--space %s: %v", c.gc.space, err)
		}
	}
	in, err := c.openStored(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	spaces := []id.Space{only}
	if only.IsZero() {
		if spaces, err = in.Catalog.Spaces(ctx, actor.System()); err != nil {
			return err
		}
	}
	list, fine := []cleaned{}, true
	for _, space := range spaces {
		r, err := in.Catalog.Collect(ctx, actor.System(), space, catalog.GCOptions{DryRun: c.gc.dryRun})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		one := cleaned{GCReport: r}
		if one.Space = space; err != nil {
			one.Error = err.Error()
		}
		list, fine = append(list, one), fine && err == nil && r.Damaged == 0
	}
	err = c.print(map[string]any{"dry_run": c.gc.dryRun, "spaces": list}, func(w io.Writer) {
		for _, one := range list {
			one.write(w)
		}
		fmt.Fprintf(w, "%d spaces were looked at.\n", len(list))
	})
	if err == nil && !fine {
		err = failed{}
	}
	return err
}

func (r *cleaned) write(w io.Writer) {
	fmt.Fprintf(w, "%s\n", r.Space)
	for _, line := range []struct {
		n     int64
		text  string
		bytes int64
	}{
		{r.Adopted, "snapshots whose commit had failed at its end were added", 0},
		{r.Purged, "deleted snapshots are past taking back", 0},
		{r.Objects, "objects are not needed any more", r.ObjectBytes},
		{r.Young, "objects wait for a backup that may go on", 0},
		{r.Compacted, "packs were copied without what is dead", r.CompactedBytes},
		{r.Written, "packs came of that", r.WrittenBytes},
		{r.Swept, "packs went into quarantine", r.SweptBytes},
		{r.Unlinked, "packs leave quarantine and the store", r.UnlinkedBytes},
		{r.Damaged, "packs are DAMAGED or LOST", 0},
	} {
		switch {
		case line.n > 0 && line.bytes > 0:
			fmt.Fprintf(w, "  %d %s (%d bytes)\n", line.n, line.text, line.bytes)
		case line.n > 0:
			fmt.Fprintf(w, "  %d %s\n", line.n, line.text)
		}
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  %s: %s\n", p.Name, p.Text)
	}
	if r.Busy {
		fmt.Fprintln(w, "  backups are running: the rest waits until they are over")
	}
	if r.Error != "" {
		fmt.Fprintf(w, "  FAILED: %s\n", r.Error)
	}
}
