package notice

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func insert(ctx context.Context, tx *sqlx.Tx, e Event) error {
	severity := e.Severity
	for _, k := range Kinds {
		if k.Name == e.Kind && severity == "" {
			severity = k.Severity
		}
	}
	var device *id.Device
	if !e.Device.IsZero() {
		device = &e.Device
	}
	var run *id.Run
	if !e.Run.IsZero() {
		run = &e.Run
	}
	var key *string
	if e.Key != "" {
		key = &e.Key
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO notifications (id, user_id, kind, severity, title, body, device_id, run_id, key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (user_id, key) WHERE key IS NOT NULL DO NOTHING`,
		id.Notice{}.New(), e.User, e.Kind, severity, e.Title, e.Body, device, run, key)
	return pg.Fault(err)
}

func forget(ctx context.Context, tx *sqlx.Tx, user id.User, key string) error {
	_, err := tx.ExecContext(ctx, `UPDATE notifications SET key = NULL WHERE user_id = $1 AND key = $2`, user, key)
	return pg.Fault(err)
}

func forgetAll(ctx context.Context, tx *sqlx.Tx, key string) error {
	_, err := tx.ExecContext(ctx, `UPDATE notifications SET key = NULL WHERE key = $1`, key)
	return pg.Fault(err)
}

// admins returns those who look after the installation and can act.
func admins(ctx context.Context, tx *sqlx.Tx) ([]id.User, error) {
	var users []id.User
	err := tx.SelectContext(ctx, &users, `SELECT id FROM users WHERE role IN ('admin', 'superuser') AND suspended_at IS NULL ORDER BY id`)
	return users, pg.Fault(err)
}
