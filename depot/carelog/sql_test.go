package carelog_test

const insertSpace = `INSERT INTO spaces (public_id, chunk_min, chunk_avg, chunk_max) VALUES ($1, 1, 1, 1)`
