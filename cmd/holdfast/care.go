//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func migrateCommand() *command {
	return &command{
		name: "migrate", args: "(--database-url URL [--store URL] | --data DIR)",
		summary: "bring the database up to date, and make the store on the first start",
		flags: func(fs *pflag.FlagSet, c *call) {
			toolFlags(fs, c)
			logFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			in, err := c.openTool(ctx, true)
			if err != nil {
				return err
			}
			defer in.close()
			return c.print(map[string]bool{"current": true}, func(w io.Writer) { fmt.Fprintln(w, "The database is up to date.") })
		},
	}
}

type scrubFlags struct {
	all       bool
	olderThan time.Duration
}

func scrubCommand() *command {
	return &command{
		name: "scrub", args: "[--all | --older-than DURATION]",
		summary: "read packs again and report what is damaged or lost; deletes nothing",
		long: `
Compares the store with the index, and the bytes of packs with their names. Whatever is wrong is marked, so that
the next backup of each device sends again what it still has; with a replica (--replicas) they are fetched back from there at
once. It may run at any time, beside anything.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.BoolVar(&c.scrub.all, "all", false, "read every pack, however recently it was verified")
			fs.DurationVar(&c.scrub.olderThan, "older-than", depot.VerifyEvery, "read packs that were not verified for this `DURATION`")
			toolFlags(fs, c)
		},
		run: func(ctx context.Context, c *call) error {
			if c.scrub.all {
				c.scrub.olderThan = 0
			} else if c.scrub.olderThan <= 0 {
				return usagef("--older-than %s: want a time such as 24h; --all reads everything", c.scrub.olderThan)
			}
			return c.report(ctx, func(in *installation, progress func(catalog.Report)) (catalog.Report, error) {
				return in.Catalog.Scrub(ctx, actor.System(), c.scrub.olderThan, progress)
			})
		},
	}
}

func rebuildIndexCommand() *command {
	return &command{
		name:    "rebuild-index",
		summary: "restore the object index and the list of snapshots from the store alone",
		long:    "Adds what the index lacks and marks what the store lacks; removes nothing. It may run beside a running server.",
		flags:   toolFlags,
		run: func(ctx context.Context, c *call) error {
			return c.report(ctx, func(in *installation, progress func(catalog.Report)) (catalog.Report, error) {
				return in.Catalog.RebuildIndex(ctx, actor.System(), progress)
			})
		},
	}
}

// report runs a walk over the store and prints what it did and found. Finding damage is a failure.
func (c *call) report(ctx context.Context, walk func(*installation, func(catalog.Report)) (catalog.Report, error)) error {
	in, err := c.openStored(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	progress, done := c.progress()
	r, err := walk(in, progress)
	done()
	if err != nil {
		return err
	}
	out := found(r)
	if err := c.print(out, out.write); err != nil {
		return err
	}
	if out.bad() {
		return failed{}
	}
	return nil
}

// progress returns what shows on a terminal how far a walk over the store is, and what takes the line away again.
func (c *call) progress() (show func(catalog.Report), done func()) {
	if !isTerminal(c.err) || c.json {
		return nil, func() {}
	}
	return func(r catalog.Report) { fmt.Fprintf(c.err, "\r\033[K%d packs seen, %d verified", r.Packs, r.Verified) },
		func() { fmt.Fprint(c.err, "\r\033[K") }
}

func found(r catalog.Report) findings {
	out := findings{
		Packs: r.Packs, Verified: r.Verified, BytesRead: r.BytesRead, Adopted: r.Adopted, Objects: r.Objects, Healed: r.Healed, Mended: r.Mended,
		Damaged: r.Damaged, Missing: r.Missing, Foreign: r.Foreign, Snapshots: r.Snapshots, Restored: r.Restored, Incomplete: r.Incomplete,
		Problems: []problem{},
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, problem(p))
	}
	return out
}

// findings is a [catalog.Report] as it is printed.
type findings struct {
	Packs      int64     `json:"packs"`
	Verified   int64     `json:"verified"`
	BytesRead  int64     `json:"bytes_read"`
	Adopted    int64     `json:"adopted"`
	Objects    int64     `json:"objects"`
	Healed     int64     `json:"healed"`
	Mended     int64     `json:"mended"`
	Damaged    int64     `json:"damaged"`
	Missing    int64     `json:"missing"`
	Foreign    int64     `json:"foreign"`
	Snapshots  int64     `json:"snapshots"`
	Restored   int64     `json:"restored"`
	Incomplete int64     `json:"incomplete"`
	Problems   []problem `json:"problems"`
}

type problem struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func (f findings) bad() bool { return f.Damaged+f.Missing+f.Incomplete > 0 }

func (f findings) write(w io.Writer) {
	fmt.Fprintf(w, "%d packs seen, %d verified, %d bytes read.\n", f.Packs, f.Verified, f.BytesRead)
	for _, line := range []struct {
		n    int64
		text string
	}{
		{f.Adopted, "packs that the index did not know were added"},
		{f.Objects, "objects were added to the index"},
		{f.Restored, "snapshots were added"},
		{f.Healed, "packs are right again"},
		{f.Mended, "packs were fetched back from a replica"},
		{f.Damaged, "packs are DAMAGED"},
		{f.Missing, "packs are LOST"},
		{f.Incomplete, "snapshots are INCOMPLETE"},
		{f.Foreign, "files in the store are none of Holdfast's"},
	} {
		if line.n > 0 {
			fmt.Fprintf(w, "%d %s.\n", line.n, line.text)
		}
	}
	for _, p := range f.Problems {
		fmt.Fprintf(w, "  %s: %s\n", p.Name, p.Text)
	}
	if f.bad() {
		fmt.Fprintln(w, "The next backup of each device sends again what it still has.")
	} else {
		fmt.Fprintln(w, "Nothing is damaged.")
	}
}

func doctorCommand() *command {
	return &command{
		name: "doctor", summary: "look whether everything is as it should be, and say what to do if not",
		flags: toolFlags,
		run: func(ctx context.Context, c *call) error {
			in, err := c.openTool(ctx, false)
			if err != nil {
				return err
			}
			defer in.close()
			checks, err := in.Doctor(ctx, actor.System())
			if err != nil {
				return err
			}
			checks = append(in.machine(), checks...)
			type line struct {
				Name string `json:"name"`
				OK   bool   `json:"ok"`
				Text string `json:"text"`
			}
			lines, fine := []line{}, true
			for _, check := range checks {
				lines, fine = append(lines, line(check)), fine && check.OK
			}
			err = c.print(map[string]any{"ok": fine, "checks": lines}, func(w io.Writer) {
				for _, l := range lines {
					mark := "ok   "
					if !l.OK {
						mark = "WRONG"
					}
					fmt.Fprintf(w, "%s  %-10s %s\n", mark, l.Name, l.Text)
				}
			})
			if err == nil && !fine {
				err = failed{}
			}
			return err
		},
	}
}

// tight is the least free space in bytes that is not worth a word: two hours of a fast first backup.
const tight = 10 << 30

// machine looks at what the depot does not see: the files of this machine.
func (in *installation) machine() []depot.Check {
	var checks []depot.Check
	if in.data != "" {
		running := depot.Check{Name: "service", OK: in.running, Text: "holdfast up is running"}
		if !in.running {
			running.Text = "holdfast up is not running on " + in.data + ": start it"
		}
		checks = append(checks, running, space("data", in.data))
		if info, err := os.Stat(filepath.Join(in.data, "secret")); err == nil {
			c := depot.Check{Name: "secret", OK: info.Mode().Perm()&0o077 == 0, Text: "only its owner can read it"}
			if !c.OK {
				c.Text = "others can read " + filepath.Join(in.data, "secret") + ": run chmod 600 on it"
			}
			checks = append(checks, c)
		}
	}
	if folder, ok := strings.CutPrefix(in.store, "file://"); ok {
		checks = append(checks, space("room", folder))
	}
	return checks
}

// space looks at the room that is left in a folder.
func space(name, folder string) depot.Check {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return depot.Check{Name: name, Text: fmt.Sprintf("%s: %v", folder, err)}
	}
	free, all := int64(fs.Bavail)*int64(fs.Bsize), int64(fs.Blocks)*int64(fs.Bsize)
	c := depot.Check{Name: name, OK: free > min(tight, all/20), Text: fmt.Sprintf("%.1f GiB of %.1f GiB are free in %s", gib(free), gib(all), folder)}
	if !c.OK {
		c.Text = "only " + c.Text + ": make room before backups fail"
	}
	return c
}

func gib(n int64) float64 { return float64(n) / (1 << 30) }

func versionCommand() *command {
	return &command{
		name: "version", summary: "print the version",
		run: func(_ context.Context, c *call) error {
			v := map[string]any{
				"version": proto.Version, "protocol": proto.Protocol, "min_protocol": proto.MinProtocol,
				"go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH,
			}
			return c.print(v, func(w io.Writer) {
				fmt.Fprintf(w, "holdfast %s (agent protocols %d to %d, %s, %s/%s)\n", proto.Version, proto.MinProtocol, proto.Protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			})
		},
	}
}
