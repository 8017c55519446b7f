package pg

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"github.com/holdfast-backup/holdfast/migrations"
)

// Down undoes all migrations.
func Down(ctx context.Context, db *sqlx.DB) error {
	p, err := goose.NewProvider(goose.DialectPostgres, db.DB, migrations.FS)
	if err != nil {
		return err
	}
	_, err = p.DownTo(ctx, 0)
	return err
}
