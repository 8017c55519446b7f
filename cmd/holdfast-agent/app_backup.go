package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// appBacking is what app backup takes.
type appBacking struct {
	part, title, level    string
	excludeLogs, portable bool
}

func appBackupCommand() *command {
	f := new(appBacking)
	return &command{
		name: "backup", args: "NAME", summary: "back an application up now", min: 1, max: 1,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&f.part, "part", "full", "database, media or full; without it, all that the application has")
			fs.StringVar(&f.title, "name", "", "what to call it")
			fs.StringVar(&f.level, "level", "default", "compression: none, fast, default, better")
			fs.BoolVar(&f.excludeLogs, "exclude-logs", false, "leave log files out")
			fs.BoolVar(&f.portable, "portable", false, "also write "+archive.Portable+", which other engines can read")
			connectFlags(fs, c)
		},
		run: func(c *call) error { return c.appBackup(f) },
	}
}

func appBackupsCommand() *command {
	return &command{name: "backups", args: "NAME", summary: "list an application's backups, with your password", min: 1, max: 1, flags: unlockFlags, run: (*call).appBackups}
}

// appRestoring is what app restore takes.
type appRestoring struct {
	part, database, to, conflict string
	bare, wait                   bool
}

func appRestoreCommand() *command {
	f := new(appRestoring)
	return &command{
		name: "restore", args: "NAME SNAP|latest", summary: "have an application's machine put a backup back, with your password", min: 2, max: 2,
		long: `A restore first saves what is there now, so that it can be undone: restore that safety backup. The database changes
all at once or not at all. --database restores into another database that does not exist yet, --to puts the media
into another folder; then nothing that is there is touched.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&f.part, "part", "full", "database, media or full; without it, all that the backup has")
			fs.StringVar(&f.database, "database", "", "into this database, which does not exist yet; for SQLite, this file")
			fs.StringVar(&f.to, "to", "", "media into this folder")
			fs.StringVar(&f.conflict, "conflict", "overwrite", "media that exist: overwrite or skip")
			fs.BoolVar(&f.bare, "bare", false, "without a safety backup first, when there is nothing left to save")
			fs.BoolVar(&f.wait, "wait", false, "follow it to its end")
			unlockFlags(fs, c)
		},
		run: func(c *call) error { return c.appRestore(f) },
	}
}

func (c *call) appBackup(f *appBacking) error {
	part, err := archive.ParsePart(f.part)
	if err != nil {
		return usagef("--part %s: want database, media or full", f.part)
	}
	l, ok := levels[f.level]
	if !ok {
		return usagef("--level %s: want none, fast, default or better", f.level)
	}
	dir, a, err := c.app()
	if err != nil {
		return err
	}
	if !c.flags.Changed("part") {
		part = a.Whole()
	}
	c.bar = c.newBar()
	made, err := application.Backup(c.ctx, dir, a, application.BackupInput{
		Part: part, Origin: archive.Backup, Title: f.title, Level: l, ExcludeLogs: f.excludeLogs, Portable: f.portable, Server: c.adjust,
		OnProgress: func(p backup.Progress) {
			c.bar.show(step{phase: p.Phase, files: p.Files, bytes: p.Bytes, all: p.TotalBytes, sent: p.UploadedBytes, problems: p.Problems, problemsAre: "unreadable"})
		},
	})
	c.bar.done()
	if err == nil && !c.json && len(made.Tables) > 0 {
		rows := int64(0)
		for _, t := range made.Tables {
			rows += t.Rows
		}
		fmt.Fprintf(c.out, "The database has %s with %s.\n", count(int64(len(made.Tables)), "table", "tables"), count(rows, "row", "rows"))
	}
	return c.backedUp(made.Result, err)
}

func (c *call) appBackups() error {
	a, _, err := c.unlock()
	if err != nil {
		return err
	}
	defer a.Close(c.ctx)
	return c.backupsOf(a, c.args[0], 0)
}

// backupsOf lists the backups of an application, newest first: at most so many, or all if limit is 0.
func (c *call) backupsOf(a *agent.Account, name string, limit int) error {
	app, err := a.FindApplication(c.ctx, name)
	if err != nil {
		return err
	}
	var list []*agent.Snapshot
	err = a.ApplicationSnapshots(c.ctx, app.ID, func(s *agent.Snapshot) (bool, error) {
		list = append(list, s)
		return limit == 0 || len(list) < limit, nil
	})
	if err != nil {
		return err
	}
	if c.json {
		out := make([]backupJSON, len(list))
		for i, s := range list {
			out[i] = backupJSON{ID: s.ID, CreatedAt: s.CreatedAt, Files: s.Files, Bytes: s.Bytes, Problems: s.Problems, Pinned: !s.PinnedAt.IsZero()}
			if l := s.Label; l != nil {
				out[i].Label = labelJSON{l.Part, l.Origin, l.Title}
			}
		}
		return c.print(map[string]any{"backups": out})
	}
	ids := make([]id.Snapshot, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	n := agent.ShortIDs(ids)
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tPART\tHOW\tSIZE\tNAME")
	for _, s := range list {
		l := s.Label
		if l == nil {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", agent.ShortID(s.ID, n), stamp(s.CreatedAt), l.Part, l.Origin, agent.Size(s.Bytes), printable(l.Title))
	}
	t.Flush()
	if len(list) == 0 {
		c.remark("There is no backup of it yet: holdfast-agent app backup makes one.")
	}
	return nil
}

type backupJSON struct {
	ID        id.Snapshot `json:"id"`
	CreatedAt time.Time   `json:"createdAt"`
	Files     int64       `json:"files"`
	Bytes     int64       `json:"bytes"`
	Problems  int64       `json:"problems"`
	Pinned    bool        `json:"pinned"`
	Label     labelJSON   `json:"label"`
}

type labelJSON struct {
	Part   string `json:"part"`
	Origin string `json:"origin"`
	Title  string `json:"title"`
}

func (c *call) appRestore(f *appRestoring) error {
	part, ok := parts[f.part]
	if !ok {
		return usagef("--part %s: want database, media or full", f.part)
	}
	rule, ok := conflicts[f.conflict]
	if !ok || rule.ordered == order.KeepBoth {
		return usagef("--conflict %s: want overwrite or skip", f.conflict)
	}
	a, _, err := c.unlock()
	if err != nil {
		return err
	}
	defer a.Close(c.ctx)
	app, err := a.FindApplication(c.ctx, c.args[0])
	if err != nil {
		return err
	}
	s, err := a.FindApplicationSnapshot(c.ctx, app, c.args[1])
	if err != nil {
		return err
	}
	if !c.flags.Changed("part") && s.Label != nil {
		part = parts[s.Label.Part]
	}
	r, o, err := a.OrderApplication(c.ctx, app, s, agent.ApplicationOrder{Part: part, Database: f.database, Folder: f.to, Conflict: rule.ordered, Bare: f.bare})
	if err != nil {
		return err
	}
	return c.asked(a, r, o, f.wait, fmt.Sprintf("%s restores %s as soon as it hears of it", printable(app.DeviceName), printable(app.Name)))
}

// parts are the parts of an application by their names.
var parts = map[string]order.Part{order.Full.String(): order.Full, order.DatabaseOnly.String(): order.DatabaseOnly, order.MediaOnly.String(): order.MediaOnly}
