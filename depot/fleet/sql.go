package fleet

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// The statements of the fleet. A row that is not there is a nil pointer, not an error.

const columns = `id, user_id, name, hostname, os, arch, agent_version, public_key, mac, created_at, last_seen_at, revoked_at`

func ofOwner(ctx context.Context, q sqlx.QueryerContext, owner id.User) ([]*Device, error) {
	list := []*Device{}
	return list, pg.Fault(sqlx.SelectContext(ctx, q, &list, `SELECT `+columns+` FROM devices WHERE user_id = $1 ORDER BY name, id`, owner))
}

func byID(ctx context.Context, q sqlx.QueryerContext, ids []id.Device) ([]*Device, error) {
	list := []*Device{}
	return list, pg.Fault(sqlx.SelectContext(ctx, q, &list, `SELECT `+columns+` FROM devices WHERE id = ANY ($1::uuid[])`, pq.Array(ids)))
}

func ownerOf(ctx context.Context, q sqlx.QueryerContext, dev id.Device) (*id.User, error) {
	return pg.One[id.User](ctx, q, `SELECT user_id FROM devices WHERE id = $1`, dev)
}

// names returns the names that an owner's devices have, revoked ones left out.
func names(ctx context.Context, tx *sqlx.Tx, owner id.User) (map[string]bool, error) {
	var list []string
	if err := tx.SelectContext(ctx, &list, `SELECT name FROM devices WHERE user_id = $1 AND revoked_at IS NULL`, owner); err != nil {
		return nil, pg.Fault(err)
	}
	taken := map[string]bool{}
	for _, n := range list {
		taken[n] = true
	}
	return taken, nil
}

// lockOwner makes others who change this owner's devices wait until tx ends. It reports whether the owner
// exists and is not suspended.
func lockOwner(ctx context.Context, tx *sqlx.Tx, owner id.User) (bool, error) {
	active, err := pg.One[bool](ctx, tx, `SELECT suspended_at IS NULL FROM users WHERE id = $1 FOR NO KEY UPDATE`, owner)
	return active != nil && *active, err
}

func insert(ctx context.Context, tx *sqlx.Tx, d *Device, hash []byte) error {
	_, err := pg.Change(ctx, tx, `
		INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		d.ID, d.OwnerID, d.Name, d.Hostname, d.OS, d.Arch, d.AgentVersion, d.PublicKey, d.MAC, hash, d.CreatedAt)
	return err
}

func setName(ctx context.Context, tx *sqlx.Tx, dev id.Device, name string) error {
	_, err := pg.Change(ctx, tx, `UPDATE devices SET name = $2 WHERE id = $1`, dev, name)
	return err
}

func setRevoked(ctx context.Context, tx *sqlx.Tx, dev id.Device, now time.Time) error {
	_, err := pg.Change(ctx, tx, `UPDATE devices SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL`, dev, now)
	return err
}

func seen(ctx context.Context, q sqlx.ExecerContext, dev id.Device, version string, now, before time.Time) error {
	_, err := pg.Change(ctx, q, `
		UPDATE devices SET last_seen_at = $3, agent_version = $2
		WHERE id = $1 AND (last_seen_at IS NULL OR last_seen_at < $4 OR agent_version <> $2)`, dev, version, now, before)
	return err
}

// credential is what a device token leads to.
type credential struct {
	Device    id.Device `db:"id"`
	User      id.User   `db:"user_id"`
	Revoked   bool      `db:"revoked"`
	Suspended bool      `db:"suspended"`
}

func byToken(ctx context.Context, q sqlx.QueryerContext, hash []byte) (*credential, error) {
	return pg.One[credential](ctx, q, `
		SELECT d.id, d.user_id, d.revoked_at IS NOT NULL AS revoked, u.suspended_at IS NOT NULL AS suspended
		FROM devices d JOIN users u ON u.id = d.user_id WHERE d.token_hash = $1`, hash)
}

// Enrolment.

func countOpen(ctx context.Context, tx *sqlx.Tx, owner id.User, now time.Time) (int, error) {
	n, err := pg.One[int](ctx, tx, `SELECT count(*) FROM enrolments WHERE user_id = $1 AND used_at IS NULL AND expires_at > $2`, owner, now)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// insertEnrolment reports whether the token was new.
func insertEnrolment(ctx context.Context, tx *sqlx.Tx, e *Enrolment, owner id.User, hash, sealed []byte, now time.Time) (bool, error) {
	n, err := pg.Change(ctx, tx, `
		INSERT INTO enrolments (id, user_id, token_hash, sealed, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (token_hash) DO NOTHING`, e.ID, owner, hash, sealed, now, e.ExpiresAt)
	return n == 1, err
}

func offer(ctx context.Context, q sqlx.QueryerContext, hash []byte, now time.Time) (*EnrolmentOffer, error) {
	return pg.One[EnrolmentOffer](ctx, q, `
		SELECT e.sealed, u.email, e.expires_at FROM enrolments e JOIN users u ON u.id = e.user_id
		WHERE e.token_hash = $1 AND e.used_at IS NULL AND e.expires_at > $2 AND u.suspended_at IS NULL`, hash, now)
}

type used struct {
	ID   id.Enrolment `db:"id"`
	User id.User      `db:"user_id"`
}

// use takes a code: of those who try at the same time, one gets it. What was sealed is deleted with it.
func use(ctx context.Context, tx *sqlx.Tx, hash []byte, now time.Time) (*used, error) {
	return pg.One[used](ctx, tx, `
		UPDATE enrolments SET used_at = $2, sealed = ''
		WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
		RETURNING id, user_id`, hash, now)
}

func usedBy(ctx context.Context, tx *sqlx.Tx, e id.Enrolment, dev id.Device) error {
	_, err := pg.Change(ctx, tx, `UPDATE enrolments SET used_by = $2 WHERE id = $1`, e, dev)
	return err
}

func deleteExpired(ctx context.Context, q sqlx.ExecerContext, before time.Time) error {
	_, err := pg.Change(ctx, q, `DELETE FROM enrolments WHERE expires_at < $1`, before)
	return err
}

func deleteEnrolments(ctx context.Context, tx *sqlx.Tx, owner id.User) error {
	_, err := pg.Change(ctx, tx, `DELETE FROM enrolments WHERE user_id = $1 AND used_at IS NULL`, owner)
	return err
}
