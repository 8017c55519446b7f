package gc

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// slotSize is the memory of one place in a [set].
const slotSize = 16

// set is a set of ids in one open-addressed table. Places are found by a hash with a random seed: ids come from clients, who
// could choose them so that they all meet.
type set struct {
	slots []id.Object // zero: free; the length is a power of two
	n     int         // places taken
	zero  bool        // the id of zeros is in it
	fixed bool        // the table does not grow
	seed  maphash.Seed
}

// newSet returns a set that begins with room for n ids, and grows unless it is fixed.
func newSet(n int, fixed bool) *set {
	size := 1 << 4
	for size*3/4 < n {
		size *= 2
	}
	return &set{slots: make([]id.Object, size), fixed: fixed, seed: maphash.MakeSeed()}
}

// add reports whether o is new, and whether it is in the set now: a fixed one that is three quarters full takes no more.
func (s *set) add(o id.Object) (fresh, ok bool) {
	if o == (id.Object{}) {
		fresh, s.zero = !s.zero, true
		return fresh, true
	}
	at := s.find(o)
	if s.slots[at] == o {
		return false, true
	}
	if s.n >= len(s.slots)/4*3 {
		if s.fixed {
			return false, false
		}
		s.grow()
		at = s.find(o)
	}
	s.slots[at] = o
	s.n++
	return true, true
}

func (s *set) has(o id.Object) bool {
	if o == (id.Object{}) {
		return s.zero
	}
	return s.slots[s.find(o)] == o
}

// find returns the place of o, or the free one where it would go. There always is one.
func (s *set) find(o id.Object) int {
	mask := len(s.slots) - 1
	at := int(maphash.Bytes(s.seed, o[:])) & mask
	for s.slots[at] != o && s.slots[at] != (id.Object{}) {
		at = (at + 1) & mask
	}
	return at
}

func (s *set) grow() {
	old := s.slots
	s.slots = make([]id.Object, 2*len(old))
	for _, o := range old {
		if o != (id.Object{}) {
			s.slots[s.find(o)] = o
		}
	}
}

func (s *set) len() int {
	if s.zero {
		return s.n + 1
	}
	return s.n
}

func (s *set) clear() {
	clear(s.slots)
	s.n, s.zero = 0, false
}

// all yields the ids, in no order.
func (s *set) all(yield func(id.Object) bool) {
	if s.zero && !yield(id.Object{}) {
		return
	}
	for _, o := range s.slots {
		if o != (id.Object{}) && !yield(o) {
			return
		}
	}
}

func prefix(o id.Object) uint64 { return binary.BigEndian.Uint64(o[:]) }
