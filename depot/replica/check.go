package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// CheckEvery is how often a replica is listed from end to end.
const CheckEvery = 24 * time.Hour

const portion = 1000 // packs that are asked for at once

// Check lists every replica that was not listed for every, and notes what it should have and lacks, so that it is copied
// again. Nothing is deleted. Broken off, it begins anew. Memory: a bit for each pack. The system may ask, and superusers.
func (s *Service) Check(ctx context.Context, a actor.Actor, every time.Duration) (Report, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return Report{}, err
	}
	var t tally
	err := s.each(ctx, func(ctx context.Context, r row, in blob.Store) error {
		if due, err := checkDue(ctx, s.cfg.DB, r.ID, every); err != nil || !due {
			return err
		}
		c := &check{s: s, r: r, in: in, tally: &t, seen: map[int]uint64{}}
		return c.run(ctx)
	})
	return t.r, err
}

// check is one listing of one replica.
type check struct {
	s  *Service
	r  row
	in blob.Store
	*tally

	seen            map[int]uint64 // a bit for each number of a pack, 64 to an entry
	strays, missing int64

	spaces []id.Space // of the packs that are to be asked for
	names  [][]byte
	sizes  []int64
}

func (c *check) run(ctx context.Context) error {
	last, err := lastPack(ctx, c.s.cfg.DB) // what comes later is noted when it comes
	if err != nil {
		return err
	}
	err = c.in.List(ctx, catalog.Prefix, func(info blob.Info) error {
		space, name, ok := catalog.ParsePackName(info.Name)
		if !ok {
			return nil
		}
		c.spaces, c.names, c.sizes = append(c.spaces, space), append(c.names, name[:]), append(c.sizes, info.Size)
		if len(c.names) < portion {
			return nil
		}
		return c.meet(ctx)
	})
	if err != nil {
		return err
	}
	if err := c.meet(ctx); err != nil {
		return err
	}
	for after := 0; ; {
		list, err := heldAfter(ctx, c.s.cfg.DB, c.r.ID, after, last, portion)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		after = list[len(list)-1].ID
		if err := c.settle(ctx, list); err != nil {
			return err
		}
	}
	if err := compareAll(ctx, c.s.cfg.DB, c.r.ID); err != nil {
		return err
	}
	c.add(func(r *Report) { r.Missing += c.missing })
	return checked(ctx, c.s.cfg.DB, c.r.ID, c.missing, c.strays)
}

// meet asks for the packs that were collected.
func (c *check) meet(ctx context.Context) error {
	if len(c.names) == 0 {
		return nil
	}
	list, err := meet(ctx, c.s.cfg.DB, c.r.ID, c.spaces, c.names)
	if err != nil {
		return err
	}
	for _, m := range list {
		switch {
		case m.ID == nil && !m.Gone:
			c.strays++
		case m.ID == nil:
		case *m.Size != c.sizes[m.At-1]:
			if err := lack(ctx, c.s.cfg.DB, c.r.ID, *m.ID, true); err != nil {
				return err
			}
			c.add(func(r *Report) { r.Damaged++ })
		default:
			c.seen[*m.ID/64] |= 1 << (*m.ID % 64)
		}
	}
	c.spaces, c.names, c.sizes = c.spaces[:0], c.names[:0], c.sizes[:0]
	return nil
}

// settle compares what was seen of packs with what is noted.
func (c *check) settle(ctx context.Context, list []held) error {
	var there []int // that were there before the replica was configured
	for _, h := range list {
		switch seen := c.seen[h.ID/64]&(1<<(h.ID%64)) != 0; {
		case seen && h.Lacked && !h.Wrong:
			there = append(there, h.ID)
			continue
		case seen || h.Lacked:
			continue
		}
		// A listing may overlook what came while it ran. Only the direct question counts.
		switch _, err := c.in.Stat(ctx, catalog.PackName(h.Space, h.Name)); {
		case err == nil:
			continue
		case !errors.Is(err, fault.NotFound):
			return err
		}
		c.missing++
		if err := lack(ctx, c.s.cfg.DB, c.r.ID, h.ID, false); err != nil {
			return err
		}
	}
	return found(ctx, c.s.cfg.DB, c.r.ID, there)
}

// Scrub reads packs in every replica and hashes them: so many that, called every period, all are read within round. What is wrong or missing is noted, so
// that it is copied again. The next call goes on where this one ended. The system may ask, and superusers.
func (s *Service) Scrub(ctx context.Context, a actor.Actor, period, round time.Duration) (Report, error) {
	if err := a.Require(actor.Superuser); err != nil {
		return Report{}, err
	}
	total, err := countPacks(ctx, s.cfg.DB)
	if err != nil {
		return Report{}, err
	}
	slice := int((total*int64(period) + int64(round) - 1) / int64(round))
	var t tally
	err = s.each(ctx, func(ctx context.Context, r row, in blob.Store) error {
		for n, at := 0, r.Scrubbed; n < slice; {
			list, err := heldAfter(ctx, s.cfg.DB, r.ID, at, 1<<31-1, min(s.batch, slice-n))
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return scrubbed(ctx, s.cfg.DB, r.ID, 0)
			}
			if err := s.read(ctx, r, in, list, &t); err != nil {
				return err
			}
			n, at = n+len(list), list[len(list)-1].ID
			if err := scrubbed(ctx, s.cfg.DB, r.ID, at); err != nil {
				return err
			}
		}
		return nil
	})
	return t.r, err
}

// read reads packs in a replica.
func (s *Service) read(ctx context.Context, r row, in blob.Store, list []held, t *tally) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copiers)
	for _, h := range list {
		if h.Lacked {
			continue
		}
		g.Go(func() error {
			sum, err := hash(ctx, in, catalog.PackName(h.Space, h.Name))
			missing := errors.Is(err, fault.NotFound)
			switch {
			case missing:
				t.add(func(r *Report) { r.Missing++ })
			case err != nil && !errors.Is(err, errUnreadable):
				return err
			case err != nil || sum != h.Name:
				t.add(func(r *Report) { r.Damaged++ })
			default:
				t.add(func(r *Report) { r.Verified++ })
				return nil
			}
			return lack(ctx, s.cfg.DB, r.ID, h.ID, !missing)
		})
	}
	return g.Wait()
}

// hash reads a pack. Its error is errUnreadable if that breaks off though the replica answers.
func hash(ctx context.Context, in blob.Store, name string) (sum id.Pack, err error) {
	r, err := in.Open(ctx, name, 0, -1)
	if err != nil {
		return sum, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, &reader{Reader: r}, make([]byte, buffer)); err != nil {
		return sum, broken(ctx, in, name, err)
	}
	return id.Pack(h.Sum(nil)), nil
}
