package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/archive/export"
	"github.com/holdfast-backup/holdfast/vault/archive/intake"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func exportCommand() *command {
	var w which
	var zip string
	return &command{
		name: "export", args: "SNAP --zip FILE", summary: "write a snapshot as a ZIP that needs no Holdfast", min: 1, max: 1,
		long: snapUsage + `

FILE - is standard output. Owners and extended attributes do not fit into a ZIP and are left out.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&zip, "zip", "", "file to write; it must not exist")
			w.flags(fs)
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			if zip == "" {
				return usagef("say where to write: --zip FILE")
			}
			a, s, err := c.snapshot(w)
			if err != nil {
				return err
			}
			defer a.Close(c.ctx)
			r, err := c.export(a, s, zip)
			if err != nil {
				return err
			}
			if c.json && zip != "-" {
				if err := c.print(map[string]any{"snapshot": s.ID, "files": r.Files, "bytes": r.Bytes, "failures": r.Failed}); err != nil {
					return err
				}
			} else {
				c.remark("%s, %s, in %s.", count(r.Files, "file", "files"), agent.Size(r.Bytes), zip)
			}
			if r.Failed == 0 {
				return nil
			}
			fmt.Fprintf(c.err, "%s left out, because they could not be read; %s in the ZIP names them.\n", count(r.Failed, "file was", "files were"), archive.Lacking)
			return warning{}
		},
	}
}

// export writes a snapshot to a file that gets its name once it is whole, or to standard output.
func (c *call) export(a *agent.Account, s *agent.Snapshot, path string) (r export.Result, err error) {
	c.bar = c.newBar()
	defer c.bar.done()
	show := func(t export.Totals) { c.bar.show(step{phase: "export", files: t.Files, bytes: t.Bytes, all: s.Bytes}) }
	if path == "-" {
		w := bufio.NewWriterSize(c.out, 1<<20)
		if r, err = a.Export(c.ctx, s, w, show); err == nil {
			err = w.Flush()
		}
		return r, err
	}
	if _, err := os.Lstat(path); err == nil {
		return r, fault.New(fault.Conflict, "%s exists: name another file, or remove it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".holdfast-*.part")
	if err != nil {
		return r, fault.Wrap(err, fault.Invalid, "%s cannot be written", path)
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	r, err = a.Export(c.ctx, s, w, show)
	for _, step := range []func() error{w.Flush, f.Sync, f.Close, func() error { return os.Link(f.Name(), path) }} {
		if err == nil {
			if err = step(); err != nil {
				err = fault.Wrap(err, fault.Invalid, "%s cannot be written", path)
			}
		}
	}
	f.Close()
	return r, err
}

func importCommand() *command {
	var app, title, level string
	return &command{
		name: "import", args: "FILE --application NAME", summary: "keep a dump or an archive of other tools as a backup of an application", min: 1, max: 1,
		long: `FILE is a plain dump (.sql, .sql.gz, .sql.zst), one of pg_dump --format=custom, or a .zip or .tar(.gz|.zst) with database.sql
and a folder media. It is read whole and checked, sealed on this machine, and restored like any other backup.

On the application's own machine nothing else is needed; on any other, your password.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			fs.StringVar(&app, "application", "", "the application that it is a backup of")
			fs.StringVar(&title, "name", "", "what to call the backup (default: the file's name)")
			fs.StringVar(&level, "level", "default", "compression: none, fast, default, better")
			unlockFlags(fs, c)
		},
		run: func(c *call) error {
			if app == "" {
				return usagef("say of which application it is: --application NAME")
			}
			l, ok := levels[level]
			if !ok {
				return usagef("--level %s: want none, fast, default or better", level)
			}
			c.bar = c.newBar()
			f, err := application.OpenForeign(c.ctx, c.args[0], app, func(n, all int64) { c.bar.show(step{phase: "check", bytes: n, all: all}) })
			c.bar.done()
			if err != nil {
				return err
			}
			defer f.Close()
			c.remark("It is %s.", contents(f.Import))
			if title == "" {
				title = filepath.Base(c.args[0])
			}
			in := application.BackupInput{Title: title, Level: l, Server: c.adjust}
			c.bar = c.newBar()
			in.OnProgress = func(p backup.Progress) {
				c.bar.show(step{phase: p.Phase, files: p.Files, bytes: p.Bytes, all: p.TotalBytes, sent: p.UploadedBytes})
			}
			made, err := c.take(app, f, in)
			c.bar.done()
			return c.backedUp(made.Result, err)
		},
	}
}

// take imports a file: as the application's own machine, if this is it, else as its owner.
func (c *call) take(app string, f *application.Foreign, in application.BackupInput) (application.Made, error) {
	dir, _, err := c.enrolled()
	if err == nil {
		var a *application.App
		if a, err = application.In(dir).ByName(app); err == nil {
			return application.Import(c.ctx, dir, a, f, in)
		}
	}
	if !errors.Is(err, fault.NotFound) {
		return application.Made{}, err
	}
	a, _, err := c.unlock()
	if err != nil {
		return application.Made{}, err
	}
	defer a.Close(c.ctx)
	r, err := a.FindApplication(c.ctx, app)
	if err != nil {
		return application.Made{}, err
	}
	return application.ImportAs(c.ctx, a, r, f, in)
}

// contents says to people what is in a file.
func contents(i *intake.Import) string {
	text := "a " + i.Kind
	m := i.Manifest
	if len(m.Tables) > 0 {
		rows := int64(0)
		for _, t := range m.Tables {
			rows += t.Rows
		}
		text += ", with " + count(int64(len(m.Tables)), "table", "tables") + " and " + count(rows, "row", "rows")
	}
	if i.Files > 0 {
		text += ", with " + count(i.Files, "file", "files") + " of media (" + agent.Size(i.Bytes) + ")"
	}
	if i.LeftOut > 0 {
		text += "; left out: " + count(int64(i.LeftOut), "file", "files") + ", the first of them " + printable(i.Left[0])
	}
	return text
}
