package gc

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// Marking.

type headRow struct {
	ID   id.Object
	Size int // bytes of its references
}

func nodeHeads(ctx context.Context, q sqlx.QueryerContext, space int, ids []id.Object) (rows []headRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT id, length(children) + length(data) AS size FROM nodes WHERE space_id = $1 AND id = ANY ($2::uuid[])`, space, uuids(ids))
	return rows, err
}

type refRow struct{ Children, Data []byte }

func nodeRefs(ctx context.Context, q sqlx.QueryerContext, space int, ids []id.Object) (rows []refRow, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT children, data FROM nodes WHERE space_id = $1 AND id = ANY ($2::uuid[])`, space, uuids(ids))
	return rows, err
}

// Roots returns the roots of all snapshots of a space: also of those that are deleted and not yet purged.
func Roots(ctx context.Context, q sqlx.QueryerContext, space int) (roots []id.Object, err error) {
	err = sqlx.SelectContext(ctx, q, &roots, `SELECT DISTINCT root FROM snapshots WHERE space_id = $1`, space)
	return roots, err
}

// Kept returns those roots that a purge leaves.
func Kept(ctx context.Context, q sqlx.QueryerContext, space int) (roots []id.Object, err error) {
	err = sqlx.SelectContext(ctx, q, &roots, `
		SELECT DISTINCT root FROM snapshots WHERE space_id = $1 AND (purge_after <= clock_timestamp()) IS NOT TRUE`, space)
	return roots, err
}

// Count returns about how many objects a space has: those that its packs count.
func Count(ctx context.Context, q sqlx.QueryerContext, space int) (n int64, err error) {
	err = sqlx.GetContext(ctx, q, &n, `
		SELECT coalesce(sum(greatest(objects - shadowed - dead, 0)), 0)::bigint FROM packs WHERE space_id = $1`, space)
	return n, err
}

// Sweeping.

// Held is an object's row, as far as a sweep looks at it.
type Held struct {
	ID     id.Object
	PackID int
	Length int64
}

// Scan calls visit for every object of a range, in order of ids, and between portions, when no query is open, pause.
func Scan(ctx context.Context, q sqlx.QueryerContext, space int, r Range, visit func(Held), pause func() error) error {
	var first, last id.Object
	for i := range 8 {
		first[i], last[i] = byte(r.First>>(56-8*i)), byte(r.Last>>(56-8*i))
		last[8+i] = 0xff
	}
	for op := ">="; ; op = ">" {
		n, at, err := portion(ctx, q, op, space, first, last, visit)
		if err != nil || n < batch {
			return err
		}
		if err := pause(); err != nil {
			return err
		}
		first = at
	}
}

// portion visits the next objects up to last, and returns how many there were and which was the last.
func portion(ctx context.Context, q sqlx.QueryerContext, op string, space int, from, last id.Object, visit func(Held)) (n int, at id.Object, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, pack_id, length FROM objects WHERE space_id = $1 AND id `+op+` $2 AND id <= $3 ORDER BY id LIMIT $4`, space, from, last, batch)
	if err != nil {
		return 0, at, err
	}
	defer rows.Close()
	for rows.Next() {
		var h Held
		if err := rows.Scan(&h.ID, &h.PackID, &h.Length); err != nil {
			return 0, at, err
		}
		n, at = n+1, h.ID
		visit(h)
	}
	return n, at, rows.Err()
}

// OldPacks returns the packs of a space that are out of quarantine and older than grace.
func OldPacks(ctx context.Context, q sqlx.QueryerContext, space int, grace time.Duration) (ids []int, err error) {
	err = sqlx.SelectContext(ctx, q, &ids, `
		SELECT id FROM packs WHERE space_id = $1 AND swept_at IS NULL AND created_at <= clock_timestamp() - make_interval(secs => $2)`,
		space, grace.Seconds())
	return ids, err
}

// Complete returns the nodes of a space that count as complete and are numbered after: at most n, in order.
func Complete(ctx context.Context, q sqlx.QueryerContext, space int, after id.Object, n int) (ids []id.Object, err error) {
	err = sqlx.SelectContext(ctx, q, &ids, `
		SELECT id FROM nodes WHERE space_id = $1 AND id > $2 AND complete ORDER BY id LIMIT $3`, space, after, n)
	return ids, err
}

// Doubt makes nodes count as not known to be complete. It expects the space's lock, exclusive.
func Doubt(ctx context.Context, tx *sqlx.Tx, space int, ids []id.Object) error {
	_, err := tx.ExecContext(ctx, `UPDATE nodes SET complete = false WHERE space_id = $1 AND id = ANY ($2::uuid[])`, space, uuids(ids))
	return err
}

// Tally counts objects or packs, and their bytes.
type Tally struct{ N, Bytes int64 }

// Add adds another tally.
func (t *Tally) Add(u Tally) { t.N, t.Bytes = t.N+u.N, t.Bytes+u.Bytes }

// Delete deletes objects, with what is known of them as nodes, and books them as dead with their packs. It expects the space's
// lock, exclusive.
func Delete(ctx context.Context, tx *sqlx.Tx, space int, ids []id.Object) (t Tally, err error) {
	array := uuids(ids)
	err = tx.GetContext(ctx, &t, `
		WITH gone AS (
			DELETE FROM objects WHERE space_id = $1 AND id = ANY ($2::uuid[]) RETURNING pack_id, length
		), booked AS (
			UPDATE packs p SET dead = p.dead + g.n, dead_bytes = p.dead_bytes + g.bytes
			FROM (SELECT pack_id, count(*) AS n, sum(length) AS bytes FROM gone GROUP BY pack_id) g WHERE p.id = g.pack_id
		)
		SELECT count(*) AS n, coalesce(sum(length), 0)::bigint AS bytes FROM gone`, space, array)
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM nodes WHERE space_id = $1 AND id = ANY ($2::uuid[])`, space, array)
	}
	return t, err
}

// empty is true of a pack p to which no row points. Spare copies are kept while they may be needed: while some pack of the
// space is damaged.
const empty = `p.swept_at IS NULL AND p.objects <= p.shadowed + p.dead AND (p.shadowed = 0
	OR NOT EXISTS (SELECT 1 FROM packs d WHERE d.space_id = p.space_id AND d.damaged_at IS NOT NULL AND d.swept_at IS NULL AND d.objects > d.shadowed + d.dead))`

// SweepPacks puts the packs of a space to which no row points into quarantine. It expects the space's lock, exclusive.
func SweepPacks(ctx context.Context, tx *sqlx.Tx, space int) (t Tally, err error) {
	err = tx.GetContext(ctx, &t, `
		WITH swept AS (
			UPDATE packs p SET swept_at = clock_timestamp() WHERE p.space_id = $1 AND `+empty+` RETURNING size
		)
		SELECT count(*) AS n, coalesce(sum(size), 0)::bigint AS bytes FROM swept`, space)
	return t, err
}

// Finish notes that a sweep of the space has come to its end, and when there will be more to do: when the last of the packs that
// were too young to be swept is old enough.
func Finish(ctx context.Context, tx *sqlx.Tx, space int, young []int, grace time.Duration) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE spaces SET swept_at = clock_timestamp(), dirty_at = (
			SELECT max(created_at) + make_interval(secs => $3) FROM packs WHERE id = ANY ($2::int[]))
		WHERE id = $1`, space, ints(young), grace.Seconds())
	return err
}

// Purged notes that snapshots of the space are gone, and raises its epoch.
func Purged(ctx context.Context, tx *sqlx.Tx, space int) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE spaces SET epoch = epoch + 1, dirty_at = least(dirty_at, clock_timestamp()) WHERE id = $1`, space)
	return err
}

// Soil notes that there may be something to sweep in a space.
func Soil(ctx context.Context, q sqlx.ExecerContext, space int) error {
	_, err := q.ExecContext(ctx, `UPDATE spaces SET dirty_at = clock_timestamp() WHERE id = $1 AND dirty_at IS NULL`, space)
	return err
}

// Due says what there is to do in a space.
type Due struct {
	Sweep   bool // snapshots to purge, or what they or broken backups have left
	Compact bool
	Unlink  bool
}

// Limits say what is worth doing.
type Limits struct {
	Grace, Quarantine time.Duration
	Fill              float64 // packs that are filled less, by live bytes, are worth compacting
	Win               int64   // bytes that a compaction wins at least
}

// Compaction looks at packs p such as these.
const sparse = `p.swept_at IS NULL AND p.damaged_at IS NULL AND p.objects > p.shadowed + p.dead AND p.dead_bytes > p.size * (1 - $2::float8)`

// Ask returns what there is to do in a space.
func Ask(ctx context.Context, q sqlx.QueryerContext, space int, l Limits) (d Due, err error) {
	err = sqlx.GetContext(ctx, q, &d, `
		SELECT s.dirty_at <= clock_timestamp() IS TRUE
			OR EXISTS (SELECT 1 FROM snapshots sn WHERE sn.space_id = s.id AND sn.purge_after <= clock_timestamp())
			OR EXISTS (SELECT 1 FROM packs p WHERE p.space_id = s.id AND `+empty+`)
			OR EXISTS (SELECT 1 FROM backups b WHERE b.space_id = s.id AND b.state IN ('aborted', 'void')
				AND b.ended_at <= clock_timestamp() - make_interval(secs => $4)
				AND (s.swept_at IS NULL OR b.ended_at > s.swept_at - make_interval(secs => $4))) AS sweep,
			(SELECT coalesce(sum(p.dead_bytes), 0) >= $3 AND count(*) > 0 FROM packs p WHERE p.space_id = s.id AND `+sparse+`) AS compact,
			EXISTS (SELECT 1 FROM packs p WHERE p.space_id = s.id AND p.swept_at <= clock_timestamp() - make_interval(secs => $5)) AS unlink
		FROM spaces s WHERE s.id = $1`, space, l.Fill, l.Win, l.Grace.Seconds(), l.Quarantine.Seconds())
	return d, err
}

// Compaction.

// Sparse is a pack that is worth compacting.
type Sparse struct {
	ID        int
	Name      id.Pack
	Size      int64
	Dead      int64     `db:"dead_bytes"`
	CreatedAt time.Time `db:"created_at"`
}

// SparsePacks returns the packs of a space that are worth compacting, those first from which most is won.
func SparsePacks(ctx context.Context, q sqlx.QueryerContext, space int, fill float64) (rows []Sparse, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT p.id, p.name, p.size, p.dead_bytes, p.created_at FROM packs p WHERE p.space_id = $1 AND `+sparse+`
		ORDER BY p.dead_bytes DESC, p.id`, space, fill)
	return rows, err
}

// Own returns those of the objects whose rows point to the pack.
func Own(ctx context.Context, q sqlx.QueryerContext, space, packID int, ids []id.Object) (own []id.Object, err error) {
	err = sqlx.SelectContext(ctx, q, &own, `
		SELECT o.id FROM objects o WHERE o.space_id = $1 AND o.id = ANY ($3::uuid[]) AND o.pack_id = $2`, space, packID, uuids(ids))
	return own, err
}

// LockPacks keeps others from changing packs until tx ends.
func LockPacks(ctx context.Context, tx *sqlx.Tx, packs []int) error {
	_, err := tx.ExecContext(ctx, `SELECT 1 FROM packs WHERE id = ANY ($1::int[]) ORDER BY id FOR UPDATE`, ints(packs))
	return err
}

// Repoint makes rows of objects point to the pack into which they were copied, as its entries say, if they still point to
// the pack from which they came. It returns how many did. It expects the space's lock.
func Repoint(ctx context.Context, tx *sqlx.Tx, space, packID int, entries []pack.Entry, from []int) (n int64, err error) {
	ids := make([]id.Object, len(entries))
	offsets, lengths := make([]int, len(entries)), make([]int, len(entries))
	for i, e := range entries {
		ids[i], offsets[i], lengths[i] = e.ID, int(e.Offset), int(e.Length)
	}
	err = tx.GetContext(ctx, &n, `
		WITH moved AS (
			UPDATE objects o SET pack_id = $2, "offset" = u.off, length = u.len
			FROM unnest($3::uuid[], $4::int[], $5::int[], $6::int[]) AS u (id, off, len, src)
			WHERE o.space_id = $1 AND o.id = u.id AND o.pack_id = u.src RETURNING u.src
		), booked AS (
			UPDATE packs p SET shadowed = p.shadowed + m.n FROM (SELECT src, count(*) AS n FROM moved GROUP BY src) m WHERE p.id = m.src
		)
		SELECT count(*) FROM moved`, space, packID, uuids(ids), ints(offsets), ints(lengths), ints(from))
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE packs SET shadowed = shadowed - $2 WHERE id = $1`, packID, n)
	}
	return n, err
}

// Retire puts those of the packs to which no row points any more into quarantine. It expects the space's lock.
func Retire(ctx context.Context, tx *sqlx.Tx, packs []int) (t Tally, err error) {
	err = tx.GetContext(ctx, &t, `
		WITH swept AS (
			UPDATE packs p SET swept_at = clock_timestamp()
			WHERE p.id = ANY ($1::int[]) AND p.swept_at IS NULL AND p.objects <= p.shadowed + p.dead RETURNING size
		)
		SELECT count(*) AS n, coalesce(sum(size), 0)::bigint AS bytes FROM swept`, ints(packs))
	return t, err
}

// Quarantine.

// Swept is a pack in quarantine.
type Swept struct {
	ID   int
	Name id.Pack
	Size int64
}

// Unlinkable returns the packs of a space that were in quarantine for long enough.
func Unlinkable(ctx context.Context, q sqlx.QueryerContext, space int, quarantine time.Duration) (rows []Swept, err error) {
	err = sqlx.SelectContext(ctx, q, &rows, `
		SELECT id, name, size FROM packs WHERE space_id = $1 AND swept_at <= clock_timestamp() - make_interval(secs => $2) ORDER BY id`,
		space, quarantine.Seconds())
	return rows, err
}

// LockUnlinkable is [Unlinkable] of a few packs that nobody else changes until tx ends.
func LockUnlinkable(ctx context.Context, tx *sqlx.Tx, packs []int, quarantine time.Duration) (rows []Swept, err error) {
	err = tx.SelectContext(ctx, &rows, `
		SELECT id, name, size FROM packs WHERE id = ANY ($1::int[]) AND swept_at <= clock_timestamp() - make_interval(secs => $2)
		ORDER BY id FOR UPDATE`, ints(packs), quarantine.Seconds())
	return rows, err
}

// Pointed returns those of the packs to which a row points.
func Pointed(ctx context.Context, q sqlx.QueryerContext, space int, packs []int) (ids []int, err error) {
	err = sqlx.SelectContext(ctx, q, &ids, `
		SELECT DISTINCT pack_id FROM objects WHERE space_id = $1 AND pack_id = ANY ($2::int[])`, space, ints(packs))
	return ids, err
}

// Release takes packs out of quarantine and counts anew how many rows point to them. It expects the space's lock.
func Release(ctx context.Context, tx *sqlx.Tx, space int, packs []int) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE packs p SET swept_at = NULL, shadowed = 0, dead = p.objects - least(p.objects, (
			SELECT count(*) FROM objects o WHERE o.space_id = $1 AND o.pack_id = p.id)) WHERE p.id = ANY ($2::int[])`, space, ints(packs))
	return err
}

// Forget deletes packs' rows. It expects the space's lock, exclusive.
func Forget(ctx context.Context, tx *sqlx.Tx, packs []int) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM packs WHERE id = ANY ($1::int[])`, ints(packs))
	return err
}

// Sets travel as arrays in their text form, as in package index.

func uuids(list []id.Object) string {
	b := make([]byte, 0, 2+33*len(list))
	b = append(b, '{')
	for i := range list {
		b = append(hex.AppendEncode(b, list[i][:]), ',')
	}
	return closed(b)
}

func ints(list []int) string {
	b := []byte{'{'}
	for _, v := range list {
		b = append(strconv.AppendInt(b, int64(v), 10), ',')
	}
	return closed(b)
}

// closed turns the last comma into the closing brace.
func closed(b []byte) string {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return string(append(b, '}'))
}
