package tree

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestWalkFrom(t *testing.T) {
	t.Parallel()
	s, b := big()
	r := Open(s, b.Key)
	for _, from := range []string{"", "home", "home/user/documents/project-003", b.list[len(b.list)/2].Path, "home/user/documents/project-0", "zzz", "a"} {
		var want, got []string
		for _, e := range b.list {
			if Within(e.Path, from) {
				want = append(want, e.Path)
			}
		}
		err := r.Walk(ctx, from, func(e *Entry) error { got = append(got, e.Path); return nil })
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("from %q: %d entries, want %d; %v", from, len(got), len(want), err)
		}
	}
	var got []string
	err := r.Walk(ctx, "", func(e *Entry) error {
		got = append(got, e.Path)
		if strings.HasPrefix(e.Base(), "project-") {
			return SkipDir
		}
		return nil
	})
	if err != nil || len(got) != 3+20 {
		t.Errorf("%d entries with SkipDir: %v", len(got), err)
	}
	stop := errors.New("enough")
	if err := r.Walk(ctx, "", func(e *Entry) error { return stop }); err != stop {
		t.Error(err)
	}
}

func TestWalkBatches(t *testing.T) {
	t.Parallel()
	_, b := big()
	s := newStore()
	root := build(t, s, b.list)
	Open(s, root.Key).Walk(ctx, "", func(*Entry) error { return nil })
	if s.asked > 8 || len(s.read) != len(s.nodes) {
		t.Errorf("%d questions for %d nodes of %d", s.asked, len(s.read), len(s.nodes))
	}
}

// naiveList is what List should give.
func naiveList(list []*Entry, dir string) []string {
	var names []string
	for _, e := range list {
		rest := e.Path
		if dir != "" {
			if !strings.HasPrefix(e.Path, dir+"/") {
				continue
			}
			rest = e.Path[len(dir)+1:]
		}
		name, _, _ := strings.Cut(rest, "/")
		if p := path.Join(dir, name); len(names) == 0 || names[len(names)-1] != p {
			names = append(names, p)
		}
	}
	return names
}

func TestList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newStore()
		m := drawTree(t, 80)
		for p := range m { // only folders have something in them
			for i := range p {
				if p[i] == '/' {
					if e := m[p[:i]]; e != nil {
						m[p[:i]] = &Entry{Path: p[:i], Type: Dir}
					}
				}
			}
		}
		list := sorted(m)
		b := NewBuilder([32]byte{1}, s)
		for _, e := range list {
			b.Add(ctx, e)
		}
		root, _ := b.Finish(ctx)
		dir := ""
		if len(list) > 0 && rapid.Bool().Draw(t, "deep") {
			dir = path.Dir(rapid.SampledFrom(list).Draw(t, "dir").Path)
			if dir == "." {
				dir = ""
			}
		}
		var got []string
		err := Open(s, root.Key).List(ctx, dir, func(e *Entry) error { got = append(got, e.Path); return nil })
		if want := naiveList(list, dir); err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q: got %q, want %q: %v", dir, got, want, err)
		}
	})
}

// A folder with very many files below a subfolder must not be read to list what is around it.
func TestListSkips(t *testing.T) {
	t.Parallel()
	var list []*Entry
	for _, d := range []string{"a", "top", "top/huge", "top/huge/deeper", "top/small"} {
		list = append(list, &Entry{Path: d, Type: Dir})
	}
	for i := range 100_000 {
		list = append(list, &Entry{Path: fmt.Sprintf("top/huge/deeper/%06d", i), ModTime: int64(i) * 1e15})
	}
	list = append(list, &Entry{Path: "top/small/x"}, &Entry{Path: "top/z"})
	sortEntries(list)
	s := newStore()
	root := build(t, s, list)
	clear(s.read)
	var got []string
	if err := Open(s, root.Key).List(ctx, "top", func(e *Entry) error { got = append(got, e.Base()); return nil }); err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, " ") != "huge small z" || len(s.read) > 2*(root.Height+1) {
		t.Errorf("%q after reading %d of %d nodes", got, len(s.read), len(s.nodes))
	}
	clear(s.read)
	n := 0
	s.asked = 0
	if err := Open(s, root.Key).List(ctx, "top/huge/deeper", func(*Entry) error { n++; return nil }); err != nil || n != 100_000 {
		t.Error(n, err)
	}
	if s.asked > len(s.nodes)/5 {
		t.Errorf("%d questions for %d nodes", s.asked, len(s.nodes))
	}
	clear(s.read)
	if _, err := Open(s, root.Key).Get(ctx, "top/huge/deeper/050000"); err != nil || len(s.read) != root.Height+1 {
		t.Error(err, len(s.read))
	}
	for _, p := range []string{"", "0", "top/huge/deeper/050000x", "zz"} {
		if _, err := Open(s, root.Key).Get(ctx, p); !errors.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := newStore()
	root := build(t, s, []*Entry{{Path: "a.docx", Type: Dir}, {Path: "a.docx/B.DOCX"}, {Path: "a.docx/c.pdf"}, {Path: "a.docx/docx"}, {Path: "b.Docx", Type: Symlink, Link: "x"}})
	for _, tc := range []struct {
		exts []string
		want string
	}{{[]string{".docx"}, "a.docx/B.DOCX"}, {[]string{"docx", ".PDF"}, "a.docx/B.DOCX a.docx/c.pdf"}, {nil, "a.docx/B.DOCX a.docx/c.pdf a.docx/docx"}, {[]string{".x"}, ""}} {
		var got []string
		Open(s, root.Key).Search(ctx, Extensions(tc.exts...), func(e *Entry) error { got = append(got, e.Path); return nil })
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q: %q", tc.exts, got)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawTree(t, 60)
		b := map[string]*Entry{}
		for p, e := range a {
			b[p] = e
		}
		for range rapid.IntRange(0, 10).Draw(t, "edits") {
			p := drawPath(t)
			switch rapid.IntRange(0, 2).Draw(t, "edit") {
			case 0:
				b[p] = drawEntry(t, p)
			case 1:
				delete(b, p)
			case 2:
				for p := range b {
					delete(b, p)
					break
				}
			}
		}
		checkDiff(t, a, b)
	})
}

func checkDiff(t interface{ Fatalf(string, ...any) }, a, b map[string]*Entry) *store {
	s := newStore()
	var roots [2]Root
	for i, m := range []map[string]*Entry{a, b} {
		b := NewBuilder([32]byte{1}, s)
		for _, e := range sorted(m) {
			if err := b.Add(ctx, e); err != nil {
				t.Fatalf("%v", err)
			}
		}
		roots[i], _ = b.Finish(ctx)
	}
	want := map[string]bool{}
	for p, e := range a {
		if b[p] == nil || !e.equal(b[p]) {
			want[p] = true
		}
	}
	for p := range b {
		if a[p] == nil {
			want[p] = true
		}
	}
	last, n := "", 0
	clear(s.read)
	s.asked = 0
	err := Diff(ctx, Open(s, roots[0].Key), Open(s, roots[1].Key), func(c Change) error {
		p := ""
		for i, e := range []*Entry{c.Before, c.After} {
			m := []map[string]*Entry{a, b}[i]
			if e != nil {
				p = e.Path
				if !e.equal(m[p]) {
					t.Fatalf("%q is not as it was", p)
				}
			}
		}
		if (c.Before == nil) != (a[p] == nil) || (c.After == nil) != (b[p] == nil) || !want[p] || n > 0 && Compare(last, p) >= 0 {
			t.Fatalf("wrong change at %q", p)
		}
		last = p
		n++
		return nil
	})
	if err != nil || n != len(want) {
		t.Fatalf("%d changes, want %d: %v", n, len(want), err)
	}
	return s
}

func TestDiffSkips(t *testing.T) {
	t.Parallel()
	_, big := big()
	a, b := map[string]*Entry{}, map[string]*Entry{}
	for i, e := range big.list {
		if i != 500 {
			a[e.Path] = e
		}
		if i != 20_000 {
			b[e.Path] = e
		}
		if i == 30_000 {
			c := *e
			c.Mode ^= 1
			b[e.Path] = &c
		}
	}
	s := checkDiff(t, a, b)
	if len(s.read) > 2*3*2*4 || s.asked > 20 {
		t.Errorf("%d of %d nodes read for three changes, in %d questions", len(s.read), len(s.nodes), s.asked)
	}
	checkDiff(t, a, nil)
	checkDiff(t, nil, b)
}

func TestLists(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, InlineMax, InlineMax + 1, 5000, 60_000} {
		for _, form := range []string{"distinct", "same", "holes"} {
			s := newStore()
			w := NewListWriter(s)
			want := make([]Chunk, n)
			for i := range want {
				switch form {
				case "distinct":
					want[i] = Chunk{Key: key(uint64(i)), Size: int64(i%1000 + 1)}
				case "same": // of a key that would end every node
					want[i] = Chunk{Size: 7}
					want[i].Key[31] = 1
				case "holes":
					want[i] = Chunk{Size: 7, Hole: true}
				}
				if err := w.Add(ctx, want[i]); err != nil {
					t.Fatal(err)
				}
			}
			e := &Entry{Path: "f"}
			if err := w.Finish(ctx, e); err != nil || e.ChunkCount != int64(n) || e.Inline() != (n <= InlineMax) {
				t.Fatal(e.ChunkCount, err)
			}
			root := build(t, s, []*Entry{e})
			r := Open(s, root.Key)
			e, err := r.Get(ctx, "f")
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			err = r.Chunks(ctx, e, func(c Chunk) error {
				if c != want[i] {
					t.Fatalf("chunk %d is %v", i, c)
				}
				i++
				return nil
			})
			if err != nil || i != n {
				t.Fatalf("%s %d: %d, %v", form, n, i, err)
			}
			if n > 1000 && form == "distinct" { // one more in the middle rewrites little
				before := len(s.nodes)
				for i := range want {
					w.Add(ctx, want[i])
					if i == n/2 {
						w.Add(ctx, Chunk{Key: key(1 << 40), Size: 5})
					}
				}
				w.Finish(ctx, e)
				if got := len(s.nodes) - before; got > 8 {
					t.Errorf("%d of %d list nodes anew", got, before)
				}
				e.ChunkCount--
				if err := r.Chunks(ctx, e, func(Chunk) error { return nil }); !errors.Is(err, ErrMalformed) {
					t.Error(err)
				}
			}
		}
	}
}
