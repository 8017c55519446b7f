package selfbackup

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
)

// state is what a copy says of its database.
type state struct {
	Now    time.Time // in whole seconds
	Server int       // server_version_num, such as 150018
	Schema int64     // number of the last migration; 0: none
}

// major returns the server's major version.
func (s state) major() int { return s.Server / 10000 }

func readState(ctx context.Context, db *sqlx.DB) (state, error) {
	var s state
	err := db.GetContext(ctx, &s, `
		SELECT date_trunc('second', clock_timestamp()) AS now, current_setting('server_version_num')::int AS server, 0 AS schema`)
	if err != nil {
		return s, pg.Fault(err)
	}
	s.Now = s.Now.UTC()
	var migrated bool
	if err := db.GetContext(ctx, &migrated, `SELECT to_regclass('goose_db_version') IS NOT NULL`); err != nil || !migrated {
		return s, pg.Fault(err)
	}
	err = db.GetContext(ctx, &s.Schema, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`)
	return s, pg.Fault(err)
}

// empty reports whether nobody has made anything in a database.
func empty(ctx context.Context, db *sqlx.DB) (bool, error) {
	var none bool
	err := db.GetContext(ctx, &none, `
		SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = ANY (ours))
			AND NOT EXISTS (SELECT FROM pg_type WHERE typnamespace = ANY (ours))
			AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = ANY (ours))
		FROM (SELECT coalesce(array_agg(oid), '{}') AS ours FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema') AS n`)
	return none, pg.Fault(err)
}
