package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

const (
	// MaxOrder is the size of a sealed order, in bytes.
	MaxOrder = 1 << 20

	askedTime   = 7 * 24 * time.Hour // until what a person asked for must have begun
	startedTime = 24 * time.Hour     // likewise, what somebody at the device asked for
	maxRestores = 20                 // orders of one device that are not over
)

// BackUpNow asks for a backup of a device: of the caller's, or, by an administrator, of any. If one that somebody asked for is
// waiting or under way already, that is returned instead.
func (s *Service) BackUpNow(ctx context.Context, a actor.Actor, device id.Device) (*Run, error) {
	me, err := a.Person()
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, a, device, func(d *deviceRow) (*row, error) {
		r := &row{Trigger: Owner, AskedBy: &me}
		if d.Owner != me {
			if a.Require(actor.Admin) != nil {
				return nil, noDevice()
			}
			r.Trigger = Admin
		}
		if d.Revoked || d.Suspended {
			return nil, fault.New(fault.Conflict, "this device was revoked, or its owner suspended: it cannot be backed up any more")
		}
		return r, nil
	})
}

// StartByDevice makes a run for the device that asks, as [Service.BackUpNow] does.
func (s *Service) StartByDevice(ctx context.Context, a actor.Actor) (*Run, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, a, device, func(d *deviceRow) (*row, error) {
		if d.Revoked || d.Suspended {
			return nil, fault.New(fault.Unauthenticated, "this device was revoked, or its owner suspended")
		}
		return &row{Trigger: Device}, nil
	})
}

// ask makes the run that allow gives for a device, unless there is one: then that is due at once.
func (s *Service) ask(ctx context.Context, a actor.Actor, device id.Device, allow func(*deviceRow) (*row, error)) (*Run, error) {
	effective, err := s.effective(ctx, a, device)
	if err != nil {
		return nil, err
	}
	var run *row
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		n = news{}
		found, err := lockDevices(ctx, tx, []id.Device{device})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return noDevice()
		}
		d := found[0]
		r, err := allow(d)
		if err != nil {
			return err
		}
		if effective == nil {
			return fault.New(fault.Conflict, "no policy says what to save on this device: an administrator has to make one, or name paths")
		}
		open, err := askedOpen(ctx, tx, []id.Device{device})
		if err != nil {
			return err
		}
		if len(open) > 0 {
			// It may wait for its next try: whoever asks does not want to wait.
			run = open[0]
			hastened, err := hasten(ctx, tx, run.ID)
			if err != nil || !hastened {
				return err
			}
			run, err = reread(ctx, tx, run.ID)
			n.changed, n.devices = []*row{run}, []id.Device{device}
			return err
		}
		r.Kind, r.ID, r.DeviceID = Backup, id.Run{}.New(), device
		ttl, by := askedTime, byPerson
		if r.Trigger == Device {
			ttl, by = startedTime, byDevice
		}
		if err := r.move(Waiting, by); err != nil {
			return err
		}
		if err := insertAsked(ctx, tx, []*row{r}, nil, ttl); err != nil {
			return err
		}
		if r.Trigger != Device {
			if err := audit.Write(ctx, tx, audit.Event{Kind: "run.ordered", Actor: a, Owner: d.Owner,
				Text: fmt.Sprintf("A backup of the device “%s” was asked for.", d.Name)}); err != nil {
				return err
			}
		}
		run, err = reread(ctx, tx, r.ID)
		n.changed, n.devices = []*row{run}, []id.Device{device}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.ring(ctx, n)
	return seen(a, run), nil
}

// RunPolicy asks for a backup of every device that a policy applies to, apart from those of which somebody has asked for one that is not over, and
// returns how many it asked for. Only administrators may. A policy that is off is refused with fault.Conflict.
func (s *Service) RunPolicy(ctx context.Context, a actor.Actor, p id.Policy) (int, error) {
	if err := a.Require(actor.Admin); err != nil {
		return 0, err
	}
	pol, err := s.cfg.Policies.Get(ctx, a, p)
	if err != nil {
		return 0, err
	}
	if !pol.Enabled {
		return 0, fault.New(fault.Conflict, "the policy “%s” is off: switch it on first", pol.Name)
	}
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		n = news{}
		targets, err := policy.DevicesOf(ctx, tx, p)
		if err != nil {
			return err
		}
		devices := make([]id.Device, len(targets))
		for i, t := range targets {
			devices[i] = t.Device
		}
		if _, err := lockDevices(ctx, tx, devices); err != nil {
			return err
		}
		open, err := askedOpen(ctx, tx, devices)
		if err != nil {
			return err
		}
		has := map[id.Device]bool{}
		for _, r := range open {
			has[r.DeviceID] = true
		}
		var by *id.User
		if !a.IsSystem() {
			by = &a.User
		}
		for _, t := range targets {
			if has[t.Device] {
				continue
			}
			r := &row{ID: id.Run{}.New(), DeviceID: t.Device, OwnerID: t.Owner, Kind: Backup, Trigger: Admin, AskedBy: by, PolicyID: &p}
			if err := r.move(Waiting, byPerson); err != nil {
				return err
			}
			n.changed, n.devices = append(n.changed, r), append(n.devices, t.Device)
		}
		if len(n.changed) > 0 {
			if err := insertAsked(ctx, tx, n.changed, nil, askedTime); err != nil {
				return err
			}
		}
		return audit.Write(ctx, tx, audit.Event{Kind: "policy.run", Actor: a,
			Text: fmt.Sprintf("A backup of %d devices was asked for by the policy “%s”.", len(n.changed), pol.Name)})
	})
	if err != nil {
		return 0, err
	}
	s.ring(ctx, n)
	return len(n.changed), nil
}

// OrderRestore makes a restore run on a device of the caller's, from a live snapshot of the caller's. The order is sealed for the device: its
// bytes are relayed as they are. Only a person may, and nobody for somebody else.
func (s *Service) OrderRestore(ctx context.Context, a actor.Actor, device id.Device, snapshot id.Snapshot, order []byte) (*Run, error) {
	return s.order(ctx, a, device, snapshot, order, nil)
}

// order makes a restore run. Of an application, of says which run it is, with the line for the log; it is called with the device locked.
func (s *Service) order(ctx context.Context, a actor.Actor, device id.Device, snapshot id.Snapshot, order []byte, of func(*sqlx.Tx) (*row, string, error)) (*Run, error) {
	me, err := a.Person()
	if err != nil {
		return nil, err
	}
	switch {
	case len(order) == 0:
		return nil, fault.New(fault.Invalid, "order: it is missing")
	case len(order) > MaxOrder:
		return nil, fault.New(fault.TooLarge, "an order has at most %d bytes, not %d: choose whole folders", MaxOrder, len(order))
	}
	var run *row
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		found, err := lockDevices(ctx, tx, []id.Device{device})
		if err != nil {
			return err
		}
		if len(found) == 0 || found[0].Owner != me {
			return noDevice()
		}
		d := found[0]
		if d.Revoked {
			return fault.New(fault.Conflict, "the device “%s” was revoked: choose another one", d.Name)
		}
		if ok, err := isLiveSnapshot(ctx, tx, me, snapshot); err != nil {
			return err
		} else if !ok {
			return fault.New(fault.NotFound, "there is no such snapshot")
		}
		if open, err := countRestores(ctx, tx, device); err != nil {
			return err
		} else if open >= maxRestores {
			return fault.New(fault.Conflict, "%d restores on “%s” are waiting already: let them end, or cancel some", open, d.Name)
		}
		r, text := &row{}, fmt.Sprintf("A restore of the snapshot %s was ordered for the device “%s”.", snapshot, d.Name)
		if of != nil {
			if r, text, err = of(tx); err != nil {
				return err
			}
		}
		r.ID, r.DeviceID, r.Kind, r.Trigger, r.AskedBy, r.SnapshotID = id.Run{}.New(), device, Restore, Owner, &me, &snapshot
		if err := r.move(Waiting, byPerson); err != nil {
			return err
		}
		if err := insertAsked(ctx, tx, []*row{r}, order, askedTime); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Event{Kind: "restore.ordered", Actor: a, Owner: me, Text: text}); err != nil {
			return err
		}
		run, err = reread(ctx, tx, r.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.ring(ctx, news{changed: []*row{run}, devices: []id.Device{device}})
	return run.noun(), nil
}

// Cancel asks a run to stop: its owner may, and administrators. One that waits is cancelled at once. One that is under way is stopped by its device,
// with all others that the same backup answers, when it hears of it: it is rung, and else learns it with its next heartbeat. Repeating it changes nothing; a run that is over is fault.Conflict.
func (s *Service) Cancel(ctx context.Context, a actor.Actor, run id.Run) (*Run, error) {
	if !a.IsSystem() {
		if _, err := a.Person(); err != nil {
			return nil, err
		}
	}
	seenRow, err := find(ctx, s.cfg.DB, run)
	if err != nil {
		return nil, err
	}
	if seenRow == nil || !a.MayRead(seenRow.OwnerID) && a.Require(actor.Admin) != nil {
		return nil, noRun()
	}
	var after *row
	var n news
	err = pg.InTx(ctx, s.cfg.DB, func(tx *sqlx.Tx) error {
		n = news{}
		rows, err := lockWith(ctx, tx, seenRow.DeviceID, run)
		if err != nil {
			return err
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		changed, err := cancel(rows, run, now)
		if err != nil {
			return err
		}
		if len(changed) > 0 {
			if err := save(ctx, tx, changed); err != nil {
				return err
			}
			if err := audit.Write(ctx, tx, audit.Event{Kind: "run.cancelled", Actor: a, Owner: seenRow.OwnerID,
				Text: fmt.Sprintf("A %s%s on the device “%s” was cancelled.", seenRow.Kind, seenRow.about(), seenRow.Device)}); err != nil {
				return err
			}
		}
		n.changed = changed
		if len(changed) > 0 && changed[0].State == Running { // rung, its device looks at what it does
			n.devices = []id.Device{seenRow.DeviceID}
		}
		after, err = reread(ctx, tx, run)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.ring(ctx, n)
	return seen(a, after), nil
}

// cancel decides what becomes of a run that is to stop, among the open ones of its device.
func cancel(rows []*row, run id.Run, now time.Time) (changed []*row, err error) {
	var it *row
	for _, r := range rows {
		if r.ID == run {
			it = r
		}
	}
	switch {
	case it == nil:
		return nil, noRun()
	case it.State == Cancelled:
		return nil, nil
	case it.State.Over():
		return nil, fault.New(fault.Conflict, "this run is over")
	case it.State == Waiting:
		it.CancelAsked = &now
		return []*row{it}, it.end(Cancelled, byPerson, now, "")
	}
	for _, r := range rows {
		if r.State == Running && r.Lease == it.Lease && r.CancelAsked == nil {
			r.CancelAsked = &now
			changed = append(changed, r)
		}
	}
	return changed, nil
}
