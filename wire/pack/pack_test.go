package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/goldentest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// object is what a test puts into a pack.
type object struct {
	Entry
	body []byte
}

func objects() *rapid.Generator[[]object] {
	oid := rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) id.Object { return id.Object(b) })
	one := rapid.Custom(func(t *rapid.T) object {
		o := object{body: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "body")}
		o.ID, o.Node = oid.Draw(t, "id"), rapid.Bool().Draw(t, "node")
		if o.Node {
			o.Nodes = rapid.SliceOfN(oid, 0, 5).Draw(t, "nodes")
			o.Data = rapid.SliceOfN(oid, 0, 5).Draw(t, "data")
		}
		return o
	})
	return rapid.SliceOfN(one, 0, 20)
}

// write builds a pack and fills in where the bodies lie.
func write(w *Writer, list []object) ([]byte, id.Pack, []Entry) {
	var entries []Entry
	var offset uint32
	for _, o := range list {
		seal := func(dst []byte) []byte { return append(dst, o.body...) }
		if o.Node {
			w.AddNode(o.ID, o.Nodes, o.Data, seal)
		} else {
			w.Add(o.ID, seal)
		}
		o.Offset, o.Length = offset, uint32(len(o.body))
		offset += o.Length
		entries = append(entries, o.Entry)
	}
	b, name := w.Finish()
	return b, name, entries
}

func TestPacksDescribeThemselves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := objects().Draw(t, "objects")
		w := NewWriter(rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "memory"))
		if w.Len() != 0 || w.Size() != TrailerSize {
			t.Fatalf("an empty pack of %d objects and %d bytes", w.Len(), w.Size())
		}
		b, name, want := write(w, list)
		if w.Len() != len(list) {
			t.Fatalf("%d objects, want %d", w.Len(), len(list))
		}
		if name != sha256.Sum256(b) {
			t.Fatal("the name is not the hash")
		}
		got, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		for i := range got {
			if !same(got[i], want[i]) {
				t.Fatalf("entry %d is %+v, want %+v", i, got[i], want[i])
			}
			if body := b[got[i].Offset:][:got[i].Length]; !bytes.Equal(body, list[i].body) {
				t.Fatalf("body %d is %x, want %x", i, body, list[i].body)
			}
		}
	})
}

func same(a, b Entry) bool {
	if a.Node != b.Node || len(a.Nodes) != len(b.Nodes) || len(a.Data) != len(b.Data) {
		return false
	}
	for i := range a.Nodes {
		if a.Nodes[i] != b.Nodes[i] {
			return false
		}
	}
	for i := range a.Data {
		if a.Data[i] != b.Data[i] {
			return false
		}
	}
	return a.ID == b.ID && a.Offset == b.Offset && a.Length == b.Length
}

func TestSizeIsWhatFinishWrites(t *testing.T) {
	t.Parallel()
	w := NewWriter(nil)
	for i := range byte(50) {
		w.AddNode(id.Object{i}, make([]id.Object, i), make([]id.Object, i/2), func(dst []byte) []byte { return append(dst, make([]byte, 1+i)...) })
		w.Add(id.Object{i}, func(dst []byte) []byte { return append(dst, i) })
	}
	size := w.Size()
	if b, _ := w.Finish(); len(b) != size {
		t.Errorf("%d bytes, Size said %d", len(b), size)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	w := NewWriter(make([]byte, 0, Target+MaxBody))
	add := func(n int) { w.Add(id.Object{}, func(dst []byte) []byte { return dst[:len(dst)+n] }) }
	for range 2 {
		add(7 << 20)
	}
	if w.Full() {
		t.Error("full too soon")
	}
	add(2 << 20)
	if !w.Full() {
		t.Error("not full at the target")
	}
	// Many references fill a pack, too: its index has a limit.
	w = NewWriter(nil)
	refs := make([]id.Object, MaxIndex/2/16)
	w.AddNode(id.Object{}, nil, refs[:len(refs)/2], func(dst []byte) []byte { return append(dst, 0) })
	if w.Full() {
		t.Error("full too soon")
	}
	w.AddNode(id.Object{}, refs[:len(refs)/2], nil, func(dst []byte) []byte { return append(dst, 0) })
	if !w.Full() {
		t.Error("not full with half of an index")
	}
	b, _ := w.Finish()
	if e, err := ReadIndex(bytes.NewReader(b), int64(len(b))); err != nil || len(e[1].Nodes) != len(refs)/2 {
		t.Error(err)
	}
}

func TestBodiesThatNoSealerMakes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, MaxBody + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a body of %d bytes was taken", n)
				}
			}()
			NewWriter(make([]byte, 0, MaxBody+1)).Add(id.Object{}, func(dst []byte) []byte { return dst[:n] })
		}()
	}
}

// example is a small pack with everything in it.
func example() ([]byte, id.Pack) {
	b, name, _ := write(NewWriter(nil), exampleObjects())
	return b, name
}

func exampleObjects() []object {
	return []object{
		{Entry{ID: id.Object(bytes.Repeat([]byte{0xa1}, 16))}, []byte("first body")},
		{Entry{ID: id.Object(bytes.Repeat([]byte{0xb2}, 16))}, []byte("second")},
		{Entry{ID: id.Object(bytes.Repeat([]byte{0xc3}, 16)), Node: true}, []byte("a leaf of nothing")},
		{Entry{ID: id.Object(bytes.Repeat([]byte{0xd4}, 16)), Node: true,
			Nodes: []id.Object{id.Object(bytes.Repeat([]byte{0xc3}, 16))},
			Data:  []id.Object{id.Object(bytes.Repeat([]byte{0xa1}, 16)), id.Object(bytes.Repeat([]byte{0xb2}, 16))}}, []byte("a node")},
	}
}

func TestEveryFlippedByteShows(t *testing.T) {
	t.Parallel()
	b, name := example()
	entries, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	last := entries[len(entries)-1]
	bodies := int(last.Offset + last.Length)
	for i := range b {
		for _, mask := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(b)
			bad[i] ^= mask
			if sha256.Sum256(bad) == name {
				t.Fatalf("byte %d flipped: the same name", i)
			}
			_, err := ReadIndex(bytes.NewReader(bad), int64(len(bad)))
			if i >= bodies && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d flipped: %v", i, err)
			}
		}
	}
	for n := range b {
		if _, err := ReadIndex(bytes.NewReader(b[:n]), int64(n)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		if _, err := ReadIndex(bytes.NewReader(b[:n]), int64(len(b))); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes that are said to be %d: %v", n, len(b), err)
		}
		if _, err := ReadIndex(bytes.NewReader(b[n+1:]), int64(len(b)-n-1)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes cut off the front: %v", n+1, err)
		}
	}
	if _, err := ReadIndex(bytes.NewReader(append(bytes.Clone(b), 0)), int64(len(b)+1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
}

// repair gives a changed pack the checksum that fits it, as a hostile writer would.
func repair(b []byte) []byte {
	at := len(b) - TrailerSize
	if at < 0 {
		return b
	}
	n := int(min(int64(binary.BigEndian.Uint32(b[at+16:])), int64(at)))
	sum := sha256.Sum256(b[at-n : len(b)-20])
	copy(b[len(b)-20:], sum[:20])
	return b
}

func TestHostilePacks(t *testing.T) {
	t.Parallel()
	good, _ := example()
	trailer := len(good) - TrailerSize
	index := trailer - int(binary.BigEndian.Uint32(good[trailer+16:]))
	put32 := func(at int, v uint32) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) }
	}
	const entry = 20
	for name, change := range map[string]func([]byte){
		"another magic":              func(b []byte) { b[trailer] = 'h' },
		"version 0":                  func(b []byte) { b[trailer+9] = 0 },
		"version 2":                  func(b []byte) { b[trailer+9] = 2 },
		"version 257":                func(b []byte) { b[trailer+8] = 1 },
		"reserved bytes":             func(b []byte) { b[trailer+10] = 1 },
		"fewer objects than entries": put32(trailer+12, 3),
		"more objects than entries":  put32(trailer+12, 5),
		"very many objects":          put32(trailer+12, 1<<32-1),
		"no objects":                 put32(trailer+12, 0),
		"no index":                   put32(trailer+16, 0),
		"a shorter index":            put32(trailer+16, uint32(trailer-index-1)),
		"a longer index":             put32(trailer+16, uint32(trailer-index+1)),
		"an index over everything":   put32(trailer+16, uint32(trailer)),
		"an index beyond the pack":   put32(trailer+16, uint32(trailer+1)),
		"an index of 4 GiB":          put32(trailer+16, 1<<32-1),
		"a body of nothing":          put32(index+16, 0),
		"a body a byte longer":       put32(index+16, 11),
		"a body a byte shorter":      put32(index+16, 9),
		"a body of 2 GiB":            put32(index+16, 1<<31-1),
		"a chunk that is a node":     put32(index+16, 10|nodeFlag),
		"a node that is a chunk":     put32(index+2*entry+16, 17),
		"references beyond the end":  put32(index+2*entry+20, 1000),
		"4 G references":             put32(index+2*entry+20, 1<<32-1),
		"8 G references":             func(b []byte) { put32(index+2*entry+20, 1<<32-1)(b); put32(index+2*entry+24, 1<<32-1)(b) },
		"a reference too many":       put32(index+3*entry+8+20, 2),
		"a reference too few":        put32(index+3*entry+8+24, 1),
	} {
		bad := bytes.Clone(good)
		change(bad)
		repair(bad)
		if e, err := ReadIndex(bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d entries, %v", name, len(e), err)
		}
	}
	for _, size := range []int64{-1, 0, TrailerSize - 1, MaxSize + 1, 1 << 62} {
		if _, err := ReadIndex(bytes.NewReader(good), size); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a pack of %d bytes: %v", size, err)
		}
	}
}

type brokenReader struct {
	io.ReaderAt
	after int
	err   error
}

func (r *brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if r.after--; r.after < 0 {
		return 0, r.err
	}
	return r.ReaderAt.ReadAt(p, off)
}

// A disk that fails says nothing about the pack.
func TestErrorsOfTheReaderPassThrough(t *testing.T) {
	t.Parallel()
	b, _ := example()
	broken := errors.New("broken disk")
	for after := range 2 {
		_, err := ReadIndex(&brokenReader{bytes.NewReader(b), after, broken}, int64(len(b)))
		if err != broken || errors.Is(err, ErrCorrupt) {
			t.Errorf("read %d fails: %v", after, err)
		}
	}
}

// The densest index that a hostile pack can have costs a small multiple of its size.
func TestMemoryIsBounded(t *testing.T) {
	const n = MaxIndex / 20
	b := make([]byte, n+n*20+TrailerSize)
	for i := range n {
		b[n+20*i+19] = 1 // bodies of one byte
	}
	trailer := b[n+n*20:]
	copy(trailer, magic)
	trailer[9] = version
	binary.BigEndian.PutUint32(trailer[12:], n)
	binary.BigEndian.PutUint32(trailer[16:], n*20)
	repair(b)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
	runtime.ReadMemStats(&after)
	if err != nil || len(e) != n {
		t.Fatalf("%d entries, %v", len(e), err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8*MaxIndex {
		t.Errorf("%d MiB for an index of %d MiB", got>>20, MaxIndex>>20)
	}
	// It lies about the number of objects: nothing is taken before that shows.
	binary.BigEndian.PutUint32(trailer[12:], 1<<31)
	repair(b)
	runtime.ReadMemStats(&before)
	if _, err := ReadIndex(bytes.NewReader(b), int64(len(b))); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d KiB for a lie", got>>10)
	}
}

type golden struct {
	Entries []goldenEntry
	Pack    goldentest.Hex
	Name    string
}

type goldenEntry struct {
	ID          string
	Body        string
	Node        bool
	Nodes, Data []string
}

func generate() golden {
	var g golden
	hex := func(list []id.Object) []string {
		out := []string{}
		for _, o := range list {
			out = append(out, o.String())
		}
		return out
	}
	for _, o := range exampleObjects() {
		g.Entries = append(g.Entries, goldenEntry{o.ID.String(), string(o.body), o.Node, hex(o.Nodes), hex(o.Data)})
	}
	b, name := example()
	g.Pack, g.Name = b, name.String()
	return g
}

func TestGoldenV1(t *testing.T) {
	t.Parallel()
	g := goldentest.Load(t, "pack-v1.json", generate)
	if name := id.Pack(sha256.Sum256(g.Pack)); name.String() != g.Name {
		t.Errorf("name %s, want %s", name, g.Name)
	}
	entries, err := ReadIndex(bytes.NewReader(g.Pack), int64(len(g.Pack)))
	if err != nil {
		t.Fatal(err)
	}
	var got []goldenEntry
	for _, e := range entries {
		v := goldenEntry{ID: e.ID.String(), Body: string(g.Pack[e.Offset:][:e.Length]), Node: e.Node, Nodes: []string{}, Data: []string{}}
		for _, o := range e.Nodes {
			v.Nodes = append(v.Nodes, o.String())
		}
		for _, o := range e.Data {
			v.Data = append(v.Data, o.String())
		}
		got = append(got, v)
	}
	if !reflect.DeepEqual(got, g.Entries) {
		t.Errorf("entries %+v, want %+v", got, g.Entries)
	}
	if b, name := example(); !bytes.Equal(b, g.Pack) || name.String() != g.Name {
		t.Errorf("written as %x", b)
	}
}

// FuzzReadIndex repairs the checksum of whatever it is given, so that it gets behind it. What reads must
// be what a Writer writes.
func FuzzReadIndex(f *testing.F) {
	b, _ := example()
	f.Add(b)
	empty, _ := NewWriter(nil).Finish()
	f.Add(empty)
	f.Add([]byte(strings.Repeat(magic, 10)))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = repair(bytes.Clone(b))
		entries, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		var list []object
		for _, e := range entries {
			list = append(list, object{e, b[e.Offset:][:e.Length]})
		}
		if again, _, _ := write(NewWriter(nil), list); !bytes.Equal(again, b) {
			t.Fatalf("%x and %x are the same pack", b, again)
		}
	})
}
