package report

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	// MaxDays is how many days of samples can be asked for.
	MaxDays = 800

	maxSpaces   = 100
	growthDays  = 30                             // that a line is laid through
	leastDays   = 7                              // of them, with samples
	farthest    = 100 * 365 * 24 * time.Hour     // a forecast beyond says nothing
	keepSamples = (MaxDays + 1) * 24 * time.Hour // of single spaces
)

// Day is what was stored at the end of a day.
type Day struct {
	Day            string // YYYY-MM-DD
	StoredBytes    int64  `db:"stored"`
	LogicalBytes   int64  `db:"logical"`
	ProtectedBytes int64  `db:"protected"`
	UploadedBytes  int64  `db:"uploaded"` // in sessions that ended on that day
	FreeBytes      *int64 `db:"free"`
}

// Storage is what is stored, and how it grows.
type Storage struct {
	StoredBytes      int64
	LogicalBytes     int64
	ProtectedBytes   int64
	Objects          int64
	Snapshots        int
	QuarantinedBytes int64
	FreeBytes        *int64
	TotalBytes       *int64
	Days             []*Day
	GrowthPerDay     *float64
	FullAt           *time.Time
	Spaces           []*Space
}

// Space is what one owner stores.
type Space struct {
	OwnerID      *id.User // nil: nobody's any more
	StoredBytes  int64
	LogicalBytes int64
	QuotaBytes   *int64
}

// Storage says what is stored, and how that has changed within the last days.
func (s *Service) Storage(ctx context.Context, a actor.Actor, days int) (*Storage, error) {
	if err := a.Require(actor.Admin); err != nil {
		return nil, err
	}
	if err := checkDays(days); err != nil {
		return nil, err
	}
	spaces, err := spaces(ctx, s.cfg.DB)
	if err != nil {
		return nil, err
	}
	r := &Storage{Spaces: []*Space{}}
	for _, sp := range spaces { // the largest first
		r.StoredBytes += sp.Stored
		r.LogicalBytes += sp.Logical
		r.ProtectedBytes += sp.Protected
		r.Objects += sp.Objects
		r.Snapshots += sp.Snapshots
		r.QuarantinedBytes += sp.Quarantined
		if len(r.Spaces) < maxSpaces {
			r.Spaces = append(r.Spaces, &Space{sp.Owner, sp.Stored, sp.Logical, sp.Quota})
		}
	}
	if r.FreeBytes, r.TotalBytes, err = s.room(ctx); err != nil {
		return nil, err
	}
	if r.Days, err = samples(ctx, s.cfg.DB, nil, days); err != nil {
		return nil, err
	}
	recent := r.Days
	if days != growthDays {
		if recent, err = samples(ctx, s.cfg.DB, nil, growthDays); err != nil {
			return nil, err
		}
	}
	r.GrowthPerDay = growth(recent)
	now, err := pg.Clock(ctx, s.cfg.DB)
	if err != nil {
		return nil, err
	}
	r.FullAt = full(now, r.FreeBytes, r.GrowthPerDay)
	return r, nil
}

func checkDays(days int) error {
	if days < 1 || days > MaxDays {
		return fault.New(fault.Invalid, "days: ask for 1 to %d", MaxDays)
	}
	return nil
}

// room asks the store; nil if it cannot say.
func (s *Service) room(ctx context.Context) (free, total *int64, err error) {
	if s.cfg.Room == nil {
		return nil, nil, nil
	}
	f, t, err := s.cfg.Room.Room(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &f, &t, nil
}

// growth is the slope of the line through samples, in bytes a day.
func growth(days []*Day) *float64 {
	if len(days) < leastDays {
		return nil
	}
	var x, y, xx, xy float64
	n := float64(len(days))
	first := days[0] // counted from there, sums are small and exact
	for _, d := range days {
		day, bytes := d.since(first), float64(d.StoredBytes-first.StoredBytes)
		x, y, xx, xy = x+day, y+bytes, xx+day*day, xy+day*bytes
	}
	slope := (n*xy - x*y) / (n*xx - x*x)
	return &slope
}

// since is the number of days from another day to d.
func (d *Day) since(other *Day) float64 {
	from, _ := time.Parse(time.DateOnly, other.Day) // PostgreSQL has written both
	to, _ := time.Parse(time.DateOnly, d.Day)
	return to.Sub(from).Hours() / 24
}

// full is when free bytes are used up at a pace.
func full(now time.Time, free *int64, perDay *float64) *time.Time {
	if free == nil || perDay == nil || *perDay <= 0 {
		return nil
	}
	hours := float64(*free) / *perDay * 24
	if hours > farthest.Hours() {
		return nil
	}
	at := now.Add(time.Duration(hours * float64(time.Hour))).Truncate(time.Second)
	return &at
}

// MyUsage returns the samples of the caller's space, oldest first.
func (s *Service) MyUsage(ctx context.Context, a actor.Actor, days int) ([]*Day, error) {
	me, err := a.SignedIn()
	if err != nil {
		return nil, err
	}
	if err := checkDays(days); err != nil {
		return nil, err
	}
	return samples(ctx, s.cfg.DB, &me, days)
}

// Sample writes what is stored into the rows of today, of each space and of all. The worker calls it every hour.
func (s *Service) Sample(ctx context.Context) error {
	free, _, err := s.room(ctx)
	if err != nil {
		return err
	}
	return pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error { return sample(ctx, tx, free, keepSamples) })
}
