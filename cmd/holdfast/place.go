//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// placeFlags say which installation is meant.
type placeFlags struct {
	data, database, redis, store, replicas, secretFile, publicURL string
	sessionTTL                                                    time.Duration
}

func (p *placeFlags) dataFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.data, "data", "", "data directory of holdfast up (`DIR`)")
}

func (p *placeFlags) databaseFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.database, "database-url", "", "PostgreSQL, such as postgres://user:password@host/database (`URL`)")
}

func (p *placeFlags) redisFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.redis, "redis-url", "", "Redis, such as redis://:password@host:6379/0 (`URL`)")
}

func (p *placeFlags) storeFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.store, "store", "", "where packs are kept: file:///path or s3://bucket/prefix?endpoint=https://host (`URL`)")
}

func (p *placeFlags) replicasFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.replicas, "replicas", "", "other stores to which everything is copied, apart by commas (`URLS`); keys=NAME in a bucket's address takes the keys from NAME_ACCESS_KEY_ID and NAME_SECRET_ACCESS_KEY")
}

func (p *placeFlags) secretFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.secretFile, "secret-file", "", "`FILE` with the installation's secret, the same on every server: 32 random characters or more")
}

func (p *placeFlags) urlFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.publicURL, "public-url", "", "where people open the server, if it is not where it listens (`URL`)")
}

func (p *placeFlags) sessionFlag(fs *pflag.FlagSet) {
	fs.DurationVar(&p.sessionTTL, "session-ttl", 2*time.Minute, "a backup that was silent for this `DURATION` is over, and its device begins anew; the same on every server and worker")
}

// checkSessionTTL refuses times that make no sense: agents beat four times in one.
func (p *placeFlags) checkSessionTTL() error {
	if ttl := p.sessionTTL; ttl < 2*time.Second || ttl > 24*time.Hour || ttl%time.Second != 0 {
		return usagef("--session-ttl %s: want whole seconds, from 2s to 24h", ttl)
	}
	return nil
}

// toolFlags are those of commands that look into an installation.
func toolFlags(fs *pflag.FlagSet, c *call) {
	c.place.dataFlag(fs)
	c.place.databaseFlag(fs)
	c.place.redisFlag(fs)
	c.place.storeFlag(fs)
	c.place.replicasFlag(fs)
}

// checkURL returns a public URL without the slash at its end.
func checkURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return "", usagef("--public-url %s: want a scheme and a host, such as https://backup.example.org", s)
	}
	return u.Scheme + "://" + u.Host, nil
}

// settings is what `up` was told and other commands on the same data directory need to know. It may hold a
// password of the database and is readable by its owner only.
type settings struct {
	PublicURL   string `json:"public_url"`
	Store       string `json:"store"`
	Replicas    string `json:"replicas,omitempty"`
	DatabaseURL string `json:"database_url,omitempty"` // outside; empty: the private one
	RedisURL    string `json:"redis_url,omitempty"`
}

func settingsFile(data string) string { return filepath.Join(data, "settings.json") }

func readSettings(data string) (settings, error) {
	var s settings
	b, err := os.ReadFile(settingsFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fault.New(fault.NotFound, "there is no installation in %s: make one with holdfast up --data %s, or say where it is", data, data)
	} else if err != nil {
		return s, fault.Wrap(err, fault.Forbidden, "cannot look into %s: run this command as the user who runs holdfast, or as root", data)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fault.Wrap(err, fault.Unavailable, "%s is damaged: the next holdfast up writes it again", settingsFile(data))
	}
	return s, nil
}

func (s settings) write(data string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	fresh := settingsFile(data) + ".new"
	if err := os.WriteFile(fresh, append(b, '\n'), 0o600); err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot write in the data directory")
	}
	return os.Rename(fresh, settingsFile(data))
}

// installation is one that a tool looks into.
type installation struct {
	*depot.Depot
	data    string // its directory, "" if not given
	store   string // the store's address, "" if not known
	running bool   // whether a holdfast up runs there
	close   func()
}

// openTool opens the installation that the flags name: by the address of its database, or by the data
// directory of a `holdfast up`, whose private servers it uses, or starts for the moment. With prepare, schema and store are
// brought up to date; without, they must be.
func (c *call) openTool(ctx context.Context, prepare bool) (*installation, error) {
	return c.open(ctx, prepare, true)
}

// openPeople is openTool for commands about people: they need a database of this program's schema, and work
// while the store is away.
func (c *call) openPeople(ctx context.Context) (*installation, error) {
	in, err := c.open(ctx, false, false)
	if err != nil {
		return nil, err
	}
	if err := in.CheckSchema(ctx); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// openStored is openPeople for commands that need the store, too.
func (c *call) openStored(ctx context.Context) (*installation, error) {
	in, err := c.openTool(ctx, false)
	if err != nil {
		return nil, err
	}
	if in.Catalog == nil {
		err = usagef("say where the packs are: --store URL")
	} else {
		err = in.CheckSchema(ctx)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func (c *call) open(ctx context.Context, prepare, store bool) (*installation, error) {
	log, err := c.logger()
	if err != nil {
		return nil, err
	}
	p := c.place
	cfg := depot.Config{DatabaseURL: p.database, RedisURL: p.redis, StoreURL: p.store, Prepare: prepare, Log: log}
	in := &installation{data: p.data, close: func() {}}
	if cfg.Replicas, err = replica.ParseURLs(p.replicas); err != nil {
		return nil, err
	}
	if cfg.PublicURL, err = checkURL(p.publicURL); err != nil {
		return nil, err
	}
	switch {
	case p.data != "":
		// A database that is named may belong to a data directory nevertheless: the one in the environment of an up.
		in.close, in.running, err = c.fromData(ctx, &cfg, log)
		if errors.Is(err, fault.NotFound) && p.database != "" {
			in.close = func() {}
		} else if err != nil {
			return nil, err
		}
	case p.database == "":
		return nil, usagef("say which installation: --data DIR of a holdfast up, or --database-url")
	}
	if !store {
		cfg.StoreURL = ""
	}
	if in.Depot, err = depot.Open(ctx, cfg); err != nil {
		in.close()
		return nil, err
	}
	in.store = cfg.StoreURL
	stop := in.close
	in.close = func() { in.Depot.Close(); stop() }
	return in, nil
}

// fromData completes a configuration from a data directory. What the flags said goes before.
func (c *call) fromData(ctx context.Context, cfg *depot.Config, log *slog.Logger) (stop func(), running bool, err error) {
	s, err := readSettings(c.place.data)
	if err != nil {
		return nil, false, err
	}
	fill := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	fill(&cfg.PublicURL, s.PublicURL)
	fill(&cfg.StoreURL, s.Store)
	if len(cfg.Replicas) == 0 {
		if cfg.Replicas, err = replica.ParseURLs(s.Replicas); err != nil {
			return nil, false, err
		}
	}
	fill(&cfg.DatabaseURL, s.DatabaseURL)
	fill(&cfg.RedisURL, s.RedisURL)
	found, err := local.Find(c.place.data)
	switch {
	case err == nil:
		fill(&cfg.DatabaseURL, found.DatabaseURL)
		fill(&cfg.RedisURL, found.RedisURL)
		return func() {}, true, nil
	case !errors.Is(err, fault.NotFound):
		return nil, false, err
	case cfg.DatabaseURL != "":
		return func() {}, false, nil
	}
	// Nobody is there to be told anything: Redis is not needed.
	l, err := local.Start(ctx, local.Config{Dir: c.place.data, Log: log, NoRedis: true})
	if err != nil {
		return nil, false, err
	}
	fill(&cfg.DatabaseURL, l.DatabaseURL())
	return l.Close, false, nil
}
