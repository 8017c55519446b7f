package application

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of applications and their schedules. The clock is always the database's. Order of locks: device, application, schedule.

const columns = `
	SELECT a.id, a.device_id, d.user_id AS owner_id, d.name AS device, a.name, a.engine, a.media_folders, a.keep_safety, a.notify, a.created_at, a.removed_at,
		d.revoked_at IS NOT NULL AS revoked
	FROM applications a JOIN devices d ON d.id = a.device_id`

// mine follows a WHERE and takes $1 and $2.
const mine = ` ($1::uuid IS NULL OR d.user_id = $1) AND ($2::uuid IS NULL OR d.id = $2)`

func read(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]*Application, error) {
	apps, err := pg.Many[*Application](ctx, q, query, args...)
	for _, app := range apps {
		app.CreatedAt, app.RemovedAt = app.CreatedAt.UTC(), utc(app.RemovedAt)
	}
	return apps, err
}

func list(ctx context.Context, q sqlx.QueryerContext, sc scope) ([]*Application, error) {
	return read(ctx, q, columns+` WHERE`+mine+` ORDER BY a.name_key, d.name, a.id`, sc.owner, sc.device)
}

func byID(ctx context.Context, q sqlx.QueryerContext, sc scope, apps []id.Application) ([]*Application, error) {
	return read(ctx, q, columns+` WHERE`+mine+` AND a.id = ANY ($3::uuid[])`, sc.owner, sc.device, pq.Array(apps))
}

// one returns an application, or NOT_FOUND.
func one(ctx context.Context, q sqlx.QueryerContext, sc scope, app id.Application) (*Application, error) {
	return first(byID(ctx, q, sc, []id.Application{app}))
}

func first(apps []*Application, err error) (*Application, error) {
	switch {
	case err != nil:
		return nil, err
	case len(apps) == 0:
		return nil, noApplication()
	}
	return apps[0], nil
}

// lock returns an application, or nil, and makes others who would change it wait until tx ends.
func lock(ctx context.Context, tx *sqlx.Tx, app id.Application) (*Application, error) {
	apps, err := read(ctx, tx, columns+` WHERE a.id = $1 FOR NO KEY UPDATE OF a`, app)
	if err != nil || len(apps) == 0 {
		return nil, err
	}
	return apps[0], nil
}

// lockDevice makes two registrations of one device queue, and reports whether it is there and not revoked.
func lockDevice(ctx context.Context, tx *sqlx.Tx, device id.Device) (bool, error) {
	n, err := pg.Many[int](ctx, tx, `SELECT 1 FROM devices WHERE id = $1 AND revoked_at IS NULL FOR NO KEY UPDATE`, device)
	return len(n) > 0, err
}

// findNamed returns a device's application by the key of its name, or nil.
func findNamed(ctx context.Context, tx *sqlx.Tx, device id.Device, key string) (*Application, error) {
	apps, err := read(ctx, tx, columns+` WHERE a.device_id = $1 AND a.name_key = $2 FOR NO KEY UPDATE OF a`, device, key)
	if err != nil || len(apps) == 0 {
		return nil, err
	}
	return apps[0], nil
}

// counts is how many applications a device has, and how many it has or had.
type counts struct{ Live, Known int }

func countOf(ctx context.Context, tx *sqlx.Tx, device id.Device) (n counts, err error) {
	err = tx.GetContext(ctx, &n, `SELECT count(*) FILTER (WHERE removed_at IS NULL) AS live, count(*) AS known FROM applications WHERE device_id = $1`, device)
	return n, err
}

// write makes an application, or brings it up to date; one that was removed is there again.
func write(ctx context.Context, tx *sqlx.Tx, app id.Application, device id.Device, in RegisterInput) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO applications (id, device_id, name, name_key, engine, media_folders) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, engine = excluded.engine, media_folders = excluded.media_folders, removed_at = NULL`,
		app, device, in.Name, named.Key(in.Name), in.Engine, in.MediaFolders)
	return err
}

func remove(ctx context.Context, tx *sqlx.Tx, app id.Application) error {
	_, err := pg.Change(ctx, tx, `UPDATE applications SET removed_at = clock_timestamp() WHERE id = $1 AND removed_at IS NULL`, app)
	return err
}

func update(ctx context.Context, tx *sqlx.Tx, app *Application) error {
	_, err := pg.Change(ctx, tx, `UPDATE applications SET keep_safety = $2, notify = $3 WHERE id = $1`, app.ID, app.KeepSafety, app.Notify)
	return err
}

// Schedules.

// row is a schedule as it is stored.
type row struct {
	ID            id.ApplicationSchedule
	ApplicationID id.Application `db:"application_id"`
	Name          string
	Enabled       bool
	Revision      int
	Part          catalog.Part
	Schedule      []byte
	Zone          string
	Level         policy.Level
	ExcludeLogs   bool `db:"exclude_logs"`
	Portable      bool
	KeepDays      int       `db:"keep_days"`
	KeepLast      int       `db:"keep_last"`
	KeepDaily     int       `db:"keep_daily"`
	KeepWeekly    int       `db:"keep_weekly"`
	KeepMonthly   int       `db:"keep_monthly"`
	KeepYearly    int       `db:"keep_yearly"`
	TickedAt      time.Time `db:"ticked_at"`
	CreatedAt     time.Time `db:"created_at"`
	UpdatedAt     time.Time `db:"updated_at"`
	AsOf          time.Time `db:"as_of"`
}

const scheduleColumns = `
	SELECT s.id, s.application_id, s.name, s.enabled, s.revision, s.part, s.schedule, s.zone, s.level, s.exclude_logs, s.portable,
		s.keep_days, s.keep_last, s.keep_daily, s.keep_weekly, s.keep_monthly, s.keep_yearly, s.ticked_at, s.created_at, s.updated_at,
		clock_timestamp() AS as_of
	FROM application_schedules s JOIN applications a ON a.id = s.application_id JOIN devices d ON d.id = a.device_id`

func (r *row) schedule() (*Schedule, error) {
	s := &Schedule{
		ID: r.ID, ApplicationID: r.ApplicationID, Name: r.Name, Enabled: r.Enabled, Revision: r.Revision, Part: r.Part, Zone: r.Zone,
		Options:   Options{r.Level, r.ExcludeLogs, r.Portable},
		Retention: plan.Retention{Days: r.KeepDays, Last: r.KeepLast, Daily: r.KeepDaily, Weekly: r.KeepWeekly, Monthly: r.KeepMonthly, Yearly: r.KeepYearly},
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), tickedAt: r.TickedAt.UTC(), asOf: r.AsOf.UTC(),
	}
	if err := json.Unmarshal(r.Schedule, &s.Schedule); err != nil {
		return nil, err
	}
	s.Schedule.Zone = r.Zone
	return s, nil
}

func readSchedules(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]*Schedule, error) {
	rows, err := pg.Many[row](ctx, q, query, args...)
	if err != nil {
		return nil, err
	}
	list := make([]*Schedule, len(rows))
	for i := range rows {
		if list[i], err = rows[i].schedule(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func schedulesByID(ctx context.Context, q sqlx.QueryerContext, sc scope, ids []id.ApplicationSchedule) ([]*Schedule, error) {
	return readSchedules(ctx, q, scheduleColumns+` WHERE`+mine+` AND s.id = ANY ($3::uuid[])`, sc.owner, sc.device, pq.Array(ids))
}

func schedulesOf(ctx context.Context, q sqlx.QueryerContext, sc scope, apps []id.Application) ([]*Schedule, error) {
	return readSchedules(ctx, q, scheduleColumns+` WHERE`+mine+` AND s.application_id = ANY ($3::uuid[]) ORDER BY s.name_key`, sc.owner, sc.device, pq.Array(apps))
}

// reread returns a schedule that tx has written.
func reread(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule) (*Schedule, error) {
	list, err := schedulesByID(ctx, tx, scope{}, []id.ApplicationSchedule{schedule})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// lockSchedule returns a schedule, or nil, and makes others who would change it or advance it wait until tx ends.
func lockSchedule(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule) (*Schedule, error) {
	// Not one statement: the clock must be read after the wait for the lock.
	there, err := pg.Many[int](ctx, tx, `SELECT 1 FROM application_schedules WHERE id = $1 FOR NO KEY UPDATE`, schedule)
	if err != nil || len(there) == 0 {
		return nil, err
	}
	return reread(ctx, tx, schedule)
}

func countSchedules(ctx context.Context, tx *sqlx.Tx, app id.Application) (n int, err error) {
	err = tx.GetContext(ctx, &n, `SELECT count(*) FROM application_schedules WHERE application_id = $1`, app)
	return n, err
}

// written are the columns that somebody decides about, in the order of values.
const written = `name, name_key, enabled, part, schedule, zone, level, exclude_logs, portable, keep_days, keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly`

const placeholders = `$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16`

func (s *Schedule) values() ([]any, error) {
	schedule := s.Schedule
	schedule.Zone = "" // it has a column
	b, err := json.Marshal(schedule)
	if err != nil {
		return nil, err
	}
	k := s.Retention
	return []any{s.ID, s.Name, named.Key(s.Name), s.Enabled, s.Part, string(b), s.Zone, s.Level, s.ExcludeLogs, s.Portable,
		k.Days, k.Last, k.Daily, k.Weekly, k.Monthly, k.Yearly}, nil
}

func insertSchedule(ctx context.Context, tx *sqlx.Tx, s *Schedule, by *id.User) error {
	values, err := s.values()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO application_schedules (id, `+written+`, application_id, ticked_at, created_by)
		VALUES ($1, `+placeholders+`, $17, clock_timestamp(), $18)`, append(values, s.ApplicationID, by)...)
	return err
}

// updateSchedule writes a schedule. If its slots are settled, ticked_at says up to when; otherwise they begin now.
func updateSchedule(ctx context.Context, tx *sqlx.Tx, s *Schedule, settled bool) error {
	values, err := s.values()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE application_schedules SET (`+written+`) = (`+placeholders+`), revision = revision + 1, updated_at = clock_timestamp(),
			ticked_at = CASE WHEN $17 THEN ticked_at ELSE clock_timestamp() END
		WHERE id = $1`, append(values, settled)...)
	return err
}

func removeSchedule(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM application_schedules WHERE id = $1`, schedule)
	return err
}

// What runs ask.

// idle reports whether nobody could back an application up: it was removed, its device revoked, or the owner suspended.
func idle(ctx context.Context, tx *sqlx.Tx, app id.Application) (yes bool, err error) {
	err = tx.GetContext(ctx, &yes, `
		SELECT a.removed_at IS NOT NULL OR d.revoked_at IS NOT NULL OR u.suspended_at IS NOT NULL
		FROM applications a JOIN devices d ON d.id = a.device_id JOIN users u ON u.id = d.user_id WHERE a.id = $1`, app)
	return yes, err
}

func advance(ctx context.Context, tx *sqlx.Tx, schedule id.ApplicationSchedule, to time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE application_schedules SET ticked_at = greatest(ticked_at, $2) WHERE id = $1`, schedule, to)
	return err
}

func enabled(ctx context.Context, q sqlx.QueryerContext) ([]id.ApplicationSchedule, error) {
	return pg.Many[id.ApplicationSchedule](ctx, q, `SELECT id FROM application_schedules WHERE enabled ORDER BY id`)
}

func retained(ctx context.Context, q sqlx.QueryerContext) ([]*Schedule, error) {
	return readSchedules(ctx, q, scheduleColumns+` WHERE EXISTS (
		SELECT 1 FROM snapshots sn WHERE sn.schedule_id = s.id AND sn.origin = 'backup' AND sn.deleted_at IS NULL) ORDER BY s.id`)
}

func saved(ctx context.Context, q sqlx.QueryerContext) ([]*Application, error) {
	return read(ctx, q, columns+` WHERE EXISTS (
		SELECT 1 FROM snapshots sn WHERE sn.application_id = a.id AND sn.origin = 'safety' AND sn.deleted_at IS NULL) ORDER BY a.id`)
}

// Numbers.

func stats(ctx context.Context, q sqlx.QueryerContext, sc scope, apps []id.Application) ([]*Stats, error) {
	return pg.Many[*Stats](ctx, q, `
		SELECT a.id, r.backups, r.failed, r.restores, sn.snapshots, sn.bytes, greatest(r.success, sn.newest) AS last_success_at, last.id AS last_run_id
		FROM applications a JOIN devices d ON d.id = a.device_id
		CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE kind = 'backup' AND state IN ('succeeded', 'warned', 'failed', 'missed')) AS backups,
				count(*) FILTER (WHERE kind = 'backup' AND state IN ('failed', 'missed')) AS failed,
				count(*) FILTER (WHERE kind = 'restore' AND state IN ('succeeded', 'warned', 'failed')) AS restores,
				max(ended_at) FILTER (WHERE kind = 'backup' AND state IN ('succeeded', 'warned')) AS success
			FROM runs WHERE application_id = a.id) r
		LEFT JOIN LATERAL (
			SELECT id FROM runs WHERE application_id = a.id AND kind = 'backup' ORDER BY created_at DESC, id DESC LIMIT 1) last ON true
		CROSS JOIN LATERAL (
			SELECT count(*) AS snapshots, coalesce(sum(bytes), 0)::bigint AS bytes, max(created_at) FILTER (WHERE origin = 'backup') AS newest
			FROM snapshots WHERE application_id = a.id AND deleted_at IS NULL) sn
		WHERE`+mine+` AND a.id = ANY ($3::uuid[])`, sc.owner, sc.device, pq.Array(apps))
}

// trend returns up to n of the newest sizes of each application, oldest first.
func trend(ctx context.Context, q sqlx.QueryerContext, apps []id.Application, n int) ([]*Size, error) {
	return pg.Many[*Size](ctx, q, `
		SELECT t.* FROM unnest($1::uuid[]) AS w (id) CROSS JOIN LATERAL (
			SELECT application_id, ended_at AS at, part, bytes, uploaded_bytes FROM runs
			WHERE application_id = w.id AND kind = 'backup' AND state IN ('succeeded', 'warned') ORDER BY created_at DESC, id DESC LIMIT $2) t
		ORDER BY t.at`, pq.Array(apps), n)
}
