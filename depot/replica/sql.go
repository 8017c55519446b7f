package replica

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// row is a replica as the work on it needs to know it.
type row struct {
	ID       int
	URL      string
	MadeAt   *time.Time `db:"made_at"`
	Checked  *time.Time `db:"checked_at"`
	Scrubbed int        `db:"scrubbed_pack"`
}

const readRow = `SELECT id, url, made_at, checked_at, scrubbed_pack FROM replicas WHERE url = $1`

// enrol returns the row of a replica, and notes that it is configured. One that is new lacks everything that there is. Its row is written while nobody makes packs
// known: whoever does so after that writes down what it lacks, and what was there before is written down here.
func enrol(ctx context.Context, db *sqlx.DB, url string) (*row, error) {
	r, err := pg.One[row](ctx, db, `
		UPDATE replicas SET configured_at = clock_timestamp() WHERE url = $1 RETURNING id, url, made_at, checked_at, scrubbed_pack`, url)
	if err != nil {
		return nil, err
	}
	if r == nil {
		err = pg.InTx(ctx, db, func(tx *sqlx.Tx) error {
			if _, err := tx.ExecContext(ctx, `LOCK TABLE spaces, packs, snapshots IN SHARE MODE`); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO replicas (url) VALUES ($1) ON CONFLICT DO NOTHING`, url)
			return err
		})
		if err == nil {
			r, err = pg.One[row](ctx, db, readRow, url)
		}
		if err != nil || r == nil {
			return nil, err
		}
	}
	if r.MadeAt != nil {
		return r, nil
	}
	// Until it is made: a process that was killed between the row and this leaves it undone.
	if _, err := pg.Change(ctx, db, `
		INSERT INTO replica_packs (replica_id, pack_id) SELECT $1, p.id FROM packs p ORDER BY p.id ON CONFLICT DO NOTHING`, r.ID); err != nil {
		return nil, err
	}
	// The planner still believes that the table is empty, and would read all of it for every portion.
	if _, err := pg.Change(ctx, db, `ANALYZE replica_packs`); err != nil {
		return nil, err
	}
	return r, compareAll(ctx, db, r.ID)
}

// compareAll notes that the records of every space are to be compared.
func compareAll(ctx context.Context, db *sqlx.DB, replica int) error {
	_, err := pg.Change(ctx, db, `
		INSERT INTO replica_spaces (replica_id, space_id) SELECT $1, s.id FROM spaces s ORDER BY s.id
		ON CONFLICT (replica_id, space_id) DO UPDATE SET stamp = replica_spaces.stamp + 1`, replica)
	return err
}

func made(ctx context.Context, db *sqlx.DB, replica int) error {
	_, err := pg.Change(ctx, db, `UPDATE replicas SET made_at = clock_timestamp() WHERE id = $1`, replica)
	return err
}

// forget deletes replicas that nobody has configured for so long.
func forget(ctx context.Context, db *sqlx.DB, after time.Duration) error {
	_, err := pg.Change(ctx, db, `DELETE FROM replicas WHERE configured_at < clock_timestamp() - make_interval(secs => $1)`, after.Seconds())
	return err
}

// alone makes the caller the only one that works on a replica, until release; nil: somebody else does.
func alone(ctx context.Context, db *sqlx.DB, replica int) (release func(), err error) {
	conn, err := db.Connx(ctx)
	if err != nil {
		return nil, pg.Fault(err)
	}
	discard := func() { // never back into the pool with the lock
		conn.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // it says what it was told
		conn.Close()
	}
	var ok bool
	if err := conn.GetContext(ctx, &ok, `SELECT pg_try_advisory_lock(hashtextextended('holdfast replica', $1))`, replica); err != nil {
		discard() // it may have been granted all the same
		return nil, pg.Fault(err)
	}
	if !ok {
		conn.Close()
		return nil, nil
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock(hashtextextended('holdfast replica', $1))`, replica); err != nil {
			discard()
			return
		}
		conn.Close()
	}, nil
}

func failed(ctx context.Context, db *sqlx.DB, replica int, text string) error {
	_, err := pg.Change(ctx, db, `
		UPDATE replicas SET failing_since = coalesce(failing_since, clock_timestamp()), error = $2 WHERE id = $1`, replica, text)
	return err
}

func reached(ctx context.Context, db *sqlx.DB, replica int) error {
	_, err := pg.Change(ctx, db, `
		UPDATE replicas SET reached_at = clock_timestamp(), failing_since = NULL, error = NULL WHERE id = $1`, replica)
	return err
}

// Packs.

// copyable is what of a queue can be copied: what is in quarantine may come back, and what is damaged be mended.
const copyable = `p.swept_at IS NULL AND p.damaged_at IS NULL`

// want is a pack that a replica lacks.
type want struct {
	ID    int
	Space id.Space `db:"public_id"`
	Name  id.Pack
	Size  int64
	Wrong bool // a copy is there and is wrong
}

// wants returns up to n packs of a space that a replica lacks and that are due, oldest first.
func wants(ctx context.Context, db *sqlx.DB, replica, space, n int) ([]want, error) {
	return pg.Many[want](ctx, db, `
		SELECT p.id, s.public_id, p.name, p.size, q.wrong
		FROM replica_packs q JOIN packs p ON p.id = q.pack_id JOIN spaces s ON s.id = p.space_id
		WHERE q.replica_id = $1 AND p.space_id = $2 AND q.next_at <= clock_timestamp() AND `+copyable+` ORDER BY p.id LIMIT $3`, replica, space, n)
}

func copied(ctx context.Context, db *sqlx.DB, replica, pack int) error {
	_, err := pg.Change(ctx, db, `DELETE FROM replica_packs WHERE replica_id = $1 AND pack_id = $2`, replica, pack)
	return err
}

// found notes that a replica has packs, unless their copies are wrong.
func found(ctx context.Context, db *sqlx.DB, replica int, packs []int) error {
	if len(packs) == 0 {
		return nil
	}
	_, err := pg.Change(ctx, db, `DELETE FROM replica_packs WHERE replica_id = $1 AND pack_id = ANY ($2::int[]) AND NOT wrong`, replica, pq.Array(packs))
	return err
}

// postpone notes that a pack cannot be read in the store: it is tried again after a minute, two, four, and so on up to six hours.
func postpone(ctx context.Context, db *sqlx.DB, replica, pack int) error {
	_, err := pg.Change(ctx, db, `
		UPDATE replica_packs SET tries = tries + 1, next_at = clock_timestamp() + least(interval '6 hours', interval '1 minute' * power(2, least(tries, 10)))
		WHERE replica_id = $1 AND pack_id = $2`, replica, pack)
	return err
}

// lack notes that a replica lacks a pack, or that its copy is wrong.
func lack(ctx context.Context, db *sqlx.DB, replica, pack int, wrong bool) error {
	_, err := pg.Change(ctx, db, `
		INSERT INTO replica_packs (replica_id, pack_id, wrong) SELECT $1, id, $3 FROM packs WHERE id = $2
		ON CONFLICT (replica_id, pack_id) DO UPDATE SET wrong = replica_packs.wrong OR excluded.wrong`, replica, pack, wrong)
	if err == nil && wrong {
		_, err = pg.Change(ctx, db, `UPDATE replicas SET damaged = damaged + 1 WHERE id = $1`, replica)
	}
	return err
}

// Spaces.

// due is a space in which there is something to do for a replica.
type due struct {
	ID    int
	Space id.Space `db:"public_id"`
	Stamp *int64   // nil: its records need not be compared
}

// dueSpaces returns the spaces in which there is something to do, those first that have waited for longest.
func dueSpaces(ctx context.Context, db *sqlx.DB, replica int) ([]due, error) {
	return pg.Many[due](ctx, db, `
		SELECT s.id, s.public_id, r.stamp
		FROM (
			SELECT space_id, min(since) AS since FROM (
				SELECT p.space_id, min(q.since) AS since FROM replica_packs q JOIN packs p ON p.id = q.pack_id
				WHERE q.replica_id = $1 AND q.next_at <= clock_timestamp() AND `+copyable+` GROUP BY p.space_id
				UNION ALL SELECT space_id, since FROM replica_spaces WHERE replica_id = $1) any_work GROUP BY space_id) w
		JOIN spaces s ON s.id = w.space_id LEFT JOIN replica_spaces r ON r.replica_id = $1 AND r.space_id = w.space_id
		ORDER BY w.since, s.id`, replica)
}

// compared notes that the records of a space were compared, unless they have changed since.
func compared(ctx context.Context, db *sqlx.DB, replica, space int, stamp int64) error {
	_, err := pg.Change(ctx, db, `DELETE FROM replica_spaces WHERE replica_id = $1 AND space_id = $2 AND stamp = $3`, replica, space, stamp)
	return err
}

// live returns those of some snapshots that are known and not deleted.
func live(ctx context.Context, db *sqlx.DB, snapshots []id.Snapshot) ([]id.Snapshot, error) {
	if len(snapshots) == 0 {
		return nil, nil
	}
	return pg.Many[id.Snapshot](ctx, db, `SELECT id FROM snapshots WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL`, pq.Array(snapshots))
}

// What has gone.

type gone struct {
	Space id.Space
	What  []byte
	Known bool // again
}

// goneFor returns up to n things that left the store so many days ago.
func goneFor(ctx context.Context, db *sqlx.DB, replica, days, n int) ([]gone, error) {
	return pg.Many[gone](ctx, db, `
		SELECT g.space, g.what,
			CASE octet_length(g.what)
				WHEN 16 THEN EXISTS (SELECT 1 FROM snapshots sn WHERE sn.id = encode(g.what, 'hex')::uuid)
				ELSE EXISTS (SELECT 1 FROM packs p JOIN spaces s ON s.id = p.space_id WHERE s.public_id = g.space AND p.name = g.what)
			END AS known
		FROM replica_gone g WHERE g.replica_id = $1 AND g.gone_at < clock_timestamp() - make_interval(days => $2)
		ORDER BY g.gone_at LIMIT $3`, replica, days, n)
}

func settled(ctx context.Context, db *sqlx.DB, replica int, g gone) error {
	_, err := pg.Change(ctx, db, `DELETE FROM replica_gone WHERE replica_id = $1 AND space = $2 AND what = $3`, replica, g.Space, g.What)
	return err
}

// Looking again.

// met is a pack that a listing found in a replica, as the catalog knows it.
type met struct {
	At   int // its place among those that were asked for, from 1
	ID   *int
	Size *int64
	Gone bool // it has left the store and waits to leave the replica
}

func meet(ctx context.Context, db *sqlx.DB, replica int, spaces []id.Space, names [][]byte) ([]met, error) {
	return pg.Many[met](ctx, db, `
		SELECT n.at::int AS at, p.id, p.size, g.what IS NOT NULL AS gone
		FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS n (space, name, at)
		LEFT JOIN spaces s ON s.public_id = n.space LEFT JOIN packs p ON p.space_id = s.id AND p.name = n.name
		LEFT JOIN replica_gone g ON g.replica_id = $1 AND g.space = n.space AND g.what = n.name`, replica, pq.Array(spaces), pq.ByteaArray(names))
}

// lastPack returns the highest number of a pack so far.
func lastPack(ctx context.Context, db *sqlx.DB) (int, error) {
	n, err := pg.One[int](ctx, db, `SELECT coalesce(max(id), 0) FROM packs`)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// held is a pack that a replica should have.
type held struct {
	want
	Lacked bool // it is known to lack it
}

// heldAfter returns up to n packs that can be copied, numbered after one and up to last.
func heldAfter(ctx context.Context, db *sqlx.DB, replica, after, last, n int) ([]held, error) {
	return pg.Many[held](ctx, db, `
		SELECT p.id, s.public_id, p.name, p.size, coalesce(q.wrong, false) AS wrong, q.wrong IS NOT NULL AS lacked
		FROM packs p JOIN spaces s ON s.id = p.space_id
		LEFT JOIN LATERAL (SELECT wrong FROM replica_packs WHERE replica_id = $1 AND pack_id = p.id LIMIT 1) q ON true -- by the index, whatever the planner believes of a table that was just filled
		WHERE p.id > $2 AND p.id <= $3 AND `+copyable+` ORDER BY p.id LIMIT $4`, replica, after, last, n)
}

func checked(ctx context.Context, db *sqlx.DB, replica int, missing, strays int64) error {
	_, err := pg.Change(ctx, db, `UPDATE replicas SET checked_at = clock_timestamp(), missing = $2, strays = $3 WHERE id = $1`, replica, missing, strays)
	return err
}

// checkDue reports whether a replica was not listed for so long.
func checkDue(ctx context.Context, db *sqlx.DB, replica int, every time.Duration) (bool, error) {
	is, err := pg.One[bool](ctx, db, `
		SELECT coalesce(checked_at < clock_timestamp() - make_interval(secs => $2), true) FROM replicas WHERE id = $1`, replica, every.Seconds())
	return is != nil && *is, err
}

func countPacks(ctx context.Context, db *sqlx.DB) (int64, error) {
	n, err := pg.One[int64](ctx, db, `SELECT count(*) FROM packs p WHERE `+copyable)
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// scrubbed notes how far a round of reading has come; 0 ends it.
func scrubbed(ctx context.Context, db *sqlx.DB, replica, pack int) error {
	_, err := pg.Change(ctx, db, `
		UPDATE replicas SET scrubbed_pack = $2, scrubbed_at = CASE WHEN $2 = 0 THEN clock_timestamp() ELSE scrubbed_at END WHERE id = $1`, replica, pack)
	return err
}

// State.

type stateRow struct {
	ID           int
	URL          string
	Configured   bool
	Packs, Bytes int64
	LagPacks     int64      `db:"lag_packs"`
	LagBytes     int64      `db:"lag_bytes"`
	LagSince     *time.Time `db:"lag_since"`
	ReachedAt    *time.Time `db:"reached_at"`
	FailingSince *time.Time `db:"failing_since"`
	Error        string
	CheckedAt    *time.Time `db:"checked_at"`
	Missing      int64
	Strays       int64
	ScrubbedAt   *time.Time `db:"scrubbed_at"`
	Damaged      int64
	CreatedAt    time.Time `db:"created_at"`
	Trouble      string    // found out, not read
}

func states(ctx context.Context, db *sqlx.DB) ([]State, error) {
	rows, err := pg.Many[stateRow](ctx, db, `
		SELECT r.id, r.url, r.configured_at > clock_timestamp() - interval '1 hour' AS configured,
			a.packs - l.n AS packs, a.bytes - l.bytes AS bytes, l.n AS lag_packs, l.bytes AS lag_bytes,
			least(l.since, (SELECT min(since) FROM replica_spaces q WHERE q.replica_id = r.id)) AS lag_since,
			r.reached_at, r.failing_since, coalesce(r.error, '') AS error, r.checked_at, r.missing, r.strays, r.scrubbed_at, r.damaged, r.created_at
		FROM replicas r
		CROSS JOIN (SELECT count(*) AS packs, coalesce(sum(p.size), 0)::bigint AS bytes FROM packs p WHERE `+copyable+`) a
		CROSS JOIN LATERAL (
			SELECT count(*) AS n, coalesce(sum(p.size), 0)::bigint AS bytes, min(q.since) AS since
			FROM replica_packs q JOIN packs p ON p.id = q.pack_id WHERE q.replica_id = r.id AND `+copyable+`) l
		ORDER BY r.id`)
	list := make([]State, len(rows))
	for i, r := range rows {
		list[i] = State(r)
		for _, t := range []*time.Time{list[i].LagSince, list[i].ReachedAt, list[i].FailingSince, list[i].CheckedAt, list[i].ScrubbedAt, &list[i].CreatedAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
	}
	return list, err
}
