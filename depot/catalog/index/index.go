// Package index knows which object lies in which pack, and what tree nodes refer to. It is the part of the
// catalog that is large: a row here is a row for every megabyte that somebody owns.
//
// All functions take a space's number and work inside it. They decide nothing about who may ask, and the
// caller holds the space's lock (see package catalog) whenever it writes.
//
// An object has one row. If a second pack holds it too, that pack counts it as shadowed, and the row stays
// where it is, unless its pack is damaged: then the row moves to the new pack. A damaged pack's objects count
// as missing, so that the next backup sends them again. An object whose row a sweep has deleted is counted by its pack as
// dead. So a pack's objects, without the shadowed and the dead ones, are the rows that point to it; to one in quarantine
// none does.
//
// Sets of ids travel as one uuid[] in its text form, sorted, so that neighbours meet the same index pages.
// Look-ups are written as correlated sub-selects on purpose: PostgreSQL has no choice but to probe the primary
// key once an id, where a join would tempt it to read a whole table whose statistics are minutes old.
package index

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// batch is the number of ids in one statement.
const batch = 20_000

// pending is the number of chunks that a verification collects before it looks them up: sorted, so many lie close
// together that one batch of them takes half the time of a batch of scattered ones.
const pending = 10 * batch

// batchBytes bounds the references of tree nodes in one statement, and in memory while a tree is verified.
const batchBytes = 4 << 20

// Pack is what the index keeps of a pack.
type Pack struct {
	Name    id.Pack
	Size    int64     // bytes
	Created time.Time // zero: now
}

// Added says what [Add] did.
type Added struct {
	ID      int   // the pack's number
	Existed bool  // it was known, and sound, with all its objects
	Healed  bool  // it was known as damaged
	Revived bool  // it was known, but not all of its objects by it: a sweep had deleted some, or put it into quarantine, or they lay in other packs
	Objects int64 // rows that were added or moved here
}

// Add makes a sound pack known, with its objects and nodes. What is known already stays as it is, so repeating
// it is harmless. With reindex the objects of a known pack are added too; otherwise a known sound pack to which all of its
// objects' rows point is left alone. One to which they do not may have lost some of them to a sweep, here or in other
// packs: then they are stored again, and it leaves quarantine.
// It expects the space's lock, shared.
func Add(ctx context.Context, tx *sqlx.Tx, space int, p Pack, entries []pack.Entry, reindex bool) (Added, error) {
	entries = distinct(entries)
	added, err := putPack(ctx, tx, space, p, len(entries))
	if err != nil || added.Existed && !reindex {
		return added, err
	}
	fresh := !added.Existed && !added.Healed && !added.Revived
	damaged, err := lockDamaged(ctx, tx, space)
	if err != nil {
		return added, err
	}
	for part := range slices.Chunk(entries, batch) {
		rows := encodeObjects(part)
		if len(damaged) > 0 {
			n, err := moveObjects(ctx, tx, space, added.ID, damaged, rows)
			if err != nil {
				return added, err
			}
			added.Objects += n
		}
		n, err := insertObjects(ctx, tx, space, added.ID, rows)
		if err != nil {
			return added, err
		}
		added.Objects += n
	}
	own := added.Objects
	if !fresh { // some rows were here before
		own = 0
		for part := range slices.Chunk(entries, batch) {
			n, err := countOwn(ctx, tx, space, added.ID, encodeObjects(part).ids)
			if err != nil {
				return added, err
			}
			own += n
		}
	}
	if shadowed := int64(len(entries)) - own; shadowed != 0 || !fresh {
		if err := setShadowed(ctx, tx, added.ID, shadowed); err != nil {
			return added, err
		}
	}
	return added, addNodes(ctx, tx, space, entries)
}

func addNodes(ctx context.Context, tx *sqlx.Tx, space int, entries []pack.Entry) error {
	var nodes []pack.Entry
	size := 0
	flush := func() error {
		if len(nodes) == 0 {
			return nil
		}
		err := insertNodes(ctx, tx, space, nodes)
		nodes, size = nodes[:0], 0
		return err
	}
	for _, e := range entries {
		if !e.Node {
			continue
		}
		nodes = append(nodes, e)
		size += 16 * (1 + len(e.Nodes) + len(e.Data))
		if size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// distinct returns the entries by id, each id once: the first of the pack's.
func distinct(entries []pack.Entry) []pack.Entry {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b pack.Entry) int { return compare(a.ID, b.ID) })
	return slices.CompactFunc(entries, func(a, b pack.Entry) bool { return a.ID == b.ID })
}

func compare(a, b id.Object) int { return bytes.Compare(a[:], b[:]) }

// Missing reports for every id whether the space lacks it. Objects of damaged packs are missing.
func Missing(ctx context.Context, q sqlx.QueryerContext, space int, ids []id.Object) ([]bool, error) {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return compare(ids[a], ids[b]) })
	sorted := make([]id.Object, len(ids))
	for i, at := range order {
		sorted[i] = ids[at]
	}
	missing := make([]bool, len(ids))
	for start := 0; start < len(sorted); start += batch {
		part := sorted[start:min(start+batch, len(sorted))]
		bits, err := missingBits(ctx, q, space, part)
		if err != nil {
			return nil, err
		}
		for i := range part {
			missing[order[start+i]] = bits[i] == '1'
		}
	}
	return missing, nil
}

// Location is where an object lies.
type Location struct {
	Pack           int // index in the packs that [Locate] returns; -1: it is not stored
	Offset, Length uint32
}

// Located is a pack that holds asked objects.
type Located struct {
	Name id.Pack `db:"name"`
	Size int64   `db:"size"`
}

// Locate says where objects lie. Objects of lost packs are absent; those of packs that are merely damaged are
// given, because a reader checks every object by itself and can save the sound ones.
func Locate(ctx context.Context, q sqlx.QueryerContext, space int, ids []id.Object) ([]Location, []Located, error) {
	found := make([]Location, len(ids))
	for i := range found {
		found[i].Pack = -1
	}
	packs := []Located{}
	position := map[int]int{}
	for start := 0; start < len(ids); start += batch {
		rows, err := locations(ctx, q, space, ids[start:min(start+batch, len(ids))])
		if err != nil {
			return nil, nil, err
		}
		var unknown []int
		for _, r := range rows {
			if _, ok := position[r.PackID]; !ok {
				position[r.PackID] = -1
				unknown = append(unknown, r.PackID)
			}
		}
		list, err := readable(ctx, q, space, unknown)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range list {
			position[p.ID] = len(packs)
			packs = append(packs, p.Located)
		}
		for _, r := range rows {
			if at := position[r.PackID]; at >= 0 {
				found[start+int(r.N)-1] = Location{at, uint32(r.Offset), uint32(r.Length)}
			}
		}
	}
	return found, packs, nil
}
