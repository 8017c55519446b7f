package fleet_test

const (
	insertUser = `
		INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads,
			auth_hash, bundle, recovery_auth_hash, recovery_bundle, identity_public)
		VALUES ($1, $2, $2, $2, $3, '', 1, 1, 1, '', '', '', '', '')`
	suspend = `UPDATE users SET suspended_at = now() WHERE id = $1`
	resume  = `UPDATE users SET suspended_at = NULL WHERE id = $1`
)
