package catalog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// retainedRow is what retention looks at.
type retainedRow struct {
	ID        id.Snapshot
	Space     id.Space  `db:"public_id"`
	Owner     id.User   `db:"owner_id"`
	CreatedAt time.Time `db:"created_at"`
	Files     int64
	Bytes     int64
	Problems  int64
	Scheduled bool
	Pinned    bool
	Part      *Part
}

// Of the space of the device's owner only: an older one that nobody owns is not touched.
const retainedQuery = `
	SELECT sn.id, s.public_id, s.owner_id, sn.created_at, sn.files, sn.bytes, sn.problems, sn.scheduled, sn.pinned_at IS NOT NULL AS pinned, sn.part
	FROM snapshots sn JOIN spaces s ON s.id = sn.space_id JOIN devices d ON d.id = sn.device_id AND d.user_id = s.owner_id
	WHERE sn.deleted_at IS NULL`

// What retention looks at follows retainedQuery and takes $1: the files of a device, what a policy made of them, what a schedule made of its
// application, and the safety backups of an application.
const (
	ofFiles       = ` AND sn.device_id = $1 AND sn.application_id IS NULL`
	ofPolicies    = ofFiles + ` AND sn.scheduled`
	ofSchedule    = ` AND sn.schedule_id = $1 AND sn.origin = 'backup'`
	ofSafety      = ` AND sn.application_id = $1 AND sn.origin = 'safety'`
	oldestFirst   = ` ORDER BY sn.created_at, sn.id`
	whileItIsHeld = ` FOR UPDATE OF sn`
)

// retained gives the live snapshots of a device's files, oldest first.
func retained(ctx context.Context, q sqlx.QueryerContext, device id.Device) (rows []retainedRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, retainedQuery+ofFiles+oldestFirst, device)
	return rows, err
}

// lockRetained gives those of what, oldest first. Nobody else pins or deletes them until tx ends.
func lockRetained(ctx context.Context, tx *sqlx.Tx, what string, of any) (rows []retainedRow, err error) {
	err = tx.SelectContext(ctx, &rows, retainedQuery+what+oldestFirst+whileItIsHeld, of)
	return rows, err
}

// newestGood returns when the newest live snapshot of a device's files without problems was made, of those up to now; empty: there is none. It has the
// form of newestGoodOf.
func newestGood(ctx context.Context, tx *sqlx.Tx, device id.Device, now time.Time) (map[Part]time.Time, error) {
	return newest(ctx, tx, `
		SELECT '' AS part, created_at AS at FROM snapshots
		WHERE device_id = $1 AND application_id IS NULL AND deleted_at IS NULL AND problems = 0 AND created_at <= $2
		ORDER BY created_at DESC LIMIT 1`, device, now)
}

// newestGoodOf is newestGood of an application's backups, by part.
func newestGoodOf(ctx context.Context, tx *sqlx.Tx, app id.Application, now time.Time) (map[Part]time.Time, error) {
	return newest(ctx, tx, `
		SELECT part, max(created_at) AS at FROM snapshots
		WHERE application_id = $1 AND origin = 'backup' AND deleted_at IS NULL AND problems = 0 AND created_at <= $2 GROUP BY part`, app, now)
}

func newest(ctx context.Context, tx *sqlx.Tx, query string, args ...any) (map[Part]time.Time, error) {
	var rows []struct {
		Part Part
		At   time.Time
	}
	err := tx.SelectContext(ctx, &rows, query, args...)
	found := make(map[Part]time.Time, len(rows))
	for _, r := range rows {
		found[r.Part] = r.At
	}
	return found, err
}

func ownerOfDevice(ctx context.Context, q sqlx.QueryerContext, device id.Device) (*id.User, error) {
	return maybe[id.User](ctx, q, `SELECT user_id FROM devices WHERE id = $1`, device)
}
