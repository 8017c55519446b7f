package setting

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// read returns the settings: what is stored, and defaults for the rest. Rows of keys that this program does not know
// are left alone.
func read(ctx context.Context, q sqlx.QueryerContext) (*Settings, error) {
	var rows []struct {
		Key   string
		Value []byte
	}
	if err := sqlx.SelectContext(ctx, q, &rows, `SELECT key, value FROM settings`); err != nil {
		return nil, pg.Fault(err)
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
