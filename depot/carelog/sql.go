package carelog

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// tidy deletes what is older than keep, and ends what began more than a day ago and never ended.
func tidy(ctx context.Context, db *sqlx.DB, keep time.Duration) error {
	_, err := db.ExecContext(ctx, `DELETE FROM care_log WHERE started_at < clock_timestamp() - make_interval(secs => $1)`, keep.Seconds())
	if err == nil {
		_, err = db.ExecContext(ctx, `
			UPDATE care_log SET ended_at = clock_timestamp(), ok = false, error = 'it was broken off: its process ended'
			WHERE ended_at IS NULL AND started_at < clock_timestamp() - interval '1 day'`)
	}
	return pg.Fault(err)
}

func insert(ctx context.Context, db *sqlx.DB, job id.Job, kind string, space id.Space) error {
	_, err := db.ExecContext(ctx, `
		INSERT INTO care_log (id, kind, space_id) VALUES ($1, $2, (SELECT id FROM spaces WHERE public_id = $3))`, job, kind, space)
	return pg.Fault(err)
}

func finish(ctx context.Context, db *sqlx.DB, job id.Job, report []byte, cause *string) error {
	_, err := db.ExecContext(ctx, `
		UPDATE care_log SET ended_at = clock_timestamp(), ok = $3::text IS NULL, report = $2::jsonb, error = $3 WHERE id = $1`, job, string(report), cause)
	return pg.Fault(err)
}

func remove(ctx context.Context, db *sqlx.DB, job id.Job) error {
	_, err := db.ExecContext(ctx, `DELETE FROM care_log WHERE id = $1`, job)
	return pg.Fault(err)
}

// list returns up to n runs below from (nil: the newest).
func list(ctx context.Context, db *sqlx.DB, kind string, from *keyset.Position[id.Job], n int) ([]*Entry, error) {
	at, last := from.Args()
	return entries(ctx, db, `
		WHERE ($1 = '' OR c.kind = $1) AND ($2::timestamptz IS NULL OR (c.started_at, c.id) < ($2, $3::uuid))
		ORDER BY c.started_at DESC, c.id DESC LIMIT $4`, kind, at, last, n)
}

func byID(ctx context.Context, db *sqlx.DB, job id.Job) ([]*Entry, error) {
	return entries(ctx, db, `WHERE c.id = $1`, job)
}

// entries returns the rows of a condition.
func entries(ctx context.Context, db *sqlx.DB, where string, args ...any) ([]*Entry, error) {
	rows := []*Entry{}
	err := db.SelectContext(ctx, &rows, `
		SELECT c.id, c.kind, s.public_id AS space, c.started_at, c.ended_at, c.ok, c.report, c.error
		FROM care_log c LEFT JOIN spaces s ON s.id = c.space_id `+where, args...)
	if err != nil {
		return nil, pg.Fault(err)
	}
	for _, e := range rows {
		e.StartedAt = e.StartedAt.UTC()
		if e.EndedAt != nil {
			t := e.EndedAt.UTC()
			e.EndedAt = &t
		}
	}
	return rows, nil
}
