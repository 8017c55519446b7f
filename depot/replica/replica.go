package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/open"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Max is how many replicas there can be.
const Max = 8

// forgetAfter is how long a replica is remembered that no worker has among its replicas.
const forgetAfter = 7 * 24 * time.Hour

// Config says what is copied whereto.
type Config struct {
	DB       *sqlx.DB
	Store    blob.Store
	StoreURL string   // of Store: it is no replica of itself
	URLs     []string // of the replicas, as [ParseURLs] gives them; none: nothing is copied

	// KeepDays is asked for how many days what has left the store stays in replicas.
	KeepDays func(ctx context.Context) (int, error)

	// Open and Init are open.OpenURL and open.Init, if nil.
	Open func(ctx context.Context, url string) (blob.Store, error)
	Init func(ctx context.Context, url string) error
}

// Service is the noun replica. It is safe for concurrent use, and any number of processes may have one for the same replicas.
type Service struct {
	cfg   Config
	batch int // rows that are held at once
	turn  int // packs of a space after which others have their turn

	mu    sync.Mutex
	found map[string]*place
}

// place is a replica as this process has met it.
type place struct {
	opening sync.Mutex // held while it is opened
	store   blob.Store // nil: not opened yet
	failed  time.Time  // when opening it last failed
}

// ParseURLs reads addresses of stores, apart by commas or white space: what HOLDFAST_REPLICAS holds. An empty text gives none. It fails with
// BAD_INPUT.
func ParseURLs(s string) ([]string, error) {
	urls := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if len(urls) > Max {
		return nil, fault.New(fault.Invalid, "at most %d replicas, not %d", Max, len(urls))
	}
	for i, u := range urls {
		for _, other := range urls[:i] {
			if same, err := open.Same(u, other); err != nil {
				return nil, err
			} else if same {
				return nil, fault.New(fault.Invalid, "the replica %s is named twice", u)
			}
		}
		if _, err := open.Same(u, u); err != nil {
			return nil, err
		}
	}
	return urls, nil
}

// New returns a service. It opens nothing. It fails with BAD_INPUT if a replica is the store itself.
func New(cfg Config) (*Service, error) {
	if cfg.Open == nil {
		cfg.Open = open.OpenURL
	}
	if cfg.Init == nil {
		cfg.Init = open.Init
	}
	s := &Service{cfg: cfg, batch: 200, turn: 2000, found: map[string]*place{}}
	for _, u := range cfg.URLs {
		if same, err := open.Same(u, cfg.StoreURL); err != nil {
			return nil, err
		} else if same {
			return nil, fault.New(fault.Invalid, "the replica %s is the store itself: name another place, on another disk", u)
		}
		s.found[u] = &place{}
	}
	return s, nil
}

// Configured reports whether anything is copied.
func (s *Service) Configured() bool { return len(s.cfg.URLs) > 0 }

// retryOpen is how long [Service.Stores] goes by it that a replica could not be opened.
const retryOpen = time.Minute

// Stores returns the replicas that can be opened, in the order in which they were configured, to read from.
func (s *Service) Stores(ctx context.Context) []blob.Store {
	var list []blob.Store
	for _, u := range s.cfg.URLs {
		s.mu.Lock()
		p := s.found[u]
		hopeless := p.store == nil && time.Since(p.failed) < retryOpen
		s.mu.Unlock()
		if hopeless {
			continue
		}
		if store, err := s.open(ctx, u); err == nil {
			list = append(list, store)
		}
	}
	return list
}

// open returns a replica's store.
func (s *Service) open(ctx context.Context, url string) (blob.Store, error) {
	s.mu.Lock()
	p := s.found[url]
	s.mu.Unlock()
	p.opening.Lock()
	defer p.opening.Unlock()
	if p.store != nil {
		return p.store, nil
	}
	store, err := s.cfg.Open(ctx, url)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		p.failed = time.Now()
		return nil, err
	}
	p.store = store
	return store, nil
}

// each does something for every replica at once, with a row for each and no other process at it. What fails for one is written down there and returned; it
// hinders no other. Replicas at which another process is are left out.
func (s *Service) each(ctx context.Context, do func(ctx context.Context, r row, store blob.Store) error) error {
	errs := make([]error, len(s.cfg.URLs))
	var g errgroup.Group
	for i, u := range s.cfg.URLs {
		g.Go(func() error {
			errs[i] = s.one(ctx, u, do)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // the errors are in errs
	// Afterwards, when those that are configured have said so: there may have been no worker at all for long.
	return errors.Join(append(errs, forget(ctx, s.cfg.DB, forgetAfter))...)
}

func (s *Service) one(ctx context.Context, url string, do func(ctx context.Context, r row, store blob.Store) error) error {
	r, err := enrol(ctx, s.cfg.DB, url)
	if err != nil {
		return err
	}
	release, err := alone(ctx, s.cfg.DB, r.ID)
	if err != nil || release == nil {
		return err
	}
	defer release()
	err = func() error {
		if r.MadeAt == nil {
			if err := s.cfg.Init(ctx, url); err != nil {
				return err
			}
			if err := made(ctx, s.cfg.DB, r.ID); err != nil {
				return err
			}
		}
		store, err := s.open(ctx, url)
		if err != nil {
			return err
		}
		return do(ctx, *r, store)
	}()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, errSilent):
		return ctx.Err() // somebody stopped it, or the time is over
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	text := err.Error()
	if fault.KindOf(err) == fault.Internal {
		text = "an internal error: the worker's log has it"
	}
	return errors.Join(fmt.Errorf("replica %s: %w", url, err), failed(ctx, s.cfg.DB, r.ID, text))
}

// State is how a replica is doing.
type State struct {
	ID           int
	URL          string
	Configured   bool       // whether a worker had it among its replicas within the hour
	Packs, Bytes int64      // that are in it
	LagPacks     int64      // that it lacks
	LagBytes     int64      // of these
	LagSince     *time.Time // since when it lacks the oldest of these, or of changed records; nil: nothing
	ReachedAt    *time.Time // when all was last copied
	FailingSince *time.Time // nil: the last try went well
	Error        string     // of the last try
	CheckedAt    *time.Time // when it was last listed from end to end
	Missing      int64      // packs that had gone from it, found by that
	Strays       int64      // packs in it that are not known here
	ScrubbedAt   *time.Time // when a round of reading every pack last came to its end
	Damaged      int64      // copies that were found wrong and replaced, ever
	CreatedAt    time.Time
	Trouble      string // what is wrong, in a sentence without its great letter and its stop; "": nothing
}

// States returns how the replicas are doing, in the order of their numbers. Administrators may ask.
func (s *Service) States(ctx context.Context, a actor.Actor) ([]State, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	list, err := states(ctx, s.cfg.DB)
	if err != nil {
		return nil, err
	}
	now, err := pg.Clock(ctx, s.cfg.DB)
	for i := range list {
		list[i].Trouble = list[i].trouble(now)
	}
	return list, err
}

// Late is how long a replica may lack something, and Failing how long it may fail, before somebody is told.
const (
	Late    = 24 * time.Hour
	Failing = time.Hour
)

// unchecked is the age of the last full check from which on something is wrong.
const unchecked = 3 * 24 * time.Hour

// trouble says in a sentence what is wrong with a replica, at a time of the database; "" if nothing is.
func (st *State) trouble(now time.Time) string {
	switch {
	case !st.Configured:
		return "the replica " + st.URL + " is in no worker's configuration any more: it is forgotten after a week; if that is a mistake, name it in HOLDFAST_REPLICAS of every worker"
	case st.FailingSince != nil && now.Sub(*st.FailingSince) >= Failing:
		return "the replica " + st.URL + " has failed for " + words(now.Sub(*st.FailingSince)) + ": " + st.Error
	case st.LagSince != nil && now.Sub(*st.LagSince) >= Late:
		return "the replica " + st.URL + " has lacked something for " + words(now.Sub(*st.LagSince)) + ": the link to it, or it itself, is too slow for what is backed up, or a pack in the store cannot be read"
	case now.Sub(orElse(st.CheckedAt, st.CreatedAt)) >= unchecked:
		return "the replica " + st.URL + " was not compared with the store for " + words(now.Sub(orElse(st.CheckedAt, st.CreatedAt))) + ": the worker's log says why"
	}
	return ""
}

func orElse(t *time.Time, other time.Time) time.Time {
	if t != nil {
		return *t
	}
	return other
}

// words says a time to people.
func words(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}
