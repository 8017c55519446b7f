package index

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// build makes an index of entries, which it sorts.
func build(t testing.TB, entries ...tree.Entry) *Index {
	t.Helper()
	slices.SortFunc(entries, func(a, b tree.Entry) int { return tree.Compare(a.Path, b.Path) })
	b, err := NewBuilder(int64(len(entries)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if err := b.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Finish()
}

func file(path string, size int64) tree.Entry {
	return tree.Entry{Path: path, Size: size, ModTime: size * 7 % 11}
}

func dir(path string) tree.Entry { return tree.Entry{Path: path, Type: tree.Dir, ModTime: 5} }

// home is what most tests look at. Some folders have no entry of their own.
func home(t testing.TB) *Index {
	return build(t, dir("home"), dir("home/ada"), file("home/ada/Page 10.txt", 10), file("home/ada/page 2.txt", 20), file("home/ada/Zebra.JPG", 30),
		dir("home/ada/docs"), file("home/ada/docs/plan.docx", 40), file("home/ada/docs/old/plan [1].docx", 50),
		tree.Entry{Path: "home/ada/link", Type: tree.Symlink, Link: "docs"}, tree.Entry{Path: "home/ada/pipe", Type: tree.FIFO},
		file("home/ada/naïve\xff.txt", 1), file("home/ada.txt", 2), dir("home/empty"), file("etc/passwd", 3))
}

func names(l *talk.Listing) string {
	var list []string
	for _, e := range l.Entries {
		list = append(list, e.Name)
	}
	return strings.Join(list, "|")
}

func mustList(t *testing.T, x *Index, q talk.List) *talk.Listing {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	l, err := x.List(q)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAFolderIsListed(t *testing.T) {
	t.Parallel()
	x := home(t)
	if x.Rows() != 16 { // 14 entries, etc and old
		t.Errorf("%d rows", x.Rows())
	}
	l := mustList(t, x, talk.List{Path: "home/ada"})
	if got, want := names(l), "docs|link|naïve\uFFFDFF.txt|page 2.txt|Page 10.txt|pipe|Zebra.JPG"; got != want {
		t.Errorf("by name: %s, want %s", got, want)
	}
	if l.Total != 7 || l.Files != 6 || l.Bytes != 151 {
		t.Errorf("totals: %+v", l)
	}
	docs, link, text := l.Entries[0], l.Entries[1], l.Entries[2]
	if docs != (talk.Entry{Name: "docs", Path: "home/ada/docs", Kind: talk.Folder, Size: 90, Files: 2, ModTime: 5}) {
		t.Errorf("a folder: %+v", docs)
	}
	if link.Kind != talk.Link || l.Entries[5].Kind != talk.Special || text.Kind != talk.Document || talk.Raw(text.Path) != "home/ada/naïve\xff.txt" {
		t.Errorf("%+v, %+v, %+v", link, l.Entries[5], text)
	}
	top := mustList(t, x, talk.List{})
	if names(top) != "etc|home" || top.Entries[0].ModTime != 0 || top.Entries[1].ModTime != 5 {
		t.Errorf("the top: %+v", top.Entries)
	}
	if l := mustList(t, x, talk.List{Path: "home/empty"}); l.Total != 0 || l.Entries == nil {
		t.Errorf("an empty folder: %+v", l)
	}
	if l := mustList(t, x, talk.List{Path: "home/ada/docs/old"}); names(l) != "plan [1].docx" {
		t.Errorf("a folder without an entry: %s", names(l))
	}
	// Written as a page writes it, a path leads back.
	if _, err := x.List(talk.List{Path: text.Path}); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("a file as a folder: %v", err)
	}
}

func TestOrdersAndPages(t *testing.T) {
	t.Parallel()
	x := home(t)
	for _, c := range []struct {
		sort talk.Sort
		want string
	}{
		{talk.Sort{Descending: true}, "docs|Zebra.JPG|pipe|Page 10.txt|page 2.txt|naïve\uFFFDFF.txt|link"},
		{talk.Sort{By: talk.BySize}, "docs|link|pipe|naïve\uFFFDFF.txt|Page 10.txt|page 2.txt|Zebra.JPG"},
		{talk.Sort{By: talk.BySize, Descending: true}, "docs|Zebra.JPG|page 2.txt|Page 10.txt|naïve\uFFFDFF.txt|link|pipe"},
		{talk.Sort{By: talk.ByTime}, "docs|link|pipe|Zebra.JPG|Page 10.txt|naïve\uFFFDFF.txt|page 2.txt"},
		{talk.Sort{By: talk.ByKind, Descending: true}, "docs|pipe|link|Zebra.JPG|naïve\uFFFDFF.txt|page 2.txt|Page 10.txt"},
	} {
		if got := names(mustList(t, x, talk.List{Path: "home/ada", Sort: c.sort})); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.sort, got, c.want)
		}
	}
	for range 2 { // the second time the answer is kept
		l := mustList(t, x, talk.List{Path: "home/ada", Page: talk.Page{Offset: 3, Limit: 2}})
		if names(l) != "page 2.txt|Page 10.txt" || l.Total != 7 {
			t.Errorf("a page: %s of %d", names(l), l.Total)
		}
	}
	if l := mustList(t, x, talk.List{Path: "home/ada", Page: talk.Page{Offset: 99, Limit: 2}}); l.Total != 7 || len(l.Entries) != 0 {
		t.Errorf("behind the end: %+v", l)
	}
	for _, p := range []talk.Page{{Offset: -1}, {Limit: -1}} {
		if _, err := x.List(talk.List{Page: p}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for i := range 3 * keptViews { // old answers make room
		x.List(talk.List{Filter: talk.Filter{Extensions: []string{fmt.Sprint(i)}}}) //nolint:errcheck
	}
	if len(x.views.known) != keptViews || len(x.views.order) != keptViews {
		t.Errorf("%d answers are kept", len(x.views.known))
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	x := home(t)
	l := mustList(t, x, talk.List{Filter: talk.Filter{Extensions: []string{"DOCX"}}})
	if names(l) != "home" || l.Entries[0].Files != 2 || l.Entries[0].Size != 90 || l.Files != 2 {
		t.Errorf("folders without a match are left out, others count matches: %+v", l)
	}
	l = mustList(t, x, talk.List{Path: "home/ada", Filter: talk.Filter{Kinds: []talk.Kind{talk.Image}, Extensions: []string{".txt"}}})
	if names(l) != "naïve\uFFFDFF.txt|page 2.txt|Page 10.txt|Zebra.JPG" {
		t.Errorf("either of both: %s", names(l))
	}
	l = mustList(t, x, talk.List{Path: "home/ada", Filter: talk.Filter{Kinds: []talk.Kind{talk.Video}}})
	if l.Total != 0 || l.Bytes != 0 {
		t.Errorf("no match: %+v", l)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	x := home(t)
	for _, c := range []struct {
		in, text string
		filter   talk.Filter
		want     string
		files    int64
	}{
		{"", "PLAN", talk.Filter{}, "plan [1].docx|plan.docx", 2},
		{"", "ada", talk.Filter{}, "ada|ada.txt", 1},
		{"", "  ada ", talk.Filter{Extensions: []string{"txt"}}, "ada.txt", 1},
		{"", "*.TXT", talk.Filter{}, "ada.txt|naïve\uFFFDFF.txt|page 2.txt|Page 10.txt", 4},
		{"", "p?an.docx", talk.Filter{}, "plan.docx", 1},
		{"", "*[1]*", talk.Filter{}, "plan [1].docx", 1},
		{"", `*\*`, talk.Filter{}, "", 0},
		{"", "docs/*.docx", talk.Filter{}, "plan.docx", 1},
		{"", "x/home/*", talk.Filter{}, "", 0},
		{"", "/ada/*", talk.Filter{}, "docs|link|naïve\uFFFDFF.txt|page 2.txt|Page 10.txt|pipe|Zebra.JPG", 4},
		{"", "docs/o", talk.Filter{}, "old", 0},
		{"", "/etc/", talk.Filter{}, "passwd", 1},
		{"home/ada/docs", "", talk.Filter{}, "plan [1].docx|plan.docx", 2},
		{"home/ada/docs", "ada", talk.Filter{}, "", 0},
		{"", "", talk.Filter{Kinds: []talk.Kind{talk.Image}}, "Zebra.JPG", 1},
		{"", "naïve", talk.Filter{}, "naïve\uFFFDFF.txt", 1},
	} {
		l, err := x.Search(talk.Search{Path: c.in, Text: c.text, Filter: c.filter, Page: talk.Page{Limit: 50}})
		if err != nil || names(l) != c.want || l.Files != c.files {
			t.Errorf("%q in %q: %v\n got %s (%d files)\nwant %s (%d files)", c.text, c.in, err, names(l), l.Files, c.want, c.files)
		}
	}
	if _, err := x.Search(talk.Search{Path: "nowhere"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("in no folder: %v", err)
	}
	if _, err := x.Search(talk.Search{Page: talk.Page{Limit: -1}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("no page: %v", err)
	}
}

func TestTotalsOfASelection(t *testing.T) {
	t.Parallel()
	x := home(t)
	for _, c := range []struct {
		paths, exts []string
		want        talk.Totals
	}{
		{nil, nil, talk.Totals{Files: 8, Folders: 6, Bytes: 156}},
		{[]string{"home/ada/docs", "home/ada/docs/plan.docx", "etc/passwd"}, nil, talk.Totals{Files: 3, Folders: 2, Bytes: 93}},
		{[]string{"home/ada/page 2.txt", "home/ada/Page 10.txt", "home/ada/link"}, nil, talk.Totals{Files: 2, Bytes: 30}},
		{[]string{"home"}, []string{".docx", "jpg"}, talk.Totals{Files: 3, Folders: 5, Bytes: 120}},
	} {
		if got, err := x.Totals(c.paths, c.exts); err != nil || got != c.want {
			t.Errorf("%q %q: %+v, %v, want %+v", c.paths, c.exts, got, err, c.want)
		}
	}
	for _, p := range []string{"home/bob", "no/where", "etc/passwd/x", "zzz"} {
		if _, err := x.Totals([]string{p}, nil); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	c := home(t).Summary()
	if c.Entries != 16 || c.Files != 8 || c.Bytes != 156 {
		t.Errorf("%+v", c)
	}
	if want := []talk.KindCount{{Kind: talk.Document, Files: 6, Bytes: 123}, {Kind: talk.Other, Files: 1, Bytes: 3}, {Kind: talk.Image, Files: 1, Bytes: 30}}; !slices.Equal(c.Kinds, want) {
		t.Errorf("kinds %+v", c.Kinds)
	}
	if want := []talk.ExtensionCount{{Extension: ".txt", Files: 4, Bytes: 33}, {Extension: ".docx", Files: 2, Bytes: 90}, {Extension: ".jpg", Files: 1, Bytes: 30}}; !slices.Equal(c.Extensions, want) {
		t.Errorf("extensions %+v", c.Extensions)
	}
	if c := build(t).Summary(); c.Kinds == nil || c.Extensions == nil || c.Entries != 0 {
		t.Errorf("an empty tree: %+v", c)
	}
}

func TestTooLargeATree(t *testing.T) {
	t.Parallel()
	if _, err := NewBuilder(MaxRows + 1); !errors.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
	// Folders without entries count, too.
	b, err := NewBuilder(1)
	if err != nil {
		t.Fatal(err)
	}
	b.x.parent = make([]int32, MaxRows)
	b.x.end, b.x.all = make([]int32, MaxRows), sums{make([]int32, MaxRows+1), make([]int64, MaxRows+1)}
	if err := b.Add(&tree.Entry{Path: "a"}); !errors.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
}

func TestNamesInOrder(t *testing.T) {
	t.Parallel()
	want := []string{"a", "a0", "a1", "a01x", "a2", "a10", "a10b", "a10b2", "a10b10", "ab", "abcdefgh", "abcdefghi1", "abcdefghi02", "b", "ä"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, func(a, b string) int { return natural([]byte(a), []byte(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"?", "", false}, {"", "", true}, {"", "a", false}, {"a*", "a", true}, {"**b", "aab", true}, {"*ab", "aaab", true},
		{"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbXbX", false}, {"?", "é", true}, {"??", "é", false}, {"*é?", "xéy", true}, {"[a]", "a", false}, {"a", "ab", false},
		{"?*", "\xff", true}, {"a?", "a", false},
	} {
		if got := glob([]byte(c.pattern), []byte(c.name)); got != c.want {
			t.Errorf("%q and %q: %v", c.pattern, c.name, got)
		}
	}
}

// What an index says is what a plain look at all entries says.
func TestAgainstAPlainModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "B", "b1", "b02", "b10", "x.txt", "x.JPG", "~", "!", "é"})
		seen := map[string]bool{}
		var entries []tree.Entry
		for _, p := range rapid.SliceOfN(rapid.SliceOfN(part, 1, 4), 0, 40).Draw(t, "paths") {
			e := file(strings.Join(p, "/"), int64(len(entries)+1))
			taken := false
			for other := range seen { // nothing lies in a file
				taken = taken || tree.Within(other, e.Path) || tree.Within(e.Path, other)
			}
			if !taken {
				seen[e.Path] = true
				entries = append(entries, e)
			}
		}
		slices.SortFunc(entries, func(a, b tree.Entry) int { return tree.Compare(a.Path, b.Path) })
		b, err := NewBuilder(0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range entries {
			if err := b.Add(&entries[i]); err != nil {
				t.Fatal(err)
			}
		}
		x := b.Finish()
		folders := map[string]bool{"": true}
		for _, e := range entries {
			for d := path.Dir(e.Path); d != "."; d = path.Dir(d) {
				folders[d] = true
			}
		}
		for d := range folders {
			type child struct {
				folder bool
				files  int64
				bytes  int64
			}
			children := map[string]*child{}
			for _, e := range entries {
				if !tree.Within(e.Path, d) {
					continue
				}
				name, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(e.Path, d), "/"), "/")
				c := children[name]
				if c == nil {
					c = &child{folder: rest != ""}
					children[name] = c
				}
				c.files++
				c.bytes += e.Size
			}
			l, err := x.List(talk.List{Path: d, Page: talk.Page{Limit: 100}})
			if err != nil || l.Total != len(children) {
				t.Fatalf("%q: %d entries, %v, want %d", d, l.Total, err, len(children))
			}
			for _, e := range l.Entries {
				c := children[e.Name]
				if c == nil || e.Path != strings.TrimPrefix(d+"/"+e.Name, "/") || c.folder != (e.Kind == talk.Folder) || e.Size != c.bytes || c.folder && e.Files != c.files {
					t.Fatalf("%q: %+v, want %+v", d, e, c)
				}
			}
			if !slices.IsSortedFunc(l.Entries, func(a, b talk.Entry) int {
				if (a.Kind == talk.Folder) != (b.Kind == talk.Folder) {
					return cmp.Compare(b2i(b.Kind == talk.Folder), b2i(a.Kind == talk.Folder))
				}
				return natural([]byte(strings.ToLower(a.Name)), []byte(strings.ToLower(b.Name)))
			}) {
				t.Fatalf("%q is not in order: %s", d, names(l))
			}
			totals, err := x.Totals([]string{d}, nil)
			if err != nil || totals.Files != l.Files || totals.Bytes != l.Bytes {
				t.Fatalf("%q: %+v, %v, listed %d and %d", d, totals, err, l.Files, l.Bytes)
			}
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
