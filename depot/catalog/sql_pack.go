package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Packs, as far as single ones are asked for.

type packRow struct {
	ID         int
	SpaceID    int      `db:"space_id"`
	Space      id.Space `db:"public_id"`
	Name       id.Pack
	Size       int64
	VerifiedAt time.Time `db:"verified_at"`
	Due        bool      // to be read again: never verified since, or damaged
	Damaged    bool
	Lost       bool
	Partial    bool // in quarantine, or not all of its objects' rows point to it
}

const packColumns = `
	SELECT p.id, p.space_id, s.public_id, p.name, p.size, p.verified_at, p.damaged_at IS NOT NULL AS damaged, p.lost,
		p.swept_at IS NOT NULL OR p.dead + p.shadowed > 0 AS partial,
		p.damaged_at IS NOT NULL OR p.verified_at < clock_timestamp() - make_interval(secs => $1) AS due
	FROM packs p JOIN spaces s ON s.id = p.space_id`

func readPack(ctx context.Context, q sqlx.QueryerContext, space id.Space, name id.Pack) (*packRow, error) {
	return maybe[packRow](ctx, q, packColumns+` WHERE s.public_id = $2 AND p.name = $3`, 0, space, name)
}

// packsAfter gives a portion of all packs that are numbered after and up to last, without those in quarantine.
func packsAfter(ctx context.Context, q sqlx.QueryerContext, olderThan time.Duration, after, last, n int) (rows []packRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, packColumns+` WHERE p.id > $2 AND p.id <= $3 AND p.swept_at IS NULL ORDER BY p.id LIMIT $4`,
		olderThan.Seconds(), after, last, n)
	return rows, err
}

// packState returns the highest pack number so far and how many packs are believed to be in the store.
func packState(ctx context.Context, q sqlx.QueryerContext) (last, n int, err error) {
	var row struct{ Last, N int }
	err = sqlx.GetContext(ctx, q, &row, `SELECT coalesce(max(id), 0) AS last, count(*) FILTER (WHERE NOT lost AND swept_at IS NULL) AS n FROM packs`)
	return row.Last, row.N, err
}

// inDoubt reports whether a space has a live snapshot whose tree is not known to be complete.
func inDoubt(ctx context.Context, q sqlx.QueryerContext, space int) (yes bool, err error) {
	err = sqlx.GetContext(ctx, q, &yes, `
		SELECT EXISTS (SELECT 1 FROM snapshots sn WHERE sn.space_id = $1 AND sn.deleted_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.space_id = $1 AND n.id = sn.root AND n.complete))`, space)
	return yes, err
}

// spares returns the sound packs of a space that hold copies of objects whose rows point elsewhere. Those in quarantine
// count: what was moved out of them lies there still.
func spares(ctx context.Context, q sqlx.QueryerContext, space int) (rows []packRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, packColumns+` WHERE p.space_id = $2 AND p.shadowed > 0 AND p.damaged_at IS NULL ORDER BY p.id`, 0, space)
	return rows, err
}

func hasPacks(ctx context.Context, q sqlx.QueryerContext, space int) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `SELECT EXISTS (SELECT 1 FROM packs WHERE space_id = $1 AND swept_at IS NULL)`, space)
	return ok, err
}

// markSound notes that a pack's bytes are right, and reports whether that is news.
func markSound(ctx context.Context, q sqlx.QueryerContext, packID int) (healed bool, err error) {
	err = sqlx.GetContext(ctx, q, &healed, `
		UPDATE packs p SET verified_at = clock_timestamp(), damaged_at = NULL, lost = false
		FROM (SELECT id, damaged_at IS NOT NULL AS damaged FROM packs WHERE id = $1 FOR UPDATE) old
		WHERE p.id = old.id RETURNING old.damaged`, packID)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // swept meanwhile
	}
	return healed, err
}

// markDamaged flags a pack and reports whether the flag is new; nil if somebody has found the pack sound, or has swept it, since
// it was read.
func markDamaged(ctx context.Context, tx *sqlx.Tx, p packRow, lost bool) (fresh *bool, err error) {
	return maybe[bool](ctx, tx, `
		UPDATE packs p SET damaged_at = coalesce(p.damaged_at, clock_timestamp()), lost = $3
		FROM (SELECT id, damaged_at IS NULL AS sound FROM packs WHERE id = $1 AND verified_at = $2 AND swept_at IS NULL FOR UPDATE) old
		WHERE p.id = old.id RETURNING old.sound`, p.ID, p.VerifiedAt, lost)
}
