package gc

import (
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/id"
)

func ids16() *rapid.Generator[id.Object] {
	return rapid.Custom(func(t *rapid.T) (o id.Object) {
		// Few different ones, the zero one among them, and many that begin alike.
		o[0], o[15] = rapid.Byte().Draw(t, "first")%4, rapid.Byte().Draw(t, "last")%8
		return o
	})
}

func TestSetIsASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, model := newSet(0, false), map[id.Object]bool{}
		for _, o := range rapid.SliceOfN(ids16(), 0, 200).Draw(t, "ids") {
			if s.has(o) != model[o] {
				t.Fatalf("has %x: %v", o, s.has(o))
			}
			if fresh, ok := s.add(o); fresh == model[o] || !ok {
				t.Fatalf("add %x: %v, %v", o, fresh, ok)
			}
			model[o] = true
		}
		if s.len() != len(model) {
			t.Fatalf("%d ids, want %d", s.len(), len(model))
		}
		n := 0
		for o := range s.all {
			if n++; !model[o] {
				t.Fatalf("%x was never added", o)
			}
		}
		if n != len(model) {
			t.Fatalf("%d ids come out, want %d", n, len(model))
		}
		for range s.all {
			break
		}
		s.clear()
		if s.len() != 0 || s.has(id.Object{}) {
			t.Fatal("it is not empty")
		}
	})
}

func numbered(n int) (o id.Object) {
	binary.BigEndian.PutUint64(o[8:], uint64(n))
	return o
}

func TestFixedSetIsFull(t *testing.T) {
	t.Parallel()
	s := newSet(12, true)
	slots := len(s.slots)
	for i := 1; i <= 12; i++ {
		if fresh, ok := s.add(numbered(i)); !fresh || !ok {
			t.Fatalf("no room for %d", i)
		}
	}
	if _, ok := s.add(numbered(13)); ok || s.has(numbered(13)) || len(s.slots) != slots {
		t.Error("a set of 12 takes 13, or has grown")
	}
	if fresh, ok := s.add(numbered(5)); fresh || !ok {
		t.Error("what is in it is no longer")
	}
	if fresh, ok := s.add(id.Object{}); !fresh || !ok {
		t.Error("the zero id needs no room")
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Everything
		for range rapid.IntRange(0, 63).Draw(t, "depth") {
			r = must(r.Halve())[rapid.IntRange(0, 1).Draw(t, "side")]
		}
		parts := r.Split(rapid.IntRange(1, 50).Draw(t, "parts"))
		next := r.First
		for i, p := range parts {
			if p.First != next || p.Last < p.First {
				t.Fatalf("%v of %v", p, r)
			}
			next = p.Last + 1
			if i == len(parts)-1 && p.Last != r.Last {
				t.Fatalf("%v does not end with %v", parts, r)
			}
		}
	})
	if parts := Everything.Split(4); len(parts) != 4 || parts[1].First-1 != math.MaxUint64/4 {
		t.Errorf("%x", parts)
	}
	one := Range{7, 7}
	if _, err := one.Halve(); err != ErrCrowded {
		t.Error(err)
	}
	if parts := one.Split(9); len(parts) != 1 || parts[0] != one {
		t.Error(parts)
	}
	var o id.Object
	o[7] = 7
	if !one.Has(o) || one.Has(numbered(7)) {
		t.Error("an id's range goes by its first eight bytes")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
