package tree

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/cbor"
)

var update = flag.Bool("update", false, "write the golden files")

// golden are nodes as they must always be read, and written as long as the version stays.
func golden() map[string][]*Entry {
	k := func(b byte) (k seal.Key) {
		for i := range k {
			k[i] = b
		}
		return k
	}
	return map[string][]*Entry{
		"empty": nil,
		"leaf": {
			{Path: "bin", Type: Dir, Mode: 0o755, ModTime: 1_700_000_000_123_456_789, User: "root", Group: "root"},
			{Path: "bin/block", Type: BlockDevice, Mode: 0o660, Rdev: 2049},
			{Path: "bin/char", Type: CharDevice, Mode: 0o666, Rdev: 259},
			{Path: "bin/empty", Mode: 0o644, HardLink: 77},
			{Path: "bin/fifo", Type: FIFO, Mode: 0o600},
			{Path: "bin/huge", Mode: 0o600, Size: 1 << 40, ModTime: math.MaxInt64, ChunkList: k(0x22), ChunkCount: 1 << 20},
			{Path: "bin/link", Type: Symlink, Mode: 0o777, Link: "../etc/\xff", ModTime: math.MinInt64},
			{Path: "bin/sparse", Mode: 0o600, Size: 1 << 30, Chunks: []Chunk{{Size: 1<<30 - 9, Hole: true}, {Key: k(0x33), Size: 9}}, ChunkCount: 2,
				HardLink: 77, Xattrs: []Xattr{{"security.x", []byte{0}}, {"user.y", nil}}},
			{Path: "bin/\xff\xfe", Mode: 0o4755, Size: 5, ModTime: -1, UID: 1000, GID: 100, User: "ada", Group: "users", Chunks: []Chunk{{Key: k(0x11), Size: 5}}, ChunkCount: 1},
			{Path: "bin.d", Type: Dir, Mode: 0o700, UID: math.MaxUint32, GID: math.MaxUint32},
		},
	}
}

// lastSink keeps the last node.
type lastSink struct{ plain []byte }

func (s *lastSink) PutNode(_ context.Context, plain []byte, _, _ []seal.Key) (seal.Key, error) {
	s.plain = bytes.Clone(plain)
	return seal.Key{0xaa}, nil
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".hex")
	if *update {
		var b strings.Builder
		for i := 0; i < len(got); i += 32 {
			b.WriteString(hex.EncodeToString(got[i:min(i+32, len(got))]) + "\n")
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := hex.DecodeString(strings.ReplaceAll(string(want), "\n", "")); err != nil || !bytes.Equal(got, w) {
		t.Errorf("%s: %x, want %x", name, got, w)
	}
}

func TestGolden(t *testing.T) {
	for name, list := range golden() {
		s := &lastSink{}
		l := level{}
		for i, e := range list {
			n := 0
			if i > 0 {
				n = shared(e.Path, list[i-1].Path)
			}
			if err := e.check(); err != nil {
				t.Fatal(err)
			}
			l.addEntry(e, n)
		}
		b := NewBuilder([32]byte{}, s)
		b.put(ctx, &l)
		checkGolden(t, name, s.plain)
		n, err := decodeNode(s.plain)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n.entries {
			if !n.entries[i].equal(list[i]) {
				t.Errorf("%+v, want %+v", n.entries[i], list[i])
			}
		}
	}

	s := &lastSink{}
	l := level{height: 1}
	l.addChild(&child{"bin", seal.Key{1}, 10, 5, 1 << 41})
	l.addChild(&child{"bin/ls", seal.Key{2}, 300, 0, 0})
	NewBuilder([32]byte{}, s).put(ctx, &l)
	checkGolden(t, "inner", s.plain)

	w := NewListWriter(s)
	ll := listLevel{count: 2, items: appendChunk(appendChunk(nil, &Chunk{Key: seal.Key{1}, Size: 70000}), &Chunk{Size: 1 << 33, Hole: true})}
	w.put(ctx, &ll)
	checkGolden(t, "list-leaf", s.plain)
	ll = listLevel{height: 1, count: 2, items: appendListChild(appendListChild(nil, &listChild{seal.Key{1}, 512, 1 << 29}), &listChild{seal.Key{2}, 16, 16})}
	w.put(ctx, &ll)
	checkGolden(t, "list-inner", s.plain)

	// Where nodes end is part of the format too: another decision would store every tree anew.
	st := newStore()
	root := build(t, st, files(3000, 100))
	checkGolden(t, "root", root.Key[:])
	e := &Entry{}
	for i := range 5000 {
		if err := w.Add(ctx, Chunk{Key: key(uint64(i)), Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.sink = st
	if err := w.Finish(ctx, e); err != nil {
		t.Fatal(err)
	}
}

// raw builds nodes that no Builder would.
type raw []byte

func (r raw) array(n int) raw   { return cbor.AppendArray(r, n) }
func (r raw) uint(v uint64) raw { return cbor.AppendUint(r, v) }
func (r raw) str(s string) raw  { return cbor.AppendBytes(r, []byte(s)) }
func leaf(entries int) raw {
	return raw(nil).array(4).uint(nodeTree).uint(0).array(1).array(4).uint(0).uint(0).str("").str("").array(entries)
}
func (r raw) entry(n uint64, suffix string) raw { // a folder
	return r.array(5).uint(n).str(suffix).uint(0).uint(uint64(kindDir) << modeBits).uint(0)
}
func (r raw) file(path string, items int, k kind) raw {
	return r.array(items).uint(0).str(path).uint(0).uint(uint64(k) << modeBits).uint(0)
}
func inner(children int) raw { return raw(nil).array(3).uint(nodeTree).uint(1).array(children) }
func (r raw) child(n uint64, suffix string, entries, files, bytes uint64) raw {
	return r.array(6).uint(n).str(suffix).str(strings.Repeat("k", 32)).uint(entries).uint(files).uint(bytes)
}

func TestStrict(t *testing.T) {
	t.Parallel()
	good := [][]byte{leaf(2).entry(0, "a").entry(1, "/b"), leaf(2).entry(0, "ab").entry(1, "c"), inner(2).child(0, "a", 1, 1, 1).child(1, "b", 2, 0, 0)}
	for i, b := range good {
		if _, err := decodeNode(b); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"other kind":         raw(nil).array(3).uint(3).uint(0).array(0),
		"list":               raw(nil).array(3).uint(nodeList).uint(0).array(0),
		"too high":           raw(nil).array(3).uint(nodeTree).uint(MaxHeight + 1).array(0),
		"inner as leaf":      raw(nil).array(3).uint(nodeTree).uint(0).array(0),
		"trailing":           append(leaf(1).entry(0, "a"), 0),
		"missing entry":      leaf(2).entry(0, "a"),
		"unsorted":           leaf(2).entry(0, "b").entry(0, "a"),
		"duplicate":          leaf(2).entry(0, "a").entry(1, ""),
		"less shared":        leaf(2).entry(0, "ab").entry(0, "ac"),
		"more shared":        leaf(2).entry(0, "a").entry(2, "b"),
		"first shares":       leaf(1).entry(1, "a"),
		"empty path":         leaf(1).entry(0, ""),
		"absolute":           leaf(1).entry(0, "/a"),
		"trailing slash":     leaf(1).entry(0, "a/"),
		"empty component":    leaf(2).entry(0, "a").entry(1, "//b"),
		"dot dot":            leaf(2).entry(0, "a").entry(1, "/../b"),
		"dot dot split":      leaf(2).entry(0, "a/.a").entry(3, "."),
		"dot":                leaf(1).entry(0, "."),
		"NUL":                leaf(1).entry(0, "a\x00"),
		"long name":          leaf(1).entry(0, strings.Repeat("x", MaxName+1)),
		"long path":          leaf(1).entry(0, strings.Repeat("x/", MaxPath/2)+"xx"),
		"kind":               leaf(1).file("a", 5, kinds),
		"items":              leaf(1).file("a", 6, kindDir),
		"no owner":           raw(nil).array(4).uint(nodeTree).uint(0).array(0).array(1).entry(0, "a"),
		"idle owner":         leaf(0),
		"owner twice":        raw(nil).array(4).uint(nodeTree).uint(0).array(2).array(4).uint(0).uint(0).str("").str("").array(4).uint(0).uint(0).str("").str("").array(1).entry(0, "a"),
		"uid":                raw(nil).array(4).uint(nodeTree).uint(0).array(1).array(4).uint(1<<32).uint(0).str("").str("").array(1).entry(0, "a"),
		"owner out of order": raw(nil).array(4).uint(nodeTree).uint(0).array(2).array(4).uint(0).uint(0).str("").str("").array(4).uint(1).uint(0).str("").str("").array(1).array(5).uint(0).str("a").uint(1).uint(0).uint(0),
		"one of size 0":      leaf(1).file("a", 7, kindOne).uint(0).str(strings.Repeat("k", 32)),
		"short key":          leaf(1).file("a", 7, kindOne).uint(1).str("k"),
		"size of one":        leaf(1).file("a", 7, kindOne).uint(seal.MaxPlain + 1).str(strings.Repeat("k", 32)),
		"single as list":     leaf(1).file("a", 6, kindInline).array(2).uint(1).str(strings.Repeat("k", 32)),
		"odd list":           leaf(1).file("a", 6, kindInline).array(3).uint(1).str(strings.Repeat("k", 32)).uint(1),
		"empty list":         leaf(1).file("a", 6, kindInline).array(0),
		"hole overflow":      append(cbor.AppendNull(leaf(1).file("a", 6, kindInline).array(4).uint(math.MaxInt64)), cbor.AppendNull(raw(nil).uint(1))...),
		"list without key":   leaf(1).file("a", 8, kindList).uint(1000).uint(100).str(strings.Repeat("\x00", 32)),
		"short list":         leaf(1).file("a", 8, kindList).uint(1000).uint(64).str(strings.Repeat("k", 32)),
		"empty target":       leaf(1).file("a", 6, kindSymlink).str(""),
		"no extras":          cbor.AppendMap(leaf(1).file("a", 6, kindEmpty), 0),
		"extra 3":            raw(cbor.AppendMap(leaf(1).file("a", 6, kindEmpty), 1)).uint(3).uint(0),
		"hard link 0":        raw(cbor.AppendMap(leaf(1).file("a", 6, kindEmpty), 1)).uint(1).uint(0),
		"linked folder":      raw(cbor.AppendMap(leaf(1).file("a", 6, kindDir), 1)).uint(1).uint(1),
		"extras unsorted":    raw(cbor.AppendMap(leaf(1).file("a", 6, kindEmpty), 2)).uint(2).array(2).str("x").str("").uint(1).uint(1),
		"xattrs unsorted":    raw(cbor.AppendMap(leaf(1).file("a", 6, kindEmpty), 1)).uint(2).array(4).str("y").str("").str("x").str(""),
		"no xattrs":          raw(cbor.AppendMap(leaf(1).file("a", 6, kindEmpty), 1)).uint(2).array(0),
		"no children":        inner(0),
		"empty child":        inner(1).child(0, "a", 0, 0, 0),
		"more files":         inner(1).child(0, "a", 1, 2, 0),
		"bytes of no files":  inner(1).child(0, "a", 1, 0, 2),
		"too many bytes":     inner(2).child(0, "a", 1, 1, math.MaxInt64).child(0, "b", 1, 1, 1),
		"children unsorted":  inner(2).child(0, "b", 1, 1, 1).child(0, "a", 1, 1, 1),
		"negative count":     inner(1).child(0, "b", math.MaxUint64, 1, 1),
		"large":              make([]byte, MaxNode+1),
	} {
		if n, err := decodeNode(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	k := strings.Repeat("k", 32)
	list := func(height uint64, items int) raw { return raw(nil).array(3).uint(nodeList).uint(height).array(items) }
	for name, b := range map[string][]byte{
		"empty":     list(0, 0),
		"odd":       list(0, 1).uint(1),
		"tree node": leaf(1).entry(0, "a"),
		"size 0":    list(0, 2).uint(0).str(k),
		"count":     list(1, 3).str(k).uint(0).uint(9),
		"overflow":  list(1, 6).str(k).uint(1).uint(math.MaxInt64).str(k).uint(1).uint(1),
		"trailing":  append(list(0, 2).uint(1).str(k), 1),
	} {
		if n, err := decodeList(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("list %s: %+v, %v", name, n, err)
		}
	}
}

// A parent that promises something else than its child is must be found out.
func TestWrongTotals(t *testing.T) {
	t.Parallel()
	_, b := big()
	root := b.Root
	for name, change := range map[string]func(*child){
		"entries": func(c *child) { c.entries++ },
		"files":   func(c *child) { c.files-- },
		"bytes":   func(c *child) { c.bytes++ },
		"first":   func(c *child) { c.first += "x" },
		"key":     func(c *child) { c.key = root.Key },
	} {
		s := newStore()
		build(t, s, b.list)
		n, _ := decodeNode(s.nodes[root.Key])
		l := level{height: n.height}
		for i := range n.children {
			if i == 1 {
				change(&n.children[i])
			}
			l.addChild(&n.children[i])
		}
		key, err := NewBuilder([32]byte{1}, s).put(ctx, &l)
		if err != nil {
			t.Fatal(err)
		}
		if err := Open(s, key).Walk(ctx, "", func(*Entry) error { return nil }); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzNode(f *testing.F) {
	for _, file := range []string{"empty", "leaf", "inner", "list-leaf", "list-inner"} {
		b, err := os.ReadFile(filepath.Join("testdata", file+".hex"))
		if err != nil {
			f.Fatal(err)
		}
		plain, _ := hex.DecodeString(strings.ReplaceAll(string(b), "\n", ""))
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		s := &lastSink{}
		if n, err := decodeNode(plain); err == nil {
			l := level{height: n.height}
			for i := range n.entries {
				k := 0
				if i > 0 {
					k = shared(n.entries[i].Path, n.entries[i-1].Path)
				}
				l.addEntry(&n.entries[i], k)
			}
			for i := range n.children {
				l.addChild(&n.children[i])
			}
			NewBuilder([32]byte{}, s).put(ctx, &l)
			if !bytes.Equal(s.plain, plain) {
				t.Fatalf("decoded %x, encoded %x", plain, s.plain)
			}
		}
		if n, err := decodeList(plain); err == nil {
			l := listLevel{height: n.height, count: len(n.chunks) + len(n.children)}
			for i := range n.chunks {
				l.items = appendChunk(l.items, &n.chunks[i])
			}
			for i := range n.children {
				l.items = appendListChild(l.items, &n.children[i])
			}
			NewListWriter(s).put(ctx, &l)
			if !bytes.Equal(s.plain, plain) {
				t.Fatalf("decoded list %x, encoded %x", plain, s.plain)
			}
		}
	})
}
