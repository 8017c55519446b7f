// Package gc finds out which objects of a space nothing refers to any more, and keeps the books of what a sweep does: which
// objects of a pack are gone, which packs are empty and since when they wait to be unlinked. Package catalog decides when, under
// which locks, and that it is safe; its comment says why it is.
//
// # Marking
//
// A [Marker] walks from the roots of snapshots through what tree nodes say they refer to. Objects are named by what is in
// them and nodes never change, so what is reachable from a root stays so for as long as the root counts: a mark is never too
// small for the roots that it began from, however long it takes and whoever writes meanwhile. It has to hear of roots that were
// added since, and then walks only what is new. That is why no lock is held while it marks.
//
// Nodes are marked once and kept: 16 to 43 bytes each, and there is one for about a hundred chunks. Chunks are marked in a table
// of fixed size, for one range of ids at a time; where the ranges have to be small, there are more passes over the
// nodes' references, not more memory. Ids are compared whole, never by a fingerprint: a false "dead" would be somebody's file.
//
// # What is not promised
//
// That a range of ids can always be made small enough: ids are random unless a client makes them up. Whoever stores millions of
// objects whose first eight bytes are the same finds that their own space is not cleaned ([ErrCrowded]).
package gc

import (
	"errors"
	"math"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// DefaultBudget is the memory for marked chunks in bytes, if nothing else is said: about three million of them.
const DefaultBudget = 64 << 20

// ErrCrowded says that a range cannot be halved any more.
var ErrCrowded = errors.New("gc: too many objects of this space have ids that begin alike, which no honest device makes: it cannot be cleaned")

// Range is a range of ids by their first eight bytes, both ends included.
type Range struct{ First, Last uint64 }

// Everything is the range of all ids.
var Everything = Range{0, math.MaxUint64}

// Split cuts a range into n parts that are about equal.
func (r Range) Split(n int) []Range {
	list := make([]Range, 0, n)
	step := (r.Last - r.First) / uint64(n)
	for from := r.First; len(list) < n-1 && from+step < r.Last; from += step + 1 {
		list = append(list, Range{from, from + step})
	}
	from := r.First
	if len(list) > 0 {
		from = list[len(list)-1].Last + 1
	}
	return append(list, Range{from, r.Last})
}

// Halve cuts a range in two, or fails with [ErrCrowded].
func (r Range) Halve() ([]Range, error) {
	if r.First == r.Last {
		return nil, ErrCrowded
	}
	middle := r.First + (r.Last-r.First)/2
	return []Range{{r.First, middle}, {middle + 1, r.Last}}, nil
}

// Has reports whether an id lies in the range.
func (r Range) Has(o id.Object) bool {
	p := prefix(o)
	return r.First <= p && p <= r.Last
}
