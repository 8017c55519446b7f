package account

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of accounts. Functions that must run in a transaction take one; the others take whatever can
// ask. A row that is not there is a nil pointer, not an error.

const userColumns = `id, email, name, role, suspended_at IS NOT NULL AS suspended, created_at, last_login_at, identity_public,
	reset_at IS NOT NULL AS reset, ` + hasFactor + ` AS second_factor, ` + unproven + ` AS unproven`

// hasFactor holds for users whose second factor is on, unproven for administrators whose is not, where it is wanted of them (depot/setting).
const (
	hasFactor = `EXISTS (SELECT FROM second_factors f WHERE f.user_id = users.id AND f.confirmed_at IS NOT NULL)`
	unproven  = `(role <> 'staff' AND NOT ` + hasFactor + ` AND EXISTS (SELECT FROM settings WHERE key = 'adminsNeedSecondFactor' AND value = 'true'))`
)

// Users.

func userByID(ctx context.Context, q sqlx.QueryerContext, u id.User) (*User, error) {
	return pg.One[User](ctx, q, `SELECT `+userColumns+` FROM users WHERE id = $1`, u)
}

func userByKey(ctx context.Context, q sqlx.QueryerContext, key string) (*User, error) {
	return pg.One[User](ctx, q, `SELECT `+userColumns+` FROM users WHERE email_key = $1`, key)
}

func usersByID(ctx context.Context, q sqlx.QueryerContext, ids []id.User) ([]*User, error) {
	return pg.Many[*User](ctx, q, `SELECT `+userColumns+` FROM users WHERE id = ANY ($1::uuid[])`, pq.Array(ids))
}

// What a search finds: $1 in a name or an address, in any case; everybody if it is empty.
const matches = `($1 = '' OR position(lower($1) IN lower(name)) > 0 OR position(lower($1) IN email_key) > 0)`

func usersAfter(ctx context.Context, q sqlx.QueryerContext, search, key string, n int) ([]*User, error) {
	return pg.Many[*User](ctx, q, `SELECT `+userColumns+` FROM users WHERE `+matches+` AND email_key > $2 ORDER BY email_key LIMIT $3`, search, key, n)
}

func countUsers(ctx context.Context, q sqlx.QueryerContext, search string) (int, error) {
	n, err := pg.One[int](ctx, q, `SELECT count(*) FROM users WHERE `+matches, search)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// insertUser makes a user unless the e-mail is taken; it reports whether it did.
func insertUser(ctx context.Context, tx *sqlx.Tx, u *User, key string, k Keys, authHash []byte, r Recovery, recoveryHash []byte, now time.Time) (bool, error) {
	n, err := pg.Change(ctx, tx, `
		INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads,
			auth_hash, bundle, recovery_auth_hash, recovery_bundle, identity_public, created_at, last_login_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
		ON CONFLICT (email_key) DO NOTHING`,
		u.ID, u.Email, key, u.Name, u.Role, k.Params.Salt, k.Params.Time, k.Params.Memory, k.Params.Threads,
		authHash, k.Bundle, recoveryHash, r.Bundle, u.IdentityPublic, now)
	return n == 1, err
}

func setName(ctx context.Context, tx *sqlx.Tx, u id.User, name string) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET name = $2 WHERE id = $1`, u, name)
	return err
}

func setRole(ctx context.Context, tx *sqlx.Tx, u id.User, role actor.Role) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET role = $2 WHERE id = $1`, u, role)
	return err
}

// setSuspended sets or, with nil, clears the time of suspension.
func setSuspended(ctx context.Context, tx *sqlx.Tx, u id.User, at *time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET suspended_at = $2 WHERE id = $1`, u, at)
	return err
}

func setPassword(ctx context.Context, tx *sqlx.Tx, u id.User, k Keys, authHash []byte) error {
	_, err := pg.Change(ctx, tx, `
		UPDATE users SET kdf_salt = $2, kdf_time = $3, kdf_memory = $4, kdf_threads = $5, auth_hash = $6, bundle = $7
		WHERE id = $1`, u, k.Params.Salt, k.Params.Time, k.Params.Memory, k.Params.Threads, authHash, k.Bundle)
	return err
}

func setRecovery(ctx context.Context, tx *sqlx.Tx, u id.User, r Recovery, hash []byte) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET recovery_auth_hash = $2, recovery_bundle = $3 WHERE id = $1`, u, hash, r.Bundle)
	return err
}

func setLoggedIn(ctx context.Context, tx *sqlx.Tx, u id.User, now time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET last_login_at = $2 WHERE id = $1`, u, now)
	return err
}

// lockRoles makes everybody who changes a role or suspends somebody wait for the end of this transaction.
func lockRoles(ctx context.Context, tx *sqlx.Tx) error {
	_, err := pg.Change(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended('holdfast roles', 0))`)
	return err
}

// countSuperusers counts those who can act.
func countSuperusers(ctx context.Context, tx *sqlx.Tx) (int, error) {
	n, err := pg.One[int](ctx, tx, `SELECT count(*) FROM users WHERE role = 'superuser' AND suspended_at IS NULL AND reset_at IS NULL`)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// secrets is what proves an account. It never leaves the package.
type secrets struct {
	ID             id.User `db:"id"`
	Suspended      bool    `db:"suspended"`
	Reset          bool    `db:"reset"`
	AuthHash       []byte  `db:"auth_hash"`
	Bundle         []byte  `db:"bundle"`
	RecoveryHash   []byte  `db:"recovery_auth_hash"`
	RecoveryBundle []byte  `db:"recovery_bundle"`
}

const secretColumns = `id, suspended_at IS NOT NULL AS suspended, reset_at IS NOT NULL AS reset, auth_hash, bundle, recovery_auth_hash, recovery_bundle`

func secretsByKey(ctx context.Context, q sqlx.QueryerContext, key string) (*secrets, error) {
	return pg.One[secrets](ctx, q, `SELECT `+secretColumns+` FROM users WHERE email_key = $1`, key)
}

// lockSecrets reads them so that they, the role and the suspension stay as they are until tx ends.
func lockSecrets(ctx context.Context, tx *sqlx.Tx, u id.User) (*secrets, error) {
	return pg.One[secrets](ctx, tx, `SELECT `+secretColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, u)
}

func loginParams(ctx context.Context, q sqlx.QueryerContext, key string) (*LoginParams, error) {
	return pg.One[LoginParams](ctx, q, `SELECT kdf_salt, kdf_time, kdf_memory, kdf_threads FROM users WHERE email_key = $1`, key)
}

// Invitations.

const invitationColumns = `id, email, name, role, expires_at, resets`

// insertInvitation takes an empty key for an invitation without an e-mail.
func insertInvitation(ctx context.Context, tx *sqlx.Tx, inv *Invitation, key string, hash []byte, by *id.User, now time.Time) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO invitations (id, token_hash, email, email_key, name, role, invited_by, created_at, expires_at, resets)
		VALUES ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10)`, inv.ID, hash, inv.Email, key, inv.Name, inv.Role, by, now, inv.ExpiresAt, inv.Resets)
	return err
}

// An invitation is open until it is accepted or runs out.
const open = `accepted_at IS NULL AND expires_at > `

func openInvitation(ctx context.Context, q sqlx.QueryerContext, hash []byte, now time.Time) (*Invitation, error) {
	return pg.One[Invitation](ctx, q, `SELECT `+invitationColumns+` FROM invitations WHERE token_hash = $1 AND `+open+`$2`, hash, now)
}

// lockInvitation reads an open invitation that nobody else can accept or withdraw until tx ends.
func lockInvitation(ctx context.Context, tx *sqlx.Tx, hash []byte, now time.Time) (*Invitation, error) {
	return pg.One[Invitation](ctx, tx, `SELECT `+invitationColumns+` FROM invitations WHERE token_hash = $1 AND `+open+`$2 FOR UPDATE`, hash, now)
}

func openInvitationByID(ctx context.Context, q sqlx.QueryerContext, inv id.Invitation, now time.Time) (*Invitation, error) {
	return pg.One[Invitation](ctx, q, `SELECT `+invitationColumns+` FROM invitations WHERE id = $1 AND `+open+`$2`, inv, now)
}

func openInvitationsTo(ctx context.Context, q sqlx.QueryerContext, key string, now time.Time) ([]*Invitation, error) {
	return pg.Many[*Invitation](ctx, q, `SELECT `+invitationColumns+` FROM invitations WHERE email_key = $1 AND `+open+`$2`, key, now)
}

func openInvitations(ctx context.Context, q sqlx.QueryerContext, now time.Time) ([]*Invitation, error) {
	return pg.Many[*Invitation](ctx, q, `SELECT `+invitationColumns+` FROM invitations WHERE `+open+`$1 ORDER BY created_at DESC, id DESC`, now)
}

func acceptInvitation(ctx context.Context, tx *sqlx.Tx, inv id.Invitation, u id.User, now time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE invitations SET accepted_at = $3, accepted_by = $2 WHERE id = $1`, inv, u, now)
	return err
}

// deleteInvitation reports whether there was one to delete: an accepted one stays, as a record.
func deleteInvitation(ctx context.Context, tx *sqlx.Tx, inv id.Invitation) (bool, error) {
	n, err := pg.Change(ctx, tx, `DELETE FROM invitations WHERE id = $1 AND accepted_at IS NULL`, inv)
	return n > 0, err
}

func deleteInvitationsBy(ctx context.Context, tx *sqlx.Tx, u id.User) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM invitations WHERE invited_by = $1 AND accepted_at IS NULL`, u)
	return err
}

// deleteSetupInvitations withdraws the invitations of the first superuser: those that no one is named in.
func deleteSetupInvitations(ctx context.Context, tx *sqlx.Tx) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM invitations WHERE email IS NULL AND accepted_at IS NULL`)
	return err
}

func anySuperuser(ctx context.Context, q sqlx.QueryerContext) (bool, error) {
	n, err := pg.One[bool](ctx, q, `SELECT EXISTS (SELECT FROM users WHERE role = 'superuser')`)
	return n != nil && *n, err
}

// Sessions and API tokens.

const sessionColumns = `id, client, address, created_at, last_seen_at, expires_at, id = $2 AS current`

func insertSession(ctx context.Context, tx *sqlx.Tx, s *Session, u id.User, hash []byte, byRecovery bool) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO sessions (id, user_id, token_hash, client, address, by_recovery, created_at, last_seen_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)`, s.ID, u, hash, s.Client, s.Address, byRecovery, s.CreatedAt, s.ExpiresAt)
	return err
}

func sessionsOf(ctx context.Context, q sqlx.QueryerContext, u id.User, current id.Session, now time.Time) ([]*Session, error) {
	return pg.Many[*Session](ctx, q, `SELECT `+sessionColumns+` FROM sessions WHERE user_id = $1 AND expires_at > $3 ORDER BY last_seen_at DESC, id DESC`, u, current, now)
}

func deleteSession(ctx context.Context, tx *sqlx.Tx, u id.User, s id.Session) (bool, error) {
	n, err := pg.Change(ctx, tx, `DELETE FROM sessions WHERE id = $1 AND user_id = $2`, s, u)
	return n > 0, err
}

// deleteSessions ends all sessions of a user but one, which may be zero.
func deleteSessions(ctx context.Context, tx *sqlx.Tx, u id.User, but id.Session) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, u, but)
	return err
}

// promoteSession makes an ordinary session of one by recovery code.
func promoteSession(ctx context.Context, tx *sqlx.Tx, s id.Session, expires time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE sessions SET by_recovery = false, expires_at = $2 WHERE id = $1 AND by_recovery`, s, expires)
	return err
}

// credential is a session or an API token, with whose it is.
type credential struct {
	Session    id.Session  `db:"session"`
	APIToken   id.APIToken `db:"api_token"`
	User       id.User     `db:"user_id"`
	Role       actor.Role  `db:"role"`
	Suspended  bool        `db:"suspended"`
	ByRecovery bool        `db:"by_recovery"`
	Unproven   bool        `db:"unproven"`
	CreatedAt  time.Time   `db:"created_at"`
	UsedAt     *time.Time  `db:"used_at"`
	ExpiresAt  *time.Time  `db:"expires_at"`
}

func sessionByHash(ctx context.Context, q sqlx.QueryerContext, hash []byte) (*credential, error) {
	return pg.One[credential](ctx, q, `
		SELECT s.id AS session, s.user_id, s.by_recovery, s.created_at, s.last_seen_at AS used_at, s.expires_at,
			users.role, users.suspended_at IS NOT NULL AS suspended, `+unproven+` AS unproven
		FROM sessions s JOIN users ON users.id = s.user_id WHERE s.token_hash = $1`, hash)
}

func apiTokenByHash(ctx context.Context, q sqlx.QueryerContext, hash []byte) (*credential, error) {
	return pg.One[credential](ctx, q, `
		SELECT t.id AS api_token, t.user_id, t.created_at, t.last_used_at AS used_at, t.expires_at,
			users.role, users.suspended_at IS NOT NULL AS suspended, `+unproven+` AS unproven
		FROM api_tokens t JOIN users ON users.id = t.user_id WHERE t.token_hash = $1`, hash)
}

// touchSession writes a use, unless another request has just done so.
func touchSession(ctx context.Context, q sqlx.ExecerContext, s id.Session, now, before, expires time.Time) error {
	_, err := pg.Change(ctx, q, `UPDATE sessions SET last_seen_at = $2, expires_at = $4 WHERE id = $1 AND last_seen_at < $3 AND NOT by_recovery`, s, now, before, expires)
	return err
}

func touchAPIToken(ctx context.Context, q sqlx.ExecerContext, t id.APIToken, now, before time.Time) error {
	_, err := pg.Change(ctx, q, `UPDATE api_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)`, t, now, before)
	return err
}

const apiTokenColumns = `id, name, created_at, last_used_at, expires_at`

func insertAPIToken(ctx context.Context, tx *sqlx.Tx, t *APIToken, u id.User, hash []byte) error {
	_, err := pg.Change(ctx, tx, `INSERT INTO api_tokens (id, user_id, token_hash, name, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, u, hash, t.Name, t.CreatedAt, t.ExpiresAt)
	return err
}

func apiTokensOf(ctx context.Context, q sqlx.QueryerContext, u id.User, now time.Time) ([]*APIToken, error) {
	return pg.Many[*APIToken](ctx, q, `
		SELECT `+apiTokenColumns+` FROM api_tokens
		WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY created_at DESC, id DESC`, u, now)
}

func deleteAPIToken(ctx context.Context, tx *sqlx.Tx, u id.User, t id.APIToken) (bool, error) {
	n, err := pg.Change(ctx, tx, `DELETE FROM api_tokens WHERE id = $1 AND user_id = $2`, t, u)
	return n > 0, err
}

// Throttling.

// failures counts the failures of a key since a time, and keeps others from counting it until tx ends.
func failures(ctx context.Context, tx *sqlx.Tx, key []byte, since time.Time) (n int, last time.Time, err error) {
	if _, err := pg.Change(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))`, key); err != nil {
		return 0, last, err
	}
	row, err := pg.One[struct {
		N    int        `db:"n"`
		Last *time.Time `db:"last"`
	}](ctx, tx, `SELECT count(*) AS n, max(at) AS last FROM login_failures WHERE key = $1 AND at > $2`, key, since)
	if err != nil {
		return 0, last, err
	}
	if row.Last != nil {
		last = *row.Last
	}
	return row.N, last, nil
}

func addFailure(ctx context.Context, tx *sqlx.Tx, key []byte, now time.Time) (int64, error) {
	n, err := pg.One[int64](ctx, tx, `INSERT INTO login_failures (key, at) VALUES ($1, $2) RETURNING id`, key, now)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

func forget(ctx context.Context, tx *sqlx.Tx, ids []int64, key []byte) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM login_failures WHERE id = ANY ($1) OR key = $2`, pq.Array(ids), key)
	return err
}

func isKnownPlace(ctx context.Context, tx *sqlx.Tx, emailKey string, place []byte, since time.Time) (bool, error) {
	known, err := pg.One[bool](ctx, tx, `
		SELECT EXISTS (SELECT FROM known_places p JOIN users u ON u.id = p.user_id
		               WHERE u.email_key = $1 AND p.place = $2 AND p.last_at > $3)`, emailKey, place, since)
	return known != nil && *known, err
}

// addKnownPlace reports whether the place was known, as of since.
func addKnownPlace(ctx context.Context, tx *sqlx.Tx, u id.User, place []byte, now, since time.Time) (bool, error) {
	known, err := pg.One[bool](ctx, tx, `
		WITH before AS (SELECT last_at FROM known_places WHERE user_id = $1 AND place = $2)
		INSERT INTO known_places (user_id, place, last_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, place) DO UPDATE SET last_at = greatest(known_places.last_at, excluded.last_at)
		RETURNING EXISTS (SELECT FROM before WHERE last_at > $4)`, u, place, now, since)
	return known != nil && *known, err
}

func sweep(ctx context.Context, q sqlx.ExecerContext, now, failuresBefore, placesBefore time.Time) error {
	for _, s := range []struct {
		query  string
		before time.Time
	}{
		{`DELETE FROM login_failures WHERE at < $1`, failuresBefore},
		{`DELETE FROM known_places WHERE last_at < $1`, placesBefore},
		{`DELETE FROM sessions WHERE expires_at < $1`, now},
		{`DELETE FROM api_tokens WHERE expires_at < $1`, now},
		{`DELETE FROM invitations WHERE accepted_at IS NULL AND expires_at < $1`, now},
		{`DELETE FROM email_changes WHERE expires_at < $1`, now},
	} {
		if _, err := pg.Change(ctx, q, s.query, s.before); err != nil {
			return err
		}
	}
	return nil
}

// isRecovering reports whether a session by recovery code is still that.
func isRecovering(ctx context.Context, tx *sqlx.Tx, s id.Session, u id.User, now time.Time) (bool, error) {
	ok, err := pg.One[bool](ctx, tx, `SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND by_recovery AND expires_at > $3)`, s, u, now)
	return ok != nil && *ok, err
}

// Second factors. Whoever reads or writes one has the user's row locked.

func factorOf(ctx context.Context, q sqlx.QueryerContext, u id.User) (*factor, error) {
	return pg.One[factor](ctx, q, `SELECT secret, last_step, confirmed_at FROM second_factors WHERE user_id = $1`, u)
}

// putFactor puts a factor that is to be confirmed in the place of one that was not.
func putFactor(ctx context.Context, tx *sqlx.Tx, u id.User, secret []byte, now time.Time) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO second_factors (user_id, secret, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0, created_at = excluded.created_at
		WHERE second_factors.confirmed_at IS NULL`, u, secret, now)
	return err
}

func confirmFactor(ctx context.Context, tx *sqlx.Tx, u id.User, now time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE second_factors SET confirmed_at = $2 WHERE user_id = $1`, u, now)
	return err
}

func setLastStep(ctx context.Context, tx *sqlx.Tx, u id.User, step int64) error {
	_, err := pg.Change(ctx, tx, `UPDATE second_factors SET last_step = $2 WHERE user_id = $1`, u, step)
	return err
}

func deleteFactor(ctx context.Context, tx *sqlx.Tx, u id.User) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM second_factors WHERE user_id = $1`, u)
	return err
}

func replaceCodes(ctx context.Context, tx *sqlx.Tx, u id.User, hashes [][]byte) error {
	if _, err := pg.Change(ctx, tx, `DELETE FROM backup_codes WHERE user_id = $1`, u); err != nil {
		return err
	}
	_, err := pg.Change(ctx, tx, `INSERT INTO backup_codes (user_id, hash) SELECT $1, unnest($2::bytea[])`, u, pq.ByteaArray(hashes))
	return err
}

// useCode reports whether there was such a code that was not used yet.
func useCode(ctx context.Context, tx *sqlx.Tx, u id.User, hash []byte, now time.Time) (bool, error) {
	n, err := pg.Change(ctx, tx, `UPDATE backup_codes SET used_at = $3 WHERE user_id = $1 AND hash = $2 AND used_at IS NULL`, u, hash, now)
	return n == 1, err
}

func countCodes(ctx context.Context, q sqlx.QueryerContext, u id.User) (int, error) {
	n, err := pg.One[int](ctx, q, `SELECT count(*) FROM backup_codes WHERE user_id = $1 AND used_at IS NULL`, u)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// isOpen reports whether a session is an ordinary one that has not ended.
func isOpen(ctx context.Context, tx *sqlx.Tx, s id.Session, u id.User, now time.Time) (bool, error) {
	ok, err := pg.One[bool](ctx, tx, `SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND NOT by_recovery AND expires_at > $3)`, s, u, now)
	return ok != nil && *ok, err
}

// E-mail addresses, and accounts that start anew.

// setEmail fails with a unique violation if another has the address.
func setEmail(ctx context.Context, tx *sqlx.Tx, u id.User, email, key string) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET email = $2, email_key = $3 WHERE id = $1`, u, email, key)
	return err
}

// emailChange is an address that waits to be confirmed.
type emailChange struct {
	Email     string    `db:"email"`
	Key       string    `db:"email_key"`
	Hash      []byte    `db:"code_hash"`
	ExpiresAt time.Time `db:"expires_at"`
}

func emailChangeOf(ctx context.Context, q sqlx.QueryerContext, u id.User) (*emailChange, error) {
	return pg.One[emailChange](ctx, q, `SELECT email, email_key, code_hash, expires_at FROM email_changes WHERE user_id = $1`, u)
}

// putEmailChange puts an address in the place of another that waits.
func putEmailChange(ctx context.Context, tx *sqlx.Tx, u id.User, email, key string, hash []byte, until time.Time) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO email_changes (user_id, email, email_key, code_hash, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, email_key = excluded.email_key, code_hash = excluded.code_hash, expires_at = excluded.expires_at`,
		u, email, key, hash, until)
	return err
}

func deleteEmailChange(ctx context.Context, tx *sqlx.Tx, u id.User) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM email_changes WHERE user_id = $1`, u)
	return err
}

// setReset sets or, with nil, clears the time of a reset.
func setReset(ctx context.Context, tx *sqlx.Tx, u id.User, at *time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE users SET reset_at = $2 WHERE id = $1`, u, at)
	return err
}

func deleteAPITokens(ctx context.Context, tx *sqlx.Tx, u id.User) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM api_tokens WHERE user_id = $1`, u)
	return err
}

func deleteInvitationsOf(ctx context.Context, tx *sqlx.Tx, u id.User) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM invitations WHERE resets = $1 AND accepted_at IS NULL`, u)
	return err
}

// rekey gives an account that was reset new keys. It is open again.
func rekey(ctx context.Context, tx *sqlx.Tx, u id.User, name string, k Keys, authHash []byte, r Recovery, recoveryHash, identity []byte) error {
	_, err := pg.Change(ctx, tx, `
		UPDATE users SET name = $2, kdf_salt = $3, kdf_time = $4, kdf_memory = $5, kdf_threads = $6, auth_hash = $7, bundle = $8,
			recovery_auth_hash = $9, recovery_bundle = $10, identity_public = $11, reset_at = NULL, rekeyed_at = clock_timestamp()
		WHERE id = $1`, u, name, k.Params.Salt, k.Params.Time, k.Params.Memory, k.Params.Threads, authHash, k.Bundle,
		recoveryHash, r.Bundle, identity)
	return err
}
