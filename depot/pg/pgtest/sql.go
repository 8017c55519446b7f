package pgtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/pg"
)

// templateLock keeps test programs that share one server from making the template together.
const templateLock = 0x686f6c645f747374 // "hold_tst"

// shiftedPath makes unqualified now() and clock_timestamp() those of the schema fake: pg_catalog comes last only if it is named.
// What migrations make still lands in public.
const shiftedPath = "public,fake,pg_catalog"

// fakeClock is the schema that stands before PostgreSQL's own functions of time.
const fakeClock = `
	CREATE SCHEMA fake;
	CREATE TABLE fake.clock (ahead interval NOT NULL);
	INSERT INTO fake.clock VALUES ('0');
	CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
		AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM fake.clock';
	CREATE FUNCTION fake.now() RETURNS timestamptz LANGUAGE sql STABLE
		AS 'SELECT pg_catalog.now() + ahead FROM fake.clock'`

// makeTemplate makes a migrated database that tests get copies of, unless it is there. With shifted, the fake clock was there before
// the migrations, so that defaults and views, which are bound when they are made, go by it, too.
func makeTemplate(ctx context.Context, s *server, name string, shifted bool) (err error) {
	conn, err := s.admin.Connx(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(templateLock))
		err = errors.Join(err, unlockErr)
	}()
	var exists bool
	if err := conn.GetContext(ctx, &exists, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name); err != nil || exists {
		return err
	}
	// Under another name until it is whole: the maker may be killed.
	making := name + "_new"
	if err := drop(ctx, s.admin, making); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `CREATE DATABASE `+pq.QuoteIdentifier(making)+` TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`); err != nil {
		return err
	}
	at := withDatabase(s.url, making)
	if shifted {
		at = withSearchPath(at, shiftedPath)
	}
	db, err := pg.Open(ctx, at)
	if err != nil {
		return err
	}
	if shifted {
		_, err = db.ExecContext(ctx, fakeClock)
	}
	if err == nil {
		err = pg.Migrate(ctx, db)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `ALTER DATABASE `+pq.QuoteIdentifier(making)+` RENAME TO `+pq.QuoteIdentifier(name))
	return err
}

func createFrom(ctx context.Context, admin *sqlx.DB, name, template string) error {
	// Copying files takes a quarter of the time of copying through the write-ahead log, which PostgreSQL 15 made the default.
	strategy := ""
	var version int
	if err := admin.GetContext(ctx, &version, `SELECT current_setting('server_version_num')::int`); err != nil {
		return err
	}
	if version >= 150000 {
		strategy = ` STRATEGY FILE_COPY`
	}
	if _, err := admin.ExecContext(ctx, `CREATE DATABASE `+pq.QuoteIdentifier(name)+` TEMPLATE `+pq.QuoteIdentifier(template)+strategy); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func drop(ctx context.Context, admin *sqlx.DB, name string) error {
	if _, err := admin.ExecContext(ctx, `DROP DATABASE IF EXISTS `+pq.QuoteIdentifier(name)+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// wipe removes our schema.
func wipe(ctx context.Context, db *sqlx.DB) error {
	_, err := db.ExecContext(ctx, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
	return err
}

// shiftClock moves the fake clock.
func shiftClock(ctx context.Context, db *sqlx.DB, microseconds int64) error {
	_, err := db.ExecContext(ctx, `UPDATE fake.clock SET ahead = ahead + $1 * interval '1 microsecond'`, microseconds)
	return err
}
