package gc

const insertTestSpace = `INSERT INTO spaces (public_id, chunk_min, chunk_avg, chunk_max) VALUES (gen_random_uuid(), 1, 1, 1) RETURNING id`
