package report_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/depot/setting"
)

// populate makes 700 users with some devices each, one policy, and so many daily runs of every device.
func populate(t testing.TB, db *sqlx.DB, devices, days int) {
	t.Helper()
	ctx := context.Background()
	conn, err := db.Connx(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range []string{
		`SET session_replication_role = replica`, // no looking up of what is referred to: it is all there
		`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle, recovery_auth_hash, recovery_bundle, identity_public)
			SELECT gen_random_uuid(), 'u' || n, 'u' || n, 'u' || n, 'staff', '', 1, 1, 1, '', '', '', '', '' FROM generate_series(1, 700) n`,
		`INSERT INTO policies (id, name, name_key, enabled, everyone, roots, presets, extensions, exclude_presets, excludes, max_file_size, schedule, zone, window_from,
			window_to, deadline_minutes, spread_minutes, upload_limit, level, keep_days, keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, ticked_at)
			VALUES (gen_random_uuid(), 'p', 'p', true, true, '{}', '{}', '{}', '{}', '{}', 0, '{}', 'UTC', 0, 0, 0, 0, 0, 'default', 0, 0, 0, 0, 0, 0, now())`,
		fmt.Sprintf(`INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
			SELECT gen_random_uuid(), u.id, 'd' || n, 'h', 'linux', 'amd64', '1', '', '', ('d' || n)::bytea
			FROM generate_series(1, %d) n JOIN (SELECT id, row_number() OVER () AS rn FROM users) u ON u.rn = 1 + n %% 700`, devices),
		fmt.Sprintf(`INSERT INTO runs (id, device_id, kind, trigger, policy_id, slot, state, created_at, due_at, deadline_at, started_at, ended_at, snapshot_id, files, bytes, uploaded_bytes)
			SELECT (lpad(to_hex(%d - n), 12, '0') || substr(md5(d.id::text || n), 13))::uuid, d.id, 'backup', 'schedule', (SELECT id FROM policies), t,
				(ARRAY['succeeded', 'warned', 'failed', 'missed', 'succeeded'])[1 + n %% 5]::run_state, t, t, t + interval '1 day', t, t + interval '5 minutes',
				CASE WHEN n %% 5 NOT IN (2, 3) THEN gen_random_uuid() END, 10, 1000, 100
			FROM generate_series(1, %d) n, LATERAL (SELECT clock_timestamp() - n * interval '1 day' AS t) x, devices d`, days, days),
		`SET session_replication_role = DEFAULT`,
		`ANALYZE`,
	} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("%v\n%s", err, q)
		}
	}
}

// explain returns the plan of a statement.
func explain(t testing.TB, db *sqlx.DB, query string, args ...any) string {
	t.Helper()
	var lines []string
	if err := db.Select(&lines, `EXPLAIN `+query, args...); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// The health of devices never costs a look at all runs, and asking about a few devices never a look at all devices: the function
// is inlined, and its parts find their indices.
func TestHealthByIndex(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	populate(t, db, 1000, 10)
	all := explain(t, db, `SELECT state, count(*) FROM device_health(7) GROUP BY state`)
	if strings.Contains(all, "Seq Scan on runs") || !strings.Contains(all, "runs_ended") || !strings.Contains(all, "runs_succeeded") {
		t.Error(all)
	}
	one := explain(t, db, `SELECT * FROM device_health(7) WHERE device_id = ANY ('{0188a0aa-0000-7000-8000-000000000000,0188a0aa-0000-7000-8000-000000000001}')`)
	if strings.Contains(one, "Seq Scan on devices") || strings.Contains(one, "Seq Scan on runs") || strings.Contains(one, "Function Scan") {
		t.Error(one)
	}
	failures := explain(t, db, `SELECT id FROM runs WHERE state IN ('failed', 'missed') AND ended_at > clock_timestamp() - interval '7 days' ORDER BY ended_at DESC, id DESC LIMIT 20`)
	if strings.Contains(failures, "Seq Scan") || strings.Contains(failures, "Sort") {
		t.Error(failures)
	}
	period := explain(t, db, `SELECT count(*) FROM runs r WHERE coalesce(r.slot, r.created_at) >= clock_timestamp() - interval '1 hour' AND coalesce(r.slot, r.created_at) < (SELECT now())`)
	if strings.Contains(period, "Seq Scan") {
		t.Error(period)
	}
}

// BenchmarkReports measures the reports of an installation of 1,000 devices and 400,000 runs.
func BenchmarkReports(b *testing.B) {
	db := pgtest.New(b)
	populate(b, db, 1000, 400)
	s := report.New(report.Config{DB: db, Settings: setting.New(setting.Config{DB: db})})
	ctx, a, now := b.Context(), actor.System(), time.Now()
	ask := func(by report.By, days int) func() error {
		return func() error {
			_, err := s.Runs(ctx, a, report.Filter{From: now.Add(-time.Duration(days) * 24 * time.Hour), To: now, By: by, Kind: run.Backup})
			return err
		}
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"overview", func() error { _, err := s.Overview(ctx, a); return err }},
		{"devices", func() error { _, err := s.Devices(ctx, a, report.DeviceFilter{}, 50, ""); return err }},
		{"storage", func() error { _, err := s.Storage(ctx, a, 90); return err }},
		{"runs by day, 30 days", ask(report.ByDay, 30)},
		{"runs by device, 30 days", ask(report.ByDevice, 30)},
		{"runs by policy, 400 days", ask(report.ByPolicy, 400)},
		{"runs by group, 400 days", ask(report.ByGroup, 400)},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
