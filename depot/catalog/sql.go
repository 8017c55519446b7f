package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/depot/named"
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

// Devices and their owners, as far as sessions ask.

type writerRow struct {
	Owner     id.User `db:"user_id"`
	Revoked   bool
	Suspended bool
}

// lockWriter reads a device and its owner, nil if there is none, and makes two Begins of one device queue.
func lockWriter(ctx context.Context, tx *sqlx.Tx, device id.Device) (*writerRow, error) {
	return maybe[writerRow](ctx, tx, `
		SELECT d.user_id, d.revoked_at IS NOT NULL AS revoked, u.suspended_at IS NOT NULL AS suspended
		FROM devices d JOIN users u ON u.id = d.user_id WHERE d.id = $1 FOR NO KEY UPDATE OF d`, device)
}

// lockOwner makes two first backups of one user queue, so that one space is made.
func lockOwner(ctx context.Context, tx *sqlx.Tx, owner id.User) error {
	_, err := tx.ExecContext(ctx, `SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE`, owner)
	return err
}

// Backup sessions. Only the database's clock is asked, and never the beginning of the transaction: it may have
// waited for a lock.

const alive = `b.last_seen_at > clock_timestamp() - make_interval(secs => $1)`

type sessionRow struct {
	ID      id.Backup
	SpaceID int      `db:"space_id"`
	Space   id.Space `db:"public_id"`
	Device  id.Device
	State   BackupState
	Fence   int64
	Alive   bool
	Welcome bool // neither the device is revoked nor its owner suspended

	ImportOf *id.Application `db:"import_application_id"` // nil: the device's own session
}

const sessionQuery = `
	SELECT b.id, b.space_id, s.public_id, b.device_id AS device, b.state, b.fence, ` + alive + ` AS alive,
		d.revoked_at IS NULL AND u.suspended_at IS NULL AND s.owner_id IS NOT DISTINCT FROM d.user_id AS welcome,
		b.import_application_id
	FROM backups b JOIN spaces s ON s.id = b.space_id JOIN devices d ON d.id = b.device_id JOIN users u ON u.id = d.user_id
	WHERE b.id = $2 AND b.device_id = $3 AND (b.import_token IS NOT NULL) = $4`

// writer is who writes into a session: a device into its own, or an import into its own in the device's name.
type writer struct {
	device  id.Device
	imports bool
}

func readSession(ctx context.Context, q sqlx.QueryerContext, ttl time.Duration, backup id.Backup, w writer) (*sessionRow, error) {
	return maybe[sessionRow](ctx, q, sessionQuery, ttl.Seconds(), backup, w.device, w.imports)
}

func lockSession(ctx context.Context, tx *sqlx.Tx, ttl time.Duration, backup id.Backup, w writer) (*sessionRow, error) {
	return maybe[sessionRow](ctx, tx, sessionQuery+` FOR UPDATE OF b`, ttl.Seconds(), backup, w.device, w.imports)
}

// insertSession makes a session: of a device's own (nil), or of an import.
func insertSession(ctx context.Context, tx *sqlx.Tx, backup id.Backup, space int, device id.Device, imports *importing) (fence int64, err error) {
	var app *id.Application
	var token *[]byte
	var by *string
	if imports != nil {
		app, token, by = &imports.app, &imports.token, &imports.by
	}
	err = tx.GetContext(ctx, &fence, `
		INSERT INTO backups (id, space_id, device_id, started_at, last_seen_at, import_application_id, import_token, import_by)
		VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp(), $4, $5, $6) RETURNING fence`, backup, space, device, app, token, by)
	return fence, err
}

// importTime is how long after its end the token of an import still says why it writes no more.
const importTime = time.Hour

type importRow struct {
	ID     id.Backup
	Device id.Device
}

// importByToken returns the session that the hash of a token opens, nil if there is none, or the credential has ended with which it was begun.
func importByToken(ctx context.Context, q sqlx.QueryerContext, hash []byte) (*importRow, error) {
	return maybe[importRow](ctx, q, `
		SELECT b.id, b.device_id AS device FROM backups b WHERE b.import_token = $1
			AND (b.ended_at IS NULL OR b.ended_at > clock_timestamp() - make_interval(secs => $2))
			AND (EXISTS (SELECT 1 FROM sessions s WHERE s.id = b.import_by AND s.expires_at > clock_timestamp())
				OR EXISTS (SELECT 1 FROM api_tokens t WHERE t.id = b.import_by AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())))`, hash, importTime.Seconds())
}

// applicationRow is an application that an import is for, with what is asked of its device.
type applicationRow struct {
	Device  id.Device `db:"device_id"`
	Owner   id.User   `db:"user_id"`
	Name    string
	Removed bool
	Revoked bool // the device
}

// applicationOf returns an application, or nil.
func applicationOf(ctx context.Context, q sqlx.QueryerContext, app id.Application) (*applicationRow, error) {
	return maybe[applicationRow](ctx, q, `
		SELECT a.device_id, d.user_id, a.name, a.removed_at IS NOT NULL AS removed, d.revoked_at IS NOT NULL AS revoked
		FROM applications a JOIN devices d ON d.id = a.device_id WHERE a.id = $1`, app)
}

// lostDevice makes the row of a device of which nothing is left but snapshots: revoked, without keys, with a token that no hash of one is. It follows
// the query of what to insert: id, owner, since when.
const lostDevice = `
	INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash, created_at, revoked_at)
	SELECT l.id, l.owner, 'recovered device', 'unknown', 'unknown', 'unknown', 'unknown', '', '', uuid_send(l.id), l.since, clock_timestamp() FROM lost l
	ON CONFLICT DO NOTHING`

// insertLostDevice makes the device that a record of a snapshot is of, unless there is one, or the space has no owner yet. Without it its owner's
// list could not say of what device the snapshot is.
func insertLostDevice(ctx context.Context, tx *sqlx.Tx, space int, r *record.Snapshot) error {
	_, err := tx.ExecContext(ctx, `WITH lost AS (SELECT $2::uuid AS id, owner_id AS owner, $3::timestamptz AS since FROM spaces WHERE id = $1 AND owner_id IS NOT NULL)`+lostDevice,
		space, r.Device, r.Created)
	return err
}

// insertLostDevices does so for all snapshots of a space.
func insertLostDevices(ctx context.Context, tx *sqlx.Tx, space int) error {
	_, err := tx.ExecContext(ctx, `
		WITH lost AS (
			SELECT sn.device_id AS id, s.owner_id AS owner, min(sn.created_at) AS since FROM snapshots sn JOIN spaces s ON s.id = sn.space_id
			WHERE sn.space_id = $1 AND s.owner_id IS NOT NULL AND NOT EXISTS (SELECT FROM devices d WHERE d.id = sn.device_id) GROUP BY 1, 2)`+lostDevice, space)
	return err
}

// insertApplication makes the application that a record of a snapshot is of, as one that its device has no more, unless there is one of its id or
// name, or no such device.
func insertApplication(ctx context.Context, tx *sqlx.Tx, r *record.Snapshot) error {
	app := r.Application
	if app.Name == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO applications (id, device_id, name, name_key, media_folders, removed_at)
		SELECT $1, d.id, $3, $4, 0, clock_timestamp() FROM devices d WHERE d.id = $2 ON CONFLICT DO NOTHING`, app.ID, r.Device, app.Name, named.Key(app.Name))
	return err
}

// isScheduleOf reports whether an application has such a schedule.
func isScheduleOf(ctx context.Context, q sqlx.QueryerContext, app id.Application, schedule id.ApplicationSchedule) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `SELECT EXISTS (SELECT 1 FROM application_schedules WHERE id = $2 AND application_id = $1)`, app, schedule)
	return ok, err
}

// countImports returns how many imports of an application are alive.
func countImports(ctx context.Context, tx *sqlx.Tx, ttl time.Duration, app id.Application) (n int, err error) {
	err = tx.GetContext(ctx, &n, `
		SELECT count(*) FROM backups b WHERE import_application_id = $2 AND state = 'active' AND `+alive, ttl.Seconds(), app)
	return n, err
}

// beat keeps a session alive, and reports whether it still was.
func beat(ctx context.Context, q sqlx.ExecerContext, ttl time.Duration, backup id.Backup, fence int64) (bool, error) {
	return changed(q.ExecContext(ctx, `
		UPDATE backups b SET last_seen_at = clock_timestamp() WHERE `+alive+` AND id = $2 AND fence = $3 AND state = 'active'`,
		ttl.Seconds(), backup, fence))
}

func writeProgress(ctx context.Context, q sqlx.ExecerContext, ttl time.Duration, backup id.Backup, fence int64, p BackupProgress) (bool, error) {
	return changed(q.ExecContext(ctx, `
		UPDATE backups b SET last_seen_at = clock_timestamp(), phase = $4, files = $5, bytes = $6, total_files = $7, total_bytes = $8,
			uploaded_bytes = $9, problems = $10
		WHERE `+alive+` AND id = $2 AND fence = $3 AND state = 'active'`,
		ttl.Seconds(), backup, fence, p.Phase, p.Files, p.Bytes, p.TotalFiles, p.TotalBytes, p.UploadedBytes, p.Problems))
}

func endSession(ctx context.Context, q sqlx.ExecerContext, backup id.Backup, state BackupState) error {
	_, err := q.ExecContext(ctx, `
		UPDATE backups SET state = $2, ended_at = clock_timestamp() WHERE id = $1 AND state = 'active'`, backup, state)
	return err
}

func commitSession(ctx context.Context, tx *sqlx.Tx, in CommitInput) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE backups SET state = 'committed', ended_at = clock_timestamp(), last_seen_at = clock_timestamp(), phase = '',
			files = $2, bytes = $3, total_files = $2, total_bytes = $3, problems = $4, uploaded_bytes = $5
		WHERE id = $1`, in.Backup, in.Files, in.Bytes, in.Problems, in.UploadedBytes)
	return err
}

// voidOlder ends the active session of a device's own.
func voidOlder(ctx context.Context, tx *sqlx.Tx, device id.Device) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE backups SET state = 'void', ended_at = clock_timestamp() WHERE device_id = $1 AND state = 'active' AND import_token IS NULL`, device)
	return err
}

// voidLapsed ends the sessions whose heartbeat lapsed, of one space or (0) of all, and returns their devices.
func voidLapsed(ctx context.Context, q sqlx.QueryerContext, ttl time.Duration, space int) (devices []id.Device, err error) {
	err = sqlx.SelectContext(ctx, q, &devices, `
		UPDATE backups b SET state = 'void', ended_at = clock_timestamp()
		WHERE state = 'active' AND NOT `+alive+` AND ($2 = 0 OR space_id = $2) RETURNING device_id`, ttl.Seconds(), space)
	return devices, err
}

// sessionAlive reports whether there is such a session and it is alive.
func sessionAlive(ctx context.Context, q sqlx.QueryerContext, ttl time.Duration, backup id.Backup) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `SELECT EXISTS (SELECT 1 FROM backups b WHERE b.id = $2 AND b.state = 'active' AND `+alive+`)`, ttl.Seconds(), backup)
	return ok, err
}

func countActive(ctx context.Context, tx *sqlx.Tx, space int) (n int, err error) {
	err = tx.GetContext(ctx, &n, `SELECT count(*) FROM backups WHERE space_id = $1 AND state = 'active'`, space)
	return n, err
}

type backupRow struct {
	ID            id.Backup
	DeviceID      id.Device `db:"device_id"`
	State         BackupState
	StartedAt     time.Time  `db:"started_at"`
	LastSeenAt    time.Time  `db:"last_seen_at"`
	EndedAt       *time.Time `db:"ended_at"`
	Phase         string
	Files         int64
	Bytes         int64
	TotalFiles    int64        `db:"total_files"`
	TotalBytes    int64        `db:"total_bytes"`
	UploadedBytes int64        `db:"uploaded_bytes"`
	Problems      int64        `db:"problems"`
	SnapshotID    *id.Snapshot `db:"snapshot_id"`
}

// A lapsed session reads as void, found or not.
const backupColumns = `
	SELECT b.id, b.device_id, CASE WHEN b.state = 'active' AND NOT ` + alive + ` THEN 'void' ELSE b.state::text END AS state,
		b.started_at, b.last_seen_at, b.ended_at, b.phase, b.files, b.bytes, b.total_files, b.total_bytes, b.uploaded_bytes, b.problems,
		(SELECT sn.id FROM snapshots sn WHERE sn.backup_id = b.id AND sn.deleted_at IS NULL) AS snapshot_id
	FROM backups b JOIN devices d ON d.id = b.device_id
	WHERE ($2::uuid IS NULL OR d.user_id = $2) AND ($3::uuid IS NULL OR b.device_id = $3)`

// scope narrows a query to what its caller may see; nil is no limit.
type scope struct {
	owner  *id.User
	device *id.Device
}

func readBackup(ctx context.Context, q sqlx.QueryerContext, ttl time.Duration, sc scope, backup id.Backup) (*backupRow, error) {
	return maybe[backupRow](ctx, q, backupColumns+` AND b.id = $4`, ttl.Seconds(), sc.owner, sc.device, backup)
}

func readActive(ctx context.Context, q sqlx.QueryerContext, ttl time.Duration, sc scope, devices []id.Device) (rows []backupRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, backupColumns+` AND b.device_id = ANY ($4::uuid[]) AND b.state = 'active' AND b.import_token IS NULL AND `+alive,
		ttl.Seconds(), sc.owner, sc.device, pq.Array(devices))
	return rows, err
}

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
