package catalog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Snapshots.

type snapshotRow struct {
	ID            id.Snapshot
	DeviceID      id.Device `db:"device_id"`
	CreatedAt     time.Time `db:"created_at"`
	Root          id.Object
	Manifest      []byte
	Files         int64
	Bytes         int64
	Problems      int64
	UploadedBytes int64      `db:"uploaded_bytes"`
	BackupID      *id.Backup `db:"backup_id"`
	DeletedAt     *time.Time `db:"deleted_at"`
	PurgeAfter    *time.Time `db:"purge_after"`
	PinnedAt      *time.Time `db:"pinned_at"`
	Scheduled     bool

	Application *id.Application         `db:"application_id"`
	Schedule    *id.ApplicationSchedule `db:"schedule_id"`
	Part        *Part
	Origin      *Origin
	Title       string
}

const snapshotColumns = `
	SELECT sn.id, sn.device_id, sn.created_at, sn.root, sn.manifest, sn.files, sn.bytes, sn.problems, sn.uploaded_bytes, sn.backup_id,
		sn.deleted_at, sn.purge_after, sn.pinned_at, sn.scheduled, sn.application_id, sn.schedule_id, sn.part, sn.origin, sn.title
	FROM snapshots sn`

func clock(ctx context.Context, q sqlx.QueryerContext) (at time.Time, err error) {
	err = sqlx.GetContext(ctx, q, &at, `SELECT clock_timestamp()`)
	return at, err
}

// insertSnapshot makes a snapshot's row and reports whether there was none. One that was deleted can be taken back for
// undo from now on.
func insertSnapshot(ctx context.Context, tx *sqlx.Tx, space int, r *record.Snapshot, deleted *time.Time, undo time.Duration) (bool, error) {
	var l struct {
		app      *id.Application
		schedule *id.ApplicationSchedule
		part     *Part
		origin   *Origin
		title    string
	}
	if of := r.Application; of != nil {
		part, origin := Part(of.Part), Origin(of.Origin)
		l.app, l.schedule, l.part, l.origin, l.title = &of.ID, of.Schedule, &part, &origin, of.Title
	}
	return changed(tx.ExecContext(ctx, `
		INSERT INTO snapshots (id, space_id, device_id, backup_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes,
			deleted_at, purge_after, application_id, schedule_id, part, origin, title)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::timestamptz,
			CASE WHEN $12::timestamptz IS NOT NULL THEN clock_timestamp() + make_interval(secs => $13) END, $14, $15, $16, $17, $18)
		ON CONFLICT DO NOTHING`,
		r.ID, space, r.Device, r.Backup, r.Root, r.Manifest, r.Created, r.Files, r.Bytes, r.Problems, r.UploadedBytes, deleted, undo.Seconds(),
		l.app, l.schedule, l.part, l.origin, l.title))
}

func snapshotOfBackup(ctx context.Context, q sqlx.QueryerContext, backup id.Backup) (*snapshotRow, error) {
	return maybe[snapshotRow](ctx, q, snapshotColumns+` WHERE sn.backup_id = $1`, backup)
}

// snapshotIn returns a live snapshot of a space, or nil; with lock, nobody else changes it until tx ends.
func snapshotIn(ctx context.Context, q sqlx.QueryerContext, space int, snapshot id.Snapshot, lock bool) (*snapshotRow, error) {
	query := snapshotColumns + ` WHERE sn.space_id = $1 AND sn.id = $2 AND sn.deleted_at IS NULL`
	if lock {
		query += ` FOR UPDATE`
	}
	return maybe[snapshotRow](ctx, q, query, space, snapshot)
}

// narrowed follows conditions on sn and takes $2 to $5. What is of an application of which nothing is known any more, because the database was made anew, counts
// as files: so it is seen.
const narrowed = ` AND sn.deleted_at IS NULL AND ($2::uuid IS NULL OR sn.device_id = $2)
	AND CASE WHEN $3::uuid IS NULL THEN sn.application_id IS NULL OR NOT EXISTS (SELECT 1 FROM applications a WHERE a.id = sn.application_id)
		ELSE sn.application_id = $3 END
	AND ($4::snapshot_origin IS NULL OR sn.origin = $4) AND ($5::application_part IS NULL OR sn.part = $5)`

func (f SnapshotFilter) args(space int) []any {
	return []any{space, f.Device, f.Application, f.Origin, f.Part}
}

// snapshotsBefore gives a page of a space's live snapshots, newest first.
func snapshotsBefore(ctx context.Context, q sqlx.QueryerContext, space int, f SnapshotFilter, from *keyset.Position[id.Snapshot], n int) (rows []snapshotRow, err error) {
	at, last := from.Args()
	err = sqlx.SelectContext(ctx, q, &rows, snapshotColumns+`
		WHERE sn.space_id = $1`+narrowed+` AND ($6::timestamptz IS NULL OR (sn.created_at, sn.id) < ($6, $7::uuid))
		ORDER BY sn.created_at DESC, sn.id DESC LIMIT $8`, append(f.args(space), at, last, n)...)
	return rows, err
}

func countSnapshots(ctx context.Context, q sqlx.QueryerContext, space int, f SnapshotFilter) (n int, err error) {
	err = sqlx.GetContext(ctx, q, &n, `SELECT count(*) FROM snapshots sn WHERE sn.space_id = $1`+narrowed, f.args(space)...)
	return n, err
}

// latest gives the newest live snapshot of the files of each of the devices that has one in the owner's space.
func latest(ctx context.Context, q sqlx.QueryerContext, owner id.User, devices []id.Device) (rows []snapshotRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT l.* FROM unnest($2::uuid[]) AS d (id) CROSS JOIN LATERAL (`+snapshotColumns+`
			JOIN spaces s ON s.id = sn.space_id AND s.owner_id = $1
			WHERE sn.device_id = d.id AND sn.application_id IS NULL AND sn.deleted_at IS NULL ORDER BY sn.created_at DESC, sn.id DESC LIMIT 1) l`, owner, pq.Array(devices))
	return rows, err
}

// ofApplications gives the live snapshots of an application, or of all, newest first, without their manifests.
func ofApplications(ctx context.Context, q sqlx.QueryerContext, app *id.Application, n int) (rows []snapshotRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT id, device_id, created_at, root, files, bytes, problems, uploaded_bytes, pinned_at, application_id, schedule_id, part, origin, title
		FROM snapshots WHERE application_id IS NOT NULL AND ($1::uuid IS NULL OR application_id = $1) AND deleted_at IS NULL
		ORDER BY created_at DESC, id DESC LIMIT $2`, app, n)
	return rows, err
}

// ownedRow is a snapshot with whose it is.
type ownedRow struct {
	snapshotRow
	Space id.Space `db:"public_id"`
	Owner id.User  `db:"owner_id"`
}

// lockOfApplication returns a live snapshot of an application in a space that somebody owns, or nil. Nobody else changes it until tx ends.
func lockOfApplication(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot) (*ownedRow, error) {
	return maybe[ownedRow](ctx, tx, `
		SELECT sn.id, sn.created_at, sn.pinned_at, s.public_id, s.owner_id FROM snapshots sn JOIN spaces s ON s.id = sn.space_id
		WHERE sn.id = $1 AND sn.application_id IS NOT NULL AND sn.deleted_at IS NULL AND s.owner_id IS NOT NULL FOR UPDATE OF sn`, snapshot)
}

// snapshotsByID gives those of the snapshots that are live in the owner's space.
func snapshotsByID(ctx context.Context, q sqlx.QueryerContext, owner id.User, snapshots []id.Snapshot) (rows []snapshotRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, snapshotColumns+` JOIN spaces s ON s.id = sn.space_id
		WHERE s.owner_id = $1 AND sn.id = ANY ($2::uuid[]) AND sn.deleted_at IS NULL`, owner, pq.Array(snapshots))
	return rows, err
}

// deletedOf gives a user's snapshots that can be taken back, the last deleted first.
func deletedOf(ctx context.Context, q sqlx.QueryerContext, owner id.User, n int) (rows []snapshotRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, snapshotColumns+` JOIN spaces s ON s.id = sn.space_id JOIN users u ON u.id = s.owner_id
		WHERE s.owner_id = $1 AND sn.purge_after > clock_timestamp() AND `+opens+` ORDER BY sn.deleted_at DESC, sn.id DESC LIMIT $2`, owner, n)
	return rows, err
}

// lockDeleted returns a snapshot of a space that can be taken back, or nil. Nobody else changes it until tx ends.
func lockDeleted(ctx context.Context, tx *sqlx.Tx, space int, snapshot id.Snapshot) (*snapshotRow, error) {
	return maybe[snapshotRow](ctx, tx, snapshotColumns+` JOIN spaces s ON s.id = sn.space_id JOIN users u ON u.id = s.owner_id
		WHERE sn.space_id = $1 AND sn.id = $2 AND sn.purge_after > clock_timestamp() AND `+opens+` FOR UPDATE OF sn`, space, snapshot)
}

// opens holds for snapshots that the owner's present keys open: not for those from before a reset of the account.
const opens = `(u.rekeyed_at IS NULL OR sn.created_at > u.rekeyed_at)`

// lockLive returns up to n live snapshots of a person's, pinned ones too, and no longer pinned. Nobody else changes them until tx ends.
func lockLive(ctx context.Context, tx *sqlx.Tx, owner id.User, n int) (list []id.Snapshot, err error) {
	err = tx.SelectContext(ctx, &list, `
		UPDATE snapshots SET pinned_at = NULL WHERE id IN (
			SELECT sn.id FROM snapshots sn JOIN spaces s ON s.id = sn.space_id
			WHERE s.owner_id = $1 AND sn.deleted_at IS NULL ORDER BY sn.id LIMIT $2 FOR UPDATE OF sn)
		RETURNING id`, owner, n)
	return list, err
}

// markDeleted deletes live snapshots that are not pinned, for good after undo, and returns how many there were.
func markDeleted(ctx context.Context, tx *sqlx.Tx, snapshots []id.Snapshot, by string, at time.Time, undo time.Duration) (int64, error) {
	r, err := tx.ExecContext(ctx, `
		UPDATE snapshots SET deleted_at = $2, deleted_by = $3, purge_after = $2::timestamptz + make_interval(secs => $4)
		WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL AND pinned_at IS NULL`, pq.Array(snapshots), at, by, undo.Seconds())
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func markLive(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot) error {
	_, err := tx.ExecContext(ctx, `UPDATE snapshots SET deleted_at = NULL, deleted_by = NULL, purge_after = NULL WHERE id = $1`, snapshot)
	return err
}

func setPinned(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot, pinned bool) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE snapshots SET pinned_at = CASE WHEN $2 THEN coalesce(pinned_at, clock_timestamp()) END WHERE id = $1`, snapshot, pinned)
	return err
}

func setScheduled(ctx context.Context, tx *sqlx.Tx, device id.Device, snapshot id.Snapshot) (bool, error) {
	return changed(tx.ExecContext(ctx, `UPDATE snapshots SET scheduled = true WHERE id = $2 AND device_id = $1`, device, snapshot))
}

func setMadeBy(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot, schedule id.ApplicationSchedule) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE snapshots sn SET schedule_id = sc.id FROM application_schedules sc
		WHERE sn.id = $1 AND sn.origin = 'backup' AND sc.id = $2 AND sc.application_id = sn.application_id`, snapshot, schedule)
	return err
}

// snapshotsAfter gives a portion of all snapshots of a space, deleted ones too, by id, without their manifests.
func snapshotsAfter(ctx context.Context, q sqlx.QueryerContext, space int, after id.Snapshot, n int) (rows []snapshotRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT id, root, deleted_at FROM snapshots WHERE space_id = $1 AND id > $2 ORDER BY id LIMIT $3`, space, after, n)
	return rows, err
}

// snapshotStates returns for every snapshot of a space whether it is live.
func snapshotStates(ctx context.Context, q sqlx.QueryerContext, space int) (map[id.Snapshot]bool, error) {
	var rows []struct {
		ID   id.Snapshot
		Live bool
	}
	err := sqlx.SelectContext(ctx, q, &rows, `SELECT id, deleted_at IS NULL AS live FROM snapshots WHERE space_id = $1`, space)
	live := make(map[id.Snapshot]bool, len(rows))
	for _, r := range rows {
		live[r.ID] = r.Live
	}
	return live, err
}

// purgeable returns the snapshots of a space that cannot be taken back any more.
func purgeable(ctx context.Context, q sqlx.QueryerContext, space int) (ids []id.Snapshot, err error) {
	err = sqlx.SelectContext(ctx, q, &ids, `
		SELECT id FROM snapshots WHERE space_id = $1 AND purge_after <= clock_timestamp() ORDER BY purge_after, id`, space)
	return ids, err
}

// lockPurgeable returns whether a snapshot still cannot be taken back. Nobody else changes it until tx ends.
func lockPurgeable(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot) (bool, error) {
	row, err := maybe[id.Snapshot](ctx, tx, `SELECT id FROM snapshots WHERE id = $1 AND purge_after <= clock_timestamp() FOR UPDATE`, snapshot)
	return row != nil, err
}

func removeSnapshot(ctx context.Context, tx *sqlx.Tx, snapshot id.Snapshot) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM snapshots WHERE id = $1`, snapshot)
	return err
}

// packNames returns the names of all packs of a space.
func packNames(ctx context.Context, q sqlx.QueryerContext, space int) (names []id.Pack, err error) {
	err = sqlx.SelectContext(ctx, q, &names, `SELECT name FROM packs WHERE space_id = $1`, space)
	return names, err
}

// snapshotFull returns a snapshot, deleted or not, or nil.
func snapshotFull(ctx context.Context, q sqlx.QueryerContext, snapshot id.Snapshot) (*snapshotRow, error) {
	return maybe[snapshotRow](ctx, q, snapshotColumns+` WHERE sn.id = $1`, snapshot)
}
