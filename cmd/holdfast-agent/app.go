package main

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func appCommand() *command {
	return &command{
		name: "app", summary: "back up and restore applications: a database, media, or both",
		long: `Where an application is, and the password of its database, stay on this machine.`,
		sub: []*command{
			appAddCommand(), appTestCommand(), appListCommand(), appRemoveCommand(), appBackupCommand(), appBackupsCommand(), appRestoreCommand(),
		},
	}
}

// appAdding is what app add takes.
type appAdding struct {
	db, password   string
	media, exclude []string
}

func appAddCommand() *command {
	f := new(appAdding)
	return &command{
		name: "add", args: "NAME [--db URL] [--media DIR …]", summary: "name an application of this machine, or change it", min: 1, max: 1,
		long: `URL is postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, or sqlite:PATH. It stays on this machine, with the
password in it; better give that with --db-password-file, since others can see a command line.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&f.db, "db", "", "where the database is")
			fs.StringVar(&f.password, "db-password-file", "", "file with the database's password")
			fs.StringArrayVar(&f.media, "media", nil, "folder of media (repeatable)")
			fs.StringArrayVar(&f.exclude, "exclude", nil, "leave out media that match this pattern (repeatable)")
			connectFlags(fs, c)
		},
		run: func(c *call) error { return c.appAdd(f) },
	}
}

func appTestCommand() *command {
	return &command{name: "test", args: "NAME", summary: "look whether everything is there that a backup needs", min: 1, max: 1, run: (*call).appTest}
}

func appListCommand() *command {
	return &command{name: "list", summary: "the applications of this machine", run: (*call).appList}
}

func appRemoveCommand() *command {
	return &command{name: "remove", args: "NAME", summary: "forget an application; its backups stay", min: 1, max: 1, flags: connectFlags, run: (*call).appRemove}
}

// appAdd makes an application, or changes it, here and at the server.
func (c *call) appAdd(f *appAdding) error {
	dir, d, err := c.enrolled()
	if err != nil {
		return err
	}
	db, err := f.databaseURL(c)
	if err != nil {
		return err
	}
	a, err := application.New(c.args[0], db, f.media, f.exclude)
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
func (f *appAdding) databaseURL(c *call) (string, error) {
	if f.password == "" {
		if u, err := url.Parse(f.db); err == nil && u.User != nil {
			if _, ok := u.User.Password(); ok {
				c.remark("The password was on the command line, where others can see it: --db-password-file is better.")
			}
		}
		return f.db, nil
	}
	p, err := readPassword(f.password)
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

// app returns the application that the first argument names.
func (c *call) app() (*state.Dir, *application.App, error) {
	dir, _, err := c.enrolled()
	if err != nil {
		return nil, nil, err
	}
	a, err := application.In(dir).ByName(c.args[0])
	return dir, a, err
}

func (c *call) appTest() error {
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

func (c *call) appList() error {
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

func (c *call) appRemove() error {
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

// enrolled returns the state folder and the device in it.
func (c *call) enrolled() (*state.Dir, *state.Device, error) {
	dir, err := c.dir()
	if err != nil {
		return nil, nil, err
	}
	d, err := dir.Load()
	return dir, d, err
}
