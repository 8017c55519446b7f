package depot

import (
	"context"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/migrations"
)

// schema returns the step that the database's schema is at (0: empty) and the one that this program has.
func schema(ctx context.Context, db *sqlx.DB) (have, want int64, err error) {
	err = fs.WalkDir(migrations.FS, ".", func(name string, _ fs.DirEntry, err error) error {
		number, _, _ := strings.Cut(path.Base(name), "_")
		if n, e := strconv.ParseInt(number, 10, 64); e == nil {
			want = max(want, n)
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	var exists bool
	if err := db.GetContext(ctx, &exists, `SELECT to_regclass('goose_db_version') IS NOT NULL`); err != nil || !exists {
		return 0, want, pg.Fault(err)
	}
	err = db.GetContext(ctx, &have, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`)
	return have, want, pg.Fault(err)
}

// clock returns the database's time.
func clock(ctx context.Context, db *sqlx.DB) (time.Time, error) {
	var t time.Time
	err := db.GetContext(ctx, &t, `SELECT clock_timestamp()`)
	return t, pg.Fault(err)
}

// anyPack reports whether anything was ever stored that is still known.
func anyPack(ctx context.Context, db *sqlx.DB) (bool, error) {
	var any bool
	err := db.GetContext(ctx, &any, `SELECT EXISTS (SELECT FROM packs)`)
	return any, pg.Fault(err)
}
