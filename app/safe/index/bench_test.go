package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// large is a tree of 100,000 files: half of them in one folder, the others in a thousand.
func large() []tree.Entry {
	r := rand.New(rand.NewPCG(1, 2))
	exts := []string{"txt", "docx", "jpg", "JPG", "xlsx", "mp4", "pdf", "go"}
	var list []tree.Entry
	name := func() string {
		b := make([]byte, 6+r.IntN(20))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGH 0123456789_-"[r.IntN(47)]
		}
		return string(b)
	}
	for i := range 50_000 {
		list = append(list, file(fmt.Sprintf("home/ada/pictures/IMG_%s %d.%s", name(), i, exts[r.IntN(len(exts))]), r.Int64N(1<<22)))
	}
	for d := range 1000 {
		for i := range 50 {
			list = append(list, file(fmt.Sprintf("home/ada/projects/%d/part %d/%s%d.%s", d%40, d, name(), i, exts[r.IntN(len(exts))]), r.Int64N(1<<20)))
		}
	}
	return list
}

func BenchmarkBuild(b *testing.B) {
	list := large()
	x := build(b, list...)
	b.ReportAllocs()
	for b.Loop() {
		x = build(b, list...)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rows := x.Rows()
	runtime.KeepAlive(x)
	x = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(before.HeapAlloc-after.HeapAlloc)/float64(rows), "B/row")
}

func BenchmarkAnswers(b *testing.B) {
	x := build(b, large()...)
	page := talk.Page{Limit: 200}
	folder := func(by talk.By) func() (*talk.Listing, error) {
		return func() (*talk.Listing, error) {
			return x.List(talk.List{Path: "home/ada/pictures", Sort: talk.Sort{By: by}, Page: page})
		}
	}
	search := func(text string, f talk.Filter) func() (*talk.Listing, error) {
		return func() (*talk.Listing, error) { return x.Search(talk.Search{Text: text, Filter: f, Page: page}) }
	}
	for _, c := range []struct {
		name string
		ask  func() (*talk.Listing, error)
	}{
		{"list/name", folder(talk.ByName)},
		{"list/size", folder(talk.BySize)},
		{"list/filter", func() (*talk.Listing, error) {
			return x.List(talk.List{Path: "home/ada/pictures", Filter: talk.Filter{Extensions: []string{"jpg", "docx"}}, Page: page})
		}},
		{"search/text", search("ab", talk.Filter{})},
		{"search/glob", search("*a*b*.jpg", talk.Filter{})},
		{"search/path", search("pictures/img_a", talk.Filter{})},
		{"search/kind", search("", talk.Filter{Kinds: []talk.Kind{talk.Image, talk.Document}})},
		{"search/all", search("", talk.Filter{})},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				x.views = views{} // nothing is kept
				if l, err := c.ask(); err != nil || l.Total == 0 {
					b.Fatal(l, err)
				}
			}
		})
	}
	b.Run("totals", func(b *testing.B) {
		for b.Loop() {
			if t, err := x.Totals(nil, []string{"jpg"}); err != nil || t.Files == 0 {
				b.Fatal(t, err)
			}
		}
	})
	b.Run("summary", func(b *testing.B) {
		for b.Loop() {
			if c := x.Summary(); c.Files == 0 {
				b.Fatal(c)
			}
		}
	})
}
