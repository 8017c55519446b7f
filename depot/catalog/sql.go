package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// lockClass keeps the advisory locks of spaces apart from others in the database.
const lockClass = 0x686f7370

// Advisory locks, not row locks: they queue fairly, so that a sweep gets its turn among writers that never pause,
// and they cost no write. Both end with the transaction. Whoever waits longer than ten seconds gives up.
func lockShared(ctx context.Context, tx *sqlx.Tx, space int) error {
	_, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', '10s', true), pg_advisory_xact_lock_shared($1, $2)`, lockClass, space)
	return err
}

func lockExclusive(ctx context.Context, tx *sqlx.Tx, space int) error {
	_, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', '10s', true), pg_advisory_xact_lock($1, $2)`, lockClass, space)
	return err
}

// Spaces.

type spaceRow struct {
	ID       int
	PublicID id.Space `db:"public_id"`
	OwnerID  *id.User `db:"owner_id"`
	ChunkMin int      `db:"chunk_min"`
	ChunkAvg int      `db:"chunk_avg"`
	ChunkMax int      `db:"chunk_max"`
}

const spaceColumns = `SELECT id, public_id, owner_id, chunk_min, chunk_avg, chunk_max FROM spaces`

// spaceOf returns the space of a user, or nil.
func spaceOf(ctx context.Context, q sqlx.QueryerContext, owner id.User) (*spaceRow, error) {
	return maybe[spaceRow](ctx, q, spaceColumns+` WHERE owner_id = $1`, owner)
}

// spaceNamed returns a space by its public id, or nil.
func spaceNamed(ctx context.Context, q sqlx.QueryerContext, space id.Space) (*spaceRow, error) {
	return maybe[spaceRow](ctx, q, spaceColumns+` WHERE public_id = $1`, space)
}

func listSpaces(ctx context.Context, q sqlx.QueryerContext) (rows []spaceRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, spaceColumns+` ORDER BY id`)
	return rows, err
}

func insertSpace(ctx context.Context, tx *sqlx.Tx, r record.Space, owner *id.User) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO spaces (public_id, owner_id, chunk_min, chunk_avg, chunk_max, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (public_id) DO NOTHING`, r.ID, owner, r.ChunkMin, r.ChunkAvg, r.ChunkMax, r.Created)
	return err
}

// attachSpace gives an ownerless space to a user who exists and has none, and reports whether it did.
func attachSpace(ctx context.Context, tx *sqlx.Tx, space int, owner id.User) (bool, error) {
	r, err := tx.ExecContext(ctx, `
		UPDATE spaces SET owner_id = $2 WHERE id = $1 AND owner_id IS NULL
			AND EXISTS (SELECT 1 FROM users WHERE id = $2) AND NOT EXISTS (SELECT 1 FROM spaces WHERE owner_id = $2)`, space, owner)
	return changed(r, err)
}

// ownerByDevices returns the one user whose devices made all snapshots of a space that known devices made, or nil.
func ownerByDevices(ctx context.Context, q sqlx.QueryerContext, space int) (*id.User, error) {
	return maybe[id.User](ctx, q, `
		SELECT min(d.user_id::text)::uuid FROM snapshots sn JOIN devices d ON d.id = sn.device_id WHERE sn.space_id = $1
		HAVING count(DISTINCT d.user_id) = 1`, space)
}

// raiseEpoch returns the new one.
func raiseEpoch(ctx context.Context, tx *sqlx.Tx, space int) (epoch int64, err error) {
	err = tx.GetContext(ctx, &epoch, `UPDATE spaces SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch`, space)
	return epoch, err
}

func epochOf(ctx context.Context, q sqlx.QueryerContext, space int) (epoch int64, err error) {
	err = sqlx.GetContext(ctx, q, &epoch, `SELECT epoch FROM spaces WHERE id = $1`, space)
	return epoch, err
}

// cleanerClass keeps the advisory locks of those who clean a space apart.
const cleanerClass = 0x686f6763

// tryCleaner makes conn the one that cleans a space, if no other does. The lock ends with the connection.
func tryCleaner(ctx context.Context, conn *sqlx.Conn, space int) (ok bool, err error) {
	err = conn.GetContext(ctx, &ok, `SELECT pg_try_advisory_lock($1, $2)`, cleanerClass, space)
	return ok, err
}

func releaseCleaner(ctx context.Context, conn *sqlx.Conn, space int) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, $2)`, cleanerClass, space)
	return err
}

func readUsage(ctx context.Context, q sqlx.QueryerContext, space int) (*Usage, error) {
	var u struct {
		Snapshots                           int
		Objects, Stored, Protected, Logical int64
	}
	err := sqlx.GetContext(ctx, q, &u, `
		SELECT p.objects, p.stored, sn.snapshots, sn.logical, l.protected
		FROM (SELECT coalesce(sum(objects - shadowed - dead), 0)::bigint AS objects, coalesce(sum(size), 0)::bigint AS stored
			FROM packs WHERE space_id = $1 AND NOT lost AND swept_at IS NULL) p,
		(SELECT count(*) AS snapshots, coalesce(sum(bytes), 0)::bigint AS logical FROM snapshots WHERE space_id = $1 AND deleted_at IS NULL) sn,
		(SELECT coalesce(sum(bytes), 0)::bigint AS protected FROM (
			SELECT DISTINCT ON (device_id, application_id) bytes FROM snapshots WHERE space_id = $1 AND deleted_at IS NULL
			ORDER BY device_id, application_id, created_at DESC, id DESC) newest) l`, space)
	return &Usage{u.Snapshots, u.Objects, u.Stored, u.Protected, u.Logical}, err
}

type doctorRow struct {
	Spaces, Ownerless, Packs, Damaged, Lost int
	Oldest                                  *time.Time
}

func readDoctor(ctx context.Context, q sqlx.QueryerContext) (r doctorRow, err error) {
	err = sqlx.GetContext(ctx, q, &r, `
		SELECT (SELECT count(*) FROM spaces) AS spaces, (SELECT count(*) FROM spaces WHERE owner_id IS NULL) AS ownerless,
			count(*) AS packs, count(damaged_at) FILTER (WHERE NOT lost) AS damaged, count(*) FILTER (WHERE lost) AS lost,
			min(verified_at) AS oldest FROM packs WHERE swept_at IS NULL`)
	return r, err
}

// maybe reads one row, or nil if there is none.
func maybe[T any](ctx context.Context, q sqlx.QueryerContext, query string, args ...any) (*T, error) {
	var row T
	switch err := sqlx.GetContext(ctx, q, &row, query, args...); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &row, nil
}

// changed reports whether a statement touched a row.
func changed(r sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}
