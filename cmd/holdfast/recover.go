//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/open"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/selfbackup"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func recoverCommand() *command {
	return &command{
		name: "recover", args: "--store URL --identity FILE (--data DIR | --database-url URL --secret-file FILE)",
		summary: "make a server again from the store alone, on an empty machine",
		long: `
Restores the newest copy of the database that the store holds (HOLDFAST_METADATA_RECIPIENT) and the installation's
secret, and then finds what is newer in the packs. FILE is the identity of age that the copies are sealed to.

With --data it makes a data directory for holdfast up, which must be empty but for the store itself. With --database-url
it fills an empty database and writes the secret into FILE. Nothing is ever restored over what is there.`,
		flags: func(fs *pflag.FlagSet, c *call) {
			c.place.storeFlag(fs)
			fs.StringVar(&c.identity, "identity", "", "`FILE` with the identity, as age-keygen writes it")
			c.place.dataFlag(fs)
			c.place.databaseFlag(fs)
			c.place.secretFlag(fs)
			fs.Lookup("secret-file").Usage = "`FILE` to write the installation's secret into (default: DIR/secret)"
			logFlags(fs, c)
		},
		run: recoverServer,
	}
}

func recoverServer(ctx context.Context, c *call) error {
	log, err := c.logger()
	if err != nil {
		return err
	}
	p := &c.place
	switch {
	case p.store == "":
		return usagef("say where the packs are: --store URL")
	case c.identity == "":
		return usagef("say which identity opens the copies: --identity FILE")
	case p.data == "" && p.database == "":
		return usagef("say what to make: --data DIR, or --database-url URL of an empty database")
	case p.data == "" && p.secretFile == "":
		return usagef("say where to write the installation's secret: --secret-file FILE")
	}
	identities, err := readIdentities(c.identity)
	if err != nil {
		return err
	}
	store, err := open.OpenURL(ctx, p.store)
	if err != nil {
		return err
	}
	undo := func() {}
	if p.data != "" {
		if p.data, err = filepath.Abs(p.data); err != nil {
			return err
		}
		if undo, err = claimData(p.data, p.store); err != nil {
			return err
		}
		if p.secretFile == "" {
			p.secretFile = filepath.Join(p.data, "secret")
		}
	}
	if _, err := os.Lstat(p.secretFile); !errors.Is(err, fs.ErrNotExist) {
		undo()
		return fault.New(fault.Conflict, "%s is there already: the recovered secret is not written over another one; move it away", p.secretFile)
	}
	cfg := depot.Config{DatabaseURL: p.database, StoreURL: p.store, Prepare: true, Log: log}
	if cfg.DatabaseURL == "" {
		l, err := local.Start(ctx, local.Config{Dir: p.data, Log: log, NoRedis: true})
		if err != nil {
			undo()
			return err
		}
		defer l.Close()
		stopped := undo
		undo = func() { l.Close(); stopped() }
		cfg.DatabaseURL = l.DatabaseURL()
	}
	got, err := selfbackup.Recover(ctx, store, identities, cfg.DatabaseURL)
	if err != nil {
		undo()
		return err
	}
	if err := c.settle(got.Secret); err != nil {
		undo()
		return err
	}
	cfg.Secret = got.Secret
	return c.rebuild(ctx, cfg, got)
}

// settle writes what the next start needs beside the database.
func (c *call) settle(secret []byte) error {
	p := c.place
	if err := writeSecret(p.secretFile, secret); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the secret cannot be written into %s, and without it the recovered database is of no use: make room for it, and begin again with an empty database", p.secretFile)
	}
	if p.data == "" {
		return nil
	}
	return settings{Store: p.store, DatabaseURL: p.database}.write(p.data)
}

// rebuild brings the schema up to date, and finds in the store what is newer than the copy.
func (c *call) rebuild(ctx context.Context, cfg depot.Config, got selfbackup.Recovered) error {
	later := func(err error) error {
		return fmt.Errorf("the database and the secret are recovered, but not what is newer in the store: run holdfast migrate and holdfast rebuild-index: %w", err)
	}
	d, err := depot.Open(ctx, cfg)
	if err != nil {
		return later(err)
	}
	defer d.Close()
	people, err := d.Accounts.Users(ctx, actor.System(), 1, "")
	if err != nil {
		return later(err)
	}
	show, done := c.progress()
	r, err := d.Catalog.RebuildIndex(ctx, actor.System(), show)
	done()
	if err != nil {
		return later(err)
	}
	out := recovered{Copy: got.Info.Name, Made: got.Manifest.Made, Version: got.Manifest.Version, Users: people.TotalCount, SecretFile: c.place.secretFile, Skipped: []skipped{}, Findings: found(r)}
	for _, s := range got.Skipped {
		out.Skipped = append(out.Skipped, skipped(s))
	}
	if c.place.data != "" {
		out.Next = fmt.Sprintf("holdfast up --data %s --store %s", c.place.data, c.place.store)
	}
	if err := c.print(out, out.write); err != nil {
		return err
	}
	if out.Findings.bad() {
		return failed{}
	}
	return nil
}

// recovered is what recover prints.
type recovered struct {
	Copy       string    `json:"copy"`
	Made       time.Time `json:"made"`
	Version    string    `json:"version"`
	Users      int       `json:"users"`
	SecretFile string    `json:"secret_file"`
	Skipped    []skipped `json:"skipped"`
	Findings   findings  `json:"findings"`
	Next       string    `json:"next,omitempty"`
}

type skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func (r recovered) write(w io.Writer) {
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "A newer copy could not be used: %s: %s.\n", s.Name, s.Reason)
	}
	fmt.Fprintf(w, "The database is that of %s (%s, by holdfast %s), with %d users.\nThe secret is in %s.\n\n",
		r.Made.UTC().Format("2 January 2006, 15:04:05 UTC"), r.Copy, r.Version, r.Users, r.SecretFile)
	r.Findings.write(w)
	fmt.Fprint(w, "\nWhoever came after that time must be invited again, devices be enrolled again; passwords are those of then.\n")
	if r.Next != "" {
		fmt.Fprintf(w, "Start it, with TLS as it was before:\n\n    %s\n", r.Next)
	}
}

func readIdentities(file string) ([]age.Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot read the identity")
	}
	defer f.Close()
	return selfbackup.ParseIdentities(f)
}

// claimData makes a data directory, which must be empty but for the store. undo takes away again what recover and
// the private database put there.
func claimData(data, store string) (undo func(), err error) {
	folder, _ := strings.CutPrefix(store, "file://")
	made := false
	entries, err := os.ReadDir(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		made = true
		err = os.MkdirAll(data, 0o700)
	case err == nil:
		for _, e := range entries {
			if filepath.Clean(folder) != filepath.Join(data, e.Name()) {
				return nil, fault.New(fault.Conflict, "%s is not empty (%s): a recovered server needs a directory of its own; only the store may lie in it", data, e.Name())
			}
		}
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot make the data directory")
	}
	return func() {
		for _, name := range []string{"postgres", "postgres.new", "run", "lock", "endpoints.json", "secret", "settings.json", "settings.json.new"} {
			os.RemoveAll(filepath.Join(data, name))
		}
		if made {
			os.Remove(data)
		}
	}, nil
}
