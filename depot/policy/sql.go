package policy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of policies and groups. The clock is always the database's.

// array reads and writes an array of PostgreSQL.
type array[T any] []T

// Scan implements [sql.Scanner].
func (a *array[T]) Scan(src any) error { return pq.Array((*[]T)(a)).Scan(src) }

// row is a policy as it is stored.
type row struct {
	ID              id.Policy
	Name            string
	Enabled         bool
	Revision        int
	Everyone        bool
	Roots           array[string]
	Presets         array[string]
	Extensions      array[string]
	ExcludePresets  array[string] `db:"exclude_presets"`
	Excludes        array[string]
	MaxFileSize     int64 `db:"max_file_size"`
	Schedule        []byte
	Zone            string
	WindowFrom      plan.Clock `db:"window_from"`
	WindowTo        plan.Clock `db:"window_to"`
	DeadlineMinutes int        `db:"deadline_minutes"`
	SpreadMinutes   int        `db:"spread_minutes"`
	UploadLimit     int64      `db:"upload_limit"`
	Level           Level
	KeepDays        int       `db:"keep_days"`
	KeepLast        int       `db:"keep_last"`
	KeepDaily       int       `db:"keep_daily"`
	KeepWeekly      int       `db:"keep_weekly"`
	KeepMonthly     int       `db:"keep_monthly"`
	KeepYearly      int       `db:"keep_yearly"`
	TickedAt        time.Time `db:"ticked_at"`
	CreatedAt       time.Time `db:"created_at"`
	UpdatedAt       time.Time `db:"updated_at"`
	AsOf            time.Time `db:"as_of"`

	Targeted      bool // whether the targets were read
	Groups        array[id.Group]
	Devices       array[id.Device]
	ExceptGroups  array[id.Group]  `db:"except_groups"`
	ExceptDevices array[id.Device] `db:"except_devices"`
}

const (
	columns = `p.id, p.name, p.enabled, p.revision, p.everyone, p.roots, p.presets, p.extensions, p.exclude_presets, p.excludes,
		p.max_file_size, p.schedule, p.zone, p.window_from, p.window_to, p.deadline_minutes, p.spread_minutes, p.upload_limit, p.level,
		p.keep_days, p.keep_last, p.keep_daily, p.keep_weekly, p.keep_monthly, p.keep_yearly,
		p.ticked_at, p.created_at, p.updated_at, clock_timestamp() AS as_of`

	targetColumns = `true AS targeted,
		ARRAY(SELECT group_id FROM policy_targets WHERE policy_id = p.id AND group_id IS NOT NULL AND NOT excluded ORDER BY group_id) AS groups,
		ARRAY(SELECT device_id FROM policy_targets WHERE policy_id = p.id AND device_id IS NOT NULL AND NOT excluded ORDER BY device_id) AS devices,
		ARRAY(SELECT group_id FROM policy_targets WHERE policy_id = p.id AND group_id IS NOT NULL AND excluded ORDER BY group_id) AS except_groups,
		ARRAY(SELECT device_id FROM policy_targets WHERE policy_id = p.id AND device_id IS NOT NULL AND excluded ORDER BY device_id) AS except_devices`

	whole = `SELECT ` + columns + `, ` + targetColumns + ` FROM policies p`
	brief = `SELECT ` + columns + ` FROM policies p`
)

func (r *row) policy() (*Policy, error) {
	p := &Policy{
		ID: r.ID, Name: r.Name, Enabled: r.Enabled, Revision: r.Revision,
		Roots: r.Roots, Presets: r.Presets, Extensions: r.Extensions, ExcludePresets: r.ExcludePresets, Excludes: r.Excludes,
		MaxFileSize: r.MaxFileSize, Zone: r.Zone, DeadlineMinutes: r.DeadlineMinutes, SpreadMinutes: r.SpreadMinutes,
		UploadLimit: r.UploadLimit, Level: r.Level,
		Retention: plan.Retention{Days: r.KeepDays, Last: r.KeepLast, Daily: r.KeepDaily, Weekly: r.KeepWeekly, Monthly: r.KeepMonthly, Yearly: r.KeepYearly},
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), tickedAt: r.TickedAt.UTC(), asOf: r.AsOf.UTC(),
	}
	if r.WindowFrom != r.WindowTo {
		p.Window = &plan.Window{From: r.WindowFrom, To: r.WindowTo}
	}
	if r.Targeted {
		p.Targets = &Targets{r.Everyone, r.Groups, r.Devices, r.ExceptGroups, r.ExceptDevices}
	}
	if err := json.Unmarshal(r.Schedule, &p.Schedule); err != nil {
		return nil, err
	}
	p.Schedule.Zone = r.Zone
	return p, nil
}

func read(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]*Policy, error) {
	var rows []row
	if err := sqlx.SelectContext(ctx, q, &rows, query, args...); err != nil {
		return nil, pg.Fault(err)
	}
	policies := make([]*Policy, len(rows))
	for i := range rows {
		p, err := rows[i].policy()
		if err != nil {
			return nil, err
		}
		policies[i] = p
	}
	return policies, nil
}

func list(ctx context.Context, q sqlx.QueryerContext) ([]*Policy, error) {
	return read(ctx, q, whole+` ORDER BY p.name_key`)
}

func byID(ctx context.Context, q sqlx.QueryerContext, ids []id.Policy) ([]*Policy, error) {
	return read(ctx, q, whole+` WHERE p.id = ANY ($1::uuid[]) ORDER BY p.name_key`, pq.Array(ids))
}

// summaries is byID without the targets.
func summaries(ctx context.Context, q sqlx.QueryerContext, ids []id.Policy) ([]*Policy, error) {
	return read(ctx, q, brief+` WHERE p.id = ANY ($1::uuid[]) ORDER BY p.name_key`, pq.Array(ids))
}

// ofOwner is summaries of those policies that apply to a device of the owner's, or made a run of one; of the one device, if it is not nil.
func ofOwner(ctx context.Context, q sqlx.QueryerContext, owner id.User, device *id.Device, ids []id.Policy) ([]*Policy, error) {
	return read(ctx, q, brief+` WHERE p.id = ANY ($3::uuid[]) AND EXISTS (
			SELECT 1 FROM devices d WHERE d.user_id = $1 AND ($2::uuid IS NULL OR d.id = $2) AND (
				EXISTS (SELECT 1 FROM policy_devices pd WHERE pd.policy_id = p.id AND pd.device_id = d.id)
				OR EXISTS (SELECT 1 FROM runs r WHERE r.policy_id = p.id AND r.device_id = d.id)))
		ORDER BY p.name_key`, owner, device, pq.Array(ids))
}

// lock returns a policy without its targets, or nil, and makes others who would change it or advance it wait.
func lock(ctx context.Context, tx *sqlx.Tx, policy id.Policy) (*Policy, error) {
	// Not one statement: the clock must be read after the wait for the lock.
	if ok, err := exists(ctx, tx, `SELECT 1 FROM policies WHERE id = $1 FOR UPDATE`, policy); err != nil || !ok {
		return nil, err
	}
	found, err := summaries(ctx, tx, []id.Policy{policy})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func exists(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) (bool, error) {
	var n int
	err := sqlx.GetContext(ctx, q, &n, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, pg.Fault(err)
}

func clock(ctx context.Context, q sqlx.QueryerContext) (now time.Time, err error) {
	err = sqlx.GetContext(ctx, q, &now, `SELECT clock_timestamp()`)
	return now.UTC(), pg.Fault(err)
}

// What runs ask.

func advance(ctx context.Context, tx *sqlx.Tx, policy id.Policy, to time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE policies SET ticked_at = greatest(ticked_at, $2) WHERE id = $1`, policy, to)
	return pg.Fault(err)
}

func devicesOf(ctx context.Context, q sqlx.QueryerContext, policy id.Policy) ([]Target, error) {
	list := []Target{}
	err := sqlx.SelectContext(ctx, q, &list, `
		SELECT pd.device_id, pd.user_id, d.created_at FROM policy_devices pd JOIN devices d ON d.id = pd.device_id
		WHERE pd.policy_id = $1 ORDER BY pd.device_id`, policy)
	for i := range list {
		list[i].CreatedAt = list[i].CreatedAt.UTC()
	}
	return list, pg.Fault(err)
}

func enabled(ctx context.Context, q sqlx.QueryerContext) ([]id.Policy, error) {
	list := []id.Policy{}
	return list, pg.Fault(sqlx.SelectContext(ctx, q, &list, `SELECT id FROM policies WHERE enabled ORDER BY id`))
}

func deviceCounts(ctx context.Context, q sqlx.QueryerContext, ids []id.Policy) (map[id.Policy]int, error) {
	var rows []struct {
		ID id.Policy
		N  int
	}
	err := sqlx.SelectContext(ctx, q, &rows, `
		SELECT p.id, (SELECT count(*) FROM policy_devices pd WHERE pd.policy_id = p.id) AS n FROM policies p WHERE p.id = ANY ($1::uuid[])`, pq.Array(ids))
	counts := map[id.Policy]int{}
	for _, r := range rows {
		counts[r.ID] = r.N
	}
	return counts, pg.Fault(err)
}

// What devices and their owners ask.

type pair struct {
	Device id.Device  `db:"device_id"`
	Owner  id.User    `db:"user_id"`
	Policy *id.Policy `db:"policy_id"` // nil: none applies
}

// applying returns the enabled policies of each device; a device without one has one row without a policy.
func applying(ctx context.Context, q sqlx.QueryerContext, devices []id.Device) ([]pair, error) {
	var list []pair
	return list, pg.Fault(sqlx.SelectContext(ctx, q, &list, `
		SELECT d.id AS device_id, d.user_id, a.policy_id FROM devices d
		LEFT JOIN (SELECT pd.device_id, pd.policy_id FROM policy_devices pd JOIN policies p ON p.id = pd.policy_id AND p.enabled
			WHERE pd.device_id = ANY ($1::uuid[])) a ON a.device_id = d.id
		WHERE d.id = ANY ($1::uuid[])`, pq.Array(devices)))
}

func rules(ctx context.Context, q sqlx.QueryerContext, device id.Device) ([]plan.Rule, error) {
	policies, err := read(ctx, q, brief+` JOIN policy_devices pd ON pd.policy_id = p.id WHERE pd.device_id = $1 AND p.enabled ORDER BY p.id`, device)
	var list []plan.Rule
	for _, p := range policies {
		list = append(list, plan.Rule{Retention: p.Retention, Zone: p.Zone})
	}
	return list, err
}
