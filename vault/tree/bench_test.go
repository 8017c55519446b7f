package tree

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

func BenchmarkBuild(b *testing.B) {
	list := files(200_000, 100)
	b.ReportAllocs()
	for b.Loop() {
		build(b, &nullSink{}, list)
	}
	b.ReportMetric(float64(len(list))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mentries/s")
}

func BenchmarkWalk(b *testing.B) {
	s := newStore()
	list := files(200_000, 100)
	root := build(b, s, list)
	b.ReportAllocs()
	for b.Loop() {
		if err := Open(s, root.Key).Walk(ctx, "", func(*Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(list))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mentries/s")
}

// BenchmarkEdit measures what the size of leaves costs: sealed bytes of a whole tree, and of what one changed
// file stores anew, with what packs say about them.
func BenchmarkEdit(b *testing.B) {
	list := files(200_000, 100)
	s := newStore()
	s.level = seal.LevelDefault
	root := build(b, s, list)
	var whole, edits int64
	for _, n := range s.bytes {
		whole += n
	}
	nodes := len(s.nodes)
	r := rand.New(rand.NewPCG(3, 4))
	n := int64(0)
	for b.Loop() {
		changed := slices.Clone(list)
		i := r.IntN(len(list))
		e := *list[i]
		e.ModTime = r.Int64()
		changed[i] = &e
		before := make(map[seal.Key]bool, len(s.nodes))
		for k := range s.nodes {
			before[k] = true
		}
		build(b, s, changed)
		for k, n := range s.bytes {
			if !before[k] {
				edits += n
			}
		}
		n++
	}
	b.ReportMetric(float64(whole)/1e6, "MB-tree")
	b.ReportMetric(float64(nodes), "nodes")
	b.ReportMetric(float64(root.Height), "height")
	b.ReportMetric(float64(edits)/float64(n)/1e3, "KB/edit")
}
