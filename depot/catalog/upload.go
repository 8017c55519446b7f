package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Missing reports for each of at most [MaxIDs] objects whether the space lacks it. It is a heartbeat.
func (s *Service) Missing(ctx context.Context, a actor.Actor, backup id.Backup, fence int64, ids []id.Object) ([]bool, error) {
	row, err := s.enter(ctx, a, backup, fence)
	if err != nil {
		return nil, err
	}
	if len(ids) > MaxIDs {
		return nil, fault.New(fault.TooLarge, "ask for at most %d objects at once, not %d", MaxIDs, len(ids))
	}
	missing, err := index.Missing(ctx, s.cfg.DB, row.SpaceID, ids)
	return missing, pg.Fault(err)
}

// Admit says whether a pack may be sent, before a byte of it is read. [Service.Upload] asks the same again.
func (s *Service) Admit(ctx context.Context, a actor.Actor, in UploadInput) error {
	if _, err := a.RequireWriter(in.Backup); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	_, err := s.enter(ctx, a, in.Backup, in.Fence)
	return err
}

func (in *UploadInput) check() error {
	switch {
	case in.Name == id.Pack{}:
		return fault.New(fault.Invalid, "name: the SHA-256 of the pack is missing")
	case in.Size > pack.MaxSize:
		return fault.New(fault.TooLarge, "a pack has at most %d bytes, not %d", pack.MaxSize, in.Size)
	case in.Size < pack.TrailerSize:
		return fault.New(fault.Invalid, "size: a pack has at least %d bytes, not %d", pack.TrailerSize, in.Size)
	}
	return nil
}

// Upload stores a pack. When it returns nil the pack is durable, its bytes are known to be right, and its objects
// count as stored. If the space had all of it before, existed is true and body may be left unread. A pack of which a
// sweep may have deleted objects is read again, and all that it holds counts as stored again.
//
// Any number of uploads may run at once, of the same pack too, in any order, any number of times. While bytes
// arrive the session is kept alive. What breaks off leaves nothing behind, or at worst a sound pack
// without rows, which the next try or the next scrub makes known.
func (s *Service) Upload(ctx context.Context, a actor.Actor, in UploadInput, body io.Reader) (existed bool, err error) {
	w, err := writerOf(a, in.Backup)
	if err != nil {
		return false, err
	}
	if err := in.check(); err != nil {
		return false, err
	}
	row, err := s.enter(ctx, a, in.Backup, in.Fence)
	if err != nil {
		return false, err
	}
	known, err := readPack(ctx, s.cfg.DB, row.Space, in.Name)
	if err != nil {
		return false, pg.Fault(err)
	}
	if known != nil && !known.Damaged && !known.Partial {
		if known.Size != in.Size {
			return false, fault.New(fault.Invalid, "size: the pack of this name has %d bytes, not %d", known.Size, in.Size)
		}
		return true, nil
	}
	spool, err := s.cfg.Store.Create(ctx)
	if err != nil {
		return false, err
	}
	defer spool.Abort()
	if err := s.receive(ctx, row, in, spool, body); err != nil {
		return false, err
	}
	entries, err := pack.ReadIndex(spool, in.Size)
	if errors.Is(err, pack.ErrCorrupt) {
		return false, fault.Wrap(err, fault.BadPack, "this is %v: the agent does not fit the server, or has a fault", err)
	}
	if err != nil {
		return false, err
	}
	if err := s.keep(ctx, row.Space, in.Name, spool); err != nil {
		return false, err
	}
	err = s.inTx(ctx, func(tx *sqlx.Tx) error {
		if err := lockShared(ctx, tx, row.SpaceID); err != nil {
			return err
		}
		// Asked again under the lock: from here until the rows are committed no sweep can begin, and if one has
		// been here since the body began, this session is void now.
		row, err := readSession(ctx, tx, s.cfg.SessionTTL, in.Backup, w)
		if err != nil {
			return err
		}
		if err := row.check(in.Fence); err != nil {
			return err
		}
		added, err := index.Add(ctx, tx, row.SpaceID, index.Pack{Name: in.Name, Size: in.Size}, entries, false)
		existed = added.Existed
		return err
	})
	return existed, s.settle(ctx, w.device, in.Backup, err)
}

// receive spools the body and checks that it is what was announced. It holds a buffer of memory, no more.
func (s *Service) receive(ctx context.Context, row *sessionRow, in UploadInput, spool blob.Pending, body io.Reader) error {
	in2 := &intake{Reader: io.LimitReader(body, in.Size+1), hash: sha256.New(), every: s.interval(), last: time.Now(),
		beat: func() error { return s.beat(ctx, row) }}
	n, err := io.CopyBuffer(onlyWriter{spool}, in2, make([]byte, 256<<10))
	switch {
	case in2.err != nil: // the body's
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fault.KindOf(in2.err) != fault.Internal {
			return in2.err
		}
		if errors.Is(in2.err, os.ErrDeadlineExceeded) {
			return fault.Wrap(in2.err, fault.Unavailable, "the upload stood still after %d of %d bytes: send the pack again", n, in.Size)
		}
		return fault.Wrap(in2.err, fault.Unavailable, "the upload broke off after %d of %d bytes: send the pack again", n, in.Size)
	case err != nil: // the spool's
		return err
	case n < in.Size:
		return fault.New(fault.HashMismatch, "the upload ended after %d of %d bytes: send the pack again", n, in.Size)
	case n > in.Size:
		return fault.New(fault.Invalid, "the upload has more than the %d bytes that were announced", in.Size)
	case id.Pack(in2.hash.Sum(nil)) != in.Name:
		return fault.New(fault.HashMismatch, "the pack arrived damaged (its SHA-256 is not its name): send it again")
	}
	return nil
}

// onlyWriter hides ReaderFrom, so that CopyBuffer uses our buffer.
type onlyWriter struct{ io.Writer }

// intake hashes what it reads, remembers the reader's error apart from the writer's, and keeps the session alive
// for as long as bytes arrive.
type intake struct {
	io.Reader
	hash  hash.Hash
	every time.Duration
	last  time.Time
	beat  func() error
	err   error
}

func (r *intake) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.hash.Write(p[:n])
	if n > 0 && time.Since(r.last) > r.every {
		if berr := r.beat(); berr != nil {
			r.err = berr
			return n, berr
		}
		r.last = time.Now()
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// keep makes a pack durable under its name. A store may keep what it has when a name is committed again, so a blob that
// is there is read: if it is right there is nothing to do, and if it is wrong nobody was ever promised those
// bytes (or they rotted since), and the right ones take their place.
func (s *Service) keep(ctx context.Context, space id.Space, name id.Pack, spool blob.Pending) error {
	at := packName(space, name)
	switch _, err := s.cfg.Store.Stat(ctx, at); {
	case errors.Is(err, fault.NotFound):
	case err != nil:
		return err
	default:
		switch _, err := s.hash(ctx, space, name); {
		case err == nil:
			return nil
		case errors.Is(err, errWrong):
			if err := s.cfg.Store.Delete(ctx, at); err != nil {
				return err
			}
		case !errors.Is(err, fault.NotFound):
			return err
		}
	}
	return spool.Commit(ctx, at)
}
