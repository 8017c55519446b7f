package catalog

import (
	"testing"

	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// A pack of 10,000 objects from its first byte to its committed rows, and the commit of a first backup of 200,000 files.
func BenchmarkBackup(b *testing.B) {
	w := &world{t: b, ctx: b.Context(), db: pgtest.New(b), mem: mem.New()}
	w.Service = New(Config{DB: w.db, Store: w.mem})
	dev := w.device(w.user())
	ses := w.begin(dev)
	var data []id.Object
	b.Run("Upload10000", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			m := chunks(fresh(10_000)...)
			data = append(data, m.ids...)
			b.StartTimer()
			w.mustUpload(dev, ses, m)
		}
	})
	for len(data) < 200_000 {
		m := chunks(fresh(10_000)...)
		data = append(data, m.ids...)
		w.mustUpload(dev, ses, m)
	}
	b.Run("Commit200000", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			ses := w.begin(dev)
			root := node{id: object()}
			var list []node
			for i := range 1000 {
				leaf := node{object(), nil, data[200*i : 200*(i+1)]}
				list = append(list, leaf)
				root.nodes = append(root.nodes, leaf.id)
			}
			w.mustUpload(dev, ses, nodes(append(list, root)...))
			b.StartTimer()
			if _, err := w.commit(dev, ses, root.id); err != nil {
				b.Fatal(err)
			}
		}
	})
}
