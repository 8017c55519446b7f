package pg_test

import (
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

func notes(t *testing.T) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	makeNotes(t, db)
	return db
}

func makeNotes(t *testing.T, db *sqlx.DB) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE notes (text text PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
}

func add(tx *sqlx.Tx, text string) error {
	_, err := tx.Exec(`INSERT INTO notes VALUES ($1)`, text)
	return err
}

func lock(tx *sqlx.Tx, text string) error {
	_, err := tx.Exec(`SELECT FROM notes WHERE text = $1 FOR UPDATE`, text)
	return err
}

func orphan(tx *sqlx.Tx) error {
	_, err := tx.Exec(`INSERT INTO sessions (id, user_id, token_hash, client, address, expires_at)
		VALUES (gen_random_uuid(), gen_random_uuid(), '', '', '', now())`)
	return err
}

func all(t *testing.T, db *sqlx.DB) (texts string) {
	t.Helper()
	if err := db.GetContext(t.Context(), &texts, `SELECT string_agg(text, ' ' ORDER BY text) FROM notes`); err != nil {
		t.Fatal(err)
	}
	return texts
}

func count(t *testing.T, db *sqlx.DB, table string) (n int) {
	t.Helper()
	if err := db.GetContext(t.Context(), &n, `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	return n
}

func tables(t *testing.T, db *sqlx.DB) (names string) {
	t.Helper()
	if err := db.GetContext(t.Context(), &names, `SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'`); err != nil {
		t.Fatal(err)
	}
	return names
}

func pretendNewer(t *testing.T, db *sqlx.DB) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
		t.Fatal(err)
	}
}
