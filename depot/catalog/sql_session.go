package catalog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/catalog/record"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/wire/id"
)

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
