package depot_test

const (
	newer    = `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`
	older    = `DELETE FROM goose_db_version WHERE version_id > 1`
	somePack = `
		WITH s AS (INSERT INTO spaces (public_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), 1, 1, 1) RETURNING id)
		INSERT INTO packs (space_id, name, size, objects) SELECT id, '', 1, 1 FROM s`
	nothing = `DROP TABLE goose_db_version`
)
