package setting

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of settings and quotas.

func many[T any](ctx context.Context, q sqlx.QueryerContext, query string, args ...any) ([]T, error) {
	rows := []T{}
	err := sqlx.SelectContext(ctx, q, &rows, query, args...)
	return rows, pg.Fault(err)
}

type row struct {
	Key   string
	Value []byte
}

// read returns the settings: what is stored, and defaults for the rest. Rows of keys that this program does not know
// are left alone.
func read(ctx context.Context, q sqlx.QueryerContext) (*Settings, error) {
	rows, err := many[row](ctx, q, `SELECT key, value FROM settings`)
	if err != nil {
		return nil, err
	}
	s := Defaults()
	fields := s.fields()
	for _, r := range rows {
		for _, f := range fields {
			if f.key != r.Key {
				continue
			}
			if err := json.Unmarshal(r.Value, f.at); err != nil {
				return nil, fmt.Errorf("setting %s: %w", r.Key, err)
			}
		}
	}
	return &s, nil
}

// lock makes others who change settings wait until tx ends.
func lock(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('holdfast settings', 0))`)
	return err
}

func write(ctx context.Context, tx *sqlx.Tx, key string, value any, by *id.User) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO settings (key, value, updated_at, updated_by) VALUES ($1, $2, clock_timestamp(), $3)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, updated_by = excluded.updated_by`, key, string(b), by)
	return err
}

// withoutFactor gives the administrators and superusers whose second factor is not on.
func withoutFactor(ctx context.Context, q sqlx.QueryerContext) ([]id.User, error) {
	return many[id.User](ctx, q, `
		SELECT id FROM users WHERE role <> 'staff' AND suspended_at IS NULL
			AND NOT EXISTS (SELECT FROM second_factors f WHERE f.user_id = users.id AND f.confirmed_at IS NOT NULL) ORDER BY id`)
}

// Quotas.

type userRow struct {
	Email string
	Quota *int64
}

// lockUser returns a user and makes others who set the quota wait; nil if there is none.
func lockUser(ctx context.Context, tx *sqlx.Tx, user id.User) (*userRow, error) {
	rows, err := many[userRow](ctx, tx, `SELECT email, quota_bytes AS quota FROM users WHERE id = $1 FOR NO KEY UPDATE`, user)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

func setQuota(ctx context.Context, tx *sqlx.Tx, user id.User, quota *int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE users SET quota_bytes = $2 WHERE id = $1`, user, quota)
	return err
}

// limit is a user's quota, their own or the default one; 0: none.
const limit = `coalesce(u.quota_bytes, (SELECT (value #>> '{}')::bigint FROM settings WHERE key = 'defaultQuota'), 0)`

func quotas(ctx context.Context, q sqlx.QueryerContext, users []id.User) (map[id.User]*int64, error) {
	rows, err := many[Usage](ctx, q, `SELECT u.id AS user_id, `+limit+` AS quota FROM users u WHERE u.id = ANY ($1::uuid[])`, pq.Array(users))
	found := map[id.User]*int64{}
	for i := range rows {
		if rows[i].Quota > 0 {
			found[rows[i].User] = &rows[i].Quota
		}
	}
	return found, err
}

// usage returns what users store and may store: one, or all that are not suspended if user is nil.
func usage(ctx context.Context, q sqlx.QueryerContext, user *id.User) ([]Usage, error) {
	return many[Usage](ctx, q, `
		SELECT u.id AS user_id, `+limit+` AS quota,
			coalesce((SELECT sum(p.size) FROM packs p JOIN spaces s ON s.id = p.space_id
				WHERE s.owner_id = u.id AND NOT p.lost AND p.swept_at IS NULL), 0)::bigint AS used
		FROM users u WHERE CASE WHEN $1::uuid IS NULL THEN u.suspended_at IS NULL ELSE u.id = $1 END ORDER BY u.id`, user)
}

// The logo.

// logoHash returns the hash of the logo; "": there is none.
func logoHash(ctx context.Context, q sqlx.QueryerContext) (string, error) {
	h, err := pg.One[string](ctx, q, `SELECT hash FROM logo`)
	if err != nil || h == nil {
		return "", err
	}
	return *h, nil
}

// logo returns the logo of a hash, or nil.
func logo(ctx context.Context, q sqlx.QueryerContext, hash string) ([]byte, error) {
	b, err := pg.One[[]byte](ctx, q, `SELECT png FROM logo WHERE hash = $1`, hash)
	if err != nil || b == nil {
		return nil, err
	}
	return *b, nil
}

func writeLogo(ctx context.Context, tx *sqlx.Tx, png []byte, hash string, by *id.User) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO logo (png, hash, updated_by) VALUES ($1, $2, $3)
		ON CONFLICT (one) DO UPDATE SET png = excluded.png, hash = excluded.hash, updated_at = clock_timestamp(), updated_by = excluded.updated_by`, png, hash, by)
	return err
}

// removeLogo reports whether there was one.
func removeLogo(ctx context.Context, tx *sqlx.Tx) (bool, error) {
	n, err := pg.Change(ctx, tx, `DELETE FROM logo`)
	return n > 0, err
}
