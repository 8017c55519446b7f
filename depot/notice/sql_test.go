package notice_test

const (
	insertUser = `
		INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads,
			auth_hash, bundle, recovery_auth_hash, recovery_bundle, identity_public)
		VALUES ($1, $2, $2, $3, $4, '', 1, 1, 1, '', '', '', '', '')`
	insertDevice = `
		INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		VALUES ($1, $2, 'laptop', 'h', 'linux', 'amd64', '1', '', '', $3)`
	insertRun = `
		INSERT INTO runs (id, device_id, kind, trigger, due_at, deadline_at) VALUES ($1, $2, 'backup', 'owner', clock_timestamp(), clock_timestamp())`
	suspendUser = `UPDATE users SET suspended_at = clock_timestamp() WHERE id = $1`
	demoteUser  = `UPDATE users SET role = 'staff' WHERE id = $1`
	setSetting  = `INSERT INTO settings (key, value) VALUES ($1, to_jsonb($2::text)) ON CONFLICT (key) DO UPDATE SET value = excluded.value`
	setNumber   = `INSERT INTO settings (key, value) VALUES ($1, to_jsonb($2::int)) ON CONFLICT (key) DO UPDATE SET value = excluded.value`
	mailedOf    = `SELECT title || ': ' || mailed FROM notifications WHERE user_id = $1 ORDER BY created_at, id`
	mailsOf     = `SELECT kind || ' ' || state || ' ' || attempts || coalesce(' ' || error, '') FROM mails WHERE user_id = $1 ORDER BY created_at, id`
	countMails  = `SELECT count(*) FROM mails`
	takenByDead = `UPDATE mails SET attempts = attempts + 1, next_at = clock_timestamp() + interval '5 minutes'`
	atHour      = `SELECT clock_timestamp()`
	setTime     = `UPDATE notifications SET created_at = clock_timestamp() - make_interval(mins => $2) WHERE title = $1`
	ageAll      = `UPDATE notifications SET read_at = CASE WHEN title LIKE 'read%' THEN clock_timestamp() END`
	titles      = `SELECT title FROM notifications ORDER BY title`
)
