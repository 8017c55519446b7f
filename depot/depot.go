// Package depot is the half of Holdfast that keeps: it joins the rooms below it, each of which says in its own
// package comment what it promises.
//
//	account  who may come in            catalog     what is stored where
//	fleet    which machines             run         what is due, under way and over
//	policy   what is saved when         notice      who is told
//	report   what came of it            selfbackup  a sealed copy of the database
//	setting  what can be set            replica     the same elsewhere
//	audit, carelog  what was done       application databases and media on machines
//
// stand on the tools pg, blob, bus and queue. [Open] is the one place where they meet; whoever serves (server,
// worker, the command line) gets a [Depot] and asks its nouns. The depot holds no key: everything that it keeps
// was sealed elsewhere.
package depot

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"filippo.io/age"
	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/open"
	"github.com/holdfast-backup/holdfast/depot/bus"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/mail"
	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/depot/queue"
	"github.com/holdfast-backup/holdfast/depot/replica"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/selfbackup"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/depot/token"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// MinSecret is the least length of an installation's secret, in bytes.
const MinSecret = 32

// Config says where things are.
type Config struct {
	DatabaseURL string
	RedisURL    string // empty: no hints reach other processes; for tools
	StoreURL    string // file:///path or s3://bucket/prefix?…; empty: there is no Catalog; for tools

	// Secret is the installation's: MinSecret bytes or more, the same on every server, kept apart from the
	// database. Without it no password works any more. Nil is for tools that log nobody in.
	Secret []byte

	PublicURL string       // where people open the server
	Mail      *mail.Config // how mail is sent; nil: none is

	// Replicas are stores to which everything is copied: see replica.ParseURLs. A process without a worker reads from them what the store has lost.
	Replicas []string

	// Recipients of the sealed copies of the database that go into the store: see selfbackup.ParseRecipients. None: no copies are made.
	Recipients []age.Recipient

	SessionTTL time.Duration // of backup sessions without a heartbeat; 0: the catalog's default

	// Prepare brings the database's schema up to date and, as long as the database knows of no pack, makes the
	// store if there is none. A store that was there and is gone is never made anew: it may just not be mounted.
	Prepare bool

	// Sign makes an address from which this server hands out a pack, for stores that cannot do so themselves.
	Sign func(space id.Space, pack id.Pack, size int64) (url string, expires time.Time)

	Log *slog.Logger // nil: nothing is logged
}

// Depot is an open depot.
type Depot struct {
	Accounts     *account.Service
	Fleet        *fleet.Service
	Policies     *policy.Service
	Runs         *run.Service
	Notices      *notice.Service
	Reports      *report.Service
	Settings     *setting.Service
	Applications *application.Service

	Catalog    *catalog.Service    // nil without a store
	SelfBackup *selfbackup.Service // likewise
	Replicas   *replica.Service    // likewise

	DB    *sqlx.DB
	Redis bus.Client // nil without a Redis
	Bus   *bus.Bus
	Store blob.Store // nil without one

	Queue     *queue.Client    // nil without a Redis
	Inspector *queue.Inspector // likewise

	room report.Room // nil: nobody can say
}

// Open connects to the database, to Redis and to the store. The caller closes the depot.
func Open(ctx context.Context, cfg Config) (*Depot, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	secret := cfg.Secret
	switch {
	case secret == nil:
		secret = make([]byte, MinSecret)
		rand.Read(secret)
	case len(secret) < MinSecret:
		return nil, fault.New(fault.Invalid, "the secret has %d bytes: it needs at least %d", len(secret), MinSecret)
	}
	d := &Depot{}
	if err := d.open(ctx, cfg, secret); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Depot) open(ctx context.Context, cfg Config, secret []byte) (err error) {
	if d.DB, err = pg.Open(ctx, cfg.DatabaseURL); err != nil {
		return err
	}
	if cfg.Prepare {
		if err := pg.Migrate(ctx, d.DB); err != nil {
			return err
		}
	}
	if cfg.RedisURL != "" {
		if d.Redis, err = bus.Connect(ctx, cfg.RedisURL, cfg.Log); err != nil {
			return err
		}
	}
	if d.Redis != nil {
		d.Queue, d.Inspector = queue.NewClient(d.Redis), queue.NewInspector(d.Redis)
	}
	d.Bus = bus.New(d.Redis).WithLog(cfg.Log)
	people := account.Config{DB: d.DB, Pepper: derive(secret, "holdfast/v1/pepper"), PublicURL: cfg.PublicURL, Bus: d.Bus}
	if cfg.Mail != nil {
		people.Mail = func(ctx context.Context, tx *sqlx.Tx, c notice.Code) error { return d.Notices.MailCode(ctx, tx, c) }
	}
	d.Accounts = account.New(people)
	d.Fleet = fleet.New(fleet.Config{DB: d.DB, Bus: d.Bus})
	d.Settings = setting.New(setting.Config{DB: d.DB})
	d.Policies = policy.New(policy.Config{DB: d.DB, BeforeChange: func(ctx context.Context, tx *sqlx.Tx, p *policy.Policy) error {
		return d.Runs.TickPolicy(ctx, tx, p)
	}})
	d.Applications = application.New(application.Config{DB: d.DB, BeforeChange: func(ctx context.Context, tx *sqlx.Tx, s id.ApplicationSchedule) error {
		return d.Runs.TickSchedule(ctx, tx, s)
	}})
	d.Runs = run.New(run.Config{DB: d.DB, Bus: d.Bus, Policies: d.Policies, Applications: d.Applications, Settings: d.Settings})
	var sender *mail.Sender
	if cfg.Mail != nil {
		sender = mail.New(*cfg.Mail)
	}
	d.Notices = notice.New(notice.Config{DB: d.DB, Bus: d.Bus, Mail: sender, Settings: d.noticeSettings, Numbers: digests{d}, URL: cfg.PublicURL})
	if cfg.StoreURL != "" {
		if err := d.openStore(ctx, cfg); err != nil {
			return err
		}
	}
	d.Reports = report.New(report.Config{DB: d.DB, Bus: d.Bus, Settings: d.Settings, Room: d.room})
	return nil
}

// openStore opens the store, and what stands on it.
func (d *Depot) openStore(ctx context.Context, cfg Config) (err error) {
	if cfg.Prepare {
		if any, err := anyPack(ctx, d.DB); err != nil {
			return err
		} else if !any {
			if err := open.Init(ctx, cfg.StoreURL); err != nil {
				return err
			}
		}
	}
	if d.Store, err = open.OpenURL(ctx, cfg.StoreURL); err != nil {
		if old := d.CheckSchema(ctx); errors.Is(old, fault.Conflict) {
			return old // what brings the schema up to date makes the first store, too
		}
		return err
	}
	d.room, _ = d.Store.(report.Room) // a bucket cannot say how much room it has
	d.Replicas, err = replica.New(replica.Config{DB: d.DB, Store: d.Store, StoreURL: cfg.StoreURL, URLs: cfg.Replicas, KeepDays: d.replicaKeepDays})
	if err != nil {
		return err
	}
	entries := catalog.Config{DB: d.DB, Store: d.Store, Bus: d.Bus, SessionTTL: cfg.SessionTTL, Sign: cfg.Sign, Undo: d.undo, Quota: quota, Committed: d.committed}
	if d.Replicas.Configured() {
		entries.Spares = d.Replicas.Stores
	}
	d.Catalog = catalog.New(entries)
	d.SelfBackup = selfbackup.New(selfbackup.Config{
		DB: d.DB, DatabaseURL: cfg.DatabaseURL, Store: d.Store, Secret: cfg.Secret, Recipients: cfg.Recipients,
	})
	return nil
}

// noticeSettings is what of the settings concerns notices.
func (d *Depot) noticeSettings(ctx context.Context) (notice.Settings, error) {
	set, err := d.Settings.Get(ctx)
	if err != nil {
		return notice.Settings{}, err
	}
	days := map[setting.Period]int{setting.Never: 0, setting.Daily: 1, setting.Weekly: 7}
	return notice.Settings{
		ProductName: set.ProductName, Zone: set.Zone, DigestHour: set.DigestHour, AdminDigestDays: days[set.AdminDigest],
		MailsPerHour: set.MailsPerHour, StorageLowPercent: set.StorageLowPercent,
	}, nil
}

// replicaKeepDays is for how long replicas keep what has left the store.
func (d *Depot) replicaKeepDays(ctx context.Context) (int, error) {
	set, err := d.Settings.Get(ctx)
	if err != nil {
		return 0, err
	}
	return set.ReplicaKeepDays, nil
}

// undo is how long a deleted snapshot can be taken back.
func (d *Depot) undo(ctx context.Context) (time.Duration, error) {
	set, err := d.Settings.Get(ctx)
	if err != nil {
		return 0, err
	}
	return time.Duration(set.UndoDays) * 24 * time.Hour, nil
}

// quota refuses a backup that begins when its owner has stored too much already.
func quota(ctx context.Context, q sqlx.QueryerContext, owner id.User) error {
	used, limit, over, err := setting.OverQuota(ctx, q, owner)
	if err != nil || !over {
		return err
	}
	return setting.Refuse(used, limit)
}

// derive makes a key of its own for each use of the secret. What the uses reveal says nothing about one another.
func derive(secret []byte, label string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(label))
	return m.Sum(nil)
}

// Close lets everything go. It is safe on a depot that was opened in part.
func (d *Depot) Close() {
	if d.Bus != nil {
		d.Bus.Close()
	}
	if d.Redis != nil {
		d.Redis.Close()
	}
	if d.DB != nil {
		d.DB.Close()
	}
}

// Authenticate returns who a bearer token of any kind stands for. It fails with UNAUTHENTICATED, for rubbish
// without asking the database.
func (d *Depot) Authenticate(ctx context.Context, text string) (actor.Actor, error) {
	switch token.Kind(text) {
	case proto.TokenSession, proto.TokenAPI:
		return d.Accounts.Authenticate(ctx, text)
	case proto.TokenDevice:
		return d.Fleet.AuthenticateDevice(ctx, text)
	case proto.TokenImport:
		if d.Catalog != nil {
			return d.Catalog.AuthenticateImport(ctx, text)
		}
	}
	return actor.Actor{}, fault.New(fault.Unauthenticated, "this is not a token of a session, a program, a device or an import")
}

// Audit returns a page of the log: see [audit.Find].
func (d *Depot) Audit(ctx context.Context, a actor.Actor, f audit.Filter, first int, after string) (*audit.Page, error) {
	return audit.Find(ctx, d.DB, a, f, first, after)
}

// CheckSchema fails with CONFLICT, and says what to do, if the database's schema is not the one that this
// program was built for.
func (d *Depot) CheckSchema(ctx context.Context) error {
	have, want, err := schema(ctx, d.DB)
	switch {
	case err != nil:
		return err
	case have < want:
		return fault.New(fault.Conflict, "the database's schema is at step %d, this program needs step %d: run holdfast migrate", have, want)
	case have > want:
		return fault.New(fault.Conflict, "the database's schema is at step %d, newer than this program knows (%d): use the newer holdfast", have, want)
	}
	return nil
}

// Ready checks that the database and the store answer. Redis is left out on purpose: without it hints and
// periodic tasks wait, but no backup and no restore does.
func (d *Depot) Ready(ctx context.Context) error {
	if err := d.CheckSchema(ctx); err != nil {
		return err
	}
	if d.Store == nil {
		return nil
	}
	if _, err := d.Store.Stat(ctx, "ready"); err != nil && !errors.Is(err, fault.NotFound) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
