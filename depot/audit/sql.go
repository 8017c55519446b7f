package audit

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/keyset"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func insert(ctx context.Context, tx *sqlx.Tx, e Entry) error {
	// The database's clock, and not that of the transaction's begin, so that lines stand in the order of the deeds.
	_, err := tx.ExecContext(ctx, `
		INSERT INTO audit_events (id, at, kind, actor_id, owner_id, text)
		VALUES ($1, clock_timestamp(), $2, $3, $4, $5)`,
		e.ID, e.Kind, e.ActorID, e.OwnerID, e.Text)
	return wrap(err)
}

// list returns up to n lines below from (nil: the newest), for one person (nil: all of them).
func list(ctx context.Context, db *sqlx.DB, scope *id.User, f Filter, from *keyset.Position[id.Event], n int) ([]*Entry, error) {
	at, last := from.Args()
	lines := []*Entry{}
	err := db.SelectContext(ctx, &lines, `
		SELECT id, at, kind, actor_id, owner_id, text
		FROM audit_events
		WHERE ($1::uuid IS NULL OR owner_id = $1 OR actor_id = $1)
		  AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3::uuid))
		  AND ($5 = '' OR position(lower($5) IN lower(text)) > 0)
		  AND ($6 = '' OR kind = $6 OR starts_with(kind, $6 || '.'))
		  AND ($7::timestamptz IS NULL OR at >= $7)
		  AND ($8::timestamptz IS NULL OR at < $8)
		ORDER BY at DESC, id DESC
		LIMIT $4`, scope, at, last, n, f.Search, f.Kind, f.From, f.To)
	if err != nil {
		return nil, wrap(err)
	}
	for _, e := range lines {
		e.At = e.At.UTC()
	}
	return lines, nil
}
