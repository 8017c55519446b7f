package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Begin begins a backup session for the device that asks. An older one of the same device becomes void. The
// owner's space is made if this is the first backup into it.
//
// ParentUsable means that the parent is a live snapshot of this device and that its tree is known to be
// complete, so that the device may refer to all of it without asking. After damage was found in the space that is
// not known, and the device then asks for everything: that is how damage heals.
func (s *Service) Begin(ctx context.Context, a actor.Actor, parent *id.Snapshot) (*Begun, error) {
	device, err := a.RequireDevice()
	if err != nil {
		return nil, err
	}
	b := s.begun()
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		space, err := s.begin(ctx, tx, device, b, nil)
		if err != nil || parent == nil {
			return err
		}
		sn, err := snapshotIn(ctx, tx, space.ID, *parent, false)
		if err != nil || sn == nil || sn.DeviceID != device {
			return err
		}
		b.ParentUsable, err = index.Complete(ctx, tx, space.ID, sn.Root)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.tell(ctx, device, b.ID)
	return b, nil
}

func (s *Service) begun() *Begun {
	return &Begun{ID: id.Backup{}.New(), TTL: s.cfg.SessionTTL, MaxPack: pack.MaxSize}
}

// begin makes the row of a session in the name of a device, and says in b what is known of it. A device's own ends its older one; an import leaves
// that alone. It returns the owner's space.
func (s *Service) begin(ctx context.Context, tx *sqlx.Tx, device id.Device, b *Begun, imports *importing) (*spaceRow, error) {
	w, err := lockWriter(ctx, tx, device)
	if err != nil {
		return nil, err
	}
	if err := w.welcome(); err != nil {
		return nil, err
	}
	if s.cfg.Quota != nil {
		if err := s.cfg.Quota(ctx, tx, w.Owner); err != nil {
			return nil, err
		}
	}
	space, err := s.space(ctx, tx, w.Owner)
	if err != nil {
		return nil, err
	}
	// With the lock, or a sweep that has just counted the sessions would not know of this one.
	if err := lockShared(ctx, tx, space.ID); err != nil {
		return nil, err
	}
	if imports == nil {
		if err := voidOlder(ctx, tx, device); err != nil {
			return nil, err
		}
	}
	if b.Fence, err = insertSession(ctx, tx, b.ID, space.ID, device, imports); err != nil {
		return nil, err
	}
	b.ChunkMin, b.ChunkAvg, b.ChunkMax = space.ChunkMin, space.ChunkAvg, space.ChunkMax
	some, err := hasPacks(ctx, tx, space.ID)
	b.SpaceEmpty, b.ParentUsable = !some, false
	return space, err
}

func (w *writerRow) welcome() error {
	switch {
	case w == nil || w.Revoked:
		return fault.New(fault.Unauthenticated, "this device was revoked: enrol it again")
	case w.Suspended:
		return fault.New(fault.Forbidden, "the account of this device's owner is suspended: ask an administrator")
	}
	return nil
}

// space returns the space of a user and makes it if there is none: its record in the store first, so that a
// rebuild will know whose it is.
func (s *Service) space(ctx context.Context, tx *sqlx.Tx, owner id.User) (*spaceRow, error) {
	sp, err := spaceOf(ctx, tx, owner)
	if err != nil || sp != nil {
		return sp, err
	}
	if err := lockOwner(ctx, tx, owner); err != nil {
		return nil, err
	}
	if sp, err = spaceOf(ctx, tx, owner); err != nil || sp != nil {
		return sp, err
	}
	now, err := clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	c := s.cfg.Chunk
	r := record.Space{ID: id.Space{}.New(), Owner: owner, ChunkMin: c.Min, ChunkAvg: c.Avg, ChunkMax: c.Max, Created: now}
	if err := s.put(ctx, spaceName(r.ID), r.Append(nil)); err != nil {
		return nil, err
	}
	if err := insertSpace(ctx, tx, r, &owner); err != nil {
		return nil, err
	}
	return spaceOf(ctx, tx, owner)
}

// errLapsed is the cause of a SESSION_EXPIRED that was discovered just now, so that the row still says active.
var errLapsed = errors.New("its heartbeat lapsed")

// check decides whether a session may go on. A session of another device is not found.
func (r *sessionRow) check(fence int64) error {
	switch {
	case r == nil:
		return fault.New(fault.NotFound, "there is no such backup session of this device")
	case !r.Welcome:
		return fault.New(fault.Unauthenticated, "this device was revoked or its owner suspended")
	case r.State == Committed:
		return fault.New(fault.SessionExpired, "this backup session has ended with a snapshot: begin a new one")
	case r.State != Active || r.Fence != fence:
		return fault.New(fault.SessionExpired, "this backup session is void: begin a new one")
	case !r.Alive:
		return fault.Wrap(errLapsed, fault.SessionExpired, "this backup session is void because it was silent for too long: begin a new one")
	}
	return nil
}

// writerOf says as whom an actor writes into a session.
func writerOf(a actor.Actor, backup id.Backup) (writer, error) {
	device, err := a.RequireWriter(backup)
	return writer{device, a.IsImport()}, err
}

// writer is who writes into the session.
func (r *sessionRow) writer() writer { return writer{r.Device, r.ImportOf != nil} }

// enter checks a session outside of a transaction and counts as its heartbeat.
func (s *Service) enter(ctx context.Context, a actor.Actor, backup id.Backup, fence int64) (*sessionRow, error) {
	w, err := writerOf(a, backup)
	if err != nil {
		return nil, err
	}
	row, err := readSession(ctx, s.cfg.DB, s.cfg.SessionTTL, backup, w)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if err := row.check(fence); err != nil {
		return nil, s.settle(ctx, w.device, backup, err)
	}
	return row, s.beat(ctx, row)
}

// beat is a heartbeat.
func (s *Service) beat(ctx context.Context, row *sessionRow) error {
	ok, err := beat(ctx, s.cfg.DB, s.cfg.SessionTTL, row.ID, row.Fence)
	if err != nil {
		return pg.Fault(err)
	}
	if !ok {
		// It lapsed, or was ended, since it was read: the row says which.
		row, err := readSession(ctx, s.cfg.DB, s.cfg.SessionTTL, row.ID, row.writer())
		if err != nil {
			return pg.Fault(err)
		}
		if row == nil {
			return fault.New(fault.SessionExpired, "this backup session is gone: begin a new one")
		}
		if err := row.check(row.Fence); err != nil {
			return s.settle(ctx, row.Device, row.ID, err)
		}
	}
	return nil
}

// settle marks a session void for ever if err says that it was just found lapsed. It must not be called inside a
// transaction. It returns err.
func (s *Service) settle(ctx context.Context, device id.Device, backup id.Backup, err error) error {
	if errors.Is(err, errLapsed) {
		if err := endSession(ctx, s.cfg.DB, backup, Void); err != nil {
			return pg.Fault(err)
		}
		s.tell(ctx, device, backup)
	}
	return err
}

// Progress is a heartbeat that says how far the backup is.
func (s *Service) Progress(ctx context.Context, a actor.Actor, backup id.Backup, fence int64, p BackupProgress) error {
	row, err := s.enter(ctx, a, backup, fence)
	if err != nil {
		return err
	}
	if len(p.Phase) > 40 || !utf8.ValidString(p.Phase) {
		return fault.New(fault.Invalid, "phase: a word of at most 40 characters")
	}
	for _, n := range []int64{p.Files, p.Bytes, p.TotalFiles, p.TotalBytes, p.UploadedBytes, p.Problems} {
		if n < 0 {
			return fault.New(fault.Invalid, "a count cannot be negative")
		}
	}
	ok, err := writeProgress(ctx, s.cfg.DB, s.cfg.SessionTTL, backup, fence, p)
	if err != nil {
		return pg.Fault(err)
	}
	if !ok {
		return s.beat(ctx, row) // says why
	}
	s.tell(ctx, row.Device, backup)
	return nil
}

// Abort gives a session up. What it stored stays until the next cleaning. Repeating it is harmless.
func (s *Service) Abort(ctx context.Context, a actor.Actor, backup id.Backup, fence int64) error {
	w, err := writerOf(a, backup)
	if err != nil {
		return err
	}
	row, err := readSession(ctx, s.cfg.DB, s.cfg.SessionTTL, backup, w)
	if err != nil {
		return pg.Fault(err)
	}
	if row != nil && row.State == Aborted && row.Fence == fence {
		return nil
	}
	if err := row.check(fence); err != nil {
		return s.settle(ctx, w.device, backup, err)
	}
	if err := endSession(ctx, s.cfg.DB, backup, Aborted); err != nil {
		return pg.Fault(err)
	}
	s.tell(ctx, w.device, backup)
	return nil
}

// ExpireSessions marks all lapsed sessions void and returns how many there were. Sessions are void from the
// moment their heartbeat lapses, marked or not; this is for those who watch.
func (s *Service) ExpireSessions(ctx context.Context) (int, error) {
	devices, err := voidLapsed(ctx, s.cfg.DB, s.cfg.SessionTTL, 0)
	if err != nil {
		return 0, pg.Fault(err)
	}
	for _, d := range devices {
		s.tell(ctx, d, id.Backup{})
	}
	return len(devices), nil
}

// Backup reads a session: of the owner's devices for a person, its own for a device, any for an administrator.
func (s *Service) Backup(ctx context.Context, a actor.Actor, backup id.Backup) (*Backup, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	row, err := readBackup(ctx, s.cfg.DB, s.cfg.SessionTTL, sc, backup)
	if err != nil {
		return nil, pg.Fault(err)
	}
	if row == nil {
		return nil, fault.New(fault.NotFound, "there is no such backup session")
	}
	return row.noun(), nil
}

// ActiveBackup returns the backup that a device is making now, or nil. It is seen by whom [Service.Backup] says.
func (s *Service) ActiveBackup(ctx context.Context, a actor.Actor, device id.Device) (*Backup, error) {
	m, err := s.ActiveBackups(ctx, a, []id.Device{device})
	return m[device], err
}

// ActiveBackups is [Service.ActiveBackup] of many devices.
func (s *Service) ActiveBackups(ctx context.Context, a actor.Actor, devices []id.Device) (map[id.Device]*Backup, error) {
	sc, err := scopeOf(a)
	if err != nil {
		return nil, err
	}
	rows, err := readActive(ctx, s.cfg.DB, s.cfg.SessionTTL, sc, devices)
	if err != nil {
		return nil, pg.Fault(err)
	}
	m := make(map[id.Device]*Backup, len(rows))
	for _, r := range rows {
		m[r.DeviceID] = r.noun()
	}
	return m, nil
}

// scopeOf says whose sessions a may see.
func scopeOf(a actor.Actor) (scope, error) {
	if a.IsDevice() {
		return scope{device: &a.Device}, nil
	}
	if a.Require(actor.Admin) == nil {
		return scope{}, nil
	}
	u, err := a.Person()
	return scope{owner: &u}, err
}

func (r *backupRow) noun() *Backup {
	return &Backup{
		ID: r.ID, DeviceID: r.DeviceID, State: r.State, StartedAt: r.StartedAt, LastSeenAt: r.LastSeenAt, EndedAt: r.EndedAt,
		Progress:   &BackupProgress{r.Phase, r.Files, r.Bytes, r.TotalFiles, r.TotalBytes, r.UploadedBytes, r.Problems},
		SnapshotID: r.SnapshotID,
	}
}

// Topic returns the bus topic on which a device's backups are announced. A message only says look: its bytes are
// the session's id, or nothing.
func Topic(device id.Device) string { return "device:" + device.String() }

func (s *Service) tell(ctx context.Context, device id.Device, backup id.Backup) {
	if s.cfg.Bus == nil {
		return
	}
	var msg []byte
	if !backup.IsZero() {
		msg = []byte(backup.String())
	}
	s.cfg.Bus.Publish(ctx, Topic(device), msg)
}

// Exclusive runs fn in a transaction in which nobody writes to the space and no backup session of it is alive: the
// ground on which cleaning stands. Lapsed sessions become void for ever before fn runs; if one is alive
// the answer is fault.Conflict. Sessions that want to begin, uploads and commits wait while fn runs, and those that wait longer than ten seconds
// get fault.Unavailable: fn should be brief. It may run more than once (see pg.InTx). The space's epoch rises.
func (s *Service) Exclusive(ctx context.Context, space id.Space, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	return s.exclusive(ctx, space, func(ctx context.Context, tx *sqlx.Tx, _ int64) error { return fn(ctx, tx) })
}

// errBusy is the cause of the CONFLICT that says that a session is alive.
var errBusy = errors.New("a backup session is alive")

// exclusive is [Service.Exclusive] with the epoch that the space has from now on.
func (s *Service) exclusive(ctx context.Context, space id.Space, fn func(ctx context.Context, tx *sqlx.Tx, epoch int64) error) error {
	var lapsed []id.Device
	err := s.inTx(ctx, func(tx *sqlx.Tx) error {
		sp, err := spaceNamed(ctx, tx, space)
		if err != nil {
			return err
		}
		if sp == nil {
			return fault.New(fault.NotFound, "there is no such space")
		}
		if err := lockExclusive(ctx, tx, sp.ID); err != nil {
			return err
		}
		// What is read from here on was committed before the lock was granted.
		if lapsed, err = voidLapsed(ctx, tx, s.cfg.SessionTTL, sp.ID); err != nil {
			return err
		}
		n, err := countActive(ctx, tx, sp.ID)
		if err != nil {
			return err
		}
		if n > 0 && !s.fence.noSessions {
			return fault.Wrap(errBusy, fault.Conflict, "%d backups into this space are running: clean it when they are over", n)
		}
		epoch, err := raiseEpoch(ctx, tx, sp.ID)
		if err != nil {
			return err
		}
		return fn(ctx, tx, epoch)
	})
	if err != nil {
		return err
	}
	for _, d := range lapsed {
		s.tell(ctx, d, id.Backup{})
	}
	return nil
}

// inTx is pg.InTx with words for a lock that was not granted in time.
func (s *Service) inTx(ctx context.Context, fn func(*sqlx.Tx) error) error {
	err := pg.InTx(ctx, s.cfg.DB, fn)
	if pq.As(err, pqerror.LockNotAvailable) != nil {
		f := fault.Wrap(err, fault.Unavailable, "the space is being cleaned: try again in a moment")
		f.RetryAfter = 5
		return f
	}
	var f *fault.Error
	if err != nil && !errors.As(err, &f) && ctx.Err() == nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return err
}

// interval is how often a long upload counts as a heartbeat.
func (s *Service) interval() time.Duration { return s.cfg.SessionTTL / 4 }
