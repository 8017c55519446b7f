package index

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// putPack makes a pack's row, or finds it; a damaged one is sound from now on, and one in quarantine leaves it.
func putPack(ctx context.Context, tx *sqlx.Tx, space int, p Pack, objects int) (Added, error) {
	var a Added
	var created any
	if !p.Created.IsZero() {
		created = p.Created
	}
	err := tx.GetContext(ctx, &a.ID, `
		INSERT INTO packs (space_id, name, size, objects, created_at)
		VALUES ($1, $2, $3, $4, coalesce($5::timestamptz, now()))
		ON CONFLICT (space_id, name) DO NOTHING RETURNING id`, space, p.Name, p.Size, objects, created)
	if !errors.Is(err, sql.ErrNoRows) {
		return a, err
	}
	var row struct {
		ID      int
		Damaged bool
		Partial bool // it is in quarantine, or not all of its objects' rows point to it
	}
	err = tx.GetContext(ctx, &row, `
		SELECT id, damaged_at IS NOT NULL AS damaged, swept_at IS NOT NULL OR dead + shadowed > 0 AS partial
		FROM packs WHERE space_id = $1 AND name = $2 FOR UPDATE`, space, p.Name)
	if err != nil {
		return a, err
	}
	a.ID, a.Existed, a.Healed, a.Revived = row.ID, !row.Damaged && !row.Partial, row.Damaged, row.Partial
	if !a.Existed {
		// What comes again is as young as if it came for the first time: a sweep leaves it alone for as long.
		_, err = tx.ExecContext(ctx, `
			UPDATE packs SET damaged_at = NULL, lost = false, swept_at = NULL, verified_at = clock_timestamp(),
				created_at = CASE WHEN $2 THEN coalesce($3::timestamptz, now()) ELSE created_at END WHERE id = $1`, row.ID, row.Partial, created)
	}
	return a, err
}

// lockDamaged returns the damaged packs of a space and keeps others from moving objects out of them meanwhile.
func lockDamaged(ctx context.Context, tx *sqlx.Tx, space int) ([]int, error) {
	var ids []int
	err := tx.SelectContext(ctx, &ids, `
		SELECT id FROM packs WHERE space_id = $1 AND damaged_at IS NOT NULL ORDER BY id FOR UPDATE`, space)
	return ids, err
}

func insertObjects(ctx context.Context, tx *sqlx.Tx, space, packID int, rows objectRows) (int64, error) {
	r, err := tx.ExecContext(ctx, `
		INSERT INTO objects (space_id, id, pack_id, "offset", length)
		SELECT $1, u.id, $2, u.off, u.len FROM unnest($3::uuid[], $4::int[], $5::int[]) AS u (id, off, len) ORDER BY u.id
		ON CONFLICT DO NOTHING`, space, packID, rows.ids, rows.offsets, rows.lengths)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// moveObjects points rows that lie in damaged packs to a sound one.
func moveObjects(ctx context.Context, tx *sqlx.Tx, space, packID int, damaged []int, rows objectRows) (int64, error) {
	var moved []struct {
		PackID int `db:"pack_id"`
		N      int64
	}
	err := tx.SelectContext(ctx, &moved, `
		WITH held AS (
			SELECT o.id, o.pack_id, u.off, u.len
			FROM unnest($4::uuid[], $5::int[], $6::int[]) AS u (id, off, len)
			JOIN objects o ON o.space_id = $1 AND o.id = u.id
			WHERE o.pack_id = ANY ($3::int[])
		), moved AS (
			UPDATE objects o SET pack_id = $2, "offset" = h.off, length = h.len
			FROM held h WHERE o.space_id = $1 AND o.id = h.id
			RETURNING h.pack_id
		)
		SELECT pack_id, count(*) AS n FROM moved GROUP BY pack_id`,
		space, packID, intArray(damaged), rows.ids, rows.offsets, rows.lengths)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, m := range moved {
		n += m.N
		if _, err := tx.ExecContext(ctx, `UPDATE packs SET shadowed = shadowed + $2 WHERE id = $1`, m.PackID, m.N); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func countOwn(ctx context.Context, tx *sqlx.Tx, space, packID int, ids string) (n int64, err error) {
	err = tx.GetContext(ctx, &n, `
		SELECT count(*) FROM unnest($3::uuid[]) AS u (id)
		WHERE (SELECT o.pack_id FROM objects o WHERE o.space_id = $1 AND o.id = u.id) = $2`, space, packID, ids)
	return n, err
}

// setShadowed counts the objects of a pack anew: it has none that are dead.
func setShadowed(ctx context.Context, tx *sqlx.Tx, packID int, n int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE packs SET shadowed = $2, dead = 0, dead_bytes = 0 WHERE id = $1`, packID, n)
	return err
}

func insertNodes(ctx context.Context, tx *sqlx.Tx, space int, nodes []pack.Entry) error {
	ids := make([]id.Object, len(nodes))
	children, data := []byte{'{'}, []byte{'{'}
	for i, n := range nodes {
		ids[i] = n.ID
		children = appendRefs(children, n.Nodes)
		data = appendRefs(data, n.Data)
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO nodes (space_id, id, children, data)
		SELECT $1, u.id, u.children, u.data FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) AS u (id, children, data) ORDER BY u.id
		ON CONFLICT DO NOTHING`, space, uuidArray(ids), closeArray(children), closeArray(data))
	return err
}

// missingBits returns a digit for every id: 1 if the space lacks it.
func missingBits(ctx context.Context, q sqlx.QueryerContext, space int, ids []id.Object) (string, error) {
	var bits string
	err := sqlx.GetContext(ctx, q, &bits, `
		SELECT coalesce(string_agg(CASE WHEN f.pack_id IS NULL
			OR f.pack_id IN (SELECT p.id FROM packs p WHERE p.space_id = $1 AND p.damaged_at IS NOT NULL) THEN '1' ELSE '0' END, '' ORDER BY f.n), '')
		FROM (
			SELECT u.n, (SELECT o.pack_id FROM objects o WHERE o.space_id = $1 AND o.id = u.id) AS pack_id
			FROM unnest($2::uuid[]) WITH ORDINALITY AS u (id, n) OFFSET 0
		) f`, space, uuidArray(ids))
	if err == nil && len(bits) != len(ids) {
		err = errors.New("index: not one answer for each object")
	}
	return bits, err
}

type locationRow struct {
	N      int64
	PackID int `db:"pack_id"`
	Offset int64
	Length int64
}

// locations gives a row for every id that is known; N counts from 1.
func locations(ctx context.Context, q sqlx.QueryerContext, space int, ids []id.Object) (rows []locationRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT u.n, f.pack_id, f."offset", f.length
		FROM unnest($2::uuid[]) WITH ORDINALITY AS u (id, n)
		CROSS JOIN LATERAL (SELECT o.pack_id, o."offset", o.length FROM objects o WHERE o.space_id = $1 AND o.id = u.id OFFSET 0) f`,
		space, uuidArray(ids))
	return rows, err
}

type packRow struct {
	ID int
	Located
}

// readable returns those of the packs that have a blob.
func readable(ctx context.Context, q sqlx.QueryerContext, space int, ids []int) (rows []packRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT id, name, size FROM packs WHERE space_id = $1 AND id = ANY ($2::int[]) AND NOT lost ORDER BY id`, space, intArray(ids))
	return rows, err
}

type nodeHead struct {
	ID       id.Object
	Complete bool
	Sound    bool // its own pack is not damaged
	Size     int  // bytes of its references
}

func nodeHeads(ctx context.Context, tx *sqlx.Tx, space int, ids []id.Object) (rows []nodeHead, err error) {
	err = tx.SelectContext(ctx, &rows, `
		SELECT n.id, n.complete, length(n.children) + length(n.data) AS size, coalesce((
			SELECT o.pack_id NOT IN (SELECT p.id FROM packs p WHERE p.space_id = $1 AND p.damaged_at IS NOT NULL)
			FROM objects o WHERE o.space_id = $1 AND o.id = n.id), false) AS sound
		FROM nodes n WHERE n.space_id = $1 AND n.id = ANY ($2::uuid[])`, space, uuidArray(ids))
	return rows, err
}

type nodeRow struct {
	Children []byte
	Data     []byte
}

func nodeRefs(ctx context.Context, tx *sqlx.Tx, space int, ids []id.Object) (rows []nodeRow, err error) {
	err = tx.SelectContext(ctx, &rows, `
		SELECT children, data FROM nodes WHERE space_id = $1 AND id = ANY ($2::uuid[])`, space, uuidArray(ids))
	return rows, err
}

// markComplete locks in order of ids, so that two commits of one space wait for each other instead of locking
// each other out.
func markComplete(ctx context.Context, tx *sqlx.Tx, space int, ids []id.Object) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE nodes n SET complete = true FROM (
			SELECT id FROM nodes WHERE space_id = $1 AND id = ANY ($2::uuid[]) AND NOT complete ORDER BY id FOR NO KEY UPDATE
		) m WHERE n.space_id = $1 AND n.id = m.id`, space, uuidArray(ids))
	return err
}

// Doubt forgets that trees of the space were complete: after damage, each has to be shown anew. It expects the
// space's lock, exclusive: a commit in flight would mark what this has just unmarked.
func Doubt(ctx context.Context, tx *sqlx.Tx, space int) error {
	_, err := tx.ExecContext(ctx, `UPDATE nodes SET complete = false WHERE space_id = $1 AND complete`, space)
	return err
}

// Complete reports whether the tree below root is known to be complete.
func Complete(ctx context.Context, q sqlx.QueryerContext, space int, root id.Object) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `
		SELECT EXISTS (SELECT 1 FROM nodes WHERE space_id = $1 AND id = $2 AND complete)`, space, root)
	return ok, err
}

// Known reports whether the index has a tree node.
func Known(ctx context.Context, q sqlx.QueryerContext, space int, node id.Object) (ok bool, err error) {
	err = sqlx.GetContext(ctx, q, &ok, `
		SELECT EXISTS (SELECT 1 FROM nodes WHERE space_id = $1 AND id = $2)`, space, node)
	return ok, err
}

// objectRows are columns as array literals.
type objectRows struct{ ids, offsets, lengths string }

func encodeObjects(entries []pack.Entry) objectRows {
	ids := make([]id.Object, len(entries))
	offsets, lengths := []byte{'{'}, []byte{'{'}
	for i, e := range entries {
		ids[i] = e.ID
		offsets = append(strconv.AppendUint(offsets, uint64(e.Offset), 10), ',')
		lengths = append(strconv.AppendUint(lengths, uint64(e.Length), 10), ',')
	}
	return objectRows{uuidArray(ids), closeArray(offsets), closeArray(lengths)}
}

func uuidArray(ids []id.Object) string {
	b := make([]byte, 0, 2+33*len(ids))
	b = append(b, '{')
	for i := range ids {
		b = append(hex.AppendEncode(b, ids[i][:]), ',')
	}
	return closeArray(b)
}

func intArray(list []int) string {
	b := []byte{'{'}
	for _, v := range list {
		b = append(strconv.AppendInt(b, int64(v), 10), ',')
	}
	return closeArray(b)
}

// appendRefs appends a bytea to an array literal.
func appendRefs(b []byte, ids []id.Object) []byte {
	b = append(b, `"\\x`...)
	for i := range ids {
		b = hex.AppendEncode(b, ids[i][:])
	}
	return append(b, `",`...)
}

// closeArray turns the last comma into the closing brace.
func closeArray(b []byte) string {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return string(append(b, '}'))
}
