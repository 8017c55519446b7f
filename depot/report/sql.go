package report

import (
	"context"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of reports. They only read, but for samples.

// Runs.

// dimension says what the rows of a report are. Labels are looked up once the counting is done: runs are many.
type dimension struct {
	key    string                       // an expression; never null
	join   string                       // what it needs beside runs r and devices d
	label  string                       // an expression over n, a row per key
	naming string                       // joins n to the sums s
	public func(string) (string, error) // the public form of a key; nil: it is one
}

const none = `'00000000-0000-0000-0000-000000000000'::uuid`

var dimensions = map[By]dimension{
	byNothing: {key: `0`, label: `''`},
	ByDay:     {key: `(coalesce(r.slot, r.created_at) AT TIME ZONE $9)::date`, label: `to_char(s.key, 'YYYY-MM-DD')`},
	ByPolicy: {key: `coalesce(r.policy_id, ` + none + `)`, label: `coalesce(n.name, '(no policy)')`,
		naming: `LEFT JOIN policies n ON n.id = s.key`, public: public[id.Policy]},
	ByGroup: {key: `coalesce(gm.group_id, ` + none + `)`, join: `LEFT JOIN group_members gm ON gm.user_id = d.user_id`,
		label: `coalesce(n.name, '(no group)')`, naming: `LEFT JOIN groups n ON n.id = s.key`, public: public[id.Group]},
	ByUser: {key: `d.user_id`, label: `n.name || ' <' || n.email || '>'`, naming: `JOIN users n ON n.id = s.key`, public: public[id.User]},
	ByDevice: {key: `d.id`, label: `n.name || ' (' || o.email || ')'`, naming: `JOIN devices n ON n.id = s.key JOIN users o ON o.id = n.user_id`,
		public: public[id.Device]},
}

// public turns a uuid into the id of a noun, and none into "".
func public[T any, P interface {
	*T
	Scan(any) error
	IsZero() bool
	String() string
}](s string) (string, error) {
	var v T
	err := P(&v).Scan(s)
	if P(&v).IsZero() {
		return "", err
	}
	return P(&v).String(), err
}

type runsRow struct {
	Row
	Key      string
	Label    string
	Uploaded int64
	Mean     *float64
}

// countRuns returns up to n rows by label. Of runs that one backup answers, each is counted, but what the backup did counts once: few
// backups answer several, so everything is summed, and what was summed again is taken off.
func countRuns(ctx context.Context, q sqlx.QueryerContext, f Filter, n int) ([]*Row, error) {
	d := dimensions[f.By]
	rows, err := pg.Many[runsRow](ctx, q, `
		WITH hit AS NOT MATERIALIZED (
			SELECT `+d.key+` AS key, r.state, r.state IN ('succeeded', 'warned') AS good, r.files, r.bytes, r.uploaded_bytes AS uploaded,
				extract(epoch FROM r.ended_at - r.started_at) AS seconds, CASE WHEN r.kind = 'backup' THEN coalesce(r.snapshot_id, r.backup_id) END AS work
			FROM runs r JOIN devices d ON d.id = r.device_id `+d.join+`
			WHERE r.kind = $1 AND coalesce(r.slot, r.created_at) >= $2 AND coalesce(r.slot, r.created_at) < $3
				AND ($4::uuid IS NULL OR r.device_id = $4) AND ($5::uuid IS NULL OR d.user_id = $5)
				AND ($6::uuid IS NULL OR EXISTS (SELECT 1 FROM group_members m WHERE m.group_id = $6 AND m.user_id = d.user_id))
				AND ($7::uuid IS NULL OR r.policy_id = $7) AND $9::text IS NOT NULL),
		s AS (
			SELECT key, count(*) FILTER (WHERE state = 'succeeded') AS succeeded, count(*) FILTER (WHERE state = 'warned') AS warned,
				count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'missed') AS missed,
				count(*) FILTER (WHERE state = 'cancelled') AS cancelled, count(*) FILTER (WHERE state IN ('waiting', 'running')) AS open,
				coalesce(sum(files) FILTER (WHERE good), 0) AS files, coalesce(sum(bytes) FILTER (WHERE good), 0) AS bytes,
				sum(uploaded) AS uploaded, avg(seconds) FILTER (WHERE good)::float8 AS mean
			FROM hit GROUP BY key),
		shared AS MATERIALIZED (
			SELECT work FROM hit WHERE work IS NOT NULL GROUP BY work HAVING count(*) > 1),
		again AS (
			SELECT key, sum(greatest(good - 1, 0) * coalesce(files, 0)) AS files, sum(greatest(good - 1, 0) * coalesce(bytes, 0)) AS bytes,
				sum((everyone - 1) * uploaded) AS uploaded
			FROM (SELECT key, count(*) AS everyone, count(*) FILTER (WHERE good) AS good, max(files) FILTER (WHERE good) AS files,
					max(bytes) FILTER (WHERE good) AS bytes, max(uploaded) AS uploaded
				FROM hit JOIN shared USING (work) GROUP BY key, work) w
			GROUP BY key)
		SELECT s.key::text, `+d.label+` AS label, succeeded, warned, failed, missed, cancelled, open, mean,
			(s.files - coalesce(a.files, 0))::bigint AS files, (s.bytes - coalesce(a.bytes, 0))::bigint AS bytes,
			(s.uploaded - coalesce(a.uploaded, 0))::bigint AS uploaded
		FROM s LEFT JOIN again a ON a.key = s.key `+d.naming+` ORDER BY label, s.key LIMIT $8`,
		f.Kind, f.From, f.To, f.Device, f.User, f.Group, f.Policy, n, f.Zone)
	if err != nil {
		return nil, err
	}
	list := make([]*Row, len(rows))
	for i := range rows {
		r := rows[i].Row
		r.Key, r.Label, r.UploadedBytes, r.MeanSeconds = rows[i].Key, rows[i].Label, rows[i].Uploaded, rows[i].Mean
		if d.public != nil {
			if r.Key, err = d.public(r.Key); err != nil {
				return nil, err
			}
		}
		r.SuccessRate = r.rate()
		list[i] = &r
	}
	return list, nil
}

// The fleet.

// glance counts users, devices by health and open runs, and reads the clock.
func glance(ctx context.Context, q sqlx.QueryerContext, staleDays int) (*Overview, time.Time, error) {
	var row struct {
		Overview
		Open int
		Now  time.Time
	}
	err := sqlx.GetContext(ctx, q, &row, `
		SELECT (SELECT count(*) FROM users WHERE suspended_at IS NULL) AS users, h.*,
			(SELECT count(*) FROM runs WHERE state IN ('waiting', 'running')) AS open, clock_timestamp() AS now
		FROM (SELECT count(*) FILTER (WHERE state <> 'revoked') AS devices, count(*) FILTER (WHERE state = 'good') AS good,
			count(*) FILTER (WHERE state = 'working') AS working, count(*) FILTER (WHERE state = 'warning') AS warning,
			count(*) FILTER (WHERE state = 'bad') AS bad, count(*) FILTER (WHERE state = 'new') AS new FROM device_health($1)) h`, staleDays)
	row.Overview.OpenRuns = row.Open
	return &row.Overview, row.Now.UTC(), pg.Fault(err)
}

func failures(ctx context.Context, q sqlx.QueryerContext, n int) ([]id.Run, error) {
	return pg.Many[id.Run](ctx, q, `
		SELECT id FROM runs WHERE state IN ('failed', 'missed') AND kind <> 'probe' AND ended_at > clock_timestamp() - interval '7 days'
		ORDER BY ended_at DESC, id DESC LIMIT $1`, n)
}

func stale(ctx context.Context, q sqlx.QueryerContext, days, n int) ([]id.Device, error) {
	return pg.Many[id.Device](ctx, q, `
		SELECT device_id FROM device_health($1) WHERE state <> 'revoked' AND stale_days >= $1 ORDER BY stale_days DESC, device_id LIMIT $2`, days, n)
}

// worst returns up to n devices that match, below from (nil: the first), and how many match at all.
func worst(ctx context.Context, q sqlx.QueryerContext, staleDays int, f DeviceFilter, from *position, n int) ([]position, int, error) {
	var rank *int
	var name *string
	var last *id.Device
	if from != nil {
		rank, name, last = &from.rank, &from.name, &from.id
	}
	type row struct {
		Total int
		Rank  *int // nil: no device, only the total
		Name  *string
		ID    *id.Device
	}
	order := make([]string, len(Worst))
	for i, state := range Worst {
		order[i] = string(state)
	}
	var health []string
	for _, state := range f.Health {
		health = append(health, string(state))
	}
	rows, err := pg.Many[row](ctx, q, `
		WITH hits AS (
			SELECT array_position($2::text[], h.state) AS rank, lower(d.name) AS name, d.id
			FROM device_health($1) h JOIN devices d ON d.id = h.device_id JOIN users u ON u.id = d.user_id
			WHERE ($3::text[] IS NULL OR h.state = ANY ($3))
				AND ($4::text = '' OR d.name ILIKE $4 OR d.hostname ILIKE $4 OR u.email ILIKE $4 OR u.name ILIKE $4)
				AND ($5::uuid IS NULL OR EXISTS (SELECT 1 FROM group_members m WHERE m.group_id = $5 AND m.user_id = d.user_id)))
		SELECT t.total, page.* FROM (SELECT count(*) AS total FROM hits) t LEFT JOIN LATERAL (
			SELECT * FROM hits WHERE $6::int IS NULL OR (rank, name, id) > ($6, $7::text, $8::uuid) ORDER BY rank, name, id LIMIT $9) page ON true
		ORDER BY page.rank, page.name, page.id`,
		staleDays, pq.Array(order), pq.Array(health), like(f.Search), f.Group, rank, name, last, n)
	if err != nil {
		return nil, 0, err
	}
	var list []position
	for _, r := range rows {
		if r.ID != nil {
			list = append(list, position{*r.Rank, *r.Name, *r.ID})
		}
	}
	return list, rows[0].Total, nil
}

// like returns a pattern for what contains s; "" for "".
func like(s string) string {
	if s == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) + "%"
}

// The store.

type spaceRow struct {
	Owner                                            *id.User `db:"owner_id"`
	Stored, Quarantined, Objects, Logical, Protected int64
	Snapshots                                        int
	Quota                                            *int64
}

// perSpace is what each space holds.
const perSpace = `
	SELECT s.id AS space_id, s.owner_id, coalesce(p.stored, 0) AS stored, coalesce(p.quarantined, 0) AS quarantined, coalesce(p.objects, 0) AS objects,
		coalesce(sn.logical, 0) AS logical, coalesce(newest.protected, 0) AS protected, coalesce(sn.snapshots, 0) AS snapshots
	FROM spaces s
	LEFT JOIN (SELECT space_id, coalesce(sum(size) FILTER (WHERE swept_at IS NULL), 0)::bigint AS stored,
		coalesce(sum(size) FILTER (WHERE swept_at IS NOT NULL), 0)::bigint AS quarantined,
		coalesce(sum(objects - shadowed - dead) FILTER (WHERE swept_at IS NULL), 0)::bigint AS objects
		FROM packs WHERE NOT lost GROUP BY space_id) p ON p.space_id = s.id
	LEFT JOIN (SELECT space_id, count(*) AS snapshots, sum(bytes)::bigint AS logical FROM snapshots WHERE deleted_at IS NULL GROUP BY space_id) sn ON sn.space_id = s.id
	LEFT JOIN (SELECT space_id, sum(bytes)::bigint AS protected FROM (
			SELECT DISTINCT ON (device_id, application_id) space_id, bytes FROM snapshots WHERE deleted_at IS NULL
			ORDER BY device_id, application_id, created_at DESC, id DESC) n
		GROUP BY space_id) newest ON newest.space_id = s.id`

// spaces returns all spaces, the largest first.
func spaces(ctx context.Context, q sqlx.QueryerContext) ([]spaceRow, error) {
	return pg.Many[spaceRow](ctx, q, `
		SELECT owner_id, stored, quarantined, objects, logical, protected, snapshots,
			nullif(coalesce(u.quota_bytes, (SELECT (value #>> '{}')::bigint FROM settings WHERE key = 'defaultQuota'), 0), 0) AS quota
		FROM (`+perSpace+`) each LEFT JOIN users u ON u.id = each.owner_id ORDER BY stored DESC, space_id`)
}

// samples returns the samples of the last n days, oldest first: of a user's space, or of the whole if user is nil.
func samples(ctx context.Context, q sqlx.QueryerContext, user *id.User, n int) ([]*Day, error) {
	return pg.Many[*Day](ctx, q, `
		WITH today AS (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day)
		SELECT to_char(us.day, 'YYYY-MM-DD') AS day, us.stored, us.logical, us.protected, us.free, coalesce(up.uploaded, 0) AS uploaded
		FROM usage_samples us LEFT JOIN (
			SELECT (b.ended_at AT TIME ZONE 'UTC')::date AS day, sum(b.uploaded_bytes)::bigint AS uploaded FROM backups b
			WHERE b.ended_at >= ((SELECT day FROM today) - $2::int)::timestamp AT TIME ZONE 'UTC'
				AND ($1::uuid IS NULL OR b.device_id IN (SELECT id FROM devices WHERE user_id = $1))
			GROUP BY 1) up ON up.day = us.day
		WHERE us.day > (SELECT day FROM today) - $2::int
			AND CASE WHEN $1::uuid IS NULL THEN us.space_id IS NULL ELSE us.space_id = (SELECT id FROM spaces WHERE owner_id = $1) END
		ORDER BY us.day`, user, n)
}

// sample writes the rows of today, and forgets those of single spaces that nobody can ask for any more.
func sample(ctx context.Context, tx *sqlx.Tx, free *int64, keep time.Duration) error {
	const today = `(clock_timestamp() AT TIME ZONE 'UTC')::date`
	const over = ` DO UPDATE SET stored = excluded.stored, logical = excluded.logical, protected = excluded.protected, objects = excluded.objects,
		snapshots = excluded.snapshots, free = excluded.free`
	for _, s := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO usage_samples (day, space_id, stored, logical, protected, objects, snapshots)
			SELECT ` + today + `, space_id, stored, logical, protected, objects, snapshots FROM (` + perSpace + `) each
			ON CONFLICT (day, space_id) WHERE space_id IS NOT NULL` + over, nil},
		{`INSERT INTO usage_samples (day, stored, logical, protected, objects, snapshots, free)
			SELECT ` + today + `, coalesce(sum(stored), 0), coalesce(sum(logical), 0), coalesce(sum(protected), 0), coalesce(sum(objects), 0),
				coalesce(sum(snapshots), 0), $1 FROM (` + perSpace + `) each
			ON CONFLICT (day) WHERE space_id IS NULL` + over, []any{free}},
		{`DELETE FROM usage_samples WHERE space_id IS NOT NULL AND day < (clock_timestamp() - make_interval(secs => $1))::date`, []any{keep.Seconds()}},
	} {
		if _, err := tx.ExecContext(ctx, s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// told returns who was told of something that lasts.
func told(ctx context.Context, q sqlx.QueryerContext, key string) (map[id.User]bool, error) {
	users, err := pg.Many[id.User](ctx, q, `SELECT user_id FROM notifications WHERE key = $1`, key)
	found := map[id.User]bool{}
	for _, u := range users {
		found[u] = true
	}
	return found, err
}
