package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func verifyCommand() *command {
	var w which
	var sample string
	return &command{
		name: "verify", args: "SNAP", summary: "read a snapshot and check every byte of it, writing nothing", min: 1, max: 1,
		long: snapUsage,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&sample, "sample", "100%", "check the whole tree, and this part of the files' content, chosen at random")
			w.flags(fs)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			part, err := percent(sample)
			if err != nil {
				return err
			}
			a, s, err := c.snapshot(w)
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
				if err := c.print(restoredOf(s.ID.String(), r)); err != nil {
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

func restoredOf(snapshot string, r restore.Result) restoredJSON {
	v := restoredJSON{Snapshot: snapshot, Files: r.Files, Dirs: r.Dirs, Others: r.Others, Bytes: r.Bytes, Skipped: r.Skipped,
		Objects: r.Objects, ReadBytes: r.ReadBytes, Failures: r.FailureCount, FailureList: []problemJSON{}, DurationSeconds: r.Duration.Seconds()}
	for _, f := range r.Failures[:min(len(r.Failures), maxListedJSON)] {
		v.FailureList = append(v.FailureList, problemJSON{Path: agent.LocalPath(f.Path), Text: agent.Sentence(f.Err)})
	}
	return v
}

// conflicts are the rules about files that exist, for a restore here and for one that is ordered.
var conflicts = map[string]struct {
	here    restore.Conflict
	ordered order.Conflict
}{
	order.Skip.String():      {restore.Skip, order.Skip},
	order.Overwrite.String(): {restore.Overwrite, order.Overwrite},
	order.KeepBoth.String():  {restore.KeepBoth, order.KeepBoth},
}

func restoreCommand() *command {
	var w which
	var to, conflict, on string
	var paths, ext []string
	var sync, wait bool
	return &command{
		name: "restore", args: "SNAP|latest (--to DIR | --on DEVICE)", summary: "bring files back", min: 1, max: 1,
		long: `Everything is restored under DIR with its whole path: /home/ada/x becomes DIR/home/ada/x. Every byte is checked
before a file gets its name. A restore that was interrupted continues when it is run again.

A file that exists and is the same (size and time) is left alone. --conflict says what becomes of one that is not:
skip leaves it, overwrite replaces it, keep-both restores beside it.

With --on, the restore is ordered: the service of that device does it, as soon as it hears of it, to where the files
were, or under --to, a folder of that device. The order is sealed for the device, and what came of it for you.

Of a backup of an application this brings the dump and the media into a folder, as they are. To have the application's
machine put it back, behind a safety backup: holdfast-agent app restore.

` + snapUsage,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&to, "to", "", "folder to restore to")
			fs.StringVar(&on, "on", "", "order the restore on this device of yours")
			fs.BoolVar(&wait, "wait", false, "with --on: follow it to its end, and list what could not be restored")
			fs.StringArrayVar(&paths, "path", nil, "only this file or folder (repeatable)")
			fs.StringSliceVar(&ext, "ext", nil, "only files with these extensions, such as .docx,.pdf")
			fs.StringVar(&conflict, "conflict", "skip", "skip, overwrite or keep-both")
			fs.BoolVar(&sync, "sync", false, "report success only when everything has reached the disk, against a power cut")
			w.flags(fs)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			rule, ok := conflicts[conflict]
			if !ok {
				return usagef("--conflict %s: want skip, overwrite or keep-both", conflict)
			}
			switch {
			case to == "" && on == "":
				return usagef("say where to restore to: --to DIR, or --on DEVICE")
			case on != "" && sync:
				return usagef("--sync is for restores on this machine")
			case on == "" && wait:
				return usagef("--wait is for restores that are ordered with --on")
			}
			exts, err := extensions(ext)
			if err != nil {
				return err
			}
			a, s, err := c.snapshot(w)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			if on != "" {
				return c.order(a, s, on, agent.OrderInput{Paths: paths, Extensions: exts, To: to, Conflict: rule.ordered}, wait)
			}
			if s.Label != nil {
				c.remark("This brings the files of the backup, and changes nothing of %q: holdfast-agent app restore %q %s does.", s.Label.Name, s.Label.Name, agent.ShortID(s.ID, 10))
			}
			r, err := a.Restore(c.ctx, s, agent.ReadInput{Paths: paths, Extensions: exts, Conflict: rule.here, To: to, Sync: sync, OnProgress: c.reading("restore")})
			c.bar.done()
			if err != nil {
				return err
			}
			return c.restored(s, r, to, rule.here == restore.Skip && c.flags.Changed("conflict"))
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
		if err := c.print(restoredOf(s.ID.String(), r)); err != nil {
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
