package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// maxListed is how many problems are listed for people; all are counted, and --json lists up to 1000.
const (
	maxListed     = 20
	maxListedJSON = 1000
)

var levels = map[string]seal.Level{"default": seal.LevelDefault, "fast": seal.LevelFast, "better": seal.LevelBetter, "none": seal.LevelNone}

func backupCommand() *command {
	var ext, exclude []string
	var maxSize size
	var oneFS, dryRun bool
	var level string
	return &command{
		name: "backup", args: "[PATH…]", summary: "save files and folders now",
		long: `Without PATH, what the policies of this device say is saved, by the service if it runs. With PATH, the flags say what.

Only what changed since the last backup is read, and only what the server does not have is sent. A backup that
was interrupted continues from what it had stored. Files that cannot be read are listed, and the exit code is 3.

Patterns of --exclude are those of .gitignore: a name at any depth, or a path that begins with /.`,
		min: 0, max: -1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringSliceVar(&ext, "ext", nil, "only files with these extensions, such as .docx,.pdf")
			fs.StringArrayVar(&exclude, "exclude", nil, "leave out what matches this pattern (repeatable)")
			fs.Var(&maxSize, "max-size", "leave out files larger than this, such as 2GiB")
			fs.BoolVar(&oneFS, "one-file-system", false, "stay on the file systems of the paths")
			fs.StringVar(&level, "level", "default", "compression: none, fast, default, better")
			fs.BoolVar(&dryRun, "dry-run", false, "count what would be saved, and ask no server")
			connectFlags(fs, c)
		},
		run: func(c *call) error {
			if len(c.args) == 0 {
				for _, name := range []string{"ext", "exclude", "max-size", "one-file-system", "level", "dry-run"} {
					if c.flags.Changed(name) {
						return usagef("--%s is for backups of a PATH: without one, policies say what is saved", name)
					}
				}
				return c.byPolicy()
			}
			l, ok := levels[level]
			if !ok {
				return usagef("--level %s: want none, fast, default or better", level)
			}
			exts, err := extensions(ext)
			if err != nil {
				return err
			}
			in := agent.BackupInput{Paths: c.args, Extensions: exts, Exclude: exclude, MaxSize: int64(maxSize),
				OneFileSystem: oneFS, Level: l, Server: c.adjust}
			if dryRun {
				return c.plan(in)
			}
			return c.backup(in)
		},
	}
}

func (c *call) backup(in agent.BackupInput) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	c.bar = c.newBar()
	in.OnProgress = func(p backup.Progress) {
		c.bar.show(step{phase: p.Phase, files: p.Files, bytes: p.Bytes, all: p.TotalBytes, sent: p.UploadedBytes, problems: p.Problems, problemsAre: "unreadable"})
	}
	r, err := agent.Backup(c.ctx, dir, in)
	c.bar.done()
	return c.backedUp(r, err)
}

// backedUp reports how a backup ended.
func (c *call) backedUp(r backup.Result, err error) error {
	if errors.Is(err, context.Canceled) {
		c.remark("Interrupted. What was stored is kept: the next backup continues from it.")
	}
	if err != nil {
		return err
	}
	if c.json {
		if err := c.print(summaryOf(r)); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, "Snapshot %s: %s, %s in %s.\n", agent.ShortID(r.Snapshot, 10), count(r.Files, "file", "files"), agent.Size(r.Bytes), round(r.Duration))
		fmt.Fprintf(c.out, "%s unchanged; %s of new data, %s sent and stored.\n", count(r.Reused, "file", "files"), agent.Size(r.NewBytes), agent.Size(r.UploadedBytes))
	}
	if r.CacheErr != nil {
		c.remark("The local cache could not be used (%v): the next backup reads every file again, and sends nothing twice.", r.CacheErr)
	}
	if r.ProblemCount > 0 {
		c.problems(r.Problems, r.ProblemCount)
		return warning{}
	}
	return nil
}

// delegated reports how a backup ended that the service made.
func (c *call) delegated(l *state.Last) error {
	if l.Error != "" {
		return fault.New(fault.Unavailable, "%s", l.Error)
	}
	if c.json {
		if err := c.print(summaryJSON{Snapshot: l.Snapshot.String(), Files: l.Files, Bytes: l.Bytes, UploadedBytes: l.UploadedBytes, Problems: l.Problems,
			ProblemList: []problemJSON{}, Started: l.Started, DurationSeconds: l.Finished.Sub(l.Started).Seconds()}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, "Snapshot %s: %s, %s in %s; %s sent and stored.\n", agent.ShortID(l.Snapshot, 10), count(l.Files, "file", "files"), agent.Size(l.Bytes),
			round(l.Finished.Sub(l.Started)), agent.Size(l.UploadedBytes))
	}
	if l.Problems > 0 {
		c.remark("%s could not be read: the snapshot lists them.", count(l.Problems, "entry", "entries"))
		return warning{}
	}
	return nil
}

// problems lists what could not be read.
func (c *call) problems(list []manifest.Problem, n int64) {
	fmt.Fprintf(c.err, "%s could not be read:\n", count(n, "entry", "entries"))
	for _, p := range list[:min(len(list), maxListed)] {
		fmt.Fprintf(c.err, "  %s: %s\n", printable(agent.LocalPath(p.Path)), printable(p.Text))
	}
	if rest := n - int64(min(len(list), maxListed)); rest > 0 {
		fmt.Fprintf(c.err, "  and %s more\n", thousands(rest))
	}
}

func (c *call) plan(in agent.BackupInput) error {
	p, err := agent.DryRun(c.ctx, in, nil, nil)
	if err != nil {
		return err
	}
	if c.json {
		if err := c.print(map[string]any{"files": p.Files, "dirs": p.Dirs, "others": p.Others, "bytes": p.Bytes, "problems": p.ProblemCount, "problemList": problemsJSON(p.Problems)}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, "Would save %s, %s and %s: %s.\n", count(p.Files, "file", "files"), count(p.Dirs, "folder", "folders"), count(p.Others, "other entry", "other entries"), agent.Size(p.Bytes))
	}
	if p.ProblemCount > 0 {
		c.problems(p.Problems, p.ProblemCount)
		return warning{}
	}
	return nil
}

type problemJSON struct {
	Path  string `json:"path"`
	Cause string `json:"cause,omitempty"`
	Text  string `json:"text"`
}

func problemsJSON(list []manifest.Problem) []problemJSON {
	out := make([]problemJSON, 0, min(len(list), maxListedJSON))
	for _, p := range list[:min(len(list), maxListedJSON)] {
		out = append(out, problemJSON{agent.LocalPath(p.Path), p.Cause, p.Text})
	}
	return out
}

// summaryJSON is what backup --json prints.
type summaryJSON struct {
	Snapshot        string        `json:"snapshot"`
	Files           int64         `json:"files"`
	Dirs            int64         `json:"dirs"`
	Bytes           int64         `json:"bytes"`
	UnchangedFiles  int64         `json:"unchangedFiles"`
	NewBytes        int64         `json:"newBytes"`
	UploadedBytes   int64         `json:"uploadedBytes"`
	Problems        int64         `json:"problems"`
	ProblemList     []problemJSON `json:"problemList"`
	Started         time.Time     `json:"started"`
	DurationSeconds float64       `json:"durationSeconds"`
}

func summaryOf(r backup.Result) summaryJSON {
	return summaryJSON{Snapshot: r.Snapshot.String(), Files: r.Files, Dirs: r.Dirs, Bytes: r.Bytes, UnchangedFiles: r.Reused,
		NewBytes: r.NewBytes, UploadedBytes: r.UploadedBytes, Problems: r.ProblemCount, ProblemList: problemsJSON(r.Problems),
		Started: r.Started.UTC(), DurationSeconds: r.Duration.Seconds()}
}

// retrying tells a person why nothing moves. A first hiccup is not worth a line, and several uploads that wait
// for the same server say so once in a while.
func (c *call) retrying(err error, wait time.Duration) {
	const often = 10 * time.Second
	if c.quiet || wait < time.Second {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text := agent.Sentence(err)
	if text == c.said && time.Since(c.saidAt) < often {
		return
	}
	c.said, c.saidAt = text, time.Now()
	c.bar.say(c.err, text+"; trying again")
}

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Millisecond)
}
