package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/order"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// appFlags are the flags of all that app can do; each of its doings takes some of them.
type appFlags struct {
	db, dbPassword, part, title, level, database, to, conflict string
	media, exclude                                             []string
	excludeLogs, portable, bare, wait                          bool
}

// appDoing is one of the things that app can do.
type appDoing struct {
	name, args string
	n          int // arguments
	takes      []string
	run        func(*call, *appFlags) error
}

var appDoings = []appDoing{
	{"add", "NAME", 1, []string{"db", "db-password-file", "media", "exclude"}, (*call).appAdd},
	{"test", "NAME", 1, nil, (*call).appTest},
	{"list", "", 0, nil, (*call).appList},
	{"remove", "NAME", 1, nil, (*call).appRemove},
	{"backup", "NAME", 1, []string{"part", "name", "level", "exclude-logs", "portable"}, (*call).appBackup},
	{"backups", "NAME", 1, unlockNames, (*call).appBackups},
	{"restore", "NAME SNAP|latest", 2, append([]string{"part", "database", "to", "conflict", "bare", "wait"}, unlockNames...), (*call).appRestore},
}

// unlockNames are the flags by which a person opens the account.
var unlockNames = []string{"email", "password-file", "recovery-file"}

func appCommand() *command {
	f := new(appFlags)
	return &command{
		name: "app", args: "add|test|list|remove|backup|backups|restore …", summary: "back up and restore applications: a database, media, or both", min: 1, max: 3,
		long: `app add NAME --db URL --media DIR    this machine has an application
app test NAME                       look whether everything is there that a backup needs
app list                            the applications of this machine
app remove NAME                     forget one; its backups stay
app backup NAME                     back one up now
app backups NAME                    list its backups, with your password
app restore NAME SNAP|latest        have its machine put a backup back, with your password

URL is postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, or sqlite:PATH. It stays on this machine, with the
password in it; better give that with --db-password-file, since others can see a command line.

A restore first saves what is there now, so that it can be undone: restore that safety backup. The database changes
all at once or not at all. --database restores into another database that does not exist yet, --to puts the media
into another folder; then nothing that is there is touched.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&f.db, "db", "", "add: where the database is")
			fs.StringVar(&f.dbPassword, "db-password-file", "", "add: file with the database's password")
			fs.StringArrayVar(&f.media, "media", nil, "add: folder of media (repeatable)")
			fs.StringArrayVar(&f.exclude, "exclude", nil, "add: leave out media that match this pattern (repeatable)")
			fs.StringVar(&f.part, "part", "full", "backup, restore: database, media or full")
			fs.StringVar(&f.title, "name", "", "backup: what to call it")
			fs.StringVar(&f.level, "level", "default", "backup: compression: none, fast, default, better")
			fs.BoolVar(&f.excludeLogs, "exclude-logs", false, "backup: leave log files out")
			fs.BoolVar(&f.portable, "portable", false, "backup: also write "+archive.Portable+", which other engines can read")
			fs.StringVar(&f.database, "database", "", "restore: into this database, which does not exist yet")
			fs.StringVar(&f.to, "to", "", "restore: media into this folder")
			fs.StringVar(&f.conflict, "conflict", "overwrite", "restore: media that exist: overwrite or skip")
			fs.BoolVar(&f.bare, "bare", false, "restore: without a safety backup first, when there is nothing left to save")
			fs.BoolVar(&f.wait, "wait", false, "restore: follow it to its end")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			i := slices.IndexFunc(appDoings, func(d appDoing) bool { return d.name == c.args[0] })
			if i < 0 {
				return usagef("%q is none of add, test, list, remove, backup, backups, restore", c.args[0])
			}
			d := appDoings[i]
			if len(c.args) != d.n+1 {
				return usagef("say %s", strings.TrimSpace("holdfast-agent app "+d.name+" "+d.args))
			}
			for _, other := range appDoings {
				for _, name := range other.takes {
					if c.flags.Changed(name) && !slices.Contains(d.takes, name) {
						return usagef("--%s is not for app %s", name, d.name)
					}
				}
			}
			return d.run(c, f)
		},
	}
}

// appAdd makes an application, or changes it, here and at the server.
func (c *call) appAdd(f *appFlags) error {
	dir, d, err := c.enrolled()
	if err != nil {
		return err
	}
	db, err := f.databaseURL(c)
	if err != nil {
		return err
	}
	a, err := application.New(c.args[1], db, f.media, f.exclude)
	if err != nil {
		return err
	}
	s := agent.ServerOf(d)
	c.adjust(&s)
	client, err := s.Dial(d.Token)
	if err != nil {
		return err
	}
	defer client.Close()
	if a.ID, err = client.RegisterApplication(c.ctx, a.Name, string(a.Engine()), len(a.Media)); err != nil {
		return err
	}
	if err := application.In(dir).Put(a); err != nil {
		return err
	}
	if c.json {
		return c.print(appOf(a))
	}
	fmt.Fprintf(c.out, "%s is an application of this machine.\n", printable(a.Name))
	c.remark("holdfast-agent app test %q looks whether it can be backed up.", a.Name)
	return nil
}

// databaseURL returns the URL with its password.
func (f *appFlags) databaseURL(c *call) (string, error) {
	if f.dbPassword == "" {
		if u, err := url.Parse(f.db); err == nil && u.User != nil {
			if _, ok := u.User.Password(); ok {
				c.remark("The password was on the command line, where others can see it: --db-password-file is better.")
			}
		}
		return f.db, nil
	}
	p, err := readPassword(f.dbPassword)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(f.db)
	if err != nil || u.User == nil || u.User.Username() == "" {
		return "", usagef("--db-password-file goes with a --db that names a user, such as postgres://user@host/database")
	}
	u.User = url.UserPassword(u.User.Username(), string(p))
	return u.String(), nil
}

// app returns the application that the second argument names.
func (c *call) app() (*state.Dir, *application.App, error) {
	dir, _, err := c.enrolled()
	if err != nil {
		return nil, nil, err
	}
	a, err := application.In(dir).ByName(c.args[1])
	return dir, a, err
}

func (c *call) appTest(*appFlags) error {
	dir, a, err := c.app()
	if err != nil {
		return err
	}
	check, err := application.Probe(c.ctx, dir, a)
	if err != nil {
		return err
	}
	if c.json {
		err = c.print(check)
	} else {
		_, err = fmt.Fprint(c.out, application.Lines(check))
	}
	if err == nil && !check.OK() {
		return failed{}
	}
	return err
}

type appJSON struct {
	ID       id.Application       `json:"id"`
	Name     string               `json:"name"`
	Database string               `json:"database,omitempty"` // without its password
	Media    []application.Folder `json:"media"`
	Exclude  []string             `json:"exclude"`
}

func appOf(a *application.App) appJSON {
	return appJSON{a.ID, a.Name, source.Redact(a.Database), append([]application.Folder{}, a.Media...), append([]string{}, a.Exclude...)}
}

func (c *call) appList(*appFlags) error {
	dir, _, err := c.enrolled()
	if err != nil {
		return err
	}
	all, err := application.In(dir).All()
	if err != nil {
		return err
	}
	if c.json {
		list := make([]appJSON, len(all))
		for i, a := range all {
			list[i] = appOf(a)
		}
		return c.print(map[string]any{"applications": list})
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tDATABASE\tMEDIA")
	for _, a := range all {
		db, media := "-", "-"
		if a.Database != "" {
			db = source.Redact(a.Database)
		}
		if len(a.Media) > 0 {
			paths := make([]string, len(a.Media))
			for i, f := range a.Media {
				paths[i] = f.Path
			}
			media = strings.Join(paths, ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", printable(a.Name), printable(db), printable(media))
	}
	t.Flush()
	if len(all) == 0 {
		c.remark("There is no application on this machine: holdfast-agent app add adds one.")
	}
	return nil
}

func (c *call) appRemove(*appFlags) error {
	dir, a, err := c.app()
	if err != nil {
		return err
	}
	d, err := dir.Load()
	if err != nil {
		return err
	}
	s := agent.ServerOf(d)
	c.adjust(&s)
	client, err := s.Dial(d.Token)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.RemoveApplication(c.ctx, a.ID); err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err := application.In(dir).Remove(a.Name); err != nil {
		return err
	}
	if c.json {
		return c.print(map[string]any{"removed": a.Name})
	}
	fmt.Fprintf(c.out, "%s is no application of this machine any more. Its backups stay.\n", printable(a.Name))
	return nil
}

func (c *call) appBackup(f *appFlags) error {
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

func (c *call) appBackups(*appFlags) error {
	a, _, err := c.unlock()
	if err != nil {
		return err
	}
	defer a.Close(c.ctx)
	app, err := a.FindApplication(c.ctx, c.args[1])
	if err != nil {
		return err
	}
	var list []*agent.Snapshot
	err = a.ApplicationSnapshots(c.ctx, app.ID, func(s *agent.Snapshot) (bool, error) {
		list = append(list, s)
		return true, nil
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

func (c *call) appRestore(f *appFlags) error {
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
	app, err := a.FindApplication(c.ctx, c.args[1])
	if err != nil {
		return err
	}
	s, err := a.FindApplicationSnapshot(c.ctx, app.ID, c.args[2])
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

// enrolled returns the state folder and the device in it.
func (c *call) enrolled() (*state.Dir, *state.Device, error) {
	dir, err := c.dir()
	if err != nil {
		return nil, nil, err
	}
	d, err := dir.Load()
	return dir, d, err
}
