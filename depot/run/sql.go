package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of runs. A row that is not there is a nil pointer, not an error. Where many rows of runs are locked, they are
// locked in the order of their ids.

const columns = `
	SELECT r.id, r.device_id, d.user_id, d.name AS device, d.revoked_at IS NOT NULL AS revoked, r.kind, r.trigger, r.asked_by,
		r.policy_id, p.name AS policy, coalesce(p.zone, sc.zone) AS zone, r.slot, r.state, r.created_at, r.due_at, r.deadline_at, r.attempts, r.started_at, r.ended_at,
		r.lease, r.lease_until, r.cancel_asked_at, r.backup_id, r.snapshot_id, r.code, r.problems, r.causes, r.phase, r.files, r.bytes,
		r.total_files, r.total_bytes, r.uploaded_bytes, clock_timestamp() AS as_of,
		r.application_id, a.name AS application, a.removed_at IS NOT NULL AS removed, a.notify, r.schedule_id, sc.name AS schedule, r.part, r.title, r.options,
		r.safety_snapshot_id
	FROM runs r JOIN devices d ON d.id = r.device_id LEFT JOIN policies p ON p.id = r.policy_id
		LEFT JOIN applications a ON a.id = r.application_id LEFT JOIN application_schedules sc ON sc.id = r.schedule_id`

const isOpen = `r.state IN ('waiting', 'running')`

func clock(ctx context.Context, q sqlx.QueryerContext) (at time.Time, err error) {
	err = sqlx.GetContext(ctx, q, &at, `SELECT clock_timestamp()`)
	return at, pg.Fault(err)
}

// Making runs.

// scheduledRow is what one row of insertScheduled travels as.
type scheduledRow struct {
	ID          string        `json:"id"`
	Device      string        `json:"device"`
	Policy      *string       `json:"policy"`
	Slot        time.Time     `json:"slot"`
	State       State         `json:"state"`
	Due         time.Time     `json:"due"`
	Deadline    time.Time     `json:"deadline"`
	Application *string       `json:"application"`
	Schedule    *string       `json:"schedule"`
	Part        *catalog.Part `json:"part"`
	Title       *string       `json:"title"`
	Options     *options      `json:"options"`
}

// insertScheduled writes rows of slots and returns those that are new: a slot of a policy on a device has one row, and so has one of a schedule.
func insertScheduled(ctx context.Context, tx *sqlx.Tx, rows []*row) (made []*row, err error) {
	const portion = 2000
	for len(rows) > 0 {
		part := rows[:min(portion, len(rows))]
		rows = rows[len(part):]
		list := make([]scheduledRow, len(part))
		byID := make(map[id.Run]*row, len(part))
		for i, r := range part {
			list[i] = scheduledRow{r.ID.UUID(), r.DeviceID.UUID(), text(r.PolicyID), *r.Slot, r.State, r.DueAt, r.DeadlineAt,
				text(r.ApplicationID), text(r.ScheduleID), r.Part, r.Title, r.Options}
			byID[r.ID] = r
		}
		b, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		ids, err := pg.Many[id.Run](ctx, tx, `
			INSERT INTO runs (id, device_id, kind, trigger, policy_id, slot, state, due_at, deadline_at, ended_at, application_id, schedule_id, part, title, options)
			SELECT u.id, u.device, 'backup', 'schedule', u.policy, u.slot, u.state, u.due, u.deadline,
				CASE WHEN u.state = 'missed' THEN clock_timestamp() END, u.application, u.schedule, u.part, u.title, u.options
			FROM jsonb_to_recordset($1::jsonb)
				AS u (id uuid, device uuid, policy uuid, slot timestamptz, state run_state, due timestamptz, deadline timestamptz,
					application uuid, schedule uuid, part application_part, title text, options jsonb)
			ON CONFLICT DO NOTHING RETURNING id`, b)
		if err != nil {
			return nil, err
		}
		for _, i := range ids {
			made = append(made, byID[i])
		}
	}
	return made, nil
}

// insertAsked writes runs that are alike but for their devices. They are due at once, until ttl from now.
func insertAsked(ctx context.Context, tx *sqlx.Tx, rows []*row, order []byte, ttl time.Duration) error {
	ids, devices := make([]id.Run, len(rows)), make([]id.Device, len(rows))
	for i, r := range rows {
		ids[i], devices[i] = r.ID, r.DeviceID
	}
	r := rows[0]
	_, err := pg.Change(ctx, tx, `
		INSERT INTO runs (id, device_id, kind, trigger, asked_by, policy_id, snapshot_id, sealed_order, due_at, deadline_at,
			application_id, schedule_id, part, title, options)
		SELECT u.id, u.device, $3::run_kind, $4::run_trigger, $5::uuid, $6::uuid, $7::uuid, $8::bytea, clock_timestamp(), clock_timestamp() + make_interval(secs => $9),
			$10::uuid, $11::uuid, $12::application_part, $13::text, $14::jsonb
		FROM unnest($1::uuid[], $2::uuid[]) AS u (id, device)`,
		pq.Array(ids), pq.Array(devices), r.Kind, r.Trigger, r.AskedBy, r.PolicyID, r.SnapshotID, order, ttl.Seconds(),
		r.ApplicationID, r.ScheduleID, r.Part, r.Title, r.Options)
	return err
}

// Locking and changing them.

// deviceRow is a device that runs are made for.
type deviceRow struct {
	ID        id.Device
	Owner     id.User `db:"user_id"`
	Name      string
	Revoked   bool
	Suspended bool // its owner
}

// lockDevices makes others who want to make or take runs of these devices wait until tx ends.
func lockDevices(ctx context.Context, tx *sqlx.Tx, devices []id.Device) ([]*deviceRow, error) {
	return pg.Many[*deviceRow](ctx, tx, `
		SELECT d.id, d.user_id, d.name, d.revoked_at IS NOT NULL AS revoked, u.suspended_at IS NOT NULL AS suspended
		FROM devices d JOIN users u ON u.id = d.user_id WHERE d.id = ANY ($1::uuid[]) ORDER BY d.id FOR NO KEY UPDATE OF d`, pq.Array(devices))
}

func deviceNames(ctx context.Context, tx *sqlx.Tx, devices []id.Device) (map[id.Device]string, error) {
	rows, err := pg.Many[deviceRow](ctx, tx, `SELECT id, name FROM devices WHERE id = ANY ($1::uuid[])`, pq.Array(devices))
	names := make(map[id.Device]string, len(rows))
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	return names, err
}

// lockOpen returns the runs of a device that are not over.
func lockOpen(ctx context.Context, tx *sqlx.Tx, device id.Device) ([]*row, error) {
	return pg.Many[*row](ctx, tx, columns+` WHERE r.device_id = $1 AND `+isOpen+` ORDER BY r.id FOR UPDATE OF r`, device)
}

// lockRuns returns those of the runs that are the device's, over or not.
func lockRuns(ctx context.Context, tx *sqlx.Tx, device id.Device, runs []id.Run) ([]*row, error) {
	return pg.Many[*row](ctx, tx, columns+` WHERE r.device_id = $1 AND r.id = ANY ($2::uuid[]) ORDER BY r.id FOR UPDATE OF r`, device, pq.Array(runs))
}

// unsettled is what a sweep has to decide about: see [row.settle].
const unsettled = isOpen + ` AND CASE r.state
	WHEN 'waiting' THEN r.deadline_at <= clock_timestamp() OR d.revoked_at IS NOT NULL OR a.removed_at IS NOT NULL
	ELSE r.lease_until <= clock_timestamp() END`

func unsettledDevices(ctx context.Context, q sqlx.QueryerContext, after id.Device, n int) ([]id.Device, error) {
	return pg.Many[id.Device](ctx, q, `
		SELECT DISTINCT r.device_id FROM runs r JOIN devices d ON d.id = r.device_id LEFT JOIN applications a ON a.id = r.application_id
		WHERE r.device_id > $1 AND `+unsettled+` ORDER BY r.device_id LIMIT $2`, after, n)
}

func lockUnsettled(ctx context.Context, tx *sqlx.Tx, devices []id.Device) ([]*row, error) {
	return pg.Many[*row](ctx, tx, columns+` WHERE r.device_id = ANY ($1::uuid[]) AND `+unsettled+` ORDER BY r.id FOR UPDATE OF r`, pq.Array(devices))
}

// dueDevices returns the devices that have something to take and are not at work. It goes through the open runs once: PostgreSQL's idea of how many
// there are is old whenever it matters, and a join of them with themselves would be planned for none.
func dueDevices(ctx context.Context, q sqlx.QueryerContext) ([]id.Device, error) {
	return pg.Many[id.Device](ctx, q, `
		SELECT o.device_id FROM (
			SELECT r.device_id, bool_or(r.state = 'running') AS busy,
				bool_or(r.state = 'waiting' AND r.due_at <= clock_timestamp() AND r.deadline_at > clock_timestamp()) AS due
			FROM runs r WHERE `+isOpen+` GROUP BY r.device_id) o
		JOIN devices d ON d.id = o.device_id WHERE o.due AND NOT o.busy AND d.revoked_at IS NULL`)
}

func nextLease(ctx context.Context, tx *sqlx.Tx) (n int64, err error) {
	err = tx.GetContext(ctx, &n, `SELECT nextval('run_lease')`)
	return n, pg.Fault(err)
}

// savedRow is what save writes of a row.
type savedRow struct {
	ID            string     `json:"id"`
	Was           State      `json:"was"`
	State         State      `json:"state"`
	Due           time.Time  `json:"due"`
	Attempts      int        `json:"attempts"`
	Started       *time.Time `json:"started"`
	Ended         *time.Time `json:"ended"`
	Lease         int64      `json:"lease"`
	LeaseUntil    *time.Time `json:"lease_until"`
	CancelAsked   *time.Time `json:"cancel_asked"`
	Backup        *string    `json:"backup"`
	Snapshot      *string    `json:"snapshot"`
	Code          *string    `json:"code"`
	Problems      int64      `json:"problems"`
	Causes        causes     `json:"causes"`
	Phase         string     `json:"phase"`
	Files         int64      `json:"files"`
	Bytes         int64      `json:"bytes"`
	TotalFiles    int64      `json:"total_files"`
	TotalBytes    int64      `json:"total_bytes"`
	UploadedBytes int64      `json:"uploaded_bytes"`
	Safety        *string    `json:"safety"`
}

// save writes locked rows back. The sealed order of a restore goes when it is over: whoever comes by the device's key later finds none that it opens.
func save(ctx context.Context, tx *sqlx.Tx, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	list := make([]savedRow, len(rows))
	for i, r := range rows {
		was := r.was
		if was == "" {
			was = r.State
		}
		list[i] = savedRow{r.ID.UUID(), was, r.State, r.DueAt, r.Attempts, r.StartedAt, r.EndedAt, r.Lease, r.LeaseUntil, r.CancelAsked,
			text(r.BackupID), text(r.SnapshotID), r.Code, r.Problems, r.Causes, r.Phase, r.Files, r.Bytes, r.TotalFiles, r.TotalBytes, r.UploadedBytes, text(r.SafetyID)}
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	n, err := pg.Change(ctx, tx, `
		UPDATE runs r SET state = u.state, due_at = u.due, attempts = u.attempts, started_at = u.started, ended_at = u.ended, lease = u.lease,
			lease_until = u.lease_until, cancel_asked_at = u.cancel_asked, backup_id = u.backup, snapshot_id = u.snapshot, code = u.code,
			problems = u.problems, causes = coalesce(u.causes, '{}'), phase = u.phase, files = u.files, bytes = u.bytes,
			total_files = u.total_files, total_bytes = u.total_bytes, uploaded_bytes = u.uploaded_bytes, safety_snapshot_id = u.safety,
			sealed_order = CASE WHEN u.ended IS NULL THEN r.sealed_order END
		FROM jsonb_to_recordset($1::jsonb) AS u (id uuid, was run_state, state run_state, due timestamptz, attempts int, started timestamptz,
			ended timestamptz, lease bigint, lease_until timestamptz, cancel_asked timestamptz, backup uuid, snapshot uuid, code text,
			problems bigint, causes jsonb, phase text, files bigint, bytes bigint, total_files bigint, total_bytes bigint, uploaded_bytes bigint, safety uuid)
		WHERE r.id = u.id AND r.state = u.was`, b)
	if err == nil && n != int64(len(rows)) {
		err = fmt.Errorf("run: %d of %d locked rows have changed", len(rows)-int(n), len(rows))
	}
	return err
}

func text[T interface{ UUID() string }](v *T) *string {
	if v == nil {
		return nil
	}
	s := (*v).UUID()
	return &s
}

func saveReport(ctx context.Context, tx *sqlx.Tx, runs []id.Run, report []byte) error {
	_, err := pg.Change(ctx, tx, `UPDATE runs SET sealed_report = $2 WHERE id = ANY ($1::uuid[])`, pq.Array(runs), report)
	return err
}

// What runs refer to.

func readOrder(ctx context.Context, q sqlx.QueryerContext, run id.Run) ([]byte, error) {
	order, err := pg.One[[]byte](ctx, q, `SELECT sealed_order FROM runs WHERE id = $1`, run)
	if err != nil || order == nil {
		return nil, err
	}
	return *order, nil
}

func isBackupOf(ctx context.Context, q sqlx.QueryerContext, device id.Device, backup id.Backup) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `SELECT EXISTS (SELECT 1 FROM backups WHERE id = $2 AND device_id = $1 AND import_token IS NULL)`, device, backup)
	return ok, pg.Fault(err)
}

// snapshotRow is what a backup came to.
type snapshotRow struct {
	ID            id.Snapshot
	BackupID      *id.Backup `db:"backup_id"`
	CreatedAt     time.Time  `db:"created_at"`
	Files         int64
	Bytes         int64
	Problems      int64
	UploadedBytes int64 `db:"uploaded_bytes"`

	ApplicationID *id.Application `db:"application_id"` // nil: files of the device
	Origin        *catalog.Origin
	Part          *catalog.Part
	Live          bool
}

const snapshotColumns = `
	SELECT id, backup_id, created_at, files, bytes, problems, uploaded_bytes, application_id, origin, part, deleted_at IS NULL AS live FROM snapshots`

// answers reports whether the snapshot is what a backup run was for, and all of it.
func (sn *snapshotRow) answers(r *row) bool {
	return r.of(sn.ApplicationID) && (r.ApplicationID == nil || *sn.Origin == catalog.MadeByBackup && sn.Part.Holds(*r.Part))
}

func snapshotOf(ctx context.Context, q sqlx.QueryerContext, device id.Device, snapshot id.Snapshot) (*snapshotRow, error) {
	return pg.One[snapshotRow](ctx, q, snapshotColumns+` WHERE device_id = $1 AND id = $2`, device, snapshot)
}

// snapshotsOf returns what committed sessions made, by session.
func snapshotsOf(ctx context.Context, q sqlx.QueryerContext, backups []id.Backup) (map[id.Backup]*snapshotRow, error) {
	if len(backups) == 0 {
		return nil, nil
	}
	rows, err := pg.Many[*snapshotRow](ctx, q, snapshotColumns+` WHERE backup_id = ANY ($1::uuid[])`, pq.Array(backups))
	found := make(map[id.Backup]*snapshotRow, len(rows))
	for _, r := range rows {
		found[*r.BackupID] = r
	}
	return found, err
}

// isLiveSnapshot reports whether a snapshot is there, not deleted, and in the space of the user.
func isLiveSnapshot(ctx context.Context, q sqlx.QueryerContext, owner id.User, snapshot id.Snapshot) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `
		SELECT EXISTS (SELECT 1 FROM snapshots sn JOIN spaces s ON s.id = sn.space_id
			WHERE sn.id = $2 AND s.owner_id = $1 AND sn.deleted_at IS NULL)`, owner, snapshot)
	return ok, pg.Fault(err)
}

// partOf returns what of an application a live snapshot of it holds; nil: there is no such one.
func partOf(ctx context.Context, q sqlx.QueryerContext, app id.Application, snapshot id.Snapshot) (*catalog.Part, error) {
	return pg.One[catalog.Part](ctx, q, `SELECT part FROM snapshots WHERE id = $2 AND application_id = $1 AND deleted_at IS NULL`, app, snapshot)
}

// hasSucceeded reports whether a device had a backup run of its files that succeeded, apart from these.
func hasSucceeded(ctx context.Context, q sqlx.QueryerContext, device id.Device, apart []id.Run) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `
		SELECT EXISTS (SELECT 1 FROM runs WHERE device_id = $1 AND application_id IS NULL AND kind = 'backup' AND state IN ('succeeded', 'warned') AND id <> ALL ($2::uuid[]))`,
		device, pq.Array(apart))
	return ok, pg.Fault(err)
}

// askedOpen returns the backups of the files of devices that somebody asked for and that are not over, oldest first.
func askedOpen(ctx context.Context, q sqlx.QueryerContext, devices []id.Device) ([]*row, error) {
	return pg.Many[*row](ctx, q, columns+` WHERE r.device_id = ANY ($1::uuid[]) AND `+isOpen+` AND r.application_id IS NULL AND r.kind = 'backup' AND r.trigger <> 'schedule'
		ORDER BY r.created_at, r.id`, pq.Array(devices))
}

// askedOf returns the runs of an application that are not over and that no slot has made, oldest first.
func askedOf(ctx context.Context, q sqlx.QueryerContext, app id.Application, kind Kind) ([]*row, error) {
	return pg.Many[*row](ctx, q, columns+` WHERE r.application_id = $1 AND `+isOpen+` AND r.kind = $2 AND r.slot IS NULL ORDER BY r.created_at, r.id`, app, kind)
}

// hasten makes a run that waits due now, and reports whether it was not.
func hasten(ctx context.Context, tx *sqlx.Tx, run id.Run) (bool, error) {
	n, err := pg.Change(ctx, tx, `
		UPDATE runs SET due_at = clock_timestamp() WHERE id = $1 AND state = 'waiting' AND due_at > clock_timestamp()`, run)
	return n > 0, err
}

func countRestores(ctx context.Context, q sqlx.QueryerContext, device id.Device) (n int, err error) {
	err = sqlx.GetContext(ctx, q, &n, `SELECT count(*) FROM runs r WHERE r.device_id = $1 AND r.kind = 'restore' AND `+isOpen, device)
	return n, pg.Fault(err)
}

func find(ctx context.Context, q sqlx.QueryerContext, run id.Run) (*row, error) {
	return pg.One[row](ctx, q, columns+` WHERE r.id = $1`, run)
}

// reread reads a run that is there.
func reread(ctx context.Context, tx *sqlx.Tx, run id.Run) (*row, error) {
	r, err := find(ctx, tx, run)
	if err == nil && r == nil {
		err = fmt.Errorf("run %s has vanished", run)
	}
	return r, err
}

// lockWith returns a run of a device, over or not, and the device's runs that are not over.
func lockWith(ctx context.Context, tx *sqlx.Tx, device id.Device, run id.Run) ([]*row, error) {
	return pg.Many[*row](ctx, tx, columns+` WHERE r.device_id = $1 AND (r.id = $2 OR `+isOpen+`) ORDER BY r.id FOR UPDATE OF r`, device, run)
}

// Reading them.

// scope narrows reads to what an actor may see; the zero scope is everything.
type scope struct {
	owner  *id.User
	device *id.Device
}

// mine follows a WHERE and takes $1 and $2. It asks for nothing but runs, so that who counts all of them needs no join; and for devices as an array,
// so that those of one person are looked up in the index by device, and not searched for in the order of time.
const mine = ` ($1::uuid IS NULL OR r.device_id = ANY (ARRAY(SELECT id FROM devices WHERE user_id = $1))) AND ($2::uuid IS NULL OR r.device_id = $2)`

func byID(ctx context.Context, q sqlx.QueryerContext, sc scope, runs []id.Run) ([]*row, error) {
	return pg.Many[*row](ctx, q, columns+` WHERE`+mine+` AND r.id = ANY ($3::uuid[])`, sc.owner, sc.device, pq.Array(runs))
}

// sinceRows returns the runs that are open, and those that have ended since a time, oldest first.
func sinceRows(ctx context.Context, q sqlx.QueryerContext, sc scope, since time.Time, n int) ([]*row, error) {
	return pg.Many[*row](ctx, q, columns+` WHERE`+mine+` AND (`+isOpen+` OR r.ended_at >= $3) ORDER BY r.created_at, r.id LIMIT $4`,
		sc.owner, sc.device, since, n)
}

// latest returns up to n of the newest runs of each device.
func latest(ctx context.Context, q sqlx.QueryerContext, sc scope, devices []id.Device, n int) ([]*row, error) {
	return pg.Many[*row](ctx, q, `
		SELECT l.* FROM unnest($3::uuid[]) AS w (id) CROSS JOIN LATERAL (`+columns+`
			WHERE`+mine+` AND r.device_id = w.id ORDER BY r.created_at DESC, r.id DESC LIMIT $4) l`, sc.owner, sc.device, pq.Array(devices), n)
}

func health(ctx context.Context, q sqlx.QueryerContext, sc scope, devices []id.Device, stale int) ([]*Health, error) {
	return pg.Many[*Health](ctx, q, `
		SELECT device_id, state, last_success_at, last_run_id, stale_days FROM device_health($4)
		WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::uuid IS NULL OR device_id = $2) AND device_id = ANY ($3::uuid[])`,
		sc.owner, sc.device, pq.Array(devices), stale)
}

// filtered follows mine and takes $3 to $11.
const filtered = ` AND ($3::uuid IS NULL OR r.device_id = $3)
	AND ($4::uuid IS NULL OR r.device_id = ANY (ARRAY(SELECT id FROM devices WHERE user_id = $4)))
	AND ($5::uuid IS NULL OR r.device_id = ANY (ARRAY(
		SELECT o.id FROM devices o JOIN group_members m ON m.user_id = o.user_id WHERE m.group_id = $5)))
	AND ($6::uuid IS NULL OR r.policy_id = $6) AND ($7::run_kind IS NULL OR r.kind = $7)
	AND ($8::run_state[] IS NULL OR r.state = ANY ($8)) AND ($9::timestamptz IS NULL OR r.created_at >= $9)
	AND ($10::timestamptz IS NULL OR r.created_at < $10) AND ($11::uuid IS NULL OR r.application_id = $11)`

func (f Filter) args(sc scope) []any {
	var states any
	if len(f.States) > 0 {
		states = pq.Array(f.States)
	}
	return []any{sc.owner, sc.device, f.Device, f.User, f.Group, f.Policy, f.Kind, states, f.From, f.To, f.Application}
}

// page gives up to n runs below from, newest first.
func page(ctx context.Context, q sqlx.QueryerContext, sc scope, f Filter, from *keyset.Position[id.Run], n int) ([]*row, error) {
	at, last := from.Args()
	return pg.Many[*row](ctx, q, columns+` WHERE`+mine+filtered+` AND ($12::timestamptz IS NULL OR (r.created_at, r.id) < ($12, $13::uuid))
		ORDER BY r.created_at DESC, r.id DESC LIMIT $14`, append(f.args(sc), at, last, n)...)
}

func count(ctx context.Context, q sqlx.QueryerContext, sc scope, f Filter) (n int, err error) {
	err = sqlx.GetContext(ctx, q, &n, `SELECT count(*) FROM runs r WHERE`+mine+filtered, f.args(sc)...)
	return n, pg.Fault(err)
}

func readReport(ctx context.Context, q sqlx.QueryerContext, owner id.User, run id.Run) ([]byte, error) {
	report, err := pg.One[[]byte](ctx, q, `
		SELECT r.sealed_report FROM runs r JOIN devices d ON d.id = r.device_id WHERE r.id = $2 AND d.user_id = $1`, owner, run)
	if err != nil || report == nil {
		return nil, err
	}
	return *report, nil
}

// isAtRestore reports whether a device has taken a restore under a lease that has not lapsed.
func isAtRestore(ctx context.Context, q sqlx.QueryerContext, device id.Device, run id.Run, lease int64) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `
		SELECT EXISTS (SELECT 1 FROM runs WHERE id = $2 AND device_id = $1 AND kind = 'restore' AND state = 'running' AND lease = $3
			AND lease_until > clock_timestamp() AND cancel_asked_at IS NULL)`, device, run, lease)
	return ok, pg.Fault(err)
}

// Care.

// prune deletes up to n runs that ended longer ago than so many days, apart from the newest backup of the files of each device, and of each
// application, that succeeded.
func prune(ctx context.Context, q sqlx.ExecerContext, days, n int) (int64, error) {
	return pg.Change(ctx, q, `
		DELETE FROM runs WHERE id IN (
			SELECT r.id FROM runs r WHERE r.ended_at < clock_timestamp() - make_interval(days => $1)
				AND (r.kind <> 'backup' OR r.state NOT IN ('succeeded', 'warned') OR EXISTS (
					SELECT 1 FROM runs newer WHERE newer.device_id = r.device_id AND newer.application_id IS NOT DISTINCT FROM r.application_id AND newer.kind = 'backup' AND newer.state IN ('succeeded', 'warned')
						AND (newer.ended_at, newer.id) > (r.ended_at, r.id)))
			LIMIT $2)`, days, n)
}

// staleRow is a device without a backup for long.
type staleRow struct {
	ID    id.Device
	Owner id.User `db:"user_id"`
	Name  string
	Last  *time.Time // its newest backup; nil: it never had one
	Told  bool       // its owner was told, and it has had none since
	Stale bool
}

// staleKey is the key of a device's notification, as text in terms of d.
const staleKey = `'stale:' || d.id`

// stale returns the devices that are stale, and those that were and of which that must be forgotten. It looks at snapshots and runs, and at
// no schedule.
func stale(ctx context.Context, tx *sqlx.Tx, days int) ([]staleRow, error) {
	return pg.Many[staleRow](ctx, tx, `
		WITH seen AS (
			SELECT d.id, d.user_id, d.name, d.created_at, EXISTS (SELECT 1 FROM notifications n WHERE n.user_id = d.user_id AND n.key = `+staleKey+`) AS told,
				d.revoked_at IS NULL AND u.suspended_at IS NULL AS counts,
				greatest((SELECT max(sn.created_at) FROM snapshots sn WHERE sn.device_id = d.id AND sn.application_id IS NULL),
					(SELECT max(r.ended_at) FROM runs r WHERE r.device_id = d.id AND r.application_id IS NULL AND r.kind = 'backup' AND r.state IN ('succeeded', 'warned'))) AS last
			FROM devices d JOIN users u ON u.id = d.user_id),
		judged AS (
			SELECT s.*, counts AND coalesce(last, created_at) <= clock_timestamp() - make_interval(days => $1)
				AND (last IS NOT NULL OR EXISTS (SELECT 1 FROM policy_devices pd JOIN policies p ON p.id = pd.policy_id AND p.enabled WHERE pd.device_id = s.id)) AS stale
			FROM seen s)
		SELECT id, user_id, name, last, told, stale FROM judged WHERE stale <> told ORDER BY name, id`, days)
}

// staleLock keeps two from finding the same devices stale.
func staleLock(ctx context.Context, tx *sqlx.Tx) error {
	_, err := pg.Change(ctx, tx, `SELECT pg_advisory_xact_lock(hashtext('holdfast.run.stale'))`)
	return err
}
