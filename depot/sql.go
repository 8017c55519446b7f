package depot

import (
	"context"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/migrations"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// schema returns the step that the database's schema is at (0: empty) and the one that this program has.
func schema(ctx context.Context, db *sqlx.DB) (have, want int64, err error) {
	err = fs.WalkDir(migrations.FS, ".", func(name string, _ fs.DirEntry, err error) error {
		number, _, _ := strings.Cut(path.Base(name), "_")
		if n, e := strconv.ParseInt(number, 10, 64); e == nil {
			want = max(want, n)
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	var exists bool
	if err := db.GetContext(ctx, &exists, `SELECT to_regclass('goose_db_version') IS NOT NULL`); err != nil || !exists {
		return 0, want, pg.Fault(err)
	}
	err = db.GetContext(ctx, &have, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`)
	return have, want, pg.Fault(err)
}

// anyPack reports whether anything was ever stored that is still known.
func anyPack(ctx context.Context, db *sqlx.DB) (bool, error) {
	var any bool
	err := db.GetContext(ctx, &any, `SELECT EXISTS (SELECT FROM packs)`)
	return any, pg.Fault(err)
}

// gaugeQueries give rows of label and value.
var gaugeQueries = []struct {
	Gauge
	query string
}{
	{Gauge{Name: "runs", Help: "Runs that ended in the last 24 hours by state, and open ones.", Label: "state"}, `
		SELECT state::text AS label, count(*) AS value FROM runs
		WHERE state IN ('waiting', 'running') AND due_at <= clock_timestamp() OR ended_at > clock_timestamp() - interval '24 hours' GROUP BY state`},
	{Gauge{Name: "runs_overdue", Help: "Runs that wait although they were due more than an hour ago."}, `
		SELECT '' AS label, count(*) AS value FROM runs WHERE state = 'waiting' AND due_at < clock_timestamp() - interval '1 hour'`},
	{Gauge{Name: "devices", Help: "Devices that are not revoked."}, `
		SELECT '' AS label, count(*) AS value FROM devices WHERE revoked_at IS NULL`},
	{Gauge{Name: "last_backup_timestamp_seconds", Help: "When the newest snapshot of any device was made."}, `
		SELECT '' AS label, extract(epoch FROM max(created_at))::float8 AS value FROM snapshots HAVING max(created_at) IS NOT NULL`},
	{Gauge{Name: "backup_sessions", Help: "Backup sessions that are at work."}, `
		SELECT '' AS label, count(*) AS value FROM backups WHERE state = 'active'`},
	{Gauge{Name: "snapshots", Help: "Live snapshots."}, `
		SELECT '' AS label, count(*) AS value FROM snapshots WHERE deleted_at IS NULL`},
	{Gauge{Name: "packs_bytes", Help: "Bytes of packs by state.", Label: "state"}, `
		SELECT CASE WHEN lost THEN 'lost' WHEN damaged_at IS NOT NULL THEN 'damaged' WHEN swept_at IS NOT NULL THEN 'quarantined' ELSE 'sound' END AS label,
			sum(size)::float8 AS value FROM packs GROUP BY 1`},
	{Gauge{Name: "pack_oldest_verification_timestamp_seconds", Help: "When the pack that was not read again for longest was last seen to be right."}, `
		SELECT '' AS label, extract(epoch FROM min(verified_at))::float8 AS value FROM packs HAVING count(*) > 0`},
	{Gauge{Name: "replica_lag_packs", Help: "Packs that each replica lacks.", Label: "replica"}, `
		SELECT r.url AS label, count(p.id)::float8 AS value FROM replicas r LEFT JOIN replica_packs q ON q.replica_id = r.id
			LEFT JOIN packs p ON p.id = q.pack_id AND p.swept_at IS NULL AND p.damaged_at IS NULL GROUP BY r.url`},
	{Gauge{Name: "replica_lag_bytes", Help: "Bytes of the packs that each replica lacks.", Label: "replica"}, `
		SELECT r.url AS label, coalesce(sum(p.size), 0)::float8 AS value FROM replicas r LEFT JOIN replica_packs q ON q.replica_id = r.id
			LEFT JOIN packs p ON p.id = q.pack_id AND p.swept_at IS NULL AND p.damaged_at IS NULL GROUP BY r.url`},
	{Gauge{Name: "replica_last_success_timestamp_seconds", Help: "When each replica last had everything that could be copied.", Label: "replica"}, `
		SELECT url AS label, extract(epoch FROM reached_at)::float8 AS value FROM replicas WHERE reached_at IS NOT NULL`},
	{Gauge{Name: "replica_failing", Help: "1 for each replica for which the last try failed.", Label: "replica"}, `
		SELECT url AS label, (failing_since IS NOT NULL)::int::float8 AS value FROM replicas`},
	{Gauge{Name: "mails", Help: "Mails that wait, and that failed in the last 24 hours.", Label: "state"}, `
		SELECT state::text AS label, count(*) AS value FROM mails
		WHERE state = 'waiting' OR state = 'failed' AND created_at > clock_timestamp() - interval '24 hours' GROUP BY state`},
	{Gauge{Name: "care_last_success_timestamp_seconds", Help: "When each kind of care last succeeded.", Label: "kind"}, `
		SELECT kind AS label, extract(epoch FROM max(ended_at))::float8 AS value FROM care_log WHERE ok GROUP BY kind`},
}

func readGauge(ctx context.Context, db *sqlx.DB, query string) (map[string]float64, error) {
	var rows []struct {
		Label string
		Value float64
	}
	if err := db.SelectContext(ctx, &rows, query); err != nil {
		return nil, pg.Fault(err)
	}
	values := make(map[string]float64, len(rows))
	for _, r := range rows {
		values[r.Label] = r.Value
	}
	return values, nil
}

// scheduled returns the devices that have live snapshots which policies made.
func scheduled(ctx context.Context, db *sqlx.DB) (devices []id.Device, err error) {
	err = db.SelectContext(ctx, &devices, `SELECT DISTINCT device_id FROM snapshots WHERE scheduled AND deleted_at IS NULL`)
	return devices, pg.Fault(err)
}

// schedulerLag returns how long ago the enabled policy, or schedule of an application, that was looked at longest ago was: 0 without one.
func schedulerLag(ctx context.Context, db *sqlx.DB) (time.Duration, error) {
	var seconds float64
	err := db.GetContext(ctx, &seconds, `
		SELECT coalesce(extract(epoch FROM clock_timestamp() - min(ticked_at)), 0)::float8
		FROM (SELECT ticked_at FROM policies WHERE enabled UNION ALL SELECT ticked_at FROM application_schedules WHERE enabled) all_of_them`)
	return time.Duration(seconds * float64(time.Second)), pg.Fault(err)
}

func damagedPacks(ctx context.Context, db *sqlx.DB) (n int, err error) {
	err = db.GetContext(ctx, &n, `SELECT count(*) FROM packs WHERE damaged_at IS NOT NULL`)
	return n, pg.Fault(err)
}
