package catalog

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/catalog/index"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// The cleaning of a space of a million objects in a hundred snapshots, of which fifty are purged: all of it, and with so small a
// budget that it takes several passes. The rows are there; the packs are not, so that the heap is the cleaner's own.
func BenchmarkCollect(b *testing.B) {
	for _, budget := range []int64{0, 4 << 20} {
		name := "64MiB"
		if budget > 0 {
			name = "4MiB"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w, owner := million(b)
				runtime.GC()
				peak := watchHeap()
				b.StartTimer()
				r := w.collect(owner, GCOptions{Budget: budget, Work: -1})
				b.StopTimer()
				b.ReportMetric(float64(peak())/(1<<20), "peak-MiB")
				b.ReportMetric(float64(r.Passes), "passes")
				b.ReportMetric(float64(r.Objects), "deleted")
				if r.Purged != 50 || get[int](w, `SELECT count(*) FROM objects`) < 900_000 {
					b.Fatalf("%+v", r)
				}
				b.StartTimer()
			}
		})
	}
}

// watchHeap samples the heap until the function that it returns is called; that returns the most that was in use, beyond what
// was in use before.
func watchHeap() func() uint64 {
	var before, s runtime.MemStats
	runtime.ReadMemStats(&before)
	stop := make(chan bool)
	var done sync.WaitGroup
	var most uint64
	done.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				runtime.ReadMemStats(&s)
				most = max(most, s.HeapInuse)
			}
		}
	})
	return func() uint64 {
		close(stop)
		done.Wait()
		return most - min(most, before.HeapInuse)
	}
}

// million makes a space of 10,000 leaves of 90 chunks, and a hundred snapshots each of which has other leaves in one branch, with
// 1,000 chunks of its own.
func million(b *testing.B) (*world, actor.Actor) {
	w := &world{t: b, ctx: b.Context(), db: pgtest.New(b), mem: mem.New()}
	w.Service = New(Config{DB: w.db, Store: w.mem, Grace: -1})
	owner := w.user()
	dev := w.device(owner)
	w.begin(dev)
	w.exec(`UPDATE backups SET state = 'committed', ended_at = now()`)
	space := get[int](w, `SELECT id FROM spaces`)
	var entries []pack.Entry
	flush := func() {
		if len(entries) == 0 {
			return
		}
		err := pg.InTx(w.ctx, w.db, func(tx *sqlx.Tx) error {
			_, err := index.Add(w.ctx, tx, space, index.Pack{Name: id.Pack(append(entries[0].ID[:], entries[0].ID[:]...)), Size: 16 << 20}, entries, false)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		entries = entries[:0]
	}
	add := func(e pack.Entry) id.Object {
		e.ID, e.Length = object(), 1
		if entries = append(entries, e); len(entries) == 2000 {
			flush()
		}
		return e.ID
	}
	leaf := func(own int, old []id.Object) (e pack.Entry) {
		e.Node = true
		for range own {
			e.Data = append(e.Data, add(pack.Entry{}))
		}
		e.Data = append(e.Data, old...)
		return e
	}
	var branches []id.Object
	var data [][]id.Object
	for range 100 {
		branch := pack.Entry{Node: true}
		for range 100 {
			l := leaf(90, nil)
			data = append(data, l.Data)
			branch.Nodes = append(branch.Nodes, add(l))
		}
		branches = append(branches, add(branch))
	}
	for n := range 100 {
		branch := pack.Entry{Node: true}
		for i := range 100 {
			branch.Nodes = append(branch.Nodes, add(leaf(10, data[100*n+i][:80])))
		}
		nodes := append([]id.Object(nil), branches...)
		nodes[n] = add(branch)
		root := add(pack.Entry{Node: true, Nodes: nodes})
		w.exec(`INSERT INTO snapshots (id, space_id, device_id, root, manifest, created_at, files, bytes, problems, uploaded_bytes, deleted_at, purge_after)
			VALUES ($1, $2, $3, $4, 'x', now(), 0, 0, 0, 0, CASE WHEN $5 THEN now() END, CASE WHEN $5 THEN now() END)`,
			id.Snapshot{}.New(), space, dev.Device, root, n%2 == 0)
	}
	flush()
	w.exec(`UPDATE nodes SET complete = true`)
	w.exec(`ANALYZE`)
	return w, owner
}
