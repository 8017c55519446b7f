package policy

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of policies and groups. The clock is always the database's.

// array reads and writes an array of PostgreSQL.
type array[T any] []T

// Scan implements [database/sql.Scanner].
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

func many[T any](ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]T, error) {
	rows := []T{}
	err := sqlx.SelectContext(ctx, q, &rows, query, args...)
	return rows, pg.Fault(err)
}

func read(ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]*Policy, error) {
	rows, err := many[row](ctx, q, query, args...)
	if err != nil {
		return nil, err
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
	// Not one statement: the clock must be read after the wait for the lock. No stronger lock: runs that refer to the policy need not wait.
	if there, err := many[int](ctx, tx, `SELECT 1 FROM policies WHERE id = $1 FOR NO KEY UPDATE`, policy); err != nil || len(there) == 0 {
		return nil, err
	}
	found, err := summaries(ctx, tx, []id.Policy{policy})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// What runs ask.

func advance(ctx context.Context, tx *sqlx.Tx, policy id.Policy, to time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE policies SET ticked_at = greatest(ticked_at, $2) WHERE id = $1`, policy, to)
	return pg.Fault(err)
}

func devicesOf(ctx context.Context, q sqlx.QueryerContext, policy id.Policy) ([]Target, error) {
	list, err := many[Target](ctx, q, `
		SELECT pd.device_id, pd.user_id, d.created_at FROM policy_devices pd JOIN devices d ON d.id = pd.device_id
		WHERE pd.policy_id = $1 ORDER BY pd.device_id`, policy)
	for i := range list {
		list[i].CreatedAt = list[i].CreatedAt.UTC()
	}
	return list, err
}

func enabled(ctx context.Context, q sqlx.QueryerContext) ([]id.Policy, error) {
	return many[id.Policy](ctx, q, `SELECT id FROM policies WHERE enabled ORDER BY id`)
}

func deviceCounts(ctx context.Context, q sqlx.QueryerContext, ids []id.Policy) (map[id.Policy]int, error) {
	type count struct {
		ID id.Policy
		N  int
	}
	rows, err := many[count](ctx, q, `
		SELECT p.id, (SELECT count(*) FROM policy_devices pd WHERE pd.policy_id = p.id) AS n FROM policies p WHERE p.id = ANY ($1::uuid[])`, pq.Array(ids))
	counts := map[id.Policy]int{}
	for _, r := range rows {
		counts[r.ID] = r.N
	}
	return counts, err
}

// What devices and their owners ask.

type pair struct {
	Device id.Device  `db:"device_id"`
	Owner  id.User    `db:"user_id"`
	Policy *id.Policy `db:"policy_id"` // nil: none applies
}

// applying returns the enabled policies of each device; a device without one has one row without a policy.
func applying(ctx context.Context, q sqlx.QueryerContext, devices []id.Device) ([]pair, error) {
	return many[pair](ctx, q, `
		SELECT d.id AS device_id, d.user_id, a.policy_id FROM devices d
		LEFT JOIN (SELECT pd.device_id, pd.policy_id FROM policy_devices pd JOIN policies p ON p.id = pd.policy_id AND p.enabled
			WHERE pd.device_id = ANY ($1::uuid[])) a ON a.device_id = d.id
		WHERE d.id = ANY ($1::uuid[])`, pq.Array(devices))
}

func rules(ctx context.Context, q sqlx.QueryerContext, device id.Device) ([]plan.Rule, error) {
	policies, err := read(ctx, q, brief+` JOIN policy_devices pd ON pd.policy_id = p.id WHERE pd.device_id = $1 AND p.enabled ORDER BY p.id`, device)
	var list []plan.Rule
	for _, p := range policies {
		list = append(list, plan.Rule{Retention: p.Retention, Zone: p.Zone})
	}
	return list, err
}

// What administrators write.

// lockWriters makes everybody who changes policies or groups wait for the end of this transaction.
func lockWriters(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('holdfast policies', 0))`)
	return pg.Fault(err)
}

// missing returns one of the ids that no row of the table has, or nil. Those that are there stay until tx ends.
func missing[N id.Noun](ctx context.Context, tx *sqlx.Tx, table string, ids []id.Of[N]) (*id.Of[N], error) {
	if len(ids) == 0 {
		return nil, nil
	}
	there, err := many[id.Of[N]](ctx, tx, `SELECT id FROM `+table+` WHERE id = ANY ($1::uuid[]) FOR KEY SHARE`, pq.Array(ids))
	if err != nil {
		return nil, err
	}
	for i := range ids {
		if !slices.Contains(there, ids[i]) {
			return &ids[i], nil
		}
	}
	return nil, nil
}

// written are the columns that an administrator decides about, in the order of values.
const written = `name, name_key, enabled, everyone, roots, presets, extensions, exclude_presets, excludes, max_file_size, schedule, zone,
	window_from, window_to, deadline_minutes, spread_minutes, upload_limit, level, keep_days, keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly`

func (p *Policy) values() ([]any, error) {
	schedule := p.Schedule
	schedule.Zone = "" // it has a column
	b, err := json.Marshal(schedule)
	if err != nil {
		return nil, err
	}
	var window plan.Window
	if p.Window != nil {
		window = *p.Window
	}
	k := p.Retention
	return []any{
		p.ID, p.Name, named.Key(p.Name), p.Enabled, p.Targets.Everyone, pq.Array(p.Roots), pq.Array(p.Presets), pq.Array(p.Extensions),
		pq.Array(p.ExcludePresets), pq.Array(p.Excludes), p.MaxFileSize, string(b), p.Zone, int(window.From), int(window.To), p.DeadlineMinutes, p.SpreadMinutes,
		p.UploadLimit, p.Level, k.Days, k.Last, k.Daily, k.Weekly, k.Monthly, k.Yearly,
	}, nil
}

const placeholders = `$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25`

func insert(ctx context.Context, tx *sqlx.Tx, p *Policy, by *id.User) error {
	values, err := p.values()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO policies (id, `+written+`, ticked_at, created_by, created_at, updated_at)
		VALUES ($1, `+placeholders+`, clock_timestamp(), $26, clock_timestamp(), clock_timestamp())`, append(values, by)...)
	return err
}

// update writes a policy. If its slots are settled, ticked_at says up to when; otherwise they begin now.
func update(ctx context.Context, tx *sqlx.Tx, p *Policy, settled bool) error {
	values, err := p.values()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE policies SET (`+written+`) = (`+placeholders+`), revision = revision + 1, updated_at = clock_timestamp(),
			ticked_at = CASE WHEN $26 THEN ticked_at ELSE clock_timestamp() END
		WHERE id = $1`, append(values, settled)...)
	return err
}

func setTargets(ctx context.Context, tx *sqlx.Tx, policy id.Policy, t *Targets) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM policy_targets WHERE policy_id = $1`, policy); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO policy_targets (policy_id, group_id, device_id, excluded)
		SELECT $1::uuid, g, NULL::uuid, false FROM unnest($2::uuid[]) g UNION ALL SELECT $1, NULL, d, false FROM unnest($3::uuid[]) d
		UNION ALL SELECT $1, g, NULL, true FROM unnest($4::uuid[]) g UNION ALL SELECT $1, NULL, d, true FROM unnest($5::uuid[]) d`,
		policy, pq.Array(t.Groups), pq.Array(t.Devices), pq.Array(t.ExceptGroups), pq.Array(t.ExceptDevices))
	return err
}

func remove(ctx context.Context, tx *sqlx.Tx, policy id.Policy) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM policies WHERE id = $1`, policy)
	return err
}

// Groups.

type groupRow struct {
	ID      id.Group
	Name    string
	Members int
	User    id.User `db:"user_id"`
}

func (r groupRow) group() *Group { return &Group{ID: r.ID, Name: r.Name, MemberCount: r.Members} }

const groupColumns = `g.id, g.name, (SELECT count(*) FROM group_members m WHERE m.group_id = g.id) AS members`

// groups returns groups by name: those, or all if ids is nil.
func groups(ctx context.Context, q sqlx.QueryerContext, ids []id.Group) ([]*Group, error) {
	rows, err := many[groupRow](ctx, q, `
		SELECT `+groupColumns+` FROM groups g WHERE $1::uuid[] IS NULL OR g.id = ANY ($1) ORDER BY g.name_key`, pq.Array(ids))
	list := []*Group{}
	for _, r := range rows {
		list = append(list, r.group())
	}
	return list, err
}

func groupsOf(ctx context.Context, q sqlx.QueryerContext, users []id.User) (map[id.User][]*Group, error) {
	rows, err := many[groupRow](ctx, q, `
		SELECT `+groupColumns+`, mine.user_id FROM group_members mine JOIN groups g ON g.id = mine.group_id
		WHERE mine.user_id = ANY ($1::uuid[]) ORDER BY g.name_key`, pq.Array(users))
	found := map[id.User][]*Group{}
	for _, r := range rows {
		found[r.User] = append(found[r.User], r.group())
	}
	return found, err
}

func members(ctx context.Context, q sqlx.QueryerContext, ids []id.Group) (map[id.Group][]id.User, error) {
	rows, err := many[groupRow](ctx, q, `
		SELECT m.group_id AS id, m.user_id FROM group_members m JOIN users u ON u.id = m.user_id
		WHERE m.group_id = ANY ($1::uuid[]) ORDER BY u.email_key`, pq.Array(ids))
	found := map[id.Group][]id.User{}
	for _, r := range rows {
		found[r.ID] = append(found[r.ID], r.User)
	}
	return found, err
}

func insertGroup(ctx context.Context, tx *sqlx.Tx, group id.Group, name string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO groups (id, name, name_key, created_at) VALUES ($1, $2, $3, clock_timestamp())`, group, name, named.Key(name))
	return err
}

func renameGroup(ctx context.Context, tx *sqlx.Tx, group id.Group, name string) error {
	_, err := tx.ExecContext(ctx, `UPDATE groups SET name = $2, name_key = $3 WHERE id = $1`, group, name, named.Key(name))
	return err
}

// join adds members and returns the e-mails of those who were none before.
func join(ctx context.Context, tx *sqlx.Tx, group id.Group, users []id.User) ([]string, error) {
	return many[string](ctx, tx, `
		WITH moved AS (INSERT INTO group_members (group_id, user_id) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING RETURNING user_id)
		SELECT u.email FROM moved JOIN users u ON u.id = moved.user_id ORDER BY u.email_key`, group, pq.Array(users))
}

// leave removes members and returns the e-mails of those who were some.
func leave(ctx context.Context, tx *sqlx.Tx, group id.Group, users []id.User) ([]string, error) {
	return many[string](ctx, tx, `
		WITH moved AS (DELETE FROM group_members WHERE group_id = $1 AND user_id = ANY ($2::uuid[]) RETURNING user_id)
		SELECT u.email FROM moved JOIN users u ON u.id = moved.user_id ORDER BY u.email_key`, group, pq.Array(users))
}

// naming returns the policies that name a group, by id.
func naming(ctx context.Context, tx *sqlx.Tx, group id.Group) ([]*Policy, error) {
	return read(ctx, tx, whole+` WHERE p.id IN (SELECT policy_id FROM policy_targets WHERE group_id = $1) ORDER BY p.id`, group)
}

// removeGroup deletes a group. Editors of policies that named it are to look again.
func removeGroup(ctx context.Context, tx *sqlx.Tx, group id.Group) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE policies SET revision = revision + 1, updated_at = clock_timestamp()
		WHERE id IN (SELECT policy_id FROM policy_targets WHERE group_id = $1)`, group)
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM groups WHERE id = $1`, group)
	}
	return err
}
