package run

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// maxTickRows is how many rows one transaction makes, unless a single slot has more devices.
const maxTickRows = 20_000

// Tick makes the runs of every slot that has come, of all policies that are on, and rings their devices. Each policy is a
// transaction of its own, or several if it was not ticked for long: one that fails does not keep the others.
func (s *Service) Tick(ctx context.Context) error {
	ids, err := s.cfg.Policies.Enabled(ctx)
	if err != nil {
		return err
	}
	return tickAll(ctx, s, "policy", ids, s.tick)
}

// tickAll calls tick for each until it has no more, each time in a transaction of its own, and rings.
func tickAll[N id.Noun](ctx context.Context, s *Service, what string, ids []id.Of[N], tick func(context.Context, *sqlx.Tx, id.Of[N], *news) (bool, error)) error {
	var errs []error
	for _, one := range ids {
		for more := true; more; {
			var n news
			err := pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) (err error) {
				n = news{}
				more, err = tick(ctx, tx, one, &n)
				return err
			})
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", what, one, err))
				break
			}
			s.ring(ctx, n)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// TickPolicy is [Service.Tick] of one policy as part of tx: for what is about to change it. Its devices are rung by the
// next sweep.
func (s *Service) TickPolicy(ctx context.Context, tx *sqlx.Tx, p *policy.Policy) error {
	for {
		if more, err := s.tick(ctx, tx, p.ID, new(news)); err != nil || !more {
			return err
		}
	}
}

// tick makes the rows of a portion of a policy's slots and reports whether there are more.
func (s *Service) tick(ctx context.Context, tx *sqlx.Tx, p id.Policy, n *news) (more bool, err error) {
	due, err := policy.Due(ctx, tx, p)
	if err != nil || due == nil {
		return false, err
	}
	if len(due.Slots) == 0 { // by this rule: those of another rule do not count up to here
		return false, policy.Advance(ctx, tx, p, due.Until)
	}
	targets, err := policy.DevicesOf(ctx, tx, p)
	if err != nil {
		return false, err
	}
	slots, until, more := due.Slots, due.Until, due.More
	if most := max(1, maxTickRows/max(1, len(targets))); len(slots) > most {
		slots, until, more = slots[:most], slots[most-1], true
	}
	if err := s.schedule(ctx, tx, due, slots, targets, n); err != nil {
		return false, err
	}
	return more, policy.Advance(ctx, tx, p, until)
}

// schedule writes the rows of slots, and tells of those that are missed already.
func (s *Service) schedule(ctx context.Context, tx *sqlx.Tx, p *policy.DuePolicy, slots []time.Time, targets []policy.Target, n *news) error {
	delays := make([]time.Duration, len(targets))
	for i, t := range targets {
		delays[i] = spread(t.Device, p.ID, p.SpreadMinutes)
	}
	rows := make([]*row, 0, len(slots)*len(targets))
	for _, slot := range slots {
		end := p.DeadlineAt(slot)
		for i, t := range targets {
			if !slot.After(t.CreatedAt) {
				continue // it was not there yet
			}
			r := &row{ID: id.Run{}.New(), DeviceID: t.Device, OwnerID: t.Owner, Kind: Backup, Trigger: Schedule, PolicyID: &p.ID, Slot: &slot,
				DueAt: p.DueAt(slot, delays[i]), DeadlineAt: end}
			rows = append(rows, r)
		}
	}
	made, err := enter(ctx, tx, rows, p.Now, n)
	if err != nil {
		return err
	}
	return tellMissed(ctx, tx, p.Policy, made, n)
}

// enter writes the rows of slots, of which some may be missed already, and returns those that are new.
func enter(ctx context.Context, tx *sqlx.Tx, rows []*row, now time.Time, n *news) ([]*row, error) {
	for _, r := range rows {
		to := Waiting
		if !r.DeadlineAt.After(now) {
			to = Missed
		}
		if err := r.move(to, byTick); err != nil {
			return nil, err
		}
	}
	made, err := insertScheduled(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	for _, r := range made {
		n.changed = append(n.changed, r)
		if r.State == Waiting && !r.DueAt.After(now) {
			n.devices = append(n.devices, r.DeviceID)
		}
	}
	return made, nil
}

// missed returns those of the rows that were missed when they were made.
func missed(made []*row) (rows []*row) {
	for _, r := range made {
		if r.State == Missed {
			rows = append(rows, r)
		}
	}
	return rows
}

// tellMissed tells of rows that were missed when they were made.
func tellMissed(ctx context.Context, tx *sqlx.Tx, p *policy.Policy, made []*row, n *news) error {
	missed := missed(made)
	if len(missed) == 0 {
		return nil
	}
	var devices []id.Device
	for _, r := range missed {
		devices = append(devices, r.DeviceID)
	}
	names, err := deviceNames(ctx, tx, devices)
	if err != nil {
		return err
	}
	for _, r := range missed {
		r.Device, r.Policy, r.Zone = names[r.DeviceID], &p.Name, &p.Zone
	}
	return tell(ctx, tx, missed, n)
}

// spread returns how long after a slot a device may begin: always the same for a device and a policy, and evenly spread over all devices.
func spread(device id.Device, policy id.Policy, minutes int) time.Duration {
	if minutes <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write(device[:])
	h.Write(policy[:])
	// The low bits of FNV are the weak ones.
	sum := binary.BigEndian.Uint64(h.Sum(nil))
	sum ^= sum >> 32
	return time.Duration(sum%uint64(minutes*60)) * time.Second
}
