package tree

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

var ctx = context.Background()

// store is a Sink and a Source in memory that counts.
type store struct {
	mu     sync.Mutex
	sealer *seal.Sealer
	nodes  map[seal.Key][]byte
	refs   map[seal.Key][]seal.Key
	puts   int
	asked  int                // calls of Nodes
	read   map[seal.Key]int   // times that a node was read
	level  seal.Level         // if not -1, sealed sizes are counted
	bytes  map[seal.Key]int64 // sealed sizes
}

func newStore() *store {
	return &store{sealer: seal.New(seal.ContentKey{7}), nodes: map[seal.Key][]byte{}, refs: map[seal.Key][]seal.Key{}, read: map[seal.Key]int{}, level: -1, bytes: map[seal.Key]int64{}}
}

func (s *store) PutNode(_ context.Context, plain []byte, nodes, data []seal.Key) (seal.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.sealer.Key(plain)
	s.puts++
	if s.nodes[k] == nil {
		s.nodes[k] = slices.Clone(plain)
		s.refs[k] = append(slices.Clone(nodes), data...)
		if s.level >= 0 {
			// 20 bytes in the pack's index, 8 for the counts, 16 a reference.
			s.bytes[k] = int64(len(s.sealer.Append(nil, k, plain, s.level)) + 28 + 16*(len(nodes)+len(data)))
		}
	}
	return k, nil
}

func (s *store) Nodes(_ context.Context, keys []seal.Key) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	list := make([][]byte, len(keys))
	for i, k := range keys {
		if list[i] = s.nodes[k]; list[i] == nil {
			return nil, fmt.Errorf("no %v", k)
		}
		s.read[k]++
	}
	return list, nil
}

// nullSink costs nothing.
type nullSink struct{ n int }

func (s *nullSink) PutNode(context.Context, []byte, []seal.Key, []seal.Key) (k seal.Key, _ error) {
	s.n++
	binary.BigEndian.PutUint64(k[:], uint64(s.n))
	return k, nil
}

func build(t testing.TB, s Sink, list []*Entry) Root {
	t.Helper()
	b := NewBuilder([32]byte{1}, s)
	for _, e := range list {
		if err := b.Add(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func key(n uint64) (k seal.Key) {
	r := rand.New(rand.NewPCG(n, 9))
	for i := range 4 {
		binary.BigEndian.PutUint64(k[8*i:], r.Uint64())
	}
	return k
}

// files makes a tree of n files in folders of about per, with folders' entries.
func files(n, per int) []*Entry {
	r := rand.New(rand.NewPCG(5, 6))
	var list []*Entry
	dirs := max(1, n/per)
	for d := range dirs {
		dir := fmt.Sprintf("home/user/documents/project-%03d/folder-%05d", d/20, d)
		list = append(list, &Entry{Path: dir, Type: Dir, Mode: 0o755, ModTime: 1_700_000_000e9 + r.Int64N(1e17), UID: 1000, GID: 1000, User: "user", Group: "user"})
		for i := range n / dirs {
			size := r.Int64N(20000) + 1
			list = append(list, &Entry{
				Path: fmt.Sprintf("%s/report %d %s.docx", dir, i, []string{"draft", "final", "annual figures"}[r.IntN(3)]), Mode: 0o644, Size: size, ModTime: 1_700_000_000e9 + r.Int64N(1e17),
				UID: 1000, GID: 1000, User: "user", Group: "user", Chunks: []Chunk{{Key: key(r.Uint64()), Size: size}}, ChunkCount: 1,
			})
		}
	}
	for _, p := range []string{"home", "home/user", "home/user/documents"} {
		list = append(list, &Entry{Path: p, Type: Dir, Mode: 0o755, ModTime: 5, UID: 1000, GID: 1000, User: "user", Group: "user"})
	}
	for d := 0; d < dirs; d += 20 {
		list = append(list, &Entry{Path: fmt.Sprintf("home/user/documents/project-%03d", d/20), Type: Dir, Mode: 0o755, ModTime: 5, UID: 1000, GID: 1000, User: "user", Group: "user"})
	}
	sortEntries(list)
	return list
}

func sortEntries(list []*Entry) {
	sort.Slice(list, func(i, j int) bool { return Compare(list[i].Path, list[j].Path) < 0 })
}

// drawPath makes paths with few letters, so that they collide, nest and surround '/'.
func drawPath(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.StringMatching(`[a-c!~\x01\xff]{1,3}`), 1, 4).Draw(t, "parts")
	for i, p := range parts {
		if p == "" {
			parts[i] = "a"
		}
	}
	return strings.Join(parts, "/")
}

func drawEntry(t *rapid.T, path string) *Entry {
	e := &Entry{
		Path: path, Type: Type(rapid.IntRange(0, 5).Draw(t, "type")), Mode: uint32(rapid.IntRange(0, 0o7777).Draw(t, "mode")), ModTime: rapid.Int64().Draw(t, "mtime"),
		UID: uint32(rapid.IntRange(0, 3).Draw(t, "uid")), User: rapid.SampledFrom([]string{"", "u", "\xff"}).Draw(t, "user"),
	}
	switch e.Type {
	case File:
		for range rapid.IntRange(0, 4).Draw(t, "chunks") {
			c := Chunk{Size: rapid.Int64Range(1, seal.MaxPlain).Draw(t, "size"), Hole: rapid.Bool().Draw(t, "hole")}
			if !c.Hole {
				c.Key = key(rapid.Uint64().Draw(t, "key"))
			}
			e.Chunks = append(e.Chunks, c)
			e.Size += c.Size
		}
		if rapid.IntRange(0, 5).Draw(t, "list") == 0 {
			e.Chunks, e.ChunkList, e.ChunkCount, e.Size = nil, key(1), 100, 1000
		}
		if e.Inline() {
			e.ChunkCount = int64(len(e.Chunks))
		}
	case Symlink:
		e.Link = "../x\xfe"
	case CharDevice, BlockDevice:
		e.Rdev = rapid.Uint64().Draw(t, "rdev")
	}
	if e.Type != Dir && rapid.Bool().Draw(t, "hard") {
		e.HardLink = rapid.Uint64().Draw(t, "link")
	}
	if rapid.IntRange(0, 3).Draw(t, "xattr") == 0 {
		e.Xattrs = []Xattr{{"security.x", []byte{0, 1}}, {"user.a", []byte("v")}}
	}
	return e
}

func drawTree(t *rapid.T, n int) map[string]*Entry {
	m := map[string]*Entry{}
	for range rapid.IntRange(0, n).Draw(t, "n") {
		p := drawPath(t)
		m[p] = drawEntry(t, p)
	}
	return m
}

func sorted(m map[string]*Entry) []*Entry {
	list := make([]*Entry, 0, len(m))
	for _, e := range m {
		list = append(list, e)
	}
	sortEntries(list)
	return list
}

func TestCompare(t *testing.T) {
	t.Parallel()
	want := []string{"a", "a/\x01", "a/b", "a/b/c", "a/b!", "a/~", "a\x01", "a ", "a!", "a-b", "a.txt", "aa", "aa/b", "b"}
	for i, a := range want {
		for j, b := range want {
			if got := Compare(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newStore()
		want := sorted(drawTree(t, 60))
		b := NewBuilder([32]byte{1}, s)
		var total Root
		for _, e := range want {
			if err := b.Add(ctx, e); err != nil {
				t.Fatal(err)
			}
			total.Entries++
			total.Bytes += e.Size
			if e.Type == File {
				total.Files++
			}
		}
		root, err := b.Finish(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := Open(s, root.Key)
		if got, err := r.Root(ctx); err != nil || got != root || got.Entries != total.Entries || got.Files != total.Files || got.Bytes != total.Bytes {
			t.Fatalf("root %+v %v, want %+v", got, err, total)
		}
		i := 0
		err = r.Walk(ctx, "", func(e *Entry) error {
			if !e.equal(want[i]) {
				t.Fatalf("got %+v, want %+v", e, want[i])
			}
			i++
			return nil
		})
		if err != nil || i != len(want) {
			t.Fatal(err, i)
		}
		for _, e := range want {
			if got, err := r.Get(ctx, e.Path); err != nil || !got.equal(e) {
				t.Fatal(got, err)
			}
		}
	})
}

// big is a tree of several levels, made once.
var big = sync.OnceValues(func() (*store, struct {
	Root
	list []*Entry
}) {
	s := newStore()
	list := files(40_000, 100)
	b := NewBuilder([32]byte{1}, s)
	for _, e := range list {
		if err := b.Add(ctx, e); err != nil {
			panic(err)
		}
	}
	root, err := b.Finish(ctx)
	if err != nil {
		panic(err)
	}
	return s, struct {
		Root
		list []*Entry
	}{root, list}
})

func TestHistoryIndependence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// The same set, whatever was refused in between, gives the same root.
		want := sorted(drawTree(t, 80))
		st := newStore()
		b1, b2 := NewBuilder([32]byte{1}, st), NewBuilder([32]byte{1}, st)
		for i, e := range want {
			for _, b := range []*Builder{b1, b2} {
				if err := b.Add(ctx, e); err != nil {
					t.Fatal(err)
				}
			}
			if rapid.Bool().Draw(t, "bad") {
				if err := b2.Add(ctx, want[rapid.IntRange(0, i).Draw(t, "again")]); fault.KindOf(err) != fault.Invalid {
					t.Fatal(err)
				}
				if err := b2.Add(ctx, &Entry{Path: e.Path + "~~~~/.."}); fault.KindOf(err) != fault.Invalid {
					t.Fatal(err)
				}
			}
		}
		r1, err1 := b1.Finish(ctx)
		r2, err2 := b2.Finish(ctx)
		if err1 != nil || err2 != nil || r1 != r2 {
			t.Fatal(r1, r2, err1, err2)
		}
	})
}

// A tree's nodes depend on what it holds, not on how it came to be: edits that lead to the same set lead to
// the same root, and without the key nobody can tell where nodes end.
func TestSameSetSameRoot(t *testing.T) {
	t.Parallel()
	s, b := big()
	if b.Height < 2 {
		t.Fatalf("a tree of height %d tests little", b.Height)
	}
	var copied []*Entry
	if err := Open(s, b.Key).Walk(ctx, "", func(e *Entry) error { copied = append(copied, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if again := build(t, newStore(), copied); again != b.Root {
		t.Errorf("%+v, then %+v", b.Root, again)
	}
	other := newStore()
	ob := NewBuilder([32]byte{2}, other)
	for _, e := range copied {
		if err := ob.Add(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ob.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	common := 0
	for k := range other.nodes {
		if s.nodes[k] != nil {
			common++
		}
	}
	if common > len(other.nodes)/10 {
		t.Errorf("under another key %d of %d nodes are the same", common, len(other.nodes))
	}
}

func TestEditLocality(t *testing.T) {
	t.Parallel()
	_, b := big()
	base := newStore()
	root := build(t, base, b.list)
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		list := slices.Clone(b.list)
		i := r.IntN(len(list))
		e := *list[i]
		limit := 2*(root.Height+1) + 2
		switch r.IntN(4) {
		case 0: // other metadata
			e.ModTime++
			list[i] = &e
			limit = root.Height + 1 + 2
		case 1: // other content
			e.Type, e.Size, e.ChunkCount, e.Chunks = File, 77, 1, []Chunk{{Key: key(r.Uint64()), Size: 77}}
			list[i] = &e
		case 2: // one more
			e.Path += "~"
			list = slices.Insert(list, i+1, &e)
			sortEntries(list)
		case 3: // one less
			list = slices.Delete(list, i, i+1)
		}
		before := len(base.nodes)
		build(t, base, list)
		if got := len(base.nodes) - before; got > limit {
			t.Errorf("one edit stored %d nodes, at most %d may change", got, limit)
		}
	}
}

func TestBuilderRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxName+1)
	deep := strings.Repeat("abcdefg/", MaxPath/8+1) + "x"
	content := []Chunk{{Key: key(1), Size: 5}}
	for name, tc := range map[string]struct {
		e    Entry
		kind fault.Kind
	}{
		"empty path":      {Entry{}, fault.Invalid},
		"absolute":        {Entry{Path: "/b"}, fault.Invalid},
		"trailing":        {Entry{Path: "b/"}, fault.Invalid},
		"empty component": {Entry{Path: "b//c"}, fault.Invalid},
		"dot":             {Entry{Path: "b/./c"}, fault.Invalid},
		"dot dot":         {Entry{Path: "b/../c"}, fault.Invalid},
		"NUL":             {Entry{Path: "b\x00"}, fault.Invalid},
		"long name":       {Entry{Path: "b/" + long}, fault.TooLarge},
		"long path":       {Entry{Path: "b/" + deep}, fault.TooLarge},
		"duplicate":       {Entry{Path: "a/b"}, fault.Invalid},
		"before":          {Entry{Path: "a"}, fault.Invalid},
		"type":            {Entry{Path: "b", Type: 6}, fault.Invalid},
		"mode":            {Entry{Path: "b", Mode: 0o10000}, fault.Invalid},
		"size":            {Entry{Path: "b", Size: 4, Chunks: content, ChunkCount: 1}, fault.Invalid},
		"negative size":   {Entry{Path: "b", Size: -1}, fault.Invalid},
		"chunk size":      {Entry{Path: "b", Chunks: []Chunk{{Key: key(1)}}}, fault.Invalid},
		"large chunk":     {Entry{Path: "b", Size: seal.MaxPlain + 1, Chunks: []Chunk{{Key: key(1), Size: seal.MaxPlain + 1}}}, fault.Invalid},
		"hole with key":   {Entry{Path: "b", Size: 5, Chunks: []Chunk{{Key: key(1), Size: 5, Hole: true}}}, fault.Invalid},
		"sum overflows":   {Entry{Path: "b", Size: 5, Chunks: []Chunk{{Size: math.MaxInt64, Hole: true}, {Size: math.MaxInt64, Hole: true}}}, fault.Invalid},
		"many chunks":     {Entry{Path: "b", Size: 65, Chunks: slices.Repeat([]Chunk{{Key: key(1), Size: 1}}, 65)}, fault.Invalid},
		"short list":      {Entry{Path: "b", Size: 65, ChunkCount: 64, ChunkList: key(3)}, fault.Invalid},
		"folder's size":   {Entry{Path: "b", Type: Dir, Size: 1}, fault.Invalid},
		"folder's chunks": {Entry{Path: "b", Type: Dir, Chunks: content}, fault.Invalid},
		"folder linked":   {Entry{Path: "b", Type: Dir, HardLink: 3}, fault.Invalid},
		"no target":       {Entry{Path: "b", Type: Symlink}, fault.Invalid},
		"file's target":   {Entry{Path: "b", Link: "x"}, fault.Invalid},
		"long target":     {Entry{Path: "b", Type: Symlink, Link: strings.Repeat("x", MaxLink+1)}, fault.TooLarge},
		"rdev":            {Entry{Path: "b", Rdev: 4}, fault.Invalid},
		"long owner":      {Entry{Path: "b", User: strings.Repeat("x", MaxOwner+1)}, fault.TooLarge},
		"xattrs":          {Entry{Path: "b", Xattrs: []Xattr{{"user.x", make([]byte, MaxXattrs)}}}, fault.TooLarge},
		"xattr name":      {Entry{Path: "b", Xattrs: []Xattr{{"", nil}}}, fault.Invalid},
		"xattr twice":     {Entry{Path: "b", Xattrs: []Xattr{{"user.x", nil}, {"user.x", nil}}}, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			first, last := &Entry{Path: "a/b"}, &Entry{Path: "z"}
			want := build(t, s, []*Entry{first, last})
			b := NewBuilder([32]byte{1}, s)
			b.Add(ctx, first)
			if err := b.Add(ctx, &tc.e); fault.KindOf(err) != tc.kind {
				t.Errorf("got %v, want %s", err, tc.kind)
			}
			b.Add(ctx, last)
			if got, err := b.Finish(ctx); err != nil || got != want {
				t.Errorf("afterwards %+v %v, want %+v", got, err, want)
			}
		})
	}
}

type brokenSink struct{ after int }

func (s *brokenSink) PutNode(context.Context, []byte, []seal.Key, []seal.Key) (seal.Key, error) {
	if s.after--; s.after < 0 {
		return seal.Key{}, errors.New("no room")
	}
	return seal.Key{1}, nil
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	for after := range 8 {
		b := NewBuilder([32]byte{1}, &brokenSink{after})
		var err error
		for i := 0; err == nil && i < 100_000; i++ {
			err = b.Add(ctx, &Entry{Path: fmt.Sprintf("%07d", i)})
		}
		if _, again := b.Finish(ctx); err == nil || !errors.Is(again, err) {
			t.Errorf("after %d: %v, then %v", after, err, again)
		}
	}
}

func TestLargeEntries(t *testing.T) {
	t.Parallel()
	s := newStore()
	var list []*Entry
	deep := strings.Repeat("abcdefg/", MaxPath/8-8)
	for i := range 300 {
		list = append(list, &Entry{Path: fmt.Sprintf("a/%s%03d", deep, i), Xattrs: []Xattr{{"user.x", make([]byte, (i%30)*10_000)}}})
	}
	list = append(list, &Entry{Path: "b", Type: Symlink, Link: strings.Repeat("l", MaxLink), Xattrs: []Xattr{{"user.x", make([]byte, MaxXattrs-100)}}})
	root := build(t, s, list)
	for _, n := range s.nodes {
		if len(n) > MaxNode {
			t.Errorf("a node of %d bytes", len(n))
		}
	}
	n := 0
	if err := Open(s, root.Key).Walk(ctx, "", func(e *Entry) error { n++; return nil }); err != nil || n != len(list) {
		t.Error(n, err)
	}
}
